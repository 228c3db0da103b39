"""Networks as ONNX models: ONNX Runtime gives what the network does."""

import json
import sys
import warnings

import numpy as np
import pytest

import elulayer as el
from elulayer import cli
from shared import all_layers
from shared.all_layers import SHAPE, Own, every_layer, images, network_of

onnx = pytest.importorskip("onnx", reason="the optional package onnx is not installed")
runtime = pytest.importorskip("onnxruntime", reason="the models are run by onnxruntime")


def probabilities(path, X):
    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"images": X})
    return found


def same(network, path, X, tolerance=1e-5):
    found, expected = probabilities(path, X), network.predict(X)
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance)
    np.testing.assert_array_equal(found.argmax(1), expected.argmax(1))


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """A trained network, its file, and images it has not seen."""
    data = el.data.load_digits(0, n_train=640, n_test=400)
    options = el.TrainingOptions("sgdm", max_epochs=3, verbose=False, seed=0)
    layers = el.models.blog_layers((1, 28, 28), 10)
    network, _ = el.train_network(data.X_train, data.Y_train, layers, options)
    path = tmp_path_factory.mktemp("digits") / "digits.safetensors"
    el.save_network(network, path)
    return network, path, data.X_test


def test_digits(digits, tmp_path):
    """No label differs, for any number of images."""
    network, _, X = digits
    path = tmp_path / "digits.onnx"
    el.export_onnx(network, path)
    same(network, path, X)
    same(network, path, X[:1])
    model = onnx.load(path)
    assert (model.ir_version, model.opset_import[0].version) == (8, 13)
    assert {p.key: json.loads(p.value) for p in model.metadata_props} == {
        "classes": list(range(10))
    }


def test_the_command(digits, tmp_path, capsys, monkeypatch):
    network, file, X = digits
    monkeypatch.chdir(tmp_path)
    assert cli.main(["export", str(file), "digits.onnx"]) == 0
    assert capsys.readouterr().out == "Wrote digits.onnx\n"
    same(network, "digits.onnx", X)
    with pytest.raises(SystemExit):
        cli.main(["export", str(file), "digits.txt"])
    assert "must end with .onnx, not 'digits.txt'" in capsys.readouterr().err


def test_every_layer(tmp_path):
    network = network_of(every_layer(), list("abcde"))
    el.export_onnx(network, tmp_path / "all.onnx")
    same(network, tmp_path / "all.onnx", images(7))


@pytest.mark.parametrize("alpha", [-1.5, -0.0, 0.0, 0.7, 3.0])
@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("flat", [False, True])
def test_alphas(alpha, shared, flat, tmp_path):
    """Behind images and behind vectors; the checker alone would take a slope of a wrong shape."""
    channels = 4 if flat else 2
    unit = el.ELULayer(channels, alpha=alpha, shared=shared)
    before = [el.FullyConnectedLayer(4)] if flat else []
    layers = [el.ImageInputLayer(SHAPE), *before, unit, el.FullyConnectedLayer(3)]
    network = network_of([*layers, el.SoftmaxLayer(), el.ClassificationLayer()])
    if not shared:
        unit.alpha = np.linspace(alpha, alpha + 1, channels, dtype=np.float32)
    else:
        unit.alpha = np.float32(alpha)
    for layer in network.layers:
        if isinstance(layer, el.FullyConnectedLayer):
            layer.weights *= 0.1
    el.export_onnx(network, tmp_path / "unit.onnx")
    same(network, tmp_path / "unit.onnx", images(5))


@pytest.mark.parametrize("kind", [el.MaxPooling2DLayer, el.AveragePooling2DLayer])
@pytest.mark.parametrize("ceil_mode", [False, True])
@pytest.mark.parametrize(
    ("size", "stride", "padding"),
    [
        *[(2, 2, 0), (3, 2, 0), (3, 2, 1), ((2, 3), 1, 1), ((4, 2), 3, 1), (2, 5, 0), (3, 4, 2)],
        *[(2, 3, 1), ((2, 4), 4, 1), (5, 3, 2)],
    ],
)
def test_pooling(kind, ceil_mode, size, stride, padding, tmp_path):
    pooling = kind(size, stride=stride, padding=padding, ceil_mode=ceil_mode)
    layers = [el.ImageInputLayer(SHAPE), pooling, el.FullyConnectedLayer(3)]
    network = network_of([*layers, el.SoftmaxLayer(), el.ClassificationLayer()])
    network.layers[2].weights *= 0.1
    el.export_onnx(network, tmp_path / "pooling.onnx")
    same(network, tmp_path / "pooling.onnx", images(5))


