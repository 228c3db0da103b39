"""Arrays on a GPU through the public functions.

The libraries are PyTorch and CuPy where a CUDA device is there, and on every machine the emulated
ones of ``emulated_gpu.py``, whose arrays go through the real extension and the real kernels.
"""

import platform
import re
import sys
from pathlib import Path

import numpy as np
import pytest

import elulayer as el
import emulated_gpu
from elulayer._gpu import extension as loader

ROOT = Path(__file__).parent.parent
DTYPES = ["float32", "float64", "float16", "bfloat16"]


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    if not (ROOT / "CMakeLists.txt").exists():
        pytest.skip("the C++ sources are not beside the tests")
    if platform.machine() == "x86_64" and "x86-64-v3" not in el.cpu_info().usable:
        pytest.skip("the emulator needs the processor's fused multiply-add, as a GPU has it")
    return emulated_gpu.build(tmp_path_factory.mktemp("emulated"))


@pytest.fixture
def gpu(built, monkeypatch):
    """The emulated machine in the place of a real one."""
    machine = emulated_gpu.Gpu(*built)
    monkeypatch.setattr(loader, "load", lambda: machine.extension)
    monkeypatch.setattr(loader, "unavailable", lambda: None)
    for name, module in (("torch", "torch"), ("cupy", "cupy"), ("numba", "numba.cuda")):
        monkeypatch.setitem(sys.modules, module, getattr(machine, name))
    yield machine
    assert emulated_gpu.exported() == 0, "what was exported has been given back"
    assert machine.controls.emulator_events_alive() == 0
    assert machine.controls.emulator_current_device() == 0, "the device is restored"
    assert machine.device == 0
    assert machine.controls.emulator_last_error() == 0, "no error is left for others to find"


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
        return dtype != "bfloat16" or self.library in (self.gpu.torch, self.gpu.standard)

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


EMULATED = ["emulated torch", "emulated cupy", "emulated numba", "emulated standard"]


def make_library(request, which):
    kind, _, name = which.rpartition(" ")
    if kind:
        return Emulated(request.getfixturevalue("gpu"), name)
    return Torch() if name == "torch" else CuPy()


@pytest.fixture(params=[*EMULATED, *REAL])
def library(request):
    return make_library(request, request.param)


@pytest.fixture(params=["emulated torch and cupy", *["torch and cupy"][: len(REAL)]])
def torch_and_cupy(request):
    which = request.param.removesuffix("torch and cupy")
    return [make_library(request, which + name) for name in ("torch", "cupy")]


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


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("shape", "axis"),
    [((3, 5, 7, 7), 1), ((4, 6), 1), ((2, 9, 4), -1), ((7,), 0), ((2, 3, 0), 1), ((0, 3), 1)],
)
def test_results(library, dtype, shape, axis):
    x, grad = numbers(shape, dtype), numbers(shape, dtype, 2)
    if not library.has(dtype):
        refused(TypeError, "x has dtype uint16", library.array(x.view(np.uint16)))
        return
    alpha = alphas(shape[axis], dtype)
    x_, grad_, alpha_ = map(library.array, (x, grad, alpha))
    z = el.elu(x_, alpha_, axis=axis)
    assert type(z) is library.type
    expected = el.elu(x, alpha, axis=axis)
    assert library.numpy(z).dtype == expected.dtype
    assert same_bits(library.numpy(z), expected)
    dx, dalpha = el.elu_backward(grad_, x_, alpha_, axis=axis)
    expected_dx, expected_dalpha = el.elu_backward(grad, x, alpha, axis=axis)
    assert type(dalpha) is library.type
    assert same_bits(library.numpy(dx), expected_dx)
    assert library.numpy(dalpha).shape == alpha.shape
    assert library.numpy(dalpha).dtype == alpha.dtype
    assert_close(library.numpy(dalpha), expected_dalpha, x, grad, axis)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_memory_modes(library, dtype):
    x, grad = numbers((3, 4, 5), dtype), numbers((3, 4, 5), dtype, 2)
    alpha = np.abs(alphas(4, dtype))
    grad_, alpha_ = library.array(grad), library.array(alpha)
    z, memory = el.elu_with_memory(library.array(x), alpha_)
    z_cpu, memory_cpu = el.elu_with_memory(x, alpha)
    assert same_bits(library.numpy(z), z_cpu)
    assert same_bits(library.numpy(memory), memory_cpu)
    for name, there, here in (("memory", memory, memory_cpu), ("output", z, z_cpu)):
        dx, dalpha = el.elu_backward(grad_, alpha=alpha_, **{name: there})
        dx_cpu, dalpha_cpu = el.elu_backward(grad, alpha=alpha, **{name: here})
        assert same_bits(library.numpy(dx), dx_cpu)
        np.testing.assert_allclose(library.numpy(dalpha), dalpha_cpu, rtol=1e-5)


