"""Arrays on a GPU: what is refused, with one error that names it."""

import numpy as np
import pytest

import elulayer as el
from shared import emulated_gpu
from shared.gpu_libraries import Emulated, alphas, numbers, refused, same_bits


def test_host_and_device_are_not_mixed(library):
    x = numbers((3, 4), "float32")
    x_ = library.array(x)
    alpha = alphas(4, "float32")
    refused(TypeError, r"alpha is a numpy.ndarray in host memory and x is on a GPU", x_, alpha)
    refused(TypeError, "alpha is a list in host memory", x_, [1.0, 2.0, 3.0, 4.0])
    refused(TypeError, "x is a numpy.ndarray in host memory and other", x, library.array(alpha))
    refused(TypeError, "out is a numpy.ndarray in host memory", x_, 1.0, out=np.empty_like(x))
    refused(TypeError, "x is a numpy.ndarray in host", x_, x, 1.0, function=el.elu_backward)
    refused(TypeError, "grad is a numpy.ndarray in host", x, x_, 1.0, function=el.elu_backward)
    refused(TypeError, "host memory", x, x, x, x_, 1.0, function=el.elu_double_backward)
    refused(TypeError, "num_threads is 2, but arrays are on a GPU", x_, 1.0, num_threads=2)
    refused(TypeError, "stream is 7, but x and alpha are in host memory", x, 1.0, stream=7)


def test_shapes_and_dtypes(library):
    x = library.array(numbers((3, 4), "float32"))
    other = library.array(numbers((3, 4), "float64"))
    narrow = library.array(numbers((3, 3), "float32"))
    alpha = library.array(alphas(4, "float32"))
    refused(TypeError, "alpha has dtype float64 and x has float32", x, other)
    refused(ValueError, r"alpha has shape \(3, 3\); x has shape \(3, 4\)", x, narrow)
    refused(ValueError, "axis is 2; x has 2 dimensions", x, alpha, axis=2)
    refused(TypeError, "grad has dtype float64", other, x, function=el.elu_backward)
    refused(ValueError, r"grad has shape \(3, 3\)", narrow, x, function=el.elu_backward)
    refused(ValueError, "out has dtype float64; the result has float32", x, out=other)
    refused(ValueError, r"out has shape \(3, 3\)", x, out=narrow)
    refused(ValueError, "beyond the range of float32", x, 1e39)
    refused(TypeError, "alpha is a bool", x, True)
    refused(TypeError, "alpha is a NoneType; a Python number, a numpy.float32, or", x, None)
    refused(TypeError, "alpha is a numpy.float64; a Python number", x, np.float64(0.5))
    integers = library.array(np.arange(12, dtype=np.int32).reshape(3, 4))
    refused(TypeError, "x has dtype int32; float32, float64, float16", integers)
    point = library.array(np.array(1.0, np.float32))
    refused(ValueError, "x has no dimension", point)
    refused(ValueError, "alpha is -1.0", x, output=x, alpha=-1.0, function=el.elu_backward)
    refused(ValueError, "exactly one of", x, function=el.elu_backward)


def test_out_must_fit(library):
    host = numbers((4, 4), "float32")
    x = library.array(host)
    turned = library.array(np.asfortranarray(host))
    refused(ValueError, "out has strides", x, 1.0, out=turned)


def test_overlaps_are_refused(gpu):
    library = Emulated(gpu, "torch")
    x = library.array(numbers((5, 4), "float32"))
    out = library.array(numbers((5, 4), "float32"))
    whole = x.host
    x.host, out.host = whole[:4], whole[1:]
    refused(ValueError, "out overlaps x", x, 1.0, out=out)
    alpha = library.array(alphas(4, "float32"))
    alpha.host = whole[2]
    out.host = whole[1:]
    x2 = library.array(numbers((4, 4), "float32"))
    refused(ValueError, "out overlaps alpha", x2, alpha, out=out)
    row = library.array(numbers((1, 4), "float32"))
    out.host = alpha.host[None]
    refused(ValueError, "out overlaps alpha", row, alpha, out=out)


def test_read_only_outputs(gpu):
    for name in ("torch", "cupy"):
        library = Emulated(gpu, name)
        x = library.array(numbers((3, 4), "float32"))
        out = library.array(numbers((3, 4), "float32"), read_only=True)
        refused(ValueError, "out is read-only", x, 1.0, out=out)
        assert same_bits(library.numpy(el.elu(out)), el.elu(numbers((3, 4), "float32")))


def test_devices_are_not_mixed(gpu):
    library = Emulated(gpu, "torch")
    x = library.array(numbers((3, 4), "float32"), 1)
    alpha = library.array(alphas(4, "float32"), 0)
    refused(ValueError, "alpha is on CUDA device 0 and x on device 1", x, alpha)
    cupy = Emulated(gpu, "cupy").array(alphas(4, "float32"), 0)
    refused(ValueError, "alpha is on CUDA device 0", x, cupy)


