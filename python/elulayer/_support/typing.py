"""Names for the array types that annotations use."""

from __future__ import annotations

from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.floating[Any]]
"""An array of any floating dtype."""

AnyArray = npt.NDArray[Any]
"""An array of any dtype, such as labels."""


class _DLPackArray(Protocol):
    def __dlpack_device__(self) -> tuple[Any, int]: ...


class _CudaInterfaceArray(Protocol):
    @property
    def __cuda_array_interface__(self) -> dict[str, Any]: ...


GpuArray: TypeAlias = _DLPackArray | _CudaInterfaceArray
"""An array of another library, on a CUDA device."""
