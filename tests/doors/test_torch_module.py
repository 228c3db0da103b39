"""elulayer.torch.ELU and convert: as PyTorch's own modules are."""

import copy
import dataclasses
import io
import pickle

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the optional package torch is not installed")

from torch import nn  # noqa: E402

from elulayer.torch import ELU, convert, elu  # noqa: E402


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def test_alpha_is_its_parameter():
    unit = ELU(3, alpha=0.5)
    assert [name for name, _ in unit.named_parameters()] == ["alpha"]
    assert unit.alpha.tolist() == [0.5] * 3 and unit.alpha.dtype == torch.float32
    x = torch.randn(2, 3, 4)
    assert torch.equal(unit(x), elu(x, unit.alpha))


def test_by_default_it_is_torchs():
    x = torch.randn(2, 3, 4)
    torch.testing.assert_close(ELU(3)(x), nn.ELU()(x))


@pytest.mark.parametrize(
    ("unit", "text"),
    [
        (lambda: ELU(20), "ELU(20)"),
        (lambda: ELU(20, learnable=False), "ELU(20, learnable=False)"),
        (lambda: ELU(20, shared=True, dim=-1), "ELU(20, shared=True, dim=-1)"),
    ],
)
def test_it_is_printed_as_torchs_are(unit, text):
    assert repr(unit()) == text


def test_options():
    unit = ELU(3, alpha=torch.tensor([1.0, 2.0, 3.0]), dim=-1, dtype=torch.float64)
    assert unit(torch.randn(2, 3, dtype=torch.float64)).dtype == torch.float64
    assert not ELU(3, learnable=False).alpha.requires_grad
    assert ELU(3, shared=True).alpha.shape == ()
    assert ELU(3, device="meta").alpha.is_meta


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        ((0,), {}, ValueError, "num_channels must be at least 1, not 0"),
        ((2.5,), {}, TypeError, "num_channels must be an integer, not 2.5"),
        ((3,), {"alpha": 1j}, TypeError, "alpha must be real, not of torch.complex64"),
        ((3,), {"alpha": "a"}, TypeError, "alpha must be a number or a tensor, not 'a'"),
        ((3,), {"dtype": torch.int32}, TypeError, "a floating one of torch's, not torch.int32"),
        ((3,), {"dtype": "float32"}, TypeError, "a floating one of torch's, not 'float32'"),
        ((3,), {"alpha": np.ones(3)[::-1]}, TypeError, r"not array.*negative.*copy\(\)"),
        ((3,), {"alpha": torch.ones(4)}, ValueError, r"alpha must have shape \(3,\) or \(\)"),
        (
            (3,),
            {"alpha": torch.ones(3), "shared": True},
            ValueError,
            r"shape \(\), not \(3,\)",
        ),
    ],
)
def test_what_does_not_fit(arguments, options, error, message):
    with pytest.raises(error, match=message):
        ELU(*arguments, **options)


def test_copies_and_files():
    unit = ELU(3, alpha=0.5, dim=-1)
    file = io.BytesIO()
    torch.save(unit.state_dict(), file)
    file.seek(0)
    loaded = ELU(3, dim=-1)
    loaded.load_state_dict(torch.load(file, weights_only=True))
    x = torch.randn(2, 4, 3)
    for other in (copy.deepcopy(unit), pickle.loads(pickle.dumps(unit)), loaded):
        assert torch.equal(other(x), unit(x))
        assert other.alpha is not unit.alpha


def test_first_values_after_the_memory_is_there():
    """As large models are made: without memory at first."""
    unit = ELU(3, alpha=0.5, device="meta").to_empty(device="cpu")
    unit.reset_parameters()
    assert unit.alpha.tolist() == [0.5] * 3


def test_half_and_double_models():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), ELU(4))
    x = torch.randn(2, 3, 6, 6)
    assert model.to(torch.bfloat16)(x.bfloat16()).dtype == torch.bfloat16
    assert model.double()(x.double()).dtype == torch.float64


def test_it_learns():
    model = nn.Sequential(nn.Linear(4, 3), ELU(3))
    before = model[1].alpha.detach().clone()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model(torch.randn(8, 4)).pow(2).sum().backward()
    optimizer.step()
    assert (model[1].alpha != before).all()


# convert


class Net(nn.Module):
    """Units in a list, a block, twice in one place, and one of another kind."""

    def __init__(self):
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ELU(0.5))
        self.blocks = nn.ModuleList([nn.Conv2d(8, 8, 1), nn.ELU()])
        self.again = self.blocks[1]
        self.last = nn.Sequential(nn.Conv2d(8, 4, 1), nn.PReLU(4, init=0.3), nn.Dropout(0.5))

    def forward(self, x):
        x = self.first(x)
        x = self.again(self.blocks[1](self.blocks[0](x)))
        return self.last(x)


