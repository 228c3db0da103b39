"""The number of threads, which BLAS reads when NumPy loads it: before the command line is read."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence

# What the BLAS libraries that NumPy may have been built with read when they are loaded.
_THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)


def with_threads(threads: int, argv: Sequence[str]) -> int | None:
    """Run the command again with `threads` in the environment; None where they are there already.

    Returns
    -------
    int or None
        The exit status of the command that was run.
    """
    wanted = dict.fromkeys(_THREAD_VARIABLES, str(threads))
    if all(os.environ.get(name) == value for name, value in wanted.items()):
        return None
    command = [sys.executable, "-m", "elulayer", *argv]
    try:
        return subprocess.run(command, env={**os.environ, **wanted}, check=False).returncode
    except KeyboardInterrupt:  # the command itself has said so
        return 130
