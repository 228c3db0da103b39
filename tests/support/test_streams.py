"""Text on streams of every kind."""

import io

import pytest

from elulayer._support.streams import is_terminal, write


def text_stream(encoding, errors="strict"):
    return io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors=errors, newline="")


@pytest.mark.parametrize(
    ("encoding", "errors", "expected"),
    [
        ("utf-8", "strict", "é \udcff".encode("utf-8", "backslashreplace")),
        ("utf-8", "surrogateescape", "é ".encode() + b"\xff"),
        ("ascii", "strict", b"\\xe9 \\udcff"),
        ("ascii", "replace", b"? ?"),
        ("cp1252", "strict", b"\xe9 \\udcff"),
    ],
)
def test_characters_that_a_stream_does_not_have(encoding, errors, expected):
    stream = text_stream(encoding, errors)
    write("é \udcff", stream)
    assert stream.buffer.getvalue() == expected


def test_a_stream_that_does_not_tell_its_encoding():
    class Ascii:
        text = ""

        def write(self, text):
            self.text += text.encode("ascii").decode()

    stream = Ascii()
    write("é", stream)
    assert stream.text == "\\xe9"


def test_no_stream():
    write("a", None)
    stream = io.StringIO()
    stream.close()
    write("a", stream)
    assert not is_terminal(None) and not is_terminal(stream) and not is_terminal(object())


def test_an_error_names_the_stream():
    class Full(io.StringIO):
        name = "<full>"

        def write(self, text):
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left on device: '<full>'"):
        write("a", Full())


def test_an_error_without_a_number_is_left_as_it_is():
    class Odd(io.StringIO):
        def flush(self):
            raise OSError("odd")

    with pytest.raises(OSError, match=r"^odd$"):
        write("a", Odd())