@pytest.mark.parametrize("alpha", [0.5, 2, np.float32(0.25)])
def test_one_alpha(library, alpha):
    x, grad = numbers((3, 4, 5), "float32"), numbers((3, 4, 5), "float32", 2)
    z = el.elu(library.array(x), alpha)
    assert same_bits(library.numpy(z), el.elu(x, alpha))
    _, dalpha = el.elu_backward(library.array(grad), library.array(x), alpha)
    assert library.numpy(dalpha).shape == ()
    assert_close(library.numpy(dalpha), el.elu_backward(grad, x, alpha)[1], x, grad)
    scalar = library.array(np.array(alpha, np.float32))
    assert same_bits(library.numpy(el.elu(library.array(x), scalar)), el.elu(x, alpha))


def test_a_vector_of_one_alpha_keeps_its_shape(library):
    x = numbers((6, 1, 3), "float32")
    alpha = library.array(np.array([0.5], np.float32))
    _, dalpha = el.elu_backward(library.array(x), library.array(x), alpha)
    assert library.numpy(dalpha).shape == (1,)


def test_memory_orders(library):
    """Dense orders are read as they are, and others copied; results have the order of x."""
    x = numbers((4, 5, 6), "float32")
    alpha = alphas(5, "float32")
    expected = el.elu(x, alpha)
    for order in ((0, 2, 1), (2, 1, 0)):
        turned = np.ascontiguousarray(x.transpose(order)).transpose(np.argsort(order))
        assert turned.strides != x.strides
        there = library.array(turned)
        z = el.elu(there, library.array(alpha))
        assert same_bits(library.numpy(z), expected)
        assert library.strides(there) == library.strides(z) == turned.strides
        grad = numbers((4, 5, 6), "float32", 3)  # in C order, unlike x
        if isinstance(library, Emulated) and library.library is library.gpu.numba:
            arguments = library.array(grad), there, library.array(alpha)
            message = "grad is a numba.*copied, which its library does not do"
            refused(TypeError, message, *arguments, function=el.elu_backward)
            continue
        dx, _ = el.elu_backward(library.array(grad), there, library.array(alpha))
        assert same_bits(library.numpy(dx), el.elu_backward(grad, x, alpha)[0])


def test_strides_are_copied(gpu):
    library = Emulated(gpu, "torch")
    wide = numbers((4, 5, 12), "float32")
    there = library.array(wide)
    there.host = there.host[:, :, ::2]
    alpha = alphas(10, "float32")
    alpha_ = library.array(alpha)
    alpha_.host = alpha_.host[::2]
    z = el.elu(there, alpha_)
    assert same_bits(library.numpy(z), el.elu(wide[:, :, ::2], alpha[::2]))


def test_out(library):
    x, grad = numbers((3, 4, 5), "float32"), numbers((3, 4, 5), "float32", 2)
    alpha = alphas(4, "float32")
    alpha_ = library.array(alpha)
    out = library.array(np.empty_like(x))
    assert el.elu(library.array(x), alpha_, out=out) is out
    assert same_bits(library.numpy(out), el.elu(x, alpha))
    inplace = library.array(x)
    assert el.elu(inplace, alpha_, out=inplace) is inplace
    assert same_bits(library.numpy(inplace), el.elu(x, alpha))
    grad_ = library.array(grad)
    dx, _ = el.elu_backward(grad_, library.array(x), alpha_, out=grad_)
    assert dx is grad_
    assert same_bits(library.numpy(dx), el.elu_backward(grad, x, alpha)[0])


