"""Arrays on an emulated GPU, for the compiled unit on the emulated CUDA runtime.

The extension is the real one, built from its own sources and kernels against ``tests/cpp/cuda``.
Its devices' memory is NumPy's. The libraries here offer what elulayer calls of PyTorch and CuPy,
and keep a log.
"""

import contextlib
import ctypes
import importlib.util
import subprocess
import sys
import types
import weakref
from pathlib import Path

import numpy as np

SOURCE = Path(__file__).parents[1] / "cpp" / "cuda" / "extension"


def build(folder):
    """Build the extension and return it, with its controls."""
    import pybind11  # of the extra "test"

    commands = (
        (
            *("cmake", "-S", SOURCE, "-B", folder, "-G", "Ninja"),
            f"-DPython_EXECUTABLE={sys.executable}",
            f"-Dpybind11_DIR={pybind11.get_cmake_dir()}",
        ),
        ("cmake", "--build", folder),
    )
    for command in commands:
        done = subprocess.run(
            [str(part) for part in command],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert done.returncode == 0, done.stdout
    (path,) = folder.glob("_cuda.*")
    spec = importlib.util.spec_from_file_location("emulated._cuda", path)
    extension = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(extension)
    controls = ctypes.CDLL(str(path))
    controls.emulator_take_log.restype = ctypes.c_char_p
    controls.emulator_add_array.argtypes = [ctypes.c_size_t, ctypes.c_size_t, ctypes.c_int]
    controls.emulator_remove_array.argtypes = [ctypes.c_size_t]
    return extension, controls


class Array:
    """An array on an emulated device; its elements are in ``host``."""

    def __init__(self, gpu, host, device=0, *, dtype=None):
        self.gpu, self.host, self.device_number = gpu, host, device
        self.dtype_name = dtype or host.dtype.name
        root = host if host.base is None else host.base
        begin = root.ctypes.data
        gpu.controls.emulator_add_array(begin, root.nbytes, device)
        end = weakref.finalize(root, gpu.controls.emulator_remove_array, begin)
        end.atexit = False

    @property
    def shape(self):
        return self.host.shape


class _Stream:
    def __init__(self, handle, device=0):
        self.cuda_stream = handle
        self.device_index = device


class _Functions:
    """What the libraries share: a current stream and new arrays."""

    def __init__(self, gpu, array_type):
        self.gpu, self.array_type = gpu, array_type
        self.stream = 0

    @property
    def device(self):
        return self.gpu.device

    @contextlib.contextmanager
    def switched(self, stream=None, device=None):
        before = self.stream, self.gpu.device
        self.stream = self.stream if stream is None else stream
        self.gpu.device = self.gpu.device if device is None else device
        try:
            yield
        finally:
            self.stream, self.gpu.device = before

    def new(self, host, dtype=None):
        ctypes.memset(host.ctypes.data, 0xFF, host.nbytes)  # NaN: what is not written shows
        self.gpu.note(f"new array on {self.stream}")
        return self.array_type(self.gpu, host, self.device, dtype=dtype)

    def empty_like(self, array):
        return self.new(np.empty_like(array.host), array.dtype_name)

    def empty(self, shape, dtype):
        return self.new(np.empty(shape, dtype), str(dtype))

    def copy(self, array):
        self.gpu.note(f"copy on {self.stream}")
        host = np.copy(array.host, order="K")
        return self.array_type(self.gpu, host, self.device, dtype=array.dtype_name)

    def assign(self, target, source):
        self.gpu.note(f"copy on {self.stream}")
        target.host[...] = source.host


def torch_library(gpu):
    """What elulayer calls of PyTorch."""
    torch = types.ModuleType("torch")
    torch.cuda = types.ModuleType("torch.cuda")

    class Tensor(Array):
        is_cuda = True
        requires_grad = False
        negative = False
        inference = False
        address = None  # instead of the elements'
        _version = 0

        @property
        def dtype(self):
            return f"torch.{self.dtype_name}"

        def get_device(self):
            return self.device_number

        def element_size(self):
            return self.host.itemsize

        def stride(self):
            return tuple(step // self.host.itemsize for step in self.host.strides)

        def is_neg(self):
            return self.negative

        def is_inference(self):
            return self.inference

        def data_ptr(self):
            return self.host.ctypes.data if self.address is None else self.address

        def clone(self):
            return functions.copy(self)

        def copy_(self, other):
            functions.assign(self, other)

        def record_stream(self, stream):
            gpu.note(f"kept for {stream.cuda_stream}")

    Tensor.__module__ = "torch"
    functions = _Functions(gpu, Tensor)
    torch.functions = functions
    torch.Tensor = Tensor
    torch.float32, torch.float64 = np.float32, np.float64
    torch.empty_like = functions.empty_like

    def empty(shape, dtype, device):
        assert device == f"cuda:{functions.device}"
        return functions.empty(shape, np.dtype(dtype).name)

    def increment_version(tensor):
        assert not tensor.inference
        tensor._version += 1

    torch.autograd = types.SimpleNamespace(
        graph=types.SimpleNamespace(increment_version=increment_version)
    )
    torch.empty = empty
    torch.randn = lambda *shape, device: Tensor(
        gpu, np.random.default_rng(0).normal(size=shape).astype(np.float32)
    )
    torch.full = lambda shape, value, device: Tensor(gpu, np.full(shape, value, np.float32))
    torch.cuda.current_device = lambda: functions.device
    torch.cuda.current_stream = lambda device: _Stream(functions.stream, device)
    torch.cuda.default_stream = lambda device: _Stream(0, device)
    torch.cuda.ExternalStream = lambda handle, device: _Stream(handle, device)
    torch.cuda.stream = lambda stream: functions.switched(stream.cuda_stream, stream.device_index)
    return torch


def cupy_library(gpu):
    """What elulayer calls of CuPy."""
    cupy = types.ModuleType("cupy")
    cupy.cuda = types.ModuleType("cupy.cuda")

    class ndarray(Array):  # noqa: N801
        @property
        def dtype(self):
            return self.host.dtype

        @property
        def strides(self):
            return self.host.strides

        @property
        def itemsize(self):
            return self.host.itemsize

        @property
        def device(self):
            return types.SimpleNamespace(id=self.device_number)

        @property
        def data(self):
            return types.SimpleNamespace(ptr=self.host.ctypes.data)

        def copy(self, order):
            assert order == "K"
            return functions.copy(self)

        def __setitem__(self, key, other):
            assert key is ...
            functions.assign(self, other)

    ndarray.__module__ = "cupy"
    functions = _Functions(gpu, ndarray)
    cupy.functions = functions
    cupy.ndarray = ndarray
    cupy.empty_like = functions.empty_like
    cupy.empty = lambda shape, dtype: functions.empty(shape, dtype)

    class Stream:
        null = None

        def __init__(self, ptr, device=-1):
            self.ptr, self.device_id = ptr, device

        def __enter__(self):
            self.before = functions.stream
            functions.stream = self.ptr

        def __exit__(self, *error):
            functions.stream = self.before

        @classmethod
        def from_external(cls, stream):
            version, handle = stream.__cuda_stream__()
            assert version == 0
            return cls(handle)

    Stream.null = Stream(0)
    cupy.cuda.Stream = Stream
    cupy.cuda.get_current_stream = lambda: Stream(functions.stream)
    cupy.cuda.Device = lambda device: functions.switched(device=device)
    cupy.cuda.runtime = types.SimpleNamespace(getDevice=lambda: functions.device)
    return cupy


class Gpu:
    """The emulated machine, with a log of what the runtime and the libraries were asked."""

    def __init__(self, extension, controls):
        self.extension, self.controls = extension, controls
        self.lines = []
        self.device = 0  # the libraries' current one
        controls.emulator_reset()
        self.torch = torch_library(self)
        self.cupy = cupy_library(self)

    def note(self, line):
        self._take()
        self.lines.append(line)

    def _take(self):
        self.lines += self.controls.emulator_take_log().decode().splitlines()

    def log(self):
        """Return the lines since the last call."""
        self._take()
        lines, self.lines = self.lines, []
        return lines
