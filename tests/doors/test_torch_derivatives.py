"""Derivatives of elulayer.torch: of every order, in every mode, none of them silently wrong."""

import pytest

torch = pytest.importorskip("torch", reason="the optional package torch is not installed")

from torch.autograd import forward_ad, grad, gradcheck, gradgradcheck  # noqa: E402

from elulayer.torch import elu, formulas  # noqa: E402

OPERATORS = torch.ops.elulayer
DTYPES = [torch.float32, torch.float64, torch.float16, torch.bfloat16]
LAYOUTS = {
    "contiguous": lambda x: x,
    "channels last": lambda x: x.contiguous(memory_format=torch.channels_last),
    "steps": lambda x: torch.stack([x, x], -1)[..., 0],
    "expanded": lambda x: x[:1].expand(x.shape),
}


@pytest.fixture(autouse=True)
def fresh():
    torch.manual_seed(0)
    torch.compiler.reset()


def inputs(dtype=torch.float64, layout=lambda x: x, shared=False):
    """Arguments of elu: x, alpha."""
    x = layout(torch.randn(2, 3, 4, 2).to(dtype)).detach()
    alpha = torch.tensor([0.7, -0.3, 1.2], dtype=torch.promote_types(dtype, torch.float32))
    alpha = alpha[0] if shared else alpha
    return x.requires_grad_(), alpha.detach().clone().requires_grad_()


def arguments(name, *given):
    """Those of an operator, from those of elu."""
    x, alpha = given
    like_x = [torch.randn(x.shape).to(x.dtype).requires_grad_() for _ in range(2)]
    w = torch.randn(alpha.shape).to(alpha.dtype).requires_grad_()
    return {
        "elu": (x, alpha, 1),
        "elu_backward": (like_x[0], x, alpha, 1),
        "elu_double_backward": (like_x[1], w, like_x[0], x, alpha, 1),
    }[name]


NAMES = ["elu", "elu_backward", "elu_double_backward"]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_opcheck(name, dtype, layout):
    given = arguments(name, *inputs(dtype, LAYOUTS[layout]))
    torch.library.opcheck(getattr(OPERATORS, name).default, given)


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_numerical(name, shared):
    *tensors, dim = arguments(name, *inputs(shared=shared))
    operator = getattr(OPERATORS, name)

    def call(*tensors):
        return operator(*tensors, 0 if shared else dim)

    assert gradcheck(call, tensors, check_forward_ad=True)
    assert gradgradcheck(call, tensors)


@pytest.mark.parametrize("shared", [False, True])
def test_numerical_of_the_function(shared):
    x, alpha = inputs(shared=shared)
    assert gradcheck(elu, (x, alpha), check_forward_ad=True, check_batched_grad=False)
    assert gradgradcheck(elu, (x, alpha))


def orders(function, x, alpha, count):
    """Gradients of the first orders, each of the square of the one before."""
    found = []
    value = function(x, alpha).pow(3).sum()
    for _ in range(count):
        gradients = grad(value, (x, alpha), create_graph=True)
        found += gradients
        value = sum(gradient.square().sum() for gradient in gradients)
    return found


@pytest.mark.parametrize("shared", [False, True])
def test_five_orders(shared):
    x, alpha = inputs(shared=shared)
    expected = orders(lambda x, alpha: formulas.elu(x, alpha, 1), x, alpha, 5)
    for got, wanted in zip(orders(elu, x, alpha, 5), expected, strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-9, atol=1e-9 * wanted.abs().max().item())


def test_a_third_derivative():
    """Of alpha expm1(x) it is alpha exp(x)."""
    x = torch.tensor([-1.0], dtype=torch.float64, requires_grad=True)
    value = elu(x, 1.0).sum()
    for _ in range(3):
        (value,) = grad(value, x, create_graph=True)
    torch.testing.assert_close(value, x.exp())


def functions():
    """The function and the operator, of x alone."""
    _, alpha = inputs()
    alpha = alpha.detach()
    return (
        lambda x: elu(x, alpha),
        lambda x: OPERATORS.elu(x, alpha, 1),
        lambda x: formulas.elu(x, alpha, 1),
    )


TRANSFORMS = {
    "grad": lambda f: torch.func.grad(lambda x: f(x).pow(2).sum()),
    "grad grad": lambda f: torch.func.grad(
        lambda x: torch.func.grad(lambda x: f(x).pow(3).sum())(x).pow(2).sum()
    ),
    "vjp": lambda f: lambda x: torch.func.vjp(f, x)[1](torch.ones_like(x))[0],
    "jvp": lambda f: lambda x: torch.func.jvp(f, (x,), (torch.ones_like(x),))[1],
    "jvp grad": lambda f: (
        lambda x: torch.func.jvp(
            torch.func.grad(lambda x: f(x).pow(3).sum()), (x,), (torch.ones_like(x),)
        )[1]
    ),
    "jacrev": torch.func.jacrev,
    "jacfwd": torch.func.jacfwd,
    "hessian": lambda f: torch.func.hessian(lambda x: f(x).pow(3).sum()),
    "vmap": lambda f: lambda x: torch.vmap(lambda x: f(x[None])[0])(x),
    "vmap grad": lambda f: torch.vmap(
        torch.func.grad(lambda x: f(x[None]).pow(3).sum()), randomness="error"
    ),
}