def test_two_runs_have_the_same_bits(library):
    x, grad = numbers((64, 8, 49), "float32"), numbers((64, 8, 49), "float32", 2)
    arrays = [library.array(a) for a in (grad, x, alphas(8, "float32"))]
    first, again = el.elu_backward(*arrays), el.elu_backward(*arrays)
    for a, b in zip(first, again, strict=True):
        assert same_bits(library.numpy(a), library.numpy(b))


def test_one_library_and_another(gpu):
    """The first array's library makes what is new; the others' next work comes after the call."""
    torch, cupy = Emulated(gpu, "torch"), Emulated(gpu, "cupy")
    gpu.torch.functions.stream, gpu.cupy.functions.stream = 40, 50
    x, alpha = numbers((3, 4), "float32"), alphas(4, "float32")
    z = el.elu(cupy.array(x), torch.array(alpha))
    assert type(z) is gpu.cupy.ndarray
    assert same_bits(cupy.numpy(z), el.elu(x, alpha))
    *_, launch, event, wait = gpu.log()
    assert launch == "launch on 50 of device 0"
    assert event.endswith(" after 50")
    assert wait == f"40 waits for {event.removesuffix(' after 50')}"
    out = torch.array(np.empty_like(x))
    assert el.elu(cupy.array(x), 1.0, out=out) is out
    assert gpu.log()[-1].startswith("40 waits for event")


def test_a_library_that_is_not_known(gpu):
    """What it does next with the memory is ordered after nothing: the call waits."""
    alpha = emulated_gpu.DLPackArray(gpu, alphas(4, "float32"))
    x = numbers((3, 4), "float32")
    z = el.elu(Emulated(gpu, "torch").array(x), alpha)
    assert same_bits(z.host, el.elu(x, alpha.host))
    assert gpu.log()[-1] == "synchronize 1"


def test_another_library_s_arrays_are_not_copied(gpu):
    torch, cupy = Emulated(gpu, "torch"), Emulated(gpu, "cupy")
    x = torch.array(numbers((3, 4), "float32"))
    alpha = cupy.array(alphas(8, "float32"))
    alpha.host = alpha.host[::2]
    refused(TypeError, "alpha is a cupy.*ndarray whose memory would have to be copied", x, alpha)
    grad = cupy.array(np.asfortranarray(numbers((3, 4), "float32")))
    refused(TypeError, "grad is a cupy.*would have", grad, x, function=el.elu_backward)


def test_autograd_is_told_what_is_written(gpu):
    library = Emulated(gpu, "torch")
    x, z = library.array(numbers((3, 4), "float32")), library.array(numbers((3, 4), "float32"))
    el.elu(x, out=z)
    assert (x._version, z._version) == (0, 1)
    el.elu_backward(x, x, out=x)
    assert x._version == 1
    x.inference = True
    el.elu(x, out=x)
    assert x._version == 1


def test_the_readme_s_example(gpu):
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    (block,) = (block for block in blocks if 'device="cuda"' in block)
    names = {"el": el}
    exec(compile(block, "README.md", "exec"), names)
    x = names["x"].host
    expected = el.elu(x, np.full(20, 0.5, np.float32))
    assert same_bits(names["z"].host, expected)
    assert names["dx"].shape == x.shape
    assert names["dalpha"].shape == (20,)


# What is refused ---------------------------------------------------------------------------------


def refused(error, match, *arguments, function=el.elu, **options):
    with pytest.raises(error, match=match):
        function(*arguments, **options)


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


# Streams and devices -----------------------------------------------------------------------------


@pytest.mark.parametrize("own", [False, True])
def test_work_in_streams(library, own):
    """What is read has been written late, in the current stream."""
    host, alpha = numbers((64, 32, 49), "float32"), alphas(32, "float32")
    x, written = library.array(np.zeros_like(host)), library.array(host)
    alpha_ = library.array(alpha)
    stream = library.new_stream() if own else None
    library.finish()
    with library.current(library.new_stream()):
        library.delay()
        library.write(x, written)
        z = el.elu(x, alpha_, stream=stream)
        dx, dalpha = el.elu_backward(x, x, alpha_, stream=stream)
    library.finish()
    assert same_bits(library.numpy(z), el.elu(host, alpha))
    expected_dx, expected_dalpha = el.elu_backward(host, host, alpha)
    assert same_bits(library.numpy(dx), expected_dx)
    assert_close(library.numpy(dalpha), expected_dalpha, host, host)


