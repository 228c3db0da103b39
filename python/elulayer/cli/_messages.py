"""What the command says on standard error, in the words of its options."""

from __future__ import annotations

import contextlib
import re
import sys

from .._support.streams import write

_IMAGES = "the images (--data, --seed, --train-images, --validation-images)"

_OPTIONS = {
    "n_train": "--train-images",
    "n_test": "--test-images",
    "image_size": "--image-size",
    "initial_learn_rate": "--learn-rate",
    "max_epochs": "--epochs",
    "mini_batch_size": "--batch-size",
    "micro_batches": "--micro-batches",
    "validation_data": "--validation-images",
    "checkpoint_path": "--checkpoint",
    "solver": "--solver",
    "seed": "--seed",
    "data": _IMAGES,
    "classes": _IMAGES,
    "layers": _IMAGES,
    "validation data": "--validation-images",
}

_ONE = "|".join(_OPTIONS)
_SUBJECT = re.compile(
    rf"^(?:\[Errno \d+\] )?(?:{_ONE})(?: (?:\+|and) (?:{_ONE}))*(?= (?:must be|is) )"
)

_ADVICE = {
    "a smaller initial_learn_rate or smaller values in X": (
        "a smaller --learn-rate or smaller values in the images"
    ),
    "; check_layer finds": "; elulayer check finds",
    "pass it in custom_layers, or to the command by --layer": "pass it by --layer FILE.py:CLASS",
    "must be at most mini_batch_size": "must be at most --batch-size",
    "execution_environment 'parallel' needs": "--parallel needs",
    "or image_size must be given": "or --image-size must be given",
}


def of_options(message: str) -> str:
    """Return the message with the command's options in the place of the parameters they set.

    Those are what messages are about, and what a few of them advise; other words may be the user's.
    """
    for advice, words in _ADVICE.items():
        message = message.replace(advice, words)
    return _SUBJECT.sub(
        lambda subject: re.sub(_ONE, lambda found: _OPTIONS[found[0]], subject[0]), message
    )


def tell(message: str) -> None:
    """Write a line to standard error, if that can be."""
    with contextlib.suppress(OSError):
        write(f"elulayer: {' '.join(message.splitlines())}\n", sys.stderr)
