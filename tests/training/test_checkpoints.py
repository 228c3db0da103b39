"""A run that is killed and resumed ends with the bits of one that was not."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import elulayer as el
from elulayer.training import sources
from elulayer.training.ranks import Ranks
from shared.small_network import blobs, options, same, small_layers, values

# Trains with a checkpoint at every iteration and dies in the middle: by the signal that cannot be
# caught, sent from inside at a chosen moment.
KILLED = """
import os, signal, sys
sys.path.insert(0, {tests!r})
import numpy as np
import elulayer as el
from elulayer.network import tensors
from shared.small_network import blobs, options, small_layers

folder, solver, when = sys.argv[1], sys.argv[2], sys.argv[3]
replace = os.replace

def die(*ignored):
    os.kill(os.getpid(), signal.SIGKILL)

def at_iteration(progress):
    if when == f"iteration {{progress.iteration}}":
        die()

def die_while_writing(source, target):
    if when == f"writing {{os.path.basename(target)}}":
        die()
    return replace(source, target)

os.replace = die_while_writing
X, Y = blobs()
run = el.TrainingOptions(
    solver, max_epochs=4, mini_batch_size=16, seed=0, verbose=False, shuffle="every-epoch",
    checkpoint_path=folder, checkpoint_frequency=2, checkpoint_frequency_unit="iteration",
    validation_data=(X[:9], Y[:9]), validation_frequency=3, output_network="best-validation-loss",
    output_fcn=at_iteration,
)
el.train_network(X, Y, small_layers(), run, resume=folder)
"""


def long_run(folder, solver="sgdm", **changes):
    X, Y = blobs()
    return el.TrainingOptions(
        solver, max_epochs=4, mini_batch_size=16, seed=0, verbose=False, shuffle="every-epoch",
        checkpoint_path=folder, checkpoint_frequency=2, checkpoint_frequency_unit="iteration",
        validation_data=(X[:9], Y[:9]), validation_frequency=3,
        output_network="best-validation-loss", **changes,
    )  # fmt: skip


def everything(network, record):
    arrays = values(network.layers)
    arrays += [np.copy(getattr(layer, name)) for layer in network.layers for name in layer.state]
    columns = ("epoch", "loss", "accuracy", "validation_loss", "validation_accuracy")
    return arrays + [np.nan_to_num(getattr(record, name), nan=-1) for name in columns]


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is POSIX's")
@pytest.mark.parametrize(
    ("solver", "moments"),
    [
        ("sgdm", ["iteration 1", "iteration 7"]),
        ("adam", ["iteration 2", "iteration 5", "iteration 12", "iteration 20"]),
        ("rmsprop", ["writing checkpoint-00000006.safetensors", "iteration 19"]),
    ],
)
def test_killed_runs_end_with_the_same_bits(tmp_path, solver, moments):
    """At an epoch's end, inside one, before the first checkpoint, and while one is written."""
    code = KILLED.format(tests=str(Path(__file__).parents[1]))
    for when in moments:
        command = [sys.executable, "-W", "error", "-c", code, str(tmp_path), solver, when]
        before = set(tmp_path.glob(".*.part"))
        killed = subprocess.run(command, capture_output=True, text=True)
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        parts = set(tmp_path.glob(".*.part")) - before
        assert len(parts) == when.startswith("writing")
    X, Y = blobs()
    resumed = el.train_network(X, Y, small_layers(), long_run(tmp_path, solver), resume=tmp_path)
    (tmp_path / "whole").mkdir()
    whole = el.train_network(X, Y, small_layers(), long_run(tmp_path / "whole", solver))
    assert len(whole[1].loss) == 20
    assert same(everything(*resumed), everything(*whole))


def test_abandoned_parts_are_removed_and_those_of_other_writers_stay(tmp_path):
    X, Y = blobs()
    el.train_network(X, Y, small_layers(), options(checkpoint_path=tmp_path, max_epochs=1))
    alive, dead, other = (
        tmp_path / f".{name}.0a1b2c3d.part"
        for name in ("checkpoint-00000010.safetensors", "checkpoint-00000015.safetensors", "a.png")
    )
    for part in (alive, dead, other):
        part.write_bytes(b"a part")
    for part in (dead, other):
        os.utime(part, (0, 0))
    el.train_network(X, Y, small_layers(), options(max_epochs=2), resume=tmp_path)
    assert alive.exists() and other.exists() and not dead.exists()


