"""Names for the array types that annotations use."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.floating[Any]]
"""An array of any floating dtype."""

AnyArray = npt.NDArray[Any]
"""An array of any dtype, such as labels."""


class GpuArray(Protocol):
    """An array of PyTorch or CuPy; both follow DLPack."""

    def __dlpack_device__(self) -> tuple[Any, int]: ...
