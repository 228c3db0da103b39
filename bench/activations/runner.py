"""The comparison itself: every training in a fresh process, the variants in turn."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import elulayer as el
from elulayer.data import Dataset

from .table import Comparison, ComparisonRun
from .variants import MODELS, variant_names
from .worker import save_data

_CODE = "from activations.worker import main; main()"


def compare(
    data: Dataset,
    *,
    variants: Iterable[str] | None = None,
    seeds: Iterable[int] = (0, 1, 2),
    epochs: int = 30,
    model: str = "blog",
    mini_batch_size: int = 128,
    initial_learn_rate: float = 0.01,
    verbose: bool = True,
) -> Comparison:
    """Train variants of a network from several seeds; measure accuracy, time and memory.

    Every training runs in a fresh process, one after the other, so that its peak memory is its own.
    All variants are trained from one seed before the next seed's turn, so that whatever slows the
    machine down for a while hits all alike.

    Parameters
    ----------
    data : Dataset
        What to train and to test on.
    variants : iterable of str, optional
        Names out of `VARIANTS`; by default all that the model has. Times are compared with the
        first one's.
    seeds : iterable of int
        Of the weights and the images' order.
    epochs : int
        Passes over the training images.
    model : {"blog", "quick"}
        The network: see `elulayer.models`.
    mini_batch_size : int
        Images of an iteration.
    initial_learn_rate : float
        Of stochastic gradient descent with momentum.
    verbose : bool
        Whether to print a line to standard error after each training.

    Returns
    -------
    comparison : Comparison

    Raises
    ------
    TypeError, ValueError
        If an argument does not fit; for an unknown variant the message names those there are.
    RuntimeError
        If a training ends otherwise than by its result or by diverging.
    """
    if model not in MODELS:
        raise ValueError(f"model must be {' or '.join(map(repr, MODELS))}, not {model!r}")
    names = variant_names(model, variants)
    chosen = tuple(seeds)
    if not chosen or len(set(chosen)) < len(chosen):
        raise ValueError(f"seeds must be different integers, at least one, not {chosen}")
    options = {
        "max_epochs": epochs,
        "mini_batch_size": mini_batch_size,
        "initial_learn_rate": initial_learn_rate,
    }
    for seed in chosen:
        el.TrainingOptions("sgdm", seed=seed, **options)  # says what is wrong, before the first run
    runs: list[ComparisonRun] = []
    total = len(names) * len(chosen)
    with tempfile.TemporaryDirectory(prefix="elulayer-") as folder:
        save_data(Path(folder), data)
        for seed in chosen:
            for name in names:
                job = {"model": model, "variant": name, "seed": seed, "options": options}
                runs.append(_train(folder, job))
                if verbose:
                    print(f"{len(runs)}/{total} {_summary(runs[-1])}", file=sys.stderr, flush=True)
    return Comparison(
        model, epochs, chosen, len(data.X_train), len(data.X_test), names, tuple(runs)
    )


def _train(folder: str, job: dict[str, Any]) -> ComparisonRun:
    """Train in a process of its own that finds this package where this process found it."""
    path = os.pathsep.join(os.path.abspath(entry) for entry in sys.path)
    done = subprocess.run(
        [sys.executable, "-c", _CODE, folder, json.dumps(job)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    what = f"{job['variant']}, seed {job['seed']}"
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["nothing was printed"])[-1]
        raise RuntimeError(f"{what}: its process ended with status {done.returncode}: {last}")
    result = json.loads(done.stdout.splitlines()[-1])
    numbers = {
        name: math.nan if result[name] is None else result[name]
        for name in ("accuracy", "seconds", "memory")
    }
    return ComparisonRun(job["variant"], job["seed"], **numbers, error=result["error"])


def _summary(run: ComparisonRun) -> str:
    what = f"{run.variant}, seed {run.seed}: "
    if run.error:
        return what + f"diverged: {run.error}"
    memory = "" if math.isnan(run.memory) else f", {run.memory:.1f} MiB"
    return what + f"{run.accuracy:.2f} %, {run.seconds:.1f} s{memory}"
