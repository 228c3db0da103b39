"""Arrays on an emulated GPU, for the compiled unit on the emulated CUDA runtime.

The extension is the real one, built from its own sources and kernels against ``tests/cpp/cuda``.
Its devices' memory is NumPy's. The libraries here offer of PyTorch, CuPy and the array API standard
what elulayer calls, and keep a log.
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


# DLPack's structures, from its specification -----------------------------------------------------


class _Tensor(ctypes.Structure):
    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    )


class _Managed(ctypes.Structure):
    _fields_ = (("tensor", _Tensor), ("context", ctypes.c_void_p), ("deleter", ctypes.c_void_p))


class _Versioned(ctypes.Structure):
    _fields_ = (
        ("major", ctypes.c_uint32),
        ("minor", ctypes.c_uint32),
        ("context", ctypes.c_void_p),
        ("deleter", ctypes.c_void_p),
        ("flags", ctypes.c_uint64),
        ("tensor", _Tensor),
    )


_CODES = {"int": 0, "uint": 1, "float": 2, "bfloat": 4}
_exported = {}  # address of a managed tensor: all that must live as long


@ctypes.CFUNCTYPE(None, ctypes.c_void_p)
def _delete(address):
    del _exported[address]


_new_capsule = ctypes.pythonapi.PyCapsule_New
_new_capsule.restype = ctypes.py_object
_new_capsule.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]


def exported():
    """How many capsules' contents have not been given back."""
    return len(_exported)


class Array:
    """An array on an emulated device; its elements are in ``host``."""

    def __init__(self, gpu, host, device=0, *, read_only=False, dtype=None):
        self.gpu, self.host, self.device_number = gpu, host, device
        self.read_only = read_only
        self.dtype_name = dtype or host.dtype.name
        root = host if host.base is None else host.base
        self.begin = root.ctypes.data
        gpu.controls.emulator_add_array(self.begin, root.nbytes, device)
        end = weakref.finalize(root, gpu.controls.emulator_remove_array, self.begin)
        end.atexit = False

    @property
    def shape(self):
        return self.host.shape