def test_work_in_streams_of_two_libraries(torch_and_cupy):
    """One library writes late, and writes again when the other's call has returned."""
    for first, second in (torch_and_cupy, torch_and_cupy[::-1]):
        host, alpha = numbers((64, 32, 49), "float32"), alphas(32, "float32")
        x, out = first.array(host), second.array(np.zeros_like(host))
        alpha_, written = second.array(np.zeros_like(alpha)), second.array(alpha)
        zeros, copy = second.array(np.zeros_like(alpha)), second.array(np.zeros_like(host))
        first.finish()
        second.finish()
        with second.current(second.new_stream()), first.current(first.new_stream()):
            second.delay()
            second.write(alpha_, written)
            first.delay()
            el.elu(x, alpha_, out=out)
            second.write(copy, out)
            second.write(alpha_, zeros)
        first.finish()
        second.finish()
        assert same_bits(second.numpy(copy), el.elu(host, alpha))


def test_the_current_stream(gpu):
    library = Emulated(gpu, "torch")
    x = library.array(numbers((3, 4), "float32"))
    gpu.torch.functions.stream = 40
    el.elu(x, 1.0)
    log = gpu.log()
    assert "launch on 40 of device 0" in log
    assert set(log) <= {"export to 40", "new array on 40", "launch on 40 of device 0"}
    gpu.torch.functions.stream = 0
    el.elu(x, 1.0)
    assert "launch on 1 of device 0" in gpu.log()


@pytest.mark.parametrize("name", ["torch", "cupy"], ids="emulated {}".format)
def test_a_stream_of_ones_own(gpu, name):
    """It waits for the current one; what is new is made on it, and inputs are kept for it."""
    library = Emulated(gpu, name)
    x = library.array(numbers((3, 4), "float32"))
    library.library.functions.stream = 40
    el.elu_backward(x, x, 1.0, stream=50)
    log = gpu.log()
    event = log[0].removesuffix(" after 40")
    assert log[1] == f"50 waits for {event}"
    launches = [line for line in log if line.startswith("launch")]
    assert launches == ["launch on 50 of device 0"] * 2
    assert {line for line in log if line.startswith("new")} == {"new array on 50"}
    assert not [line for line in log if line.startswith("synchronize")]
    if name == "torch":
        assert "kept for 50" in log
        assert {line for line in log if line.startswith("export")} == {"export to 50"}
    assert library.library.functions.stream == 40


def test_the_default_stream_as_ones_own(gpu):
    for name in ("torch", "cupy"):
        library = Emulated(gpu, name)
        x = library.array(numbers((3, 4), "float32"))
        library.library.functions.stream = 40
        for stream in (0, 1):
            el.elu(x, 1.0, stream=stream)
            assert "launch on 1 of device 0" in gpu.log()


def test_a_producer_s_stream(gpu):
    """The interface names the stream that the data come from."""
    library = Emulated(gpu, "numba")
    x = library.array(numbers((3, 4), "float32"))
    x.stream = 60
    el.elu(x, 1.0)
    log = gpu.log()
    event = log[0].removesuffix(" after 60")
    assert log[1] == f"1 waits for {event}"


def test_an_unknown_stream_is_waited_for(gpu):
    """Also where one is given, and where a launch fails: the library may use the memory again."""
    library = Emulated(gpu, "standard")
    x = library.array(numbers((3, 4), "float32"))
    el.elu(x, 1.0)
    assert gpu.log()[-1] == "synchronize 1"
    el.elu(x, 1.0, stream=50)
    log = gpu.log()
    assert "launch on 50 of device 0" in log
    assert log[-1] == "synchronize 50"
    gpu.controls.emulator_fail(0, 719)
    refused(RuntimeError, "unspecified launch failure", x, 1.0)
    assert gpu.log()[-1] == "synchronize 1"