def test_from_every_checkpoint(tmp_path):
    X, Y = blobs()
    whole = everything(*el.train_network(X, Y, small_layers(), long_run(tmp_path)))
    files = sorted(tmp_path.iterdir())
    assert [file.name for file in files] == [
        f"checkpoint-{i:08d}.safetensors" for i in range(2, 21, 2)
    ]
    for file in files:
        again = el.train_network(X, Y, small_layers(), long_run(tmp_path), resume=file)
        assert same(everything(*again), whole), file.name


def test_epochs_are_the_default_unit(tmp_path):
    el.train_network(*blobs(), small_layers(), options(checkpoint_path=tmp_path))
    assert [file.name for file in sorted(tmp_path.iterdir())] == [
        f"checkpoint-{i:08d}.safetensors" for i in (5, 10, 15, 20)
    ]


def test_a_finished_run_can_get_more_epochs(tmp_path):
    X, Y = blobs()
    el.train_network(X, Y, small_layers(), options(checkpoint_path=tmp_path, max_epochs=2))
    more = el.train_network(X, Y, small_layers(), options(max_epochs=3), resume=tmp_path)
    whole = el.train_network(X, Y, small_layers(), options(max_epochs=3))
    assert same(everything(*more), everything(*whole))


def test_more_epochs_with_validation(tmp_path):
    """The trial at the end of the first part is not one of the whole run's."""
    X, Y = blobs()
    trials = {
        "validation_data": (X[:9], Y[:9]),
        "validation_frequency": 4,
        "output_network": "best-validation-loss",
    }
    run = options(checkpoint_path=tmp_path, max_epochs=2, **trials)
    _, first = el.train_network(X, Y, small_layers(), run)
    assert not np.isnan(first.validation_loss[-1])
    more = el.train_network(X, Y, small_layers(), options(max_epochs=3, **trials), resume=tmp_path)
    whole = el.train_network(X, Y, small_layers(), options(max_epochs=3, **trials))
    assert same(everything(*more), everything(*whole))
    again = el.train_network(X, Y, small_layers(), options(max_epochs=2, **trials), resume=tmp_path)
    assert again[1].validation_loss[-1] == first.validation_loss[-1]


def test_patience_that_has_ended_stays_ended(tmp_path):
    X, Y = blobs()
    wrong = (X[:30], np.random.default_rng(0).permutation(Y[:30]))
    run = {
        "max_epochs": 50, "validation_data": wrong, "validation_frequency": 1,
        "validation_patience": 4,
    }  # fmt: skip
    saving = {
        "checkpoint_path": tmp_path,
        "checkpoint_frequency": 1,
        "checkpoint_frequency_unit": "iteration",
    }
    stopped = el.train_network(X, Y, small_layers(), options(**run, **saving))
    again = el.train_network(X, Y, small_layers(), options(**run), resume=tmp_path)
    assert again[1].stopped_by == "validation_patience"
    assert same(everything(*stopped), everything(*again))


class Dropout(el.Layer):
    """Draws at training time, from a generator of its own."""

    def __init__(self):
        self.rng = np.random.default_rng(0)

    def arguments(self):
        return {}

    def predict(self, X):
        return X

    def forward(self, X):
        kept = (self.rng.random(X.shape) < 0.8).astype(X.dtype)
        return X * kept, kept

    def backward(self, X, Z, dLdZ, memory):
        return dLdZ * memory


def test_layers_that_draw(tmp_path):
    X, Y = blobs()
    saving = {
        "checkpoint_path": tmp_path,
        "checkpoint_frequency": 3,
        "checkpoint_frequency_unit": "iteration",
    }
    whole = el.train_network(X, Y, small_layers(Dropout()), options(**saving))
    for file in sorted(tmp_path.iterdir()):
        again = el.train_network(X, Y, small_layers(Dropout()), options(), resume=file)
        assert same(everything(*again), everything(*whole)), file.name


