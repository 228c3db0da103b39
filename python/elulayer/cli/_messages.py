"""What the command says on standard error, in the words of its options."""

from __future__ import annotations

import contextlib
import re
import sys

from .._support.streams import write

_OPTIONS = {
    "n_train": "--train-images",
    "n_test": "--test-images",
    "initial_learn_rate": "--learn-rate",
    "max_epochs": "--epochs",
    "mini_batch_size": "--batch-size",
    "validation_data": "--validation-images",
    "checkpoint_path": "--checkpoint",
    "checkpoint_frequency": "--checkpoint-every",
    "custom_layers": "--layer FILE.py:CLASS",
    "image_size": "--image-size",
    "input_shape": "--input-shape",
    "values in X": "values in the images",
}

_IMAGES = "the images (--data, --seed, --train-images, --validation-images)"

# Words that are parameters only where a message begins with them.
_SUBJECTS = {
    "solver": "--solver",
    "seed": "--seed",
    "data": _IMAGES,
    "classes": _IMAGES,
    "layers": _IMAGES,
    "validation data": "--validation-images",
}

# Neither a part of a path nor quoted.
_NAMED = re.compile(rf"(?<![\w/\\'\"~.-])(?:{'|'.join(_OPTIONS)})(?![\w/\\'\"-]|\.\w)")
_SUBJECT = re.compile(rf"^(?:{'|'.join(_SUBJECTS)})(?= must )")


def of_options(message: str) -> str:
    """Return the message with the command's options in the place of the parameters they set."""
    message = _SUBJECT.sub(lambda found: _SUBJECTS[found[0]], message)
    return _NAMED.sub(lambda found: _OPTIONS[found[0]], message)


def tell(message: str) -> None:
    """Write a line to standard error, if that can be."""
    with contextlib.suppress(OSError):
        write(f"elulayer: {message}\n", sys.stderr)
