"""Arrays on a GPU: the streams and devices of the work, and where there is no GPU."""

import re

import numpy as np
import pytest

import elulayer as el
from elulayer.arrays.gpu import extension as loader
from shared.gpu_libraries import Emulated, alphas, assert_close, numbers, refused, same_bits


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


def test_the_current_stream(gpu):
    library = Emulated(gpu, "torch")
    x = library.array(numbers((3, 4), "float32"))
    gpu.torch.functions.stream = 40
    el.elu(x, 1.0)
    log = gpu.log()
    assert "launch on 40 of device 0" in log
    assert set(log) <= {"new array on 40", "launch on 40 of device 0"}
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
    assert library.library.functions.stream == 40


def test_streams_of_an_older_library(gpu, monkeypatch):
    """CuPy's before version 14."""
    cuda = gpu.cupy.cuda
    monkeypatch.delattr(cuda.Stream, "from_external")
    monkeypatch.setattr(cuda, "ExternalStream", cuda.Stream, raising=False)
    x = Emulated(gpu, "cupy").array(numbers((3, 4), "float32"))
    el.elu(x, 1.0, stream=50)
    assert {"new array on 50", "launch on 50 of device 0"} <= set(gpu.log())


def test_the_default_stream_as_ones_own(gpu):
    for name in ("torch", "cupy"):
        library = Emulated(gpu, name)
        x = library.array(numbers((3, 4), "float32"))
        library.library.functions.stream = 40
        for stream in (0, 1):
            el.elu(x, 1.0, stream=stream)
            assert "launch on 1 of device 0" in gpu.log()


def test_stream_objects(gpu):
    library = Emulated(gpu, "torch")
    x = library.array(numbers((3, 4), "float32"))

    class Protocol:
        def __cuda_stream__(self):
            return 0, 50

    streams = (
        50,
        np.int64(50),
        Protocol(),
        gpu.cupy.cuda.Stream(50),
        gpu.torch.cuda.ExternalStream(50, 0),
    )
    for stream in streams:
        el.elu(x, 1.0, stream=stream)
        assert "launch on 50 of device 0" in gpu.log()
    refused(TypeError, "stream must be a stream of PyTorch or CuPy, .*, not 'a'", x, stream="a")
    refused(TypeError, "stream must be .*, not True", x, stream=True)
    refused(TypeError, "stream must be .*, not -1", x, stream=-1)
    refused(TypeError, "stream must be .*, not 18446744073709551616", x, stream=1 << 64)
    Protocol.__cuda_stream__ = lambda self: None
    refused(TypeError, "stream must be .*, not <.*Protocol", x, stream=Protocol())
    refused(
        ValueError,
        "stream must be of CUDA device 0, as the arrays, not of 1",
        x,
        stream=gpu.cupy.cuda.Stream(50, 1),
    )


def test_another_device(gpu):
    for name in ("torch", "cupy"):
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
    library = Emulated(gpu, "torch")
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