def test_scalar_learnables(tmp_path):
    X, Y = blobs()
    layers = small_layers(shared=True)
    whole = el.train_network(X, Y, layers, options(checkpoint_path=tmp_path))
    assert whole[0].layers[3].alpha.dtype == np.float32
    file = tmp_path / "checkpoint-00000010.safetensors"
    again = el.train_network(X, Y, layers, options(), resume=file)
    assert same(everything(*again), everything(*whole))


def test_a_new_run_does_not_write_among_the_checkpoints_of_another(tmp_path):
    X, Y = blobs()
    run = options(checkpoint_path=tmp_path, max_epochs=1, seed=None)
    el.train_network(X, Y, small_layers(), run)
    with pytest.raises(ValueError, match="holds checkpoints of an earlier run: resume from it, or"):
        el.train_network(X, Y, small_layers(), run)


def test_what_cannot_be_saved_is_told_before_the_run(tmp_path):
    X, Y = blobs()
    calls = []
    run = options(checkpoint_path=tmp_path, output_fcn=calls.append)
    with pytest.raises(
        TypeError, match=r"classes must be numbers, .* to be saved, not of dtype object"
    ):
        el.train_network(X, Y.astype(object), small_layers(), run)
    assert calls == []


@pytest.mark.parametrize("kind", ["S1", "M8[D]", "longdouble", "c16"])
def test_labels_that_no_file_holds_train_where_nothing_is_saved(tmp_path, kind):
    X, codes = blobs()
    Y = codes.astype(kind)
    network, _ = el.train_network(X, Y, small_layers(), options(max_epochs=1))
    assert network.classes.dtype == Y.dtype
    calls = []
    run = options(checkpoint_path=tmp_path, output_fcn=calls.append)
    with pytest.raises(TypeError, match=r"classes must be numbers, .* to be saved, not of dtype"):
        el.train_network(X, Y, small_layers(), run)
    assert calls == [] and os.listdir(tmp_path) == []


class Odd(Dropout):
    """Holds a state that no file can hold."""

    state = ("phase",)
    phase = np.zeros(2, np.longdouble)


class Mersenne(Dropout):
    """Draws from a generator whose state holds an array."""

    def __init__(self):
        self.rng = np.random.Generator(np.random.MT19937(0))


def test_a_state_that_no_file_holds_is_told_before_the_run(tmp_path):
    calls = []
    with pytest.raises(
        TypeError, match=r"checkpoint_path must be None for a run whose .*Unknown dtype"
    ):
        el.train_network(
            *blobs(),
            small_layers(Odd()),
            options(checkpoint_path=tmp_path, output_fcn=calls.append),
        )
    assert calls == []


def test_generators_of_other_kinds(tmp_path):
    X, Y = blobs()
    whole = el.train_network(X, Y, small_layers(Mersenne()), options(checkpoint_path=tmp_path))
    file = tmp_path / "checkpoint-00000010.safetensors"
    again = el.train_network(X, Y, small_layers(Mersenne()), options(), resume=file)
    assert same(everything(*again), everything(*whole))


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is a folder that nobody can write to")
def test_a_folder_that_cannot_be_written_to_is_told_before_the_run():
    calls = []
    run = options(checkpoint_path="/proc", output_fcn=calls.append)
    with pytest.raises(OSError, match="checkpoint_path must be a folder to write to") as caught:
        el.train_network(*blobs(), small_layers(), run)
    assert caught.value.filename == "/proc" and ".part" not in str(caught.value)
    assert calls == []


def test_a_folder_that_cannot_be_listed_is_not_an_empty_one(tmp_path, monkeypatch):
    X, Y = blobs()
    el.train_network(X, Y, small_layers(), options(checkpoint_path=tmp_path))

    def refuse(folder):
        raise PermissionError(errno.EACCES, "Permission denied", str(folder))

    monkeypatch.setattr(os, "listdir", refuse)
    for more in ({"resume": tmp_path}, {}):
        with pytest.raises(PermissionError):
            el.train_network(X, Y, small_layers(), options(checkpoint_path=tmp_path), **more)


@pytest.mark.parametrize(("path", "error"), [("", ValueError), (5, TypeError)])
def test_what_is_no_path_to_resume_from(path, error):
    with pytest.raises(error, match=f"resume must be .*, not {path!r}"):
        el.train_network(*blobs(), small_layers(), options(), resume=path)


