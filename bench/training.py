"""The blog's training run beside torch, eager and compiled, on the same data and machine.

Each run is a process of its own, so that no library's threads stay in another's way; the peers take
turns, and medians are compared. Times are those of the 1170 iterations and of what belongs to
training around them (initialisation, image and batch statistics), without imports, data, and what
torch.compile takes to compile.

    python bench/training.py [--repeats 3] [--epochs 30] [--data digits | FOLDER]

Prints a Markdown table and writes it to bench/results/training.md, the single runs to
bench/raw/training.json.
"""

from __future__ import annotations

import argparse
import functools
import json
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from machine import describe
from record import publish

PEERS = {
    "elulayer": "elulayer",
    "torch": "torch eager, the same network",
    "torch-compile": "torch.compile of the same",
    "elulayer-torch": "torch eager with elulayer.torch.ELU",
}


def load(data, seed):
    from elulayer.data import load_digits, load_idx

    if data == "digits":
        return load_digits(seed)
    return load_idx(data, n_train=5000, n_test=5000)


def train_elulayer(data, epochs, seed):

    import elulayer as el

    layers = el.models.blog_layers(data.X_train.shape[1:], 10)
    options = el.TrainingOptions("sgdm", max_epochs=epochs, seed=seed, verbose=False)
    start = time.perf_counter()
    network, info = el.train_network(data.X_train, data.Y_train, layers, options)
    seconds = time.perf_counter() - start
    accuracy = np.mean(network.classify(data.X_test) == data.Y_test)
    return seconds, accuracy, len(info.loss), el.__version__


def composed_elu():
    """Return a module that has what the peers of torch compare with."""
    import torch
    from torch import nn

    class ELU(nn.Module):
        """One learnable alpha per channel, as two of torch's operations."""

        def __init__(self, channels):
            super().__init__()
            self.alpha = nn.Parameter(torch.rand(channels))

        def forward(self, x):
            return nn.functional.prelu(nn.functional.elu(x), self.alpha)

    return ELU(20)


def elulayer_elu():
    """Return the package's module."""
    import torch

    from elulayer.torch import ELU

    return ELU(20, alpha=torch.rand(20))


def train_torch(data, epochs, seed, make_elu=composed_elu, compiled=False):
    import torch
    from torch import nn

    torch.manual_seed(seed)
    x_train = torch.from_numpy(data.X_train)
    y_train = torch.from_numpy(data.Y_train)
    height, width = x_train.shape[2:]
    start = time.perf_counter()
    mean = x_train.mean(dim=0)
    dense = nn.Linear(20 * (height - 4) * (width - 4), 10)
    model = nn.Sequential(nn.Conv2d(1, 20, 5), nn.BatchNorm2d(20), make_elu(), nn.Flatten(), dense)
    for layer in (model[0], dense):
        nn.init.normal_(layer.weight, 0, 0.01)
        nn.init.zeros_(layer.bias)
    biases = {model[0].bias, dense.bias}
    optimizer = torch.optim.SGD(
        [
            {"params": [p for p in model.parameters() if p not in biases], "weight_decay": 1e-4},
            {"params": list(biases), "weight_decay": 0.0},
        ],
        lr=0.01,
        momentum=0.9,
    )
    loss_function = nn.CrossEntropyLoss()
    step = model
    if compiled:
        step = torch.compile(model)
        start += compile_now(step, model, loss_function, x_train[:128] - mean, y_train[:128])
    order = torch.randperm(len(x_train))
    x_train, y_train = x_train[order], y_train[order]
    iterations = 0
    for _ in range(epochs):
        for first in range(0, len(x_train) - 127, 128):
            batch = slice(first, first + 128)
            optimizer.zero_grad()
            scores = step(x_train[batch] - mean)
            loss = loss_function(scores, y_train[batch])
            loss.backward()
            optimizer.step()
            loss.item()  # the table's loss and accuracy are computed at every iteration
            (scores.argmax(1) == y_train[batch]).float().mean().item()
            iterations += 1
    seconds = time.perf_counter() - start
    model.eval()
    with torch.no_grad():
        guess = model(torch.from_numpy(data.X_test) - mean).argmax(1).numpy()
    return seconds, np.mean(guess == data.Y_test), iterations, torch.__version__


def compile_now(step, model, loss_function, x, y):
    """Run one iteration, which compiles, and undo what it changed; return the seconds it took."""
    start = time.perf_counter()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    loss_function(step(x), y).backward()
    model.load_state_dict(before)
    return time.perf_counter() - start


def child(args):
    data = load(args.data, seed=0)
    train = {
        "elulayer": train_elulayer,
        "torch": train_torch,
        "torch-compile": functools.partial(train_torch, compiled=True),
        "elulayer-torch": functools.partial(train_torch, make_elu=elulayer_elu),
    }[args.peer]
    seconds, accuracy, iterations, version = train(data, args.epochs, args.seed)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    result = {
        "peer": args.peer,
        "version": version,
        "seed": args.seed,
        "seconds": seconds,
        "accuracy": float(accuracy),
        "iterations": iterations,
        "peak_resident_mib": peak / 1024,
    }
    print(json.dumps(result))


def table(runs, args, details):
    rows = [
        "| | median seconds | of torch eager's time | test accuracy (median) | peak memory |",
        "|---|---|---|---|---|",
    ]
    medians = {
        peer: statistics.median(r["seconds"] for r in runs if r["peer"] == peer) for peer in PEERS
    }
    for peer, name in PEERS.items():
        own = [r for r in runs if r["peer"] == peer]
        rows.append(
            f"| {name} {own[0]['version']} | {medians[peer]:.1f} "
            f"| {medians[peer] / medians['torch']:.2f} "
            f"| {statistics.median(r['accuracy'] for r in own):.4f} "
            f"| {statistics.median(r['peak_resident_mib'] for r in own):.0f} MiB |"
        )
    rows.append("")
    rows.append(
        f"{runs[0]['iterations']} iterations of 128 images ({Path(args.data).name}), "
        f"runs of each: {args.repeats}, in turn; {details['processor']}, "
        f"{details['logical_processors']} processors, "
        f"{details['instruction_set']}, Python {details['python']}, NumPy {details['numpy']}."
    )
    return "\n".join(rows) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--data", default="digits", help="'digits' or a folder with IDX files")
    parser.add_argument("--seed", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--peer", choices=list(PEERS), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.peer:
        child(args)
        return
    runs = []
    for seed in range(args.repeats):
        for peer in PEERS:
            command = [sys.executable, __file__, "--peer", peer, "--seed", str(seed)]
            command += ["--epochs", str(args.epochs), "--data", args.data]
            output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
            runs.append(json.loads(output.splitlines()[-1]))
            print(json.dumps(runs[-1]), file=sys.stderr)
    results = {
        "machine": describe(),
        "libraries": {run["peer"]: run["version"] for run in runs},
        "runs": runs,
    }
    figures = {
        peer: {
            key: [round(run[key], 4) for run in runs if run["peer"] == peer]
            for key in ("seconds", "accuracy", "peak_resident_mib")
        }
        for peer in PEERS
    }
    text = table(runs, args, results["machine"])
    publish("training" if args.data == "digits" else "training-idx", text, results, figures)
    print(text, end="")


if __name__ == "__main__":
    main()