class DLPackArray(Array):
    """With ``__dlpack__`` of version 1, or of the time before that."""

    version = 1
    max_versions = True
    address = None  # instead of the elements'

    def __dlpack_device__(self):
        return 2, self.device_number

    def __dlpack__(self, *, stream=None, **options):
        if options and not self.max_versions:
            raise TypeError("unexpected keyword argument")
        self.gpu.note(f"export to {stream}")
        if getattr(self, "requires_grad", False):
            raise BufferError("Can't export tensors that require gradient")
        kind = self.dtype_name.rstrip("0123456789")
        ndim = self.host.ndim
        shape = (ctypes.c_int64 * ndim)(*self.host.shape)
        strides = (ctypes.c_int64 * ndim)(*(s // self.host.itemsize for s in self.host.strides))
        versioned = self.max_versions
        managed = _Versioned() if versioned else _Managed()
        tensor = managed.tensor
        tensor.data = self.host.ctypes.data - 16 if self.address is None else self.address
        tensor.byte_offset = 16 if self.address is None else 0
        tensor.device_type, tensor.device_id = 2, self.device_number
        tensor.ndim = ndim
        tensor.code, tensor.bits, tensor.lanes = _CODES[kind], self.host.itemsize * 8, 1
        tensor.shape = shape
        # A null pointer, as before version 1, stands for C order.
        if versioned or not self.host.flags.c_contiguous:
            tensor.strides = strides
        managed.deleter = ctypes.cast(_delete, ctypes.c_void_p)
        if versioned:
            managed.major = self.version
            managed.flags = int(self.read_only)
        address = ctypes.addressof(managed)
        _exported[address] = (managed, shape, strides, self.host)
        return _new_capsule(address, b"dltensor_versioned" if versioned else b"dltensor", None)


class InterfaceArray(Array):
    """With ``__cuda_array_interface__`` alone."""

    stream = None
    mask = None

    @property
    def __cuda_array_interface__(self):
        return {
            "shape": self.host.shape,
            "typestr": self.host.dtype.str,
            "data": (self.host.ctypes.data if self.host.size else 0, self.read_only),
            "strides": None if self.host.flags.c_contiguous else self.host.strides,
            "stream": self.stream,
            "mask": self.mask,
            "version": 3,
        }


# The libraries -----------------------------------------------------------------------------------


class _Stream:
    def __init__(self, handle, device=0, attribute="cuda_stream"):
        setattr(self, attribute, handle)
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


def torch_library(gpu):
    """What elulayer calls of PyTorch."""
    torch = types.ModuleType("torch")
    torch.cuda = types.ModuleType("torch.cuda")

    class Tensor(DLPackArray):
        requires_grad = False
        negative = False
        inference = False
        _version = 0

        def __dlpack__(self, *, stream=None, **options):
            if self.device_number != functions.device:
                raise BufferError("Can't export tensors on a different CUDA device index")
            return super().__dlpack__(stream=stream, **options)

        @property
        def device(self):
            return f"cuda:{self.device_number}"

        def is_neg(self):
            return self.negative

        def is_inference(self):
            return self.inference

        def data_ptr(self):
            return self.host.ctypes.data

        def clone(self):
            return functions.copy(self)

        def copy_(self, other):
            gpu.note(f"copy on {functions.stream}")
            self.host[...] = other.host
            return self

        def record_stream(self, stream):
            gpu.note(f"kept for {stream.cuda_stream}")

    Tensor.__module__ = "torch"
    functions = _Functions(gpu, Tensor)
    torch.functions = functions
    torch.Tensor = Tensor
    torch.float32, torch.float64 = np.float32, np.float64
    torch.empty_like = lambda array, requires_grad: functions.empty_like(array)

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
    torch.cuda.device = lambda device: functions.switched(device=device)
    torch.cuda.stream = lambda stream: functions.switched(stream.cuda_stream, stream.device_index)
    return torch


def cupy_library(gpu):
    """What elulayer calls of CuPy."""
    cupy = types.ModuleType("cupy")
    cupy.cuda = types.ModuleType("cupy.cuda")

    class ndarray(DLPackArray):  # noqa: N801
        @property
        def data(self):
            return types.SimpleNamespace(ptr=self.host.ctypes.data)

        def copy(self, order):
            assert order == "K"
            return functions.copy(self)

        def __setitem__(self, key, other):
            gpu.note(f"copy on {functions.stream}")
            self.host[key] = other.host

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
    return cupy


def numba_library(gpu):
    """What elulayer calls of Numba; its arrays have the interface alone."""
    cuda = types.ModuleType("numba.cuda")

    class DeviceNDArray(InterfaceArray):
        pass

    DeviceNDArray.__module__ = "numba.cuda.cudadrv.devicearray"
    functions = _Functions(gpu, DeviceNDArray)
    cuda.functions = functions
    cuda.device_array_like = functions.empty_like
    cuda.device_array = lambda shape, dtype: functions.empty(shape, dtype)

    class Devices:
        def __getitem__(self, device):
            return functions.switched(device=device)

    cuda.gpus = Devices()
    return cuda


def standard_library(gpu):
    """A library that follows the array API standard; its stream is its own affair."""
    library = types.ModuleType("standard")

    class StandardArray(DLPackArray):
        max_versions = False

        @property
        def device(self):
            return self.device_number

        def __array_namespace__(self):
            return library

        def __setitem__(self, key, other):
            self.host[key] = other.host

    StandardArray.__module__ = "standard"
    functions = _Functions(gpu, StandardArray)
    library.functions = functions
    library.StandardArray = StandardArray
    library.float32, library.float64 = np.float32, np.float64

    def empty_like(array):
        with functions.switched(device=array.device_number):
            return functions.empty_like(array)

    library.empty_like = empty_like
    library.asarray = lambda array, copy: functions.copy(array)

    def empty(shape, dtype, device):
        with functions.switched(device=device):
            return functions.empty(shape, np.dtype(dtype).name)

    library.empty = empty
    return library


class Gpu:
    """The emulated machine, with a log of what the runtime and the libraries were asked."""

    def __init__(self, extension, controls):
        self.extension, self.controls = extension, controls
        self.lines = []
        self.device = 0  # the libraries' current one
        controls.emulator_reset()
        self.torch = torch_library(self)
        self.cupy = cupy_library(self)
        self.numba = numba_library(self)
        self.standard = standard_library(self)

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