def test_a_folder_that_has_gone_is_told_before_the_run(tmp_path):
    folder = tmp_path / "a"
    folder.mkdir()
    run = options(checkpoint_path=folder)
    folder.rmdir()
    with pytest.raises(FileNotFoundError, match="checkpoint_path must be a folder to write to"):
        el.train_network(*blobs(), small_layers(), run)


def test_a_disk_that_is_full_costs_the_checkpoint_alone(tmp_path, monkeypatch):
    X, Y = blobs()

    def full(_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.warns(RuntimeWarning, match=r"No space left .*00005\.safetensors") as told:
            network, record = el.train_network(
                X, Y, small_layers(), options(checkpoint_path=tmp_path)
            )
    assert len(told) == 1 and told[0].filename == __file__
    assert ".part" not in str(told[0].message) and os.listdir(tmp_path) == []
    whole = el.train_network(X, Y, small_layers(), options())
    assert same(everything(network, record), everything(*whole))


@pytest.mark.parametrize("error", [MemoryError, KeyError, AttributeError])
def test_an_error_in_a_layers_own_code_is_not_called_damage(tmp_path, monkeypatch, error):
    X, Y = blobs()
    el.train_network(X, Y, small_layers(), options(checkpoint_path=tmp_path, max_epochs=1))

    def fail(*_):
        raise error("of the layer")

    monkeypatch.setattr("elulayer.training.run.set_values", fail)
    with pytest.raises(error, match=r"^'?of the layer'?$"):
        el.train_network(X, Y, small_layers(), options(), resume=tmp_path)


def test_a_layer_that_has_got_another_state_is_not_called_damage(tmp_path):
    """A generator, here, that it had not when the checkpoint was written."""
    X, Y = blobs()
    el.train_network(X, Y, small_layers(Dropout()), options(checkpoint_path=tmp_path, max_epochs=1))
    layer = Dropout()
    layer.noise = np.random.default_rng(1)
    with pytest.raises(ValueError, match=r"must hold .*, not lack layer_rngs\.3\.noise$") as caught:
        el.train_network(X, Y, small_layers(layer), options(), resume=tmp_path)
    assert "damaged" not in str(caught.value)


def test_every_image_counts(tmp_path):
    X, Y = blobs()
    el.train_network(X, Y, small_layers(), options(checkpoint_path=tmp_path, max_epochs=1))
    for index in (0, 8, 45, 81, 89):
        other = X.copy()
        other[index, 0, 4, 4] += 0.125
        with pytest.raises(ValueError, match=r"^data must be as in the run of .*, not other"):
            el.train_network(other, Y, small_layers(), options(), resume=tmp_path)
    again = X[:, :, ::-1].copy()[:, :, ::-1]  # the same values in another order of memory
    el.train_network(again, Y, small_layers(), options(max_epochs=1), resume=tmp_path)


def test_of_a_large_set_images_count_evenly(monkeypatch):
    X, Y = blobs(1000)
    size = X[0].nbytes
    monkeypatch.setattr(sources, "_MOST_HASHED", 250 * size)
    monkeypatch.setattr(sources, "_HASHED_TOGETHER", 7 * size)

    def fingerprint(X, Y):
        return sources.ArraySource((1, 8, 8), X, Y, None, Ranks()).fingerprint()

    first, counted = fingerprint(X, Y), []
    for index in range(1000):
        other = X.copy()
        other[index] += 1
        if fingerprint(other, Y) != first:
            counted.append(index)
    assert counted == list(range(0, 1000, 4))
    swapped = Y.copy()
    swapped[[501, 502]] = swapped[[502, 501]]
    assert fingerprint(X, swapped) != first


def test_an_iterable_goes_on_in_its_own_order(tmp_path):
    X, Y = blobs()
    batches = [(X[i : i + 16], Y[i : i + 16]) for i in range(0, 80, 16)]
    run = {
        "checkpoint_path": tmp_path,
        "checkpoint_frequency": 7,
        "checkpoint_frequency_unit": "iteration",
    }
    whole = el.train_network(batches, None, small_layers(), options(**run))
    file = tmp_path / "checkpoint-00000007.safetensors"
    again = el.train_network(batches, None, small_layers(), options(), resume=file)
    assert same(everything(*again), everything(*whole))


def test_time_goes_on(tmp_path):
    X, Y = blobs()
    _, first = el.train_network(X, Y, small_layers(), options(checkpoint_path=tmp_path))
    run = options(max_epochs=5)
    _, second = el.train_network(X, Y, small_layers(), run, resume=tmp_path)
    assert np.array_equal(second.time[:20], first.time)
    assert np.all(np.diff(second.time) > 0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"initial_learn_rate": 0.02},
            r"^initial_learn_rate must be as in the run of .*, 0\.01, not 0\.02",
        ),
        ({"mini_batch_size": 8}, "^mini_batch_size must be as in the run of .*, 16, not 8"),
        ({"seed": 1}, "^seed must be as in the run of .*, 0, not 1"),
        ({"gradient_threshold": 2}, r"^gradient_threshold must be as in .*, 'infinity', not 2\.0"),
    ],
)
def test_other_options_are_refused(tmp_path, changes, message):
    X, Y = blobs()
    el.train_network(X, Y, small_layers(), options(checkpoint_path=tmp_path, max_epochs=1))
    with pytest.raises(ValueError, match=message):
        el.train_network(X, Y, small_layers(), options(**changes), resume=tmp_path)


