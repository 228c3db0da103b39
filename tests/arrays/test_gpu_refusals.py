"""Arrays on a GPU: what is refused, with one error that names it."""

import numpy as np
import pytest

import elulayer as el
from shared.gpu_libraries import Emulated, alphas, numbers, refused, same_bits


def test_overlaps_are_refused(gpu):
    library = Emulated(gpu, "torch")
    x = library.array(numbers((5, 4), "float32"))
    out = library.array(numbers((5, 4), "float32"))
    whole = x.host
    x.host, out.host = whole[:4], whole[1:]
    refused(ValueError, "out must be the memory of x or apart", x, 1.0, out=out)
    alpha = library.array(alphas(4, "float32"))
    alpha.host = whole[2]
    out.host = whole[1:]
    x2 = library.array(numbers((4, 4), "float32"))
    refused(ValueError, "out must not overlap alpha", x2, alpha, out=out)
    row = library.array(numbers((1, 4), "float32"))
    out.host = alpha.host[None]
    refused(ValueError, "out must not overlap alpha", row, alpha, out=out)


def test_host_and_device_are_not_mixed(library):
    x = numbers((3, 4), "float32")
    x_ = library.array(x)
    alpha = alphas(4, "float32")
    on = "must be of (torch|cupy) on CUDA device 0, as x is, not a"
    refused(TypeError, f"alpha {on} numpy.ndarray in host memory", x_, alpha)
    refused(TypeError, f"alpha {on} list in host memory", x_, [1.0, 2.0, 3.0, 4.0])
    refused(TypeError, f"out {on} numpy.ndarray in host", x_, 1.0, out=np.empty_like(x))
    refused(TypeError, f"grad {on} numpy.ndarray", x, x_, 1.0, function=el.elu_backward)
    as_alpha = "x must be .*, as alpha is, not a numpy.ndarray in host memory"
    refused(TypeError, as_alpha, x, library.array(alpha))
    as_grad = "x must be .*, as grad is, not a numpy.ndarray in host memory"
    refused(TypeError, as_grad, x_, x, 1.0, function=el.elu_backward)
    double = "elu_double_backward must be given arrays in host memory, not on CUDA device 0"
    refused(TypeError, double, x_, None, x_, x_, 1.0, function=el.elu_double_backward)
    refused(TypeError, "num_threads must be None for arrays on a GPU, not 2", x_, num_threads=2)
    refused(TypeError, "stream must be None for arrays in host memory, not 7", x, 1.0, stream=7)


def test_libraries_and_devices_are_not_mixed(gpu):
    torch, cupy = Emulated(gpu, "torch"), Emulated(gpu, "cupy")
    x, alpha = numbers((3, 4), "float32"), alphas(4, "float32")
    message = "alpha must be of torch on CUDA device 1, as x is, not of {} on CUDA device 0"
    refused(TypeError, message.format("torch"), torch.array(x, 1), torch.array(alpha, 0))
    refused(TypeError, message.format("cupy"), torch.array(x, 1), cupy.array(alpha, 0))


def test_shapes_and_dtypes(library):
    """By the steps that arrays in host memory take: the same messages."""
    x = library.array(numbers((3, 4), "float32"))
    other = library.array(numbers((3, 4), "float64"))
    narrow = library.array(numbers((3, 3), "float32"))
    alpha = library.array(alphas(4, "float32"))
    of_x = "alpha must be Python numbers or have dtype float32, the dtype of x, not float64"
    refused(TypeError, of_x, x, other)
    of_shape = r"alpha must be a scalar or have shape \(4,\), .*, not .*\(3, 3\)"
    refused(ValueError, of_shape, x, narrow)
    refused(ValueError, "axis must be from -2 to 1", x, alpha, axis=2)
    refused(TypeError, "grad must have the dtype of x, float32", other, x, function=el.elu_backward)
    refused(ValueError, "grad must have the shape of x", narrow, x, function=el.elu_backward)
    refused(ValueError, "out must have dtype float32, as the result, not float64", x, out=other)
    refused(ValueError, r"out must have shape \(3, 4\), as the result", x, out=narrow)
    refused(ValueError, "alpha must be in the range of float32", x, 1e39)
    number = "alpha must be a Python number, a numpy.float32 or a float32 array on CUDA device 0"
    refused(TypeError, f"{number}, not bool", x, True)
    refused(TypeError, f"{number}, not NoneType", x, None)
    refused(TypeError, f"{number}, not numpy.int64", x, np.int64(1))
    integers = library.array(np.arange(12, dtype=np.int32).reshape(3, 4))
    refused(TypeError, "x must have dtype float32, .*, not int32", integers)
    point = library.array(np.array(1.0, np.float32))
    refused(ValueError, "x must be an array with at least one dimension", point)
    refused(TypeError, "x must be an array, not float", 1.0, alpha)
    positive = "alpha must be greater than 0 where output is given, not -1.0"
    refused(ValueError, positive, x, output=x, alpha=-1.0, function=el.elu_backward)
    refused(ValueError, "exactly one of", x, function=el.elu_backward)


