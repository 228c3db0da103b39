"""What is compared: networks that differ in one thing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from elulayer import ELULayer, Layer, LeakyReLULayer, PReLULayer, ReLULayer
from elulayer.network.models import Activation, blog_layers, quick_layers

MODELS = ("blog", "quick")


@dataclass(frozen=True)
class Variant:
    """One of the networks that are compared.

    Attributes
    ----------
    description : str
        What it is, for the table.
    activation : callable
        Makes its activation layer for a number of channels.
    batch_normalization : bool
        Whether the blog's network has it; Caffe's "quick" never does.
    """

    description: str
    activation: Activation
    batch_normalization: bool = True


def _fixed_at_one(num_channels: int, backward_from: str = "input", in_place: bool = False) -> Layer:
    return ELULayer(
        num_channels, alpha=1, learnable=False, backward_from=backward_from, in_place=in_place
    )


# The variants from "fixed-alpha" to "in-place" differ in backward alone, as "elu" and "memory" do.
VARIANTS: dict[str, Variant] = {
    "elu": Variant("alpha learned per channel, backward from the input", ELULayer),
    "no-batch-norm": Variant(
        "as elu, without batch normalization", ELULayer, batch_normalization=False
    ),
    "memory": Variant(
        "as elu, backward from saved memory", lambda n: ELULayer(n, backward_from="memory")
    ),
    "shared-alpha": Variant(
        "one alpha learned for all channels", lambda n: ELULayer(n, shared=True)
    ),
    "fixed-alpha": Variant("alpha fixed at 1", _fixed_at_one),
    "output": Variant(
        "alpha fixed at 1, backward from the output", lambda n: _fixed_at_one(n, "output")
    ),
    "in-place": Variant("alpha fixed at 1, in place", lambda n: _fixed_at_one(n, "output", True)),
    "leaky-relu": Variant("leaky ReLU, scale 0.01", lambda n: LeakyReLULayer()),
    "prelu": Variant("PReLU, slope learned per channel", PReLULayer),
    "relu": Variant("ReLU", lambda n: ReLULayer()),
    "elu-alpha-0": Variant(
        "ReLU as ELU with alpha fixed at 0", lambda n: ELULayer(n, alpha=0, learnable=False)
    ),
}
"""The variants by their names."""


def variant_names(model: str, chosen: Iterable[str] | None = None) -> tuple[str, ...]:
    """Return the names of the variants to compare.

    Parameters
    ----------
    model : {"blog", "quick"}
    chosen : iterable of str, optional
        By default all that the model has.

    Raises
    ------
    ValueError
        If a name is unknown, stands there twice, or means nothing to the model, or there is none.
    """
    known = tuple(
        name for name, variant in VARIANTS.items() if variant.batch_normalization or model == "blog"
    )
    if chosen is None:
        return known
    names = (chosen,) if isinstance(chosen, str) else tuple(chosen)
    for name in names:
        if name not in known:
            raise ValueError(
                f"{name!r} is no variant of the model {model!r}; its variants are "
                f"{', '.join(known)}"
            )
    if not names or len(set(names)) < len(names):
        raise ValueError(f"variants must be different names, at least one, not {names}")
    return names


def make_layers(
    model: str, variant: str, image_shape: tuple[int, ...], num_classes: int
) -> list[Layer]:
    """Make the layers of a variant of a model."""
    chosen = VARIANTS[variant]
    if model == "quick":
        return quick_layers(image_shape, num_classes, chosen.activation)
    return blog_layers(image_shape, num_classes, chosen.activation, chosen.batch_normalization)
