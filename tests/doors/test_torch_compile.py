"""elulayer.torch under torch.compile and torch.export: the eager bits, in one graph."""

import pytest

torch = pytest.importorskip("torch", reason="the optional package torch is not installed")

from elulayer.torch import ELU, elu  # noqa: E402

DTYPES = [torch.float32, torch.float64, torch.float16, torch.bfloat16]


@pytest.fixture(autouse=True)
def fresh():
    torch.manual_seed(0)
    torch.compiler.reset()


def results(function, x, alpha):
    x = x.detach().requires_grad_()
    alpha = alpha.detach().requires_grad_()
    z = function(x, alpha)
    z.float().pow(2).sum().backward()
    return z, x.grad, alpha.grad


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_eager_bits(dtype, channels_last):
    x = torch.randn(4, 3, 8, 8).to(dtype)
    if channels_last:
        x = x.to(memory_format=torch.channels_last)
    alpha = torch.tensor([0.7, -0.3, 1.2], dtype=torch.promote_types(dtype, torch.float32))
    compiled = torch.compile(elu, fullgraph=True)
    for got, expected in zip(results(compiled, x, alpha), results(elu, x, alpha), strict=True):
        assert torch.equal(got, expected)
        assert got.stride() == expected.stride()


def test_a_module_with_a_number_as_alpha_and_in_a_model():
    model = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3), ELU(8), torch.nn.Flatten(), torch.nn.Linear(8 * 36, 5)
    )
    x = torch.randn(4, 3, 8, 8)
    torch.testing.assert_close(torch.compile(model, fullgraph=True)(x), model(x))
    compiled = torch.compile(lambda x: elu(x, 0.5), fullgraph=True)
    assert torch.equal(compiled(x), elu(x, 0.5))


def test_dynamic_shapes_are_compiled_once():
    count = 0

    def backend(graph, inputs):
        nonlocal count
        count += 1
        return graph.forward

    compiled = torch.compile(elu, fullgraph=True, dynamic=True, backend=backend)
    alpha = torch.rand(3)
    for n, side in ((2, 5), (3, 6), (7, 9)):
        x = torch.randn(n, 3, side, side)
        assert torch.equal(compiled(x, alpha), elu(x, alpha))
    assert count == 1


def test_errors_are_the_eager_ones():
    with pytest.raises(Exception, match=r"alpha must have shape \(3,\)"):
        torch.compile(elu, fullgraph=True)(torch.ones(2, 3), torch.ones(4))


def test_export():
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), ELU(8)).eval()
    batch = torch.export.Dim("batch")
    program = torch.export.export(model, (torch.zeros(2, 3, 9, 9),), dynamic_shapes=({0: batch},))
    assert "elulayer.elu.default" in str(program.graph)
    x = torch.randn(5, 3, 9, 9)
    assert torch.equal(program.module()(x), model(x))


def test_tracing():
    """make_fx sees the operators: nothing goes past a mode that watches."""
    from torch.fx.experimental.proxy_tensor import make_fx
    from torch.utils._python_dispatch import TorchDispatchMode

    def step(x, alpha):
        return torch.autograd.grad(elu(x, alpha).sum(), (x, alpha))

    x, alpha = torch.randn(2, 3, requires_grad=True), torch.rand(3, requires_grad=True)
    names = str(make_fx(step)(x, alpha).graph)
    assert "elulayer.elu.default" in names and "elulayer.elu_backward.default" in names
    seen = []

    class Watching(TorchDispatchMode):
        def __torch_dispatch__(self, operator, types, arguments=(), options=None):
            seen.append(str(operator))
            return operator(*arguments, **(options or {}))

    with Watching():
        elu(x, alpha)
    assert "elulayer.elu.default" in seen


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
def test_traces_of_other_kinds():
    """They cannot look into the kernels: they have the formula, or a call of the function."""
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), ELU(4)).eval()
    x, other = torch.randn(2, 2, 3, 6, 6)
    for mode in (torch.no_grad, torch.enable_grad):
        with mode():
            traced = torch.jit.trace(model, x)
            torch.testing.assert_close(traced(other), model(other))
    assert torch.equal(torch.fx.symbolic_trace(model)(other), model(other))


def test_fake_tensors():
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode():
        x = torch.empty(2, 3, 4, 4).to(memory_format=torch.channels_last)
        z = elu(x, torch.empty(3))
    assert z.shape == x.shape and z.stride() == x.stride()
