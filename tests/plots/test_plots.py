"""Pictures: what they show, and how the training-progress figure keeps up with a run."""

import dataclasses
import sys
import types
import warnings

import numpy as np
import pytest

import elulayer as el
from elulayer import plots
from elulayer.plots import progress as progress_module
from elulayer.plots._figure import save_figure
from elulayer.plots.training import smoothed

matplotlib = pytest.importorskip("matplotlib", reason="pictures need matplotlib")

matplotlib.use("agg")  # no windows on a machine that has them

SHAPE = (1, 6, 6)
ARROW = "\N{RIGHTWARDS ARROW}"


def data(n=48):
    rng = np.random.default_rng(0)
    Y = np.arange(n) % 3
    X = 0.2 * rng.random((n, *SHAPE), dtype=np.float32)
    X[np.arange(n), 0, 2 * Y] += 0.7
    return X, Y


def layers():
    return [
        el.ImageInputLayer(SHAPE),
        el.Convolution2DLayer(3, 4),
        el.ELULayer(4, name="elu1"),
        el.FullyConnectedLayer(3),
        el.SoftmaxLayer(),
        el.ClassificationLayer(),
    ]


def train(*functions, network=None, **changes):
    defaults = {"max_epochs": 5, "mini_batch_size": 16, "seed": 0, "verbose": False}
    options = el.TrainingOptions("sgdm", output_fcn=functions, **(defaults | changes))
    return el.train_network(*data(), network or layers(), options)


def texts(figure):
    (axes,) = figure.axes
    return [text.get_text() for text in axes.texts]


def lines(axes):
    return {line.get_label(): line for line in axes.lines}


# Curves, images, matrices


def test_the_curves():
    figure = plots.plot_activations(alpha=0.5, scale=0.2)
    assert type(figure).__mro__[1] is matplotlib.figure.Figure
    (axes,) = figure.axes
    drawn = lines(axes)
    x = drawn["ReLU"].get_xdata()
    assert (x[0], x[-1]) == (-10, 3)
    np.testing.assert_array_equal(drawn["ReLU"].get_ydata(), np.maximum(x, 0))
    np.testing.assert_array_equal(drawn["ELU, alpha = 0.5"].get_ydata(), el.elu(x, 0.5))
    leaky = drawn["Leaky ReLU, scale = 0.2"].get_ydata()
    np.testing.assert_array_equal(leaky, np.where(x > 0, x, 0.2 * x))
    with pytest.raises(TypeError, match="alpha must be a number, not 'x'"):
        plots.plot_activations(alpha="x")
    with pytest.raises(ValueError, match=r"scale must be .* finite, not nan"):
        plots.plot_activations(scale=float("nan"))


def test_the_figures_are_unknown_to_pyplot():
    from matplotlib import pyplot

    before = pyplot.get_fignums()
    plots.plot_activations()
    plots.plot_images(*data())
    train(plots.TrainingProgressFigure())
    assert pyplot.get_fignums() == before


def test_images_and_their_labels():
    X = np.zeros((30, 1, 4, 5), np.float32)
    X[:, 0, 0, 0] = np.arange(30) / 60
    labels = np.array([f"class {i}" for i in range(30)])
    figure = plots.plot_images(X, labels, count=12, seed=3)
    (axes,) = figure.axes
    values = [image.get_array()[0, 0] for image in axes.images]
    assert texts(figure) == [f"class {round(60 * value)}" for value in values]
    assert len(set(values)) == 12
    assert texts(plots.plot_images(X, labels, count=12, seed=3)) == texts(figure)
    assert texts(plots.plot_images(X, labels, count=12, seed=4)) != texts(figure)
    assert len(texts(plots.plot_images(X[:3], labels[:3]))) == 3
    for text, image in zip(axes.texts, axes.images, strict=True):
        left, right, _, top = image.get_extent()
        assert left < text.get_position()[0] < right
        assert text.get_position()[1] < top