def test_close_to_zero():
    """Where ONNX Runtime has nothing left, as the documentation says."""
    x = np.array([[-1e-8]], np.float32)
    node = onnx.helper.make_node("Elu", ["x"], ["z"], alpha=1.0)
    value = [onnx.helper.make_tensor_value_info(n, 1, [1, 1]) for n in "xz"]
    graph = onnx.helper.make_graph([node], "elu", value[:1], value[1:])
    model = onnx.helper.make_model(
        graph, opset_imports=[onnx.helper.make_opsetid("", 13)], ir_version=8
    )
    session = runtime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    (found,) = session.run(None, {"x": x})
    assert el.elu(x) == x
    assert found == 0


@pytest.fixture(scope="module")
def node_tests():
    """Those of the ONNX project, by their names."""
    from onnx.backend.test.loader import load_model_tests

    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of what makes all the others
        return {case.name: case for case in load_model_tests(kind="node")}


@pytest.mark.parametrize("name", ["test_elu", "test_elu_default", "test_elu_example"])
def test_onnxs_own_tests_of_elu(node_tests, name):
    case = node_tests[name]
    (node,) = case.model.graph.node
    alpha = {a.name: a.f for a in node.attribute}.get("alpha", 1.0)
    for (x,), (expected,) in case.data_sets:
        x = np.asarray(x)
        np.testing.assert_allclose(el.elu(x, alpha, axis=0), expected, rtol=1e-6)


def test_onnxs_own_tests_of_prelu(node_tests):
    """Its inputs and slopes, one for each index of the last axis, through ELU and PRelu."""
    from onnx.reference import ReferenceEvaluator

    case = node_tests["test_prelu_broadcast"]
    (node,) = case.model.graph.node
    elu = onnx.helper.make_node("Elu", [node.input[0]], ["negative"])
    node.input[0] = "negative"
    case.model.graph.node.insert(0, elu)
    evaluator = ReferenceEvaluator(case.model)
    for (x, slope), _ in case.data_sets:
        expected = evaluator.run(None, dict(zip(["x", "slope"], [x, slope], strict=True)))[0]
        np.testing.assert_allclose(el.elu(x, slope, axis=-1), expected, rtol=1e-6)


def test_what_cannot_be_exported(tmp_path, monkeypatch, capsys):
    path = tmp_path / "model.onnx"
    layers = every_layer()
    with pytest.raises(TypeError, match="network must be a Network, not list"):
        el.export_onnx(layers, path)
    with pytest.raises(RuntimeError, match="the network has no values yet"):
        el.export_onnx(el.Network(layers), path)
    own = every_layer()
    own.insert(2, Own())
    network = el.Network(own)
    network.initialize(0)
    el.save_network(network, tmp_path / "own.safetensors")
    own = f"{all_layers.__file__}:Own"
    assert cli.main(
        ["export", f"{tmp_path}/own.safetensors", f"{tmp_path}/own.onnx", "--layer", own]
    )
    assert "layers[2] (Own) must be of one of elulayer's own classes" in capsys.readouterr().err
    with pytest.raises(TypeError, match=r"layers\[2\].*must be of one of elulayer's own classes"):
        el.export_onnx(network, path)
    network = network_of(every_layer())
    with pytest.raises(OSError, match="no-folder"):
        el.export_onnx(network, tmp_path / "no-folder" / "model.onnx")
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ImportError, match=r"pip install 'elulayer\[onnx\]'"):
        el.export_onnx(network, path)
    assert [file.name for file in tmp_path.iterdir()] == ["own.safetensors"]


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_from_torch(dtype, tmp_path):
    torch = pytest.importorskip("torch", reason="the optional package torch is not installed")
    pytest.importorskip("onnxscript", reason="torch.onnx.export needs onnxscript")
    from elulayer.torch import ELU, onnx_translation_table

    units = (
        ELU(8, alpha=torch.linspace(-1, 2, 8)),
        ELU(8, shared=True, alpha=0.3),
        ELU(5, dim=-1, alpha=2.0),
    )
    model = torch.nn.Sequential(*units).eval()
    x = torch.randn(2, 8, 4, 5).to(getattr(torch, dtype))
    program = torch.onnx.export(
        model,
        (x,),
        dynamo=True,
        verbose=False,
        dynamic_shapes=({0: torch.export.Dim("n")},),
        custom_translation_table=onnx_translation_table(),
    )
    program.save(tmp_path / "torch.onnx")
    session = runtime.InferenceSession(tmp_path / "torch.onnx", providers=["CPUExecutionProvider"])
    x = torch.randn(3, 8, 4, 5).to(x.dtype)
    (found,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(found, model(x).detach().numpy(), rtol=4 * eps, atol=4 * eps)
