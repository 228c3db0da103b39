"""What a run is given: what its parts, and its ranks, must have in common."""

from __future__ import annotations

import zlib
from dataclasses import fields
from typing import Any

from .. import _core
from ..layers import Layer
from ..layers.contract import label
from ..network import Network
from ..network.files import describe_layers, pack_labels, values
from .options import TrainingOptions
from .ranks import Ranks
from .run import Run
from .sources import Source

Setting = dict[str, Any]

# What a resumed run must share with the run before; max_epochs may grow, for one, and the ranks be
# others.
_BINDING = (
    "solver",
    "momentum",
    "gradient_decay_factor",
    "squared_gradient_decay_factor",
    "epsilon",
    "initial_learn_rate",
    "learn_rate_schedule",
    "learn_rate_drop_factor",
    "learn_rate_drop_period",
    "l2_regularization",
    "gradient_threshold",
    "gradient_threshold_method",
    "mini_batch_size",
    "batch_normalization",
    "shuffle",
    "validation_frequency",
    "validation_patience",
    "output_network",
    "seed",
)

# What the ranks of a run may have of their own: the first alone makes use of it.
_OF_ONE_RANK = (
    "checkpoint_frequency",
    "checkpoint_frequency_unit",
    "checkpoint_path",
    "output_fcn",
    "plots",
    "validation_data",
    "verbose",
    "verbose_frequency",
)

_MOST_COMPARED = 2**24
"""Bytes of images that ranks compare before a run; those of a file are read by all of them."""


def describe_setting(
    run: Run, options: TrainingOptions, source: Source, validation: Source | None
) -> Setting:
    """Describe what two parts of one run must have in common."""
    return {
        "layers": describe_layers(run.network.layers),
        "classes": pack_labels(run.network.classes),
        "data": source.fingerprint(),
        "validation data": None if validation is None else validation.fingerprint(),
        **{name: _finite(getattr(options, name)) for name in _BINDING},
        "micro_batches": options.parts(),
    }


def _finite(value: Any) -> Any:
    """JSON has no infinity."""
    return "infinity" if value == float("inf") else value


def require_same_on_all_ranks(
    ranks: Ranks, run: Run, options: TrainingOptions, source: Source, validation: Source | None
) -> None:
    """Raise a ValueError where the ranks of a run were given different things."""
    if ranks.size == 1:
        return
    sources = {"X and Y": source, "validation_data": validation}
    ranks.require_same(
        {
            "the version of elulayer": _core.__version__,
            **{
                field.name: getattr(options, field.name)
                for field in fields(options)
                if field.name not in _OF_ONE_RANK
            },
            "layers": [type(layer).__qualname__ for layer in run.network.layers],
            **{
                label(index, layer): _describe(layer)
                for index, layer in enumerate(run.network.layers)
            },
            "the first values of layers": checksum(run.network),
            "the generators of layers": run.numbers()["layer_rngs"],
            "classes": run.network.classes,
            **{
                name: None if each is None else each.fingerprint(_MOST_COMPARED)
                for name, each in sources.items()
            },
        }
    )


def _describe(layer: Layer) -> Setting:
    """Describe a layer, as far as it lets itself be described."""
    try:
        (description,) = describe_layers([layer])
    except (TypeError, ValueError):  # no file can hold it
        description = {"class": type(layer).__qualname__, "description": layer.description}
    return description | {
        "learn_rate_factors": layer.learn_rate_factors,
        "l2_factors": layer.l2_factors,
    }


def checksum(network: Network) -> int:
    """Return a number that shows whether the values of two networks differ."""
    number = 0
    for name, array in values(network.layers).items():
        content = repr(array).encode() if array.dtype.hasobject else array.tobytes()
        number = zlib.crc32(content, zlib.crc32(name.encode(), number))
    return number