def test_colour_images_and_ranges():
    X = np.random.default_rng(0).integers(0, 256, (2, 3, 4, 4), dtype=np.uint8)
    Y = [0, 1]
    for given, scale in ((X, 255), (X / 255, 1), (X.astype(np.float32), X.max())):
        (axes,) = plots.plot_images(given, Y).axes
        shown = {
            text.get_text(): image for text, image in zip(axes.texts, axes.images, strict=True)
        }
        for label in Y:
            expected = np.moveaxis(given[label], 0, -1) / scale
            np.testing.assert_allclose(shown[str(label)].get_array(), expected, rtol=1e-6)
    centred = np.linspace(-2, 2, 16).reshape(1, 1, 4, 4)
    (axes,) = plots.plot_images(centred, [0]).axes
    assert (axes.images[0].get_array().min(), axes.images[0].get_array().max()) == (0, 1)


def test_the_images_that_were_classified_wrongly():
    X, Y = data(40)
    predicted = Y.copy()
    wrong = np.array([3, 17, 21, 38])
    predicted[wrong] = (Y[wrong] + 1) % 3
    figure = plots.plot_misclassified(X, Y, predicted, count=3)
    assert texts(figure) == [f"{Y[i]} {ARROW} {predicted[i]}" for i in wrong[:3]]
    (axes,) = figure.axes
    for i, image in zip(wrong, axes.images, strict=False):
        np.testing.assert_allclose(image.get_array(), X[i, 0] / max(1, X[wrong[:3]].max()))
    heading = axes.get_title()
    assert heading == f"4 of 40 images classified wrongly; the first 3, true {ARROW} predicted"
    none = plots.plot_misclassified(X, Y, Y)
    assert none.axes[0].get_title() == "0 of 40 images classified wrongly"
    assert texts(none) == []


def test_the_confusion_matrix():
    Y = np.array(["cat"] * 4 + ["dog"] * 3 + ["owl"])
    predicted = np.array(["cat", "cat", "cat", "dog", "dog", "dog", "cat", "cat"])
    figure = plots.plot_confusion(Y, predicted)
    (axes,) = figure.axes
    cells = {text.get_position(): text.get_text() for text in axes.texts}
    counts = {place: text for place, text in cells.items() if "%" not in text}
    assert counts == {(0, 0): "3", (1, 0): "1", (1, 1): "2", (0, 1): "1", (0, 2): "1"}
    end = max(x for x, _ in cells)
    assert [cells.get((end, i)) for i in range(3)] == ["75.0 %", "66.7 %", "0.0 %"]
    assert [cells.get((i, end)) for i in range(3)] == ["60.0 %", "66.7 %", None]
    assert cells[end, end] == "62.5 %"
    assert [label.get_text() for label in axes.get_yticklabels()][:3] == ["cat", "dog", "owl"]
    assert axes.get_title(loc="left") == "8 images, accuracy 0.6250"
    np.testing.assert_allclose(axes.images[0].get_array()[0], [0.75, 0.25, 0])
    # Classes in an order of one's own.
    (axes,) = plots.plot_confusion(Y, predicted, classes=["owl", "dog", "cat", "emu"]).axes
    cells = {text.get_position(): text.get_text() for text in axes.texts}
    assert cells[2, 2] == "3" and cells[1, 2] == "1" and cells[2, 0] == "1"


def test_a_share_just_below_all_is_not_shown_as_all():
    Y = np.zeros(5000, int)
    predicted = Y.copy()
    predicted[0] = 1
    assert {"99.9 %", "100 %"} < set(texts(plots.plot_confusion(Y, predicted)))


# A training run


def test_the_course_of_a_run():
    X, Y = data()
    _, record = train(validation_data=(X, Y), validation_frequency=4)
    figure = plots.plot_training(record)
    accuracy, loss = figure.axes
    assert accuracy.get_ylabel() == "accuracy (%)" and loss.get_xlabel() == "iteration"
    assert "nats" in loss.get_ylabel() and loss.get_yscale() == "log"
    trials = [1, 4, 8, 12, 15]
    for axes, values, validation in (
        (accuracy, record.accuracy, record.validation_accuracy),
        (loss, record.loss, record.validation_loss),
    ):
        drawn = lines(axes)
        np.testing.assert_array_equal(
            drawn["mini-batch"].get_xydata().T, [record.iteration, values]
        )
        np.testing.assert_array_equal(drawn["mini-batch, smoothed"].get_ydata(), smoothed(values))
        assert drawn["validation"].get_xdata().tolist() == trials
        shown = drawn["validation"].get_ydata()
        np.testing.assert_array_equal(shown, validation[np.array(trials) - 1])
    assert "Epoch 5, iteration 15" in accuracy.get_title(loc="left")
    _, record = train()
    assert "validation" not in lines(plots.plot_training(record).axes[0])


