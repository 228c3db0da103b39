"""Image files, classified one by one."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .._support.streams import write
from ..data import prepare_digit, read_image
from ..network import Network
from ..plots import plot_images
from ..plots._figure import save_figure
from ._messages import tell
from ._outputs import Outputs

_Image = npt.NDArray[np.float32]

_SHOWN = 3
"""Labels that are printed with their probabilities."""


def classify_pictures(args: argparse.Namespace, network: Network) -> int:
    """Print what a network takes each of the image files for; return the exit status."""
    for name in ("data", "seed", "train_images", "test_images", "confusion", "wrong"):
        if getattr(args, name) is not None:
            raise ValueError(
                f"--{name.replace('_', '-')} must be given for the images of a data set, not "
                "with image files"
            )
    if args.photo and (channels := network.input_layer.input_shape[0]) != 1:
        raise ValueError(f"--photo must be given for networks of grey images, not of {channels}")
    outputs = Outputs()
    paths: list[Path] = []
    taken: list[_Image] = []
    for path in args.pictures:
        with outputs.going_on():  # one bad file costs the others nothing
            taken.append(_taken(path, network, args.photo))
            paths.append(path)
    if not taken:
        return outputs.status()
    images = np.stack(taken)
    labels = classified(network, args.network, images)
    with np.errstate(over="ignore", invalid="ignore"):
        probabilities = network.predict(images)
    names = np.asarray(network.classes)
    for path, image, row in zip(paths, images, probabilities, strict=True):
        best = np.argsort(-row, kind="stable")[:_SHOWN]
        shown = ", ".join(f"{names[k]} ({row[k]:.3f})" for k in best)
        write(f"{path}: {shown}\n", sys.stdout)
        reason = unlike(image, network.input_layer.mean)
        if reason:
            cure = "" if args.photo else "; --photo prepares photos of digits"
            tell(f"warning: {path} is unlike the images of the training set: {reason}{cure}")
    if args.given is not None:
        outputs.write(save_figure, plot_images(images, labels, len(images)), args.given)
    return outputs.status()


def classified(network: Network, file: Path, images: npt.ArrayLike) -> npt.NDArray[Any]:
    """Return the labels that a file's network gives images; errors name the file."""
    try:
        with np.errstate(over="ignore", invalid="ignore"):
            return network.classify(images)
    except (FloatingPointError, RuntimeError) as error:
        raise type(error)(f"{file}: {error}") from error


def _taken(path: Path, network: Network, photo: bool) -> _Image:
    """Return an image file as the network takes it."""
    channels, height, width = network.input_layer.input_shape
    if not photo:
        return read_image(path, image_size=(height, width), channels=channels)
    image = read_image(path, channels=1)
    try:
        return prepare_digit(image, (height, width))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def unlike(image: _Image, mean: _Image) -> str:
    """Say how an image differs from all that a network was trained on; else nothing.

    Parameters
    ----------
    image, mean : ndarray of shape (C, H, W)
        The image, and the mean of the training set; zeros where it is not known.
    """
    if not mean.any():
        return ""
    edges, usual = _edge(image), _edge(mean)
    if abs(edges - usual) > 0.4:
        return f"its edges are {'light' if edges > usual else 'dark'}, it may be inverted"
    away = np.hypot(*np.subtract(_centre(image, edges), _centre(mean, usual)))
    return "what it shows is not in the middle" if away > 0.2 else ""


def _edge(image: _Image) -> float:
    """Return the median of the outermost pixels."""
    sides = image[:, 0], image[:, -1], image[:, :, 0], image[:, :, -1]
    return float(np.median(np.concatenate([side.ravel() for side in sides])))


def _centre(image: _Image, edge: float) -> tuple[float, float]:
    """Return the centre of what is not as the edge, in parts of height and width."""
    weight = np.abs(image - edge).sum(axis=0) + 1e-6
    rows, columns = (np.arange(n) / n for n in weight.shape)
    total = weight.sum()
    return float(weight.sum(axis=1) @ rows / total), float(weight.sum(axis=0) @ columns / total)