def test_unreadable_arrays(gpu):
    library = Emulated(gpu, "torch")
    x = library.array(numbers((3, 4), "float32"))
    x.requires_grad = True
    refused(TypeError, r"x, a torch.*Tensor, cannot be read: Can't export tensors that require", x)
    x.requires_grad = False
    x.version = 2
    refused(TypeError, r"x, .*, cannot be read: DLPack 2 was given; versions 0 and 1 are", x)
    emulated_gpu._exported.clear()  # a refused capsule stays its producer's
    crooked = library.array(numbers((3, 4), "float32"))
    crooked.host = np.frombuffer(bytes(50), np.uint8)[1:49].view(np.float32)
    refused(
        ValueError, "x begins at the address 0x.*, which is no multiple of the 4 bytes", crooked
    )
    masked = Emulated(gpu, "numba").array(numbers((3, 4), "float32"))
    masked.mask = object()
    refused(TypeError, "x is a masked array", masked)
    swapped = Emulated(gpu, "numba").array(numbers((3, 4), "float32").astype(">f4"))
    refused(TypeError, "x has dtype >f4", swapped)
    elsewhere = Emulated(gpu, "numba").array(numbers((3, 4), "float32"))
    gpu.controls.emulator_remove_array(elsewhere.begin)
    refused(TypeError, "x, .*, gives the address 0x.*, which is in the memory of no", elsewhere)


@pytest.mark.parametrize(
    "wrong",
    [{"typestr": None}, {"shape": None}, {"data": 5}, {"data": None}, {"strides": (4,)}],
    ids=str,
)
def test_malformed_interfaces(gpu, wrong):
    alpha = Emulated(gpu, "numba").array(alphas(4, "float32"))
    interface = {**alpha.__cuda_array_interface__, **wrong}

    class Array:
        __cuda_array_interface__ = interface

    x = Emulated(gpu, "torch").array(numbers((3, 4), "float32"))
    if wrong == {"strides": (4,)}:
        interface["shape"] = (2, 2)
        refused(TypeError, r"alpha has shape \(2, 2\) and strides \(4,\), of other", x, Array())
    else:
        message = "alpha, a .*Array, has a malformed __cuda_array_interface__: {"
        refused(TypeError, message, x, Array())


def test_what_says_nothing_of_a_device():
    class Array:
        def __dlpack_device__(self):
            return None

    refused(TypeError, "x has dtype object", Array())


def test_arrays_without_memory(gpu):
    """Such as PyTorch's distributed tensors: a null pointer would be alpha's absence."""
    library = Emulated(gpu, "torch")
    x, empty = library.array(numbers((3, 4), "float32")), library.array(alphas(4, "float32"))
    empty.address = 0
    message = "is a torch.*Tensor that gives no address for its 4 elements"
    refused(TypeError, f"alpha {message}", x, empty)
    refused(TypeError, f"x {message}", empty)
    refused(TypeError, f"out {message}", library.array(alphas(4, "float32")), out=empty)


def test_negated_views(gpu):
    library = Emulated(gpu, "torch")
    x = library.array(numbers((3, 4), "float32"))
    x.negative = True
    refused(ValueError, r"x is a view that negates.*x\.resolve_neg\(\) is taken", x)


def test_producers_that_fail(gpu):
    """CUDA's errors stay what they are; arrays of several devices are not of one."""

    class Broken(emulated_gpu.DLPackArray):
        def __dlpack__(self, **options):
            raise RuntimeError("an illegal memory access was encountered")

    alpha = Broken(gpu, alphas(4, "float32"))
    x = Emulated(gpu, "torch").array(numbers((3, 4), "float32"))
    refused(RuntimeError, "alpha, .*Broken, cannot be read: an illegal memory", x, alpha)

    class Sharded:
        def __array__(self, dtype=None, copy=None):
            return numbers((3, 4), "float32")

        def __dlpack_device__(self):
            raise BufferError("only supported for unsharded arrays")

    assert same_bits(el.elu(Sharded()), el.elu(numbers((3, 4), "float32")))


def test_libraries_that_cannot_make_results(gpu):
    class Array(emulated_gpu.DLPackArray):
        pass

    x = Array(gpu, numbers((3, 4), "float32"))
    Array.__module__ = "jaxlib._jax"
    refused(TypeError, "x is .* whose library has no arrays that can be written; torch", x)
    tensor = Emulated(gpu, "torch").array(numbers((3, 4), "float32"))
    refused(TypeError, "out is .* whose library has no arrays that can be", tensor, out=x)
    Array.__module__ = "somewhere"
    refused(TypeError, "x is a somewhere.*; arrays of PyTorch, CuPy, Numba", x)