def test_the_smoothed_curve():
    values = np.arange(50.0) ** 2
    means = smoothed(values, 3)
    assert means[0] == 0
    # The end weighs as the rest: no single mini-batch is the curve's last point.
    assert means[-1] == pytest.approx(values[-4:].mean())
    assert means[-2] == pytest.approx(values[-5:].mean())
    assert means[1] == pytest.approx(values[:3].mean())
    assert means[20] == pytest.approx(values[17:24].mean())
    straight = 2 - np.arange(50.0)
    np.testing.assert_allclose(smoothed(straight)[:-10], straight[:-10])
    assert smoothed(np.array([])).shape == (0,)


def test_a_loss_of_zero_is_drawn():
    _, record = train()
    record.loss[:] = 0
    plots.plot_training(record).canvas.draw()
    record.loss[::2] = 0.5
    plots.plot_training(record).canvas.draw()


def test_why_a_run_stopped_is_told():
    _, record = train(lambda progress: progress.iteration == 2)
    title = plots.plot_training(record).axes[0].get_title(loc="left")
    assert title.endswith(", stopped by an output function")
    stopped = dataclasses.replace(record, stopped_by="interrupt")
    assert (
        plots.plot_training(stopped).axes[0].get_title(loc="left").endswith(", stopped by Ctrl-C")
    )


def test_the_alphas_of_a_run():
    seen = []

    def watch(progress):
        if progress.state != "done":
            seen.append(progress.network.layers[2].alpha.copy())

    history = plots.AlphaHistory()
    network, record = train(watch, history)
    assert history.iterations.tolist() == [0, *record.iteration]
    assert list(history.values) == [2]
    assert history.values[2].dtype == np.float32
    np.testing.assert_array_equal(history.values[2], seen)
    np.testing.assert_array_equal(history.values[2][-1], network.layers[2].alpha)
    assert (history.values[2][0] != history.values[2][-1]).all()
    (axes,) = plots.plot_alphas(history).axes
    assert axes.get_title(loc="left") == "layers[2] (ELULayer 'elu1'): 4 channels"
    for channel in range(4):
        drawn = axes.lines[channel].get_xydata().T
        np.testing.assert_array_equal(drawn, [history.iterations, history.values[2][:, channel]])
    train(history, max_epochs=1)
    assert history.iterations.tolist() == [0, 1, 2, 3]


class Leaky(el.Layer):
    learnables = ("alpha",)

    def __init__(self, alpha=0.25):
        self.alpha = alpha

    def predict(self, X):
        return np.where(X > 0, X, self.alpha * X)

    def backward(self, X, Z, dLdZ, memory):
        return np.where(X > 0, dLdZ, self.alpha * dLdZ), np.sum(np.where(X > 0, 0, X) * dLdZ)


def test_the_alpha_of_a_layer_of_ones_own():
    network = layers()
    network.insert(3, Leaky())
    history = plots.AlphaHistory()
    trained, _ = train(history, network=network)
    assert {index: values.shape for index, values in history.values.items()} == {
        2: (16, 4),
        3: (16, 1),
    }
    assert history.values[3][0] == 0.25 and history.values[3][-1] == trained.layers[3].alpha
    upper, lower = plots.plot_alphas(history).axes
    assert lower.get_title(loc="left") == "layers[3] (Leaky): 1 channel"
    assert (upper.get_xlabel(), lower.get_xlabel()) == ("", "iteration")


# The training-progress figure


@pytest.fixture
def drawings(monkeypatch):
    """Iterations that were drawn, drawing by drawing; the drawing itself is left out."""
    drawn = []

    def watched(figure, record, total=None):
        drawn.append(len(record.iteration))

    monkeypatch.setattr(progress_module, "draw_training", watched)
    return drawn


class Clock:
    """A clock in the place of the module `time`."""

    def __init__(self, tick):
        self.now, self.tick = 0.0, tick

    def perf_counter(self):
        self.now += self.tick
        return self.now


