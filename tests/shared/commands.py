"""Commands that must succeed, and those that a build consists of."""

import json
import re
import shlex
import subprocess


def run(*command, **options):
    """Return what the command prints on either stream; fail with it where the command fails."""
    process = subprocess.run(
        [str(part) for part in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        **options,
    )
    assert process.returncode == 0, f"{shlex.join(map(str, command))}\n{process.stdout}"
    return process.stdout


def kernel_commands(folder):
    """Return what compiles kernels.cpp in a build folder, by the suffix of its instruction set."""
    commands = {}
    for entry in json.loads((folder / "compile_commands.json").read_text()):
        found = re.search(r"ELULAYER_KERNELS=kernels_(\w+)", entry["command"])
        if found:
            commands[found[1]] = (shlex.split(entry["command"]), entry["directory"])
    return commands