def test_convert():
    model = Net().train()
    model.last.eval()
    x = torch.randn(2, 3, 9, 9)
    expected = model(x)
    state = {name: value.clone() for name, value in model.state_dict().items()}
    assert convert(model, x) is model
    assert repr(model.first[1]) == repr(model.again) == "ELU(8)"
    assert model.again is model.blocks[1]
    assert isinstance(model.last[1], nn.PReLU)
    assert model.first[1].alpha.tolist() == [0.5] * 8
    torch.testing.assert_close(model(x), expected)
    assert model.training and not model.last.training
    assert set(model.state_dict()) - set(state) == {
        "first.1.alpha",
        "blocks.1.alpha",
        "again.alpha",
    }
    for name, value in state.items():
        assert torch.equal(model.state_dict()[name], value)


def test_convert_prelu():
    model = convert(Net(), torch.randn(2, 3, 9, 9), prelu=True, learnable=False)
    assert repr(model.last[1]) == "ELU(4, learnable=False)"
    assert torch.equal(model.last[1].alpha, torch.full((4,), 0.3))
    assert repr(convert(nn.PReLU(), torch.ones(2, 5), prelu=True)) == "ELU(5)"


def test_convert_keeps_dtype_and_statistics():
    model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.ELU()).double()
    statistics = model[1].running_mean.clone()
    convert(model, torch.randn(5, 4, dtype=torch.float64))
    assert model[2].alpha.dtype == torch.float64
    assert torch.equal(model[1].running_mean, statistics)
    assert model[1].training


def test_convert_other_dimensions():
    model = convert(nn.Sequential(nn.Linear(4, 3), nn.ELU()), torch.randn(2, 7, 4), dim=-1)
    assert repr(model[1]) == "ELU(3, dim=-1)"
    assert model(torch.randn(2, 7, 4)).shape == (2, 7, 3)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (lambda: nn.Sequential(nn.Linear(4, 3)), "module must hold torch.nn.ELU, not none"),
        (lambda: nn.Sequential(nn.PReLU()), "prelu=True replaces its torch.nn.PReLU"),
        (lambda: Unreached(), "spare must be reached by the forward pass"),
        (lambda: Twice(), r"unit must have one number of channels, not \[3, 4\]"),
    ],
)
def test_what_cannot_be_converted_stays_as_it_is(model, message):
    model = model()
    before = repr(model)
    with pytest.raises(ValueError, match=message):
        convert(model, torch.randn(2, 4))
    assert repr(model) == before and model.training
    assert not any(module._forward_pre_hooks for module in model.modules())


def test_convert_names_what_is_missing():
    with pytest.raises(TypeError, match=r"module must be a torch\.nn\.Module, not list"):
        convert([nn.ELU()], torch.randn(2, 4))
    with pytest.raises(TypeError, match="inputs must follow the module"):
        convert(nn.Sequential(nn.ELU()))
    with pytest.raises(TypeError, match="dim must be an integer, not 'a'"):
        convert(nn.Sequential(nn.ELU()), torch.ones(2, 3), dim="a")


class Own(nn.ELU):
    def forward(self, x):
        return super().forward(x) + 1


def test_units_of_derived_classes_stay():
    model = nn.Sequential(nn.Linear(4, 3), nn.ELU(), Own())
    expected = model(torch.ones(2, 4))
    convert(model, torch.ones(2, 4))
    assert isinstance(model[1], ELU) and type(model[2]) is Own
    torch.testing.assert_close(model(torch.ones(2, 4)), expected)
    with pytest.raises(ValueError, match=r"module must hold torch\.nn\.ELU"):
        convert(Own(), torch.ones(2, 4))


class InPlace(nn.Module):
    """Uses what its unit does to the unit's input."""

    def __init__(self):
        super().__init__()
        self.linear, self.unit = nn.Linear(4, 3), nn.ELU(inplace=True)

    def forward(self, x):
        y = self.linear(x)
        self.unit(y)
        return y


def test_a_model_that_would_compute_something_else_stays():
    model = InPlace()
    before, x = repr(model), torch.randn(5, 4)
    expected = model(x)
    with pytest.raises(ValueError, match="module must compute the same"):
        convert(model, x)
    assert repr(model) == before and torch.equal(model(x), expected)
    assert repr(convert(nn.Sequential(nn.ELU(inplace=True)), torch.randn(2, 3))[0]) == "ELU(3)"


