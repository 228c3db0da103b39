"""The command ``elulayer`` in this process, and a training that takes a second."""

from elulayer import cli

QUICK = ["train", "--epochs", "1", "--train-images", "256", "--test-images", "100"]


def main(capsys, *arguments):
    """Run in this process; return the output's lines."""
    assert cli.main(arguments) == 0
    return capsys.readouterr().out.splitlines()


def error(capsys, *arguments):
    """Run in this process; return the one line of its error."""
    assert cli.main(arguments) == 1
    output = capsys.readouterr()
    (line,) = output.err.splitlines()
    assert line.startswith("elulayer: error: ")
    return line.removeprefix("elulayer: error: ")
