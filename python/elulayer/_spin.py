"""How long OpenMP's idle threads spin before they sleep.

By default they spin for milliseconds after each parallel loop, on the cores that the next BLAS call
wants: a training iteration on two cores took half as long again. Some tens of microseconds keep the
threads awake from one kernel to the next and cost BLAS nothing that could be measured.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

# Read by GNU libgomp when it is loaded (in turns of its loop), and by LLVM libomp when it is first
# used (in milliseconds).
_BRIEF = {"GOMP_SPINCOUNT": "10000", "KMP_BLOCKTIME": "1"}


@contextmanager
def brief_spin() -> Iterator[None]:
    """Let an OpenMP runtime that is loaded meanwhile spin briefly.

    Nothing happens where the environment has a word on it: ``OMP_WAIT_POLICY`` or the runtime's own
    variable. The environment is left as it was.
    """
    if any(name in os.environ for name in ("OMP_WAIT_POLICY", *_BRIEF)):
        yield
        return
    os.environ.update(_BRIEF)
    try:
        yield
    finally:
        for name in _BRIEF:
            os.environ.pop(name, None)
