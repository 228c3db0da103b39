"""``elulayer export``: a saved network as an ONNX model."""

from __future__ import annotations

import argparse
import sys

from .._support.streams import write
from ..network import load_network
from ..onnx import export_onnx
from ._layers import add_layer_argument, layer_classes
from ._types import onnx_file, path

HELP = "write a saved network as an ONNX model, for other runtimes"

DESCRIPTION = """\
Write a network that was saved by elulayer train --save as an ONNX model, which takes images
of shape (N, C, H, W) and gives the probabilities of the classes.
"""

EXAMPLES = """\
examples:
  elulayer export digits.safetensors digits.onnx
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("network", type=path, metavar="NETWORK.safetensors", help="a saved network")
    parser.add_argument("out", type=onnx_file, metavar="FILE.onnx", help="the ONNX model")
    add_layer_argument(parser)


def run(args: argparse.Namespace) -> int:
    """Write the model."""
    export_onnx(load_network(args.network, layer_classes(args.layer)), args.out)
    write(f"Wrote {args.out}\n", sys.stdout)
    return 0