@pytest.mark.filterwarnings("ignore:There is a performance drop")
@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("transform", TRANSFORMS)
def test_transforms(transform, compiled):
    x = inputs()[0].detach()
    results = []
    for f in functions():
        call = TRANSFORMS[transform](f)
        results.append((torch.compile(call, fullgraph=True) if compiled else call)(x))
    *found, expected = results
    for got in found:
        torch.testing.assert_close(got, expected)


def test_dual_numbers():
    x, alpha = (tensor.detach() for tensor in inputs())
    tangents = torch.randn_like(x), torch.randn_like(alpha)
    with forward_ad.dual_level():
        duals = [forward_ad.make_dual(*pair) for pair in zip((x, alpha), tangents, strict=True)]
        calls = (
            lambda x, alpha: elu(x, alpha),
            lambda x, alpha: OPERATORS.elu(x, alpha, 1),
            lambda x, alpha: formulas.elu(x, alpha, 1),
        )
        *found, expected = (forward_ad.unpack_dual(call(*duals)).tangent for call in calls)
    for got in found:
        torch.testing.assert_close(got, expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_the_formula_is_exact_where_expm1_is_minus_one(dtype):
    """PyTorch's own derivative of expm1 is 0 there."""
    x = torch.tensor([-5.0, -12.0, -17.0, -30.0, 0.0, 3.0], dtype=dtype)
    expected = torch.where(x > 0, 1, torch.exp(x))
    eps = 4 * torch.finfo(dtype).eps
    derivative = torch.func.grad(lambda x: elu(x, 1.0).sum())
    for got in (
        derivative(x),
        torch.func.jvp(lambda x: elu(x, 1.0), (x,), (torch.ones_like(x),))[1],
        torch.func.vjp(derivative, x)[0],
    ):
        torch.testing.assert_close(got, expected, rtol=eps, atol=0)
    assert derivative(torch.tensor([torch.nan])).isnan()


def test_transforms_of_a_graph_that_was_made_outside():
    x, alpha = inputs()
    z, expected = elu(x, alpha), formulas.elu(x, alpha, 1)
    given = torch.randn(3, *x.shape, dtype=x.dtype)
    found, wanted = (
        torch.autograd.grad(y, (x, alpha), given, is_grads_batched=True, retain_graph=True)
        for y in (z, expected)
    )
    torch.testing.assert_close(found, wanted)
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(given[0], given[1])
        found, wanted = (
            [
                forward_ad.unpack_dual(g).tangent
                for g in grad(y, (x, alpha), dual, retain_graph=True)
            ]
            for y in (z, expected)
        )
    torch.testing.assert_close(found, wanted)


def test_vectorized_jacobians():
    x, alpha = inputs()
    for f in (torch.autograd.functional.jacobian, torch.autograd.functional.hessian):
        call = (lambda f: lambda x: f(x).pow(3).sum()) if "hessian" in f.__name__ else (lambda f: f)
        found, expected = (
            f(call(g), x.detach(), vectorize=True)
            for g in (lambda x: elu(x, alpha), lambda x: formulas.elu(x, alpha, 1))
        )
        torch.testing.assert_close(found, expected)


def test_gradients_of_one_input_alone():
    for needs in ((True, False), (False, True)):
        x, alpha = (t.detach().requires_grad_(n) for t, n in zip(inputs(), needs, strict=True))
        elu(x, alpha).sum().backward()
        assert [x.grad is not None, alpha.grad is not None] == list(needs)


def test_checkpointing_and_hooks():
    from torch.utils.checkpoint import checkpoint

    x, alpha = inputs()
    expected = grad(elu(x, alpha).pow(2).sum(), (x, alpha))
    for reentrant in (False, True):
        z = checkpoint(elu, x, alpha, use_reentrant=reentrant)
        for got, wanted in zip(grad_of(z, x, alpha), expected, strict=True):
            assert torch.equal(got, wanted)
    with torch.autograd.graph.save_on_cpu():
        for got, wanted in zip(grad_of(elu(x, alpha), x, alpha), expected, strict=True):
            assert torch.equal(got, wanted)


def grad_of(z, x, alpha):
    x.grad = alpha.grad = None
    z.pow(2).sum().backward()
    return x.grad, alpha.grad


def test_an_input_changed_after_forward_is_an_error():
    x, alpha = inputs()
    z = elu(x, alpha)
    with torch.no_grad():
        alpha.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        z.sum().backward()


def test_the_operator_counts_dimensions_from_the_end_too():
    x, alpha = torch.randn(4, 2, 3), torch.rand(3)
    value, slope = torch.func.jvp(
        lambda alpha: torch.ops.elulayer.elu(x, alpha, -1), (alpha,), (torch.ones(3),)
    )
    torch.testing.assert_close(value, elu(x, alpha, dim=-1))
    torch.testing.assert_close(slope, torch.expm1(x.clamp(max=0)))