def test_out_must_fit(library):
    host = numbers((4, 4), "float32")
    x = library.array(host)
    turned = library.array(np.asfortranarray(host))
    message = r"out must have the strides of x, \(16, 4\) bytes, not \(4, 16\)"
    refused(ValueError, message, x, 1.0, out=turned)
    if isinstance(library, Emulated):
        memory = np.frombuffer(bytearray(80), np.uint8)
        out = library.array(host)
        out.host = memory[1:65].view(np.float32).reshape(4, 4)
        refused(ValueError, "out must begin at a multiple of 4 bytes", x, 1.0, out=out)


def test_a_refused_out_counts_as_unwritten(gpu):
    """As autograd sees it."""
    library = Emulated(gpu, "torch")
    x = library.array(numbers((3, 4), "float32"))
    out = library.array(numbers((3, 4), "float32"))
    refused(ValueError, "alpha must be in the range of float32", x, 1e39, out=out)
    refused(ValueError, "out must have shape", library.array(numbers((4,), "float32")), out=out)
    turned = library.array(np.asfortranarray(numbers((3, 4), "float32")))
    refused(ValueError, "out must have the strides of x", turned, out=out)
    assert out._version == 0


def test_what_is_no_array_of_its_library(gpu):
    """Such as a dtype or a device."""
    x = numbers((3, 4), "float32")
    for library in ("torch", "cupy"):
        kind = type("dtype", (), {"__module__": library})
        refused(TypeError, "x must have dtype float32, .*, not object", kind())
        refused(TypeError, "alpha must be Python numbers or have dtype", x, kind())
        on_gpu = Emulated(gpu, library).array(x)
        refused(TypeError, f"alpha must be of {library} on CUDA device 0", on_gpu, kind())


def test_unreadable_arrays(gpu):
    library = Emulated(gpu, "torch")
    x, alpha = library.array(numbers((3, 4), "float32")), library.array(alphas(4, "float32"))
    alpha.requires_grad = True
    message = r"alpha must not require a gradient, .*elulayer\.torch\.elu .*, alpha\.detach\(\) is"
    refused(TypeError, message, x, alpha)
    x.negative = True
    refused(ValueError, r"x must not be a view that negates.*give x\.resolve_neg\(\)", x)
    x.stride = None  # such as a sparse array's
    refused(TypeError, r"x must be an array, not torch.*Tensor: .*", x)
    swapped = Emulated(gpu, "cupy").array(numbers((3, 4), "float32"))
    swapped.host = swapped.host.astype(">f4")
    refused(TypeError, "x must have dtype float32, .*, not >f4", swapped)


def test_arrays_without_memory(gpu):
    """Such as PyTorch's distributed tensors: a null pointer would be alpha's absence."""
    library = Emulated(gpu, "torch")
    x, empty = library.array(numbers((3, 4), "float32")), library.array(alphas(4, "float32"))
    empty.address = 0
    message = "must be an array with memory of its own, not torch.*Tensor that gives no address"
    refused(TypeError, f"alpha {message} for its 4 elements", x, empty)
    refused(TypeError, f"x {message}", empty)
    refused(TypeError, f"out {message}", library.array(alphas(4, "float32")), out=empty)


@pytest.mark.parametrize("protocol", ["__dlpack_device__", "__cuda_array_interface__"])
def test_other_libraries_on_a_gpu(protocol):
    """They are not copied to the host in silence, as NumPy would."""
    offer = (lambda self: (2, 0)) if protocol == "__dlpack_device__" else {}
    kind = type("Array", (), {protocol: offer, "__module__": "jaxlib._jax"})
    message = (
        r"must be an array of PyTorch or CuPy where it is on a GPU, not jaxlib\._jax\.Array; "
        r"give torch\.from_dlpack"
    )
    refused(TypeError, rf"x {message}\(x\)", kind())
    refused(TypeError, rf"alpha {message}\(alpha\)", numbers((3, 4), "float32"), kind())


def test_what_says_nothing_of_a_device():
    class Array:
        def __dlpack_device__(self):
            return None

    refused(TypeError, "x must have dtype float32, .*, not object", Array())

    class Sharded:
        def __array__(self, dtype=None, copy=None):
            return numbers((3, 4), "float32")

        def __dlpack_device__(self):
            raise BufferError("only supported for unsharded arrays")

    assert same_bits(el.elu(Sharded()), el.elu(numbers((3, 4), "float32")))
