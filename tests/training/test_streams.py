"""Training where standard output or standard error is missing, or less than a file."""

import errno
import io
import sys

import pytest

import elulayer as el
from shared.small_network import blobs, options, same, small_layers, values


class Writer:
    """What has ``write`` and nothing else, as a logger's stand-in for a stream."""

    def __init__(self):
        self.text = ""

    def write(self, text):
        self.text += text


class Terminal(Writer):
    def isatty(self):
        return True


class Full(Writer):
    """Takes the header of the table, and no more."""

    def write(self, text):
        super().write(text)
        if "Epoch" in self.text:
            raise OSError(errno.ENOSPC, "No space left on device")


class Odd(Writer):
    """What asks more of its callers than is asked of it."""

    isatty = None

    def flush(self):
        raise OSError(errno.EIO, "Input/output error")


def detached():
    stream = io.TextIOWrapper(io.BytesIO())
    stream.detach()
    return stream


class Narrow(io.TextIOWrapper):
    def __init__(self):
        super().__init__(io.BytesIO(), encoding="ascii", errors="strict")


def closed():
    stream = io.StringIO()
    stream.close()
    return stream


STREAMS = {
    "None": lambda: None,
    "write alone": Writer,
    "a terminal of little": Terminal,
    "closed": closed,
    "ascii": Narrow,
    "full": Full,
    "odd": Odd,
    "detached": detached,
    "of another kind": object,
}


def train():
    network, record = el.train_network(*blobs(), small_layers(), options(verbose=True))
    return values(network.layers), record


@pytest.fixture
def expected(capsys):
    result = train()
    return result, capsys.readouterr().out


@pytest.mark.parametrize("name", ["stdout", "stderr"])
@pytest.mark.parametrize("kind", STREAMS)
def test_every_stream_will_do(name, kind, expected, monkeypatch, capsys):
    stream = STREAMS[kind]()
    with monkeypatch.context() as patch:
        patch.setattr(sys, name, stream)
        learned, record = train()
    assert same(learned, expected[0][0])
    assert record.loss.tolist() == expected[0][1].loss.tolist()
    output = capsys.readouterr()
    if name == "stderr":
        assert output.out.count("\n") == expected[1].count("\n")
    else:
        assert output == ("", "")
        if isinstance(stream, Writer):
            assert stream.text.count("\n") == expected[1].count("\n")


def test_a_bar_without_standard_output(monkeypatch, expected):
    """The terminal is standard error, and there is nowhere to print the table."""
    pytest.importorskip("tqdm", reason="the extra 'train' is absent")
    terminal = Terminal()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", None)
        patch.setattr(sys, "stderr", terminal)
        learned, _ = train()
    assert same(learned, expected[0][0])
    assert "images" in terminal.text and "Mini-batch" not in terminal.text