def test_the_progress_figure_shows_the_whole_run_in_the_end(tmp_path):
    path = tmp_path / "run.png"
    path.write_bytes(b"old")
    figure = plots.TrainingProgressFigure(path)
    _, record = train(figure, validation_data=data(), validation_frequency=5)
    for axes, values in zip(figure.figure.axes, (record.accuracy, record.loss), strict=True):
        drawn = lines(axes)["mini-batch"].get_xydata().T
        np.testing.assert_array_equal(drawn, [record.iteration, values])
    trials = lines(figure.figure.axes[0])["validation"].get_xydata().T
    shown = ~np.isnan(record.validation_accuracy)
    np.testing.assert_array_equal(trials, [[1, 5, 10, 15], record.validation_accuracy[shown]])
    assert path.read_bytes()[:4] == b"\x89PNG"
    assert [file.name for file in tmp_path.iterdir()] == ["run.png"]


def test_drawing_waits(monkeypatch, tmp_path, drawings):
    """An iteration and a drawing take a tick each here."""
    figure = plots.TrainingProgressFigure(tmp_path / "a.png")
    monkeypatch.setattr(progress_module, "time", Clock(0.01))
    train(figure, max_epochs=20)
    assert drawings == [0, 60]
    drawings.clear()
    # Three seconds after the drawing at the start, then 20 times what a drawing takes: 4 seconds.
    monkeypatch.setattr(progress_module, "time", Clock(0.2))
    train(figure, max_epochs=20)
    assert drawings[0] == 0 and drawings[-1] == 60
    assert [round(step / 5) for step in np.diff(drawings[:-1])] == [3, 4, 4]
    drawings.clear()
    monkeypatch.setattr(progress_module, "time", Clock(4.0))
    monkeypatch.setattr(progress_module, "_PATIENCE", 0)
    train(figure, max_epochs=2)
    assert drawings == [0, 1, 2, 3, 4, 5, 6, 6]


def test_without_a_place_the_figure_is_drawn_at_the_end_alone(drawings):
    figure = plots.TrainingProgressFigure()
    train(figure)
    assert drawings == [15]
    train(figure, max_epochs=1)
    assert drawings == [15, 3]


def test_an_unwritable_path_is_told_before_the_first_iteration(tmp_path):
    seen = []
    figure = plots.TrainingProgressFigure(tmp_path / "none" / "a.png")
    with pytest.raises(FileNotFoundError, match="none"):
        train(figure, lambda progress: seen.append(progress.state))
    assert seen == []
    with pytest.raises(ValueError, match="'xyz' is not supported"):
        train(plots.TrainingProgressFigure(tmp_path / "a.xyz"))


def test_a_disk_that_fills_up_costs_the_picture_alone(tmp_path, monkeypatch):
    figure = plots.TrainingProgressFigure(tmp_path / "a.png", show=False)
    monkeypatch.setattr(progress_module, "_WRITE_EVERY", 0.0)
    monkeypatch.setattr(progress_module, "_PATIENCE", 0.0)

    def full(_):
        raise OSError(28, "No space left on device")

    def fills_up(at):
        if at.iteration == 2:
            monkeypatch.setattr("os.fsync", full)

    with pytest.warns(RuntimeWarning, match=r"picture .* cannot .* left on device: '.*a\.png'"):
        network, record = train(figure, fills_up)
    assert network is not None and record.stopped_by == "max_epochs"
    assert [file.name for file in tmp_path.iterdir()] == ["a.png"]


def test_a_write_that_fails_leaves_the_old_picture(tmp_path, monkeypatch):
    path = tmp_path / "a.svg"
    figure = plots.plot_activations()
    save_figure(figure, path)
    old = path.read_bytes()
    assert old.startswith(b"<?xml")

    def fail(*_):
        raise OSError("no space")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(OSError, match="no space"):
        save_figure(plots.plot_activations(alpha=2), path)
    assert path.read_bytes() == old
    assert [file.name for file in tmp_path.iterdir()] == ["a.svg"]


def test_in_a_notebook(monkeypatch):
    """The first drawing is displayed, those that follow take its place."""
    shown = []

    class Handle:
        def update(self, figure):
            shown.append(("update", figure._repr_png_()[:4]))

    def display(figure, display_id):
        assert display_id is True
        shown.append(("display", figure._repr_png_()[:4]))
        return Handle()

    ipython = types.ModuleType("IPython")
    ipython.get_ipython = lambda: types.SimpleNamespace(kernel=True)
    module = types.ModuleType("IPython.display")
    module.display = display
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", module)
    train(plots="training-progress")
    assert [what for what, _ in shown] == ["display", "update"]
    assert {start for _, start in shown} == {b"\x89PNG"}
    shown.clear()
    train(plots.TrainingProgressFigure(show=False))
    assert shown == []