def test_stream_objects(gpu):
    library = Emulated(gpu, "torch")
    x = library.array(numbers((3, 4), "float32"))

    class Protocol:
        def __cuda_stream__(self):
            return 0, 50

    class Numba:
        class handle:  # noqa: N801
            value = 50

    streams = (
        50,
        np.int64(50),
        Protocol(),
        Numba(),
        gpu.cupy.cuda.Stream(50),
        gpu.torch.cuda.ExternalStream(50, 0),
    )
    for stream in streams:
        el.elu(x, 1.0, stream=stream)
        assert "launch on 50 of device 0" in gpu.log()
    refused(TypeError, "stream is 'a'; a stream of PyTorch", x, stream="a")
    refused(TypeError, "stream is True", x, stream=True)
    refused(TypeError, "stream is -1", x, stream=-1)
    refused(TypeError, "stream is 18446744073709551616", x, stream=1 << 64)
    Protocol.__cuda_stream__ = lambda self: None
    refused(TypeError, "stream is <.*Protocol", x, stream=Protocol())
    refused(ValueError, "stream is of CUDA device 1", x, stream=gpu.cupy.cuda.Stream(50, 1))


def test_another_device(gpu):
    for name in ("torch", "cupy", "standard"):
        library = Emulated(gpu, name)
        x, alpha = numbers((3, 4), "float32"), alphas(4, "float32")
        gpu.log()
        z = el.elu(library.array(x, 1), library.array(alpha, 1))
        assert same_bits(library.numpy(z), el.elu(x, alpha))
        assert "launch on 1 of device 1" in gpu.log()
        assert z.device_number == 1
        assert gpu.controls.emulator_current_device() == 0
        assert library.library.functions.device == 0


def test_a_current_device_of_ones_own(gpu):
    """It is the current one again, whatever device the arrays are on."""
    library = Emulated(gpu, "standard")
    gpu.controls.emulator_set_current_device(1)
    el.elu(library.array(numbers((3, 4), "float32"), 0), 1.0)
    assert "launch on 1 of device 0" in gpu.log()
    assert gpu.controls.emulator_current_device() == 1
    gpu.controls.emulator_set_current_device(0)


def test_a_failure_is_not_the_next_call_s(gpu):
    x = Emulated(gpu, "torch").array(numbers((3, 4), "float32"))
    with pytest.raises(RuntimeError, match="choosing a device"):
        gpu.extension.order(7, 1, 40)
    assert gpu.controls.emulator_last_error() == 0
    el.elu(x, 1.0)


def test_a_launch_that_fails(gpu):
    library = Emulated(gpu, "torch")
    x = library.array(numbers((3, 4), "float32"), 1)
    gpu.controls.emulator_fail(0, 719)
    refused(RuntimeError, "^elu: unspecified launch failure$", x)
    refused(RuntimeError, "^elu_backward: unspecified", x, x, function=el.elu_backward)
    refused(RuntimeError, "^elu_with_memory: unspec", x, function=el.elu_with_memory)
    gpu.controls.emulator_fail(0, 0)
    el.elu(x)


# Where there is no GPU ---------------------------------------------------------------------------


def test_information(gpu):
    info = el.cuda_info()
    assert info.available
    assert [device.name for device in info.devices] == ["Emulated 0", "Emulated 1"]
    assert info.devices[0].compute_capability == (9, 0)
    assert info.devices[0].memory == 1 << 30
    assert "CUDA 13.0" in info.reason
    for driver, devices, capability, error, reason in (
        (0, 0, 90, 0, "no CUDA driver is installed"),
        (11000, 0, 90, 35, r"driver version is insufficient.*driver for CUDA 11\.0"),
        (13000, 0, 90, 100, "no CUDA-capable device is detected"),
        (13000, 0, 90, 0, "there is no CUDA device"),
        (13000, 1, 61, 0, r"compute capability 7\.5 and newer"),
    ):
        gpu.controls.emulator_set_driver(driver, devices, capability)
        gpu.controls.emulator_fail(error, 0)
        info = el.cuda_info()
        assert not info.available
        assert re.search(reason, info.reason)


def test_no_usable_device(gpu, monkeypatch):
    library = Emulated(gpu, "torch")
    x = library.array(numbers((3, 4), "float32"))
    monkeypatch.setattr(loader, "unavailable", lambda: "it is raining")
    refused(RuntimeError, "^x is on a GPU, which elulayer cannot use: it is raining$", x)


def test_this_machine():
    info = el.cuda_info()
    assert info.reason
    assert info.available == any(d.compute_capability >= (7, 5) for d in info.devices)
