"""Distributed data-parallel training with elulayer.torch: the same gradient bits everywhere."""

import subprocess
import sys

import pytest

from shared import documents

torch = pytest.importorskip("torch", reason="the optional package torch is not installed")

if not torch.distributed.is_available() or not torch.distributed.is_gloo_available():
    pytest.skip("this torch has no gloo", allow_module_level=True)

RANK = """
import datetime, sys
import torch
from torch.nn.parallel import DistributedDataParallel
from elulayer.torch import ELU

rank, size, folder = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
torch.set_num_threads(1)
torch.distributed.init_process_group(
    "gloo", f"file://{folder}/store", rank=rank, world_size=size,
    timeout=datetime.timedelta(seconds=120),
)
torch.manual_seed(0)
model = torch.nn.Sequential(
    torch.nn.Conv2d(1, 8, 5), ELU(8), torch.nn.Flatten(), torch.nn.Linear(8 * 64, 4)
)
images, labels = torch.randn(16, 1, 12, 12), torch.arange(16) % 4
parallel = DistributedDataParallel(model)
torch.nn.functional.cross_entropy(parallel(images[rank::size]), labels[rank::size]).backward()
torch.save([p.grad for p in model.parameters()], f"{folder}/{rank}")
torch.distributed.destroy_process_group()
"""


def gradients(folder, size):
    """Those of each rank."""
    folder.mkdir()
    ranks = [
        subprocess.Popen(
            [sys.executable, "-c", RANK, str(rank), str(size), str(folder)],
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(size)
    ]
    for rank in ranks:
        _, error = rank.communicate(timeout=240)
        assert rank.returncode == 0, error
    return [torch.load(folder / str(rank), weights_only=True) for rank in range(size)]


def test_every_rank_and_run_has_the_same_gradients(tmp_path):
    (whole,) = gradients(tmp_path / "whole", 1)
    for size in (1, 2, 4):
        first, *others = gradients(tmp_path / f"{size}", size)
        others += gradients(tmp_path / f"{size} again", size)
        for other in others:
            assert all(torch.equal(a, b) for a, b in zip(first, other, strict=True))
        for got, expected in zip(first, whole, strict=True):
            torch.testing.assert_close(got, expected)


def test_the_page_about_several_processes(tmp_path):
    _, (code, printed) = documents.programs(documents.DOCS / "parallel.md")
    program = tmp_path / "program.py"
    program.write_text(code)
    run = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", str(program)]
    out = subprocess.run(run, check=True, stdout=subprocess.PIPE, text=True, timeout=300).stdout
    assert out == printed