def test_in_a_window(monkeypatch):
    """pyplot's window stands in; closing it does not stop the run."""
    from matplotlib import figure as figure_module
    from matplotlib import pyplot

    calls = []

    def window(**arguments):
        figure = figure_module.Figure(**arguments)
        canvas = figure.canvas
        canvas.required_interactive_framework = "tk"
        canvas.manager = types.SimpleNamespace(num=77, show=lambda: calls.append("show"))
        canvas.flush_events = lambda: calls.append("flush")
        return figure

    monkeypatch.setattr(pyplot, "figure", window)
    monkeypatch.setattr(pyplot, "fignum_exists", lambda number: number == 77)
    _, record = train(plots="training-progress")
    assert calls == ["show", "flush", "flush"]
    monkeypatch.setattr(pyplot, "fignum_exists", lambda number: False)
    figure = plots.TrainingProgressFigure()
    train(figure)
    assert calls == ["show", "flush", "flush", "show"]
    assert len(lines(figure.figure.axes[0])["mini-batch"].get_xdata()) == len(record.loss)


def test_without_a_display(monkeypatch):
    """Neither a backend without windows nor one that cannot be loaded is an error."""
    from matplotlib import pyplot

    def fail(**_):
        raise ImportError("Cannot load backend 'TkAgg' as 'headless' is currently running")

    with pytest.warns(RuntimeWarning, match="shows nothing here.*writes the figure") as caught:
        train(plots="training-progress")
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        monkeypatch.setattr(pyplot, "figure", fail)
        figure = plots.TrainingProgressFigure()
        _, record = train(figure)
    assert len(lines(figure.figure.axes[0])["mini-batch"].get_xdata()) == len(record.loss)


# What does not fit


def test_without_matplotlib(monkeypatch):
    monkeypatch.delitem(sys.modules, "elulayer.plots._notebook", raising=False)
    for name in ("matplotlib", "matplotlib.figure"):
        monkeypatch.setitem(sys.modules, name, None)
    plots.AlphaHistory()
    for make in (plots.plot_activations, plots.TrainingProgressFigure):
        with pytest.raises(ImportError, match=r"pip install 'elulayer\[plot\]'"):
            make()


def test_arguments_are_checked():
    X, Y = data()
    for call, error, message in (
        (lambda: plots.plot_images(X[0], Y), ValueError, r"not \(1, 6, 6\)"),
        (lambda: plots.plot_images(np.zeros((2, 2, 4, 4)), [0, 1]), ValueError, "3, H, W"),
        (lambda: plots.plot_images(X[:0], Y[:0]), ValueError, "X must hold at least one image"),
        (lambda: plots.plot_images(X.astype(str), Y), TypeError, "real numbers, not dtype <U"),
        (lambda: plots.plot_images(X, Y[1:]), ValueError, "Y must hold 48 labels, .* not 47"),
        (lambda: plots.plot_images(X, Y, count=0), ValueError, "count must be at least 1"),
        (
            lambda: plots.plot_misclassified(X, Y, Y[1:]),
            ValueError,
            "Y_predicted must hold 48 labels, .* not 47",
        ),
        (lambda: plots.plot_confusion(Y, np.eye(3)[Y]), ValueError, r"\(N,\), .*not \(48, 3\)"),
        (lambda: plots.plot_confusion([], []), ValueError, "Y must hold at least one label"),
        (
            lambda: plots.plot_confusion([0, 1], [0, 2], classes=[0, 1]),
            ValueError,
            r"Y_predicted must hold labels of the classes \[0 1\], not the label .*2",
        ),
        (lambda: plots.plot_training((1, 2)), TypeError, "must be the TrainingRecord .* not tuple"),
        (lambda: plots.plot_alphas([]), TypeError, "must be an AlphaHistory, not list"),
        (lambda: plots.plot_alphas(plots.AlphaHistory()), ValueError, "history must hold alphas"),
    ):
        with pytest.raises(error, match=message):
            call()