def test_other_data_and_layers_are_refused(tmp_path):
    X, Y = blobs()
    el.train_network(X, Y, small_layers(), options(checkpoint_path=tmp_path, max_epochs=1))
    with pytest.raises(ValueError, match=r"^data must be as in the run of .*, not other"):
        el.train_network(X[:60], Y[:60], small_layers(), options(), resume=tmp_path)
    with pytest.raises(ValueError, match=r"^data must be as in the run of .*, not other"):
        el.train_network(1 - X, Y, small_layers(), options(), resume=tmp_path)
    with pytest.raises(ValueError, match=r"^classes must be as in the run of .*, not other"):
        el.train_network(X, Y + 1, small_layers(), options(), resume=tmp_path)
    with pytest.raises(ValueError, match=r"^layers must be as in the run of .*, not other"):
        el.train_network(X, Y, small_layers(learnable=False), options(), resume=tmp_path)


def test_other_validation_data_and_fewer_epochs_are_refused(tmp_path):
    X, Y = blobs()
    run = {"validation_data": (X[:9], Y[:9])}
    el.train_network(X, Y, small_layers(), options(checkpoint_path=tmp_path, max_epochs=3, **run))
    with pytest.raises(
        ValueError, match=r"^validation data must be as in the run of .*, not other"
    ):
        el.train_network(X, Y, small_layers(), options(), resume=tmp_path)
    with pytest.raises(ValueError, match=r"max_epochs must be at least 3, the epoch of .*, not 1"):
        el.train_network(X, Y, small_layers(), options(max_epochs=1, **run), resume=tmp_path)


def test_wrong_files_are_refused(tmp_path):
    X, Y = blobs()
    network, _ = el.train_network(
        X, Y, small_layers(), options(checkpoint_path=tmp_path, max_epochs=1)
    )
    (file,) = tmp_path.iterdir()
    el.save_network(network, tmp_path / "network.safetensors")
    with pytest.raises(ValueError, match=r"'elulayer checkpoint 3', not 'elulayer network 1'$"):
        el.train_network(X, Y, small_layers(), options(), resume=tmp_path / "network.safetensors")
    with pytest.raises(ValueError, match=r"'elulayer checkpoint 3'; train_network\(resume=\) goes"):
        el.load_network(file)
    data = bytearray(file.read_bytes())
    data[-100] ^= 1
    file.write_bytes(data)
    with pytest.raises(ValueError, match=r"00005\.safetensors is damaged[^;]*$"):
        el.train_network(X, Y, small_layers(), options(), resume=file)
    earlier = tmp_path / "checkpoint-00000004.safetensors"
    earlier.write_bytes(b"")
    with pytest.raises(ValueError, match=r"is damaged.*; an earlier checkpoint is .*0004\.safe"):
        el.train_network(X, Y, small_layers(), options(), resume=tmp_path)
    with pytest.raises(FileNotFoundError, match="nothing"):
        el.train_network(X, Y, small_layers(), options(), resume=tmp_path / "nothing")
