"""Arrays of PyTorch and CuPy on a real device, and of the emulated libraries, made from NumPy's.

Also what the tests of arrays on a GPU share beside their fixtures in ``conftest.py``.
"""

import numpy as np
import pytest

import elulayer as el


class Emulated:
    """Arrays of an emulated library."""

    def __init__(self, gpu, name):
        self.gpu = gpu
        self.library = getattr(gpu, name)
        self.type = self.library.functions.array_type

    def array(self, host, device=0, **options):
        dtype = host.dtype.name
        host = host.view(np.uint16) if dtype == "bfloat16" else host
        return self.type(self.gpu, keep_strides(host), device, dtype=dtype, **options)

    def numpy(self, array):
        import ml_dtypes

        return array.host.view(ml_dtypes.bfloat16) if array.dtype_name == "bfloat16" else array.host

    def strides(self, array):
        return array.host.strides

    def has(self, dtype):
        return dtype != "bfloat16" or self.library is self.gpu.torch

    def new_stream(self):
        return 40

    def current(self, stream):
        return self.library.functions.switched(stream=stream)

    def delay(self):
        """Emulated work is done at once."""

    def write(self, array, values):
        array.host[...] = values.host

    def finish(self):
        """Nothing is left to do."""


class Torch:
    """Arrays of PyTorch on a real device."""

    def __init__(self):
        self.torch = pytest.importorskip("torch")
        self.type = self.torch.Tensor

    def array(self, host, device=0):
        dtype = getattr(self.torch, host.dtype.name)
        bits = keep_strides(host).view(np.int16) if host.dtype.itemsize == 2 else host
        place = f"cuda:{device}"
        tensor = self.torch.from_numpy(bits)
        made = self.torch.empty_strided(
            tensor.shape, tensor.stride(), dtype=tensor.dtype, device=place
        ).copy_(tensor)
        return made.view(dtype) if host.dtype.itemsize == 2 else made

    def numpy(self, array):
        if array.dtype == self.torch.bfloat16:
            import ml_dtypes

            return array.view(self.torch.int16).cpu().numpy().view(ml_dtypes.bfloat16)
        return array.cpu().numpy()

    def strides(self, array):
        return tuple(stride * array.element_size() for stride in array.stride())

    def has(self, dtype):
        return True

    def new_stream(self):
        return self.torch.cuda.Stream()

    def current(self, stream):
        return self.torch.cuda.stream(stream)

    def delay(self):
        self.torch.cuda._sleep(50_000_000)  # cycles

    def write(self, array, values):
        array.copy_(values)

    def finish(self):
        self.torch.cuda.synchronize()


class CuPy:
    """Arrays of CuPy on a real device."""

    def __init__(self):
        self.cupy = pytest.importorskip("cupy")
        self.type = self.cupy.ndarray

    def array(self, host, device=0):
        with self.cupy.cuda.Device(device):
            if host.flags.c_contiguous:
                return self.cupy.array(host)
            order = sorted(range(host.ndim), key=lambda axis: -host.strides[axis])
            in_order = self.cupy.array(np.ascontiguousarray(host.transpose(order)))
            return in_order.transpose(np.argsort(order).tolist())

    def numpy(self, array):
        return self.cupy.asnumpy(array)

    def strides(self, array):
        return array.strides

    def has(self, dtype):
        return dtype != "bfloat16"

    def new_stream(self):
        return self.cupy.cuda.Stream(non_blocking=True)

    def current(self, stream):
        return stream

    def delay(self):
        work = self.cupy.ones(1 << 26, self.cupy.float32)
        for _ in range(50):
            self.cupy.sin(work, out=work)

    def write(self, array, values):
        array[...] = values

    def finish(self):
        self.cupy.cuda.Device().synchronize()


def keep_strides(host):
    """Return a copy with the memory order of `host`, whose base is its own memory."""
    return np.copy(host, order="K")


REAL = ["torch", "cupy"] if el.cuda_info().available else []
EMULATED = ["emulated torch", "emulated cupy"]


def numbers(shape, dtype, seed=0):
    if dtype == "bfloat16":
        import ml_dtypes

        dtype = ml_dtypes.bfloat16
    return (np.random.default_rng(seed).normal(size=shape) * 3).astype(dtype)


def alphas(channels, dtype):
    wide = "float64" if dtype == "float64" else "float32"
    return np.random.default_rng(1).normal(size=channels).astype(wide)


def same_bits(a, b):
    size = a.dtype.itemsize
    same = a.view(f"u{size}") == b.view(f"u{size}")
    return bool((same | (np.isnan(a) & np.isnan(b))).all())


def assert_close(dalpha, expected, x, grad, axis=1):
    """Whether sums agree within their bound: both are within it of the exact one."""
    x, grad = x.astype(np.float64), grad.astype(np.float64)
    terms = np.abs(np.where(x > 0, 0, grad * np.expm1(np.minimum(x, 0))))
    others = tuple(i for i in range(x.ndim) if i != axis % x.ndim)
    bound = 6 * np.finfo(expected.dtype).eps * terms.sum(others if dalpha.ndim else None)
    assert (np.abs(dalpha.astype(np.float64) - expected) <= bound).all()


def refused(error, match, *arguments, function=el.elu, **options):
    with pytest.raises(error, match=match):
        function(*arguments, **options)