@dataclasses.dataclass
class Wrapped:
    value: torch.Tensor


MASK = torch.eye(5, 3).bool()


@pytest.mark.parametrize(
    "last",
    [
        lambda y: y,
        lambda y: y.masked_fill(MASK, float("-inf")),
        lambda y: y.masked_fill(MASK, torch.finfo(y.dtype).min),
        lambda y: y.masked_fill(MASK, float("nan")),
        Wrapped,
    ],
)
def test_whatever_it_does_with_the_result(last):
    """Masks hide no difference, and are none."""

    class Model(nn.Module):
        def __init__(self, in_place):
            super().__init__()
            self.first, self.unit = nn.Linear(4, 3), nn.ELU(inplace=in_place)
            self.second = nn.PReLU()

        def forward(self, x):
            y = self.first(x)
            return last(y + self.second(self.unit(y)))

    for prelu in (False, True):
        model = Model(in_place=True)
        before, x = repr(model), torch.randn(5, 4)
        with pytest.raises(ValueError, match="module must compute the same with other units"):
            convert(model, x, prelu=prelu)
        assert repr(model) == before
        assert repr(convert(Model(in_place=False), x, prelu=prelu).unit) == "ELU(3)"


class ReadsItsUnit(InPlace):
    def forward(self, x):
        return self.unit(self.linear(x)) * self.unit.inplace


class Random(InPlace):
    def forward(self, x):
        return self.unit(self.linear(x)) + torch.rand(3)


class Opaque(InPlace):
    def forward(self, x):
        return object()


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (ReadsItsUnit, "or has, .*'ELU' object has no attribute 'inplace'"),
        (Random, "module must compute the same each time it is called"),
        (Opaque, "unit must be reached by the forward pass of the inputs, in evaluation mode"),
        (lambda: Boxed(), "module must return a tensor, or a container or dataclass of some"),
    ],
)
def test_a_model_that_cannot_be_compared_stays(model, message):
    model = model()
    before = repr(model)
    with pytest.raises(ValueError, match=message):
        convert(model, torch.randn(5, 4))
    assert repr(model) == before


def test_only_what_replaces_an_elu_is_compared():
    class Slope(Boxed):
        def __init__(self):
            super().__init__()
            self.unit = nn.PReLU()

    assert repr(convert(Slope(), torch.randn(5, 4), prelu=True).unit) == "ELU(3)"


class Boxed(InPlace):
    def forward(self, x):
        self.unit(self.linear(x))
        return object()


def test_inputs_of_other_modules_and_models_without_values():
    head = nn.Sequential(nn.Linear(3, 3), nn.ELU())
    convert(head, nn.Linear(4, 3)(torch.randn(2, 4)))
    with torch.device("meta"):
        assert ELU(3).alpha.is_meta
        model = convert(nn.Sequential(nn.Linear(4, 3), nn.ELU()), torch.ones(2, 4))
    assert model[1].alpha.is_meta


@pytest.mark.parametrize(
    "register",
    [
        lambda unit: unit.register_forward_hook(lambda *arguments: None),
        lambda unit: unit.register_full_backward_pre_hook(lambda *arguments: None),
    ],
)
def test_hooks(register):
    model = nn.Sequential(nn.ELU())
    register(model[0])
    with pytest.raises(ValueError, match="0 must have no hooks"):
        convert(model, torch.ones(2, 3))


def test_frozen_weights():
    unit = nn.PReLU(3)
    unit.weight.requires_grad_(False)
    assert not convert(unit, torch.ones(2, 3), prelu=True).alpha.requires_grad


def test_inputs_by_name_and_of_few_dimensions():
    class Named(nn.Module):
        def __init__(self):
            super().__init__()
            self.unit = nn.ELU()

        def forward(self, x):
            return self.unit(input=x)

    assert repr(convert(Named(), torch.ones(2, 3)).unit) == "ELU(3)"
    with pytest.raises(ValueError, match="dim must be a dimension of unit's input, not 1"):
        convert(Named(), torch.ones(3))
    with torch.inference_mode():
        model = convert(Named(), torch.ones(2, 3))
    model(torch.ones(2, 3) * -1).sum().backward()
    assert model.unit.alpha.grad is not None


class Unreached(nn.Module):
    def __init__(self):
        super().__init__()
        self.used, self.spare = nn.ELU(), nn.ELU()

    def forward(self, x):
        return self.used(x)


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.unit, self.linear = nn.ELU(), nn.Linear(4, 3)

    def forward(self, x):
        return self.unit(self.linear(self.unit(x)))
