"""Programs on several processes, which the mpiexec of an MPI starts: `make test-mpi`."""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import numpy as np
import pytest

import elulayer as el

# Folder of a virtual environment with mpi4py and an MPI; the package comes from this one.
HOME = os.environ.get("ELULAYER_TEST_MPI")


def require():
    """Skip the module's tests where no MPI was named."""
    if HOME is None:
        pytest.skip("MPI's processes are started by make test-mpi", allow_module_level=True)


def environment():
    """Return what the processes are to find: this package, and what it needs, with that MPI."""
    own = [Path(el.__file__).parents[1], Path(np.__file__).parents[1], Path(__file__).parents[1]]
    return os.environ | {
        "PATH": f"{HOME}/bin:{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join([*map(str, own), sysconfig.get_paths()["purelib"]]),
        "OMP_NUM_THREADS": "1",
        # Open MPI refuses what is usual in a container: root, and more processes than processors.
        "OMPI_ALLOW_RUN_AS_ROOT": "1",
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
        "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
    }


def start(size, *arguments, cwd=None, seconds=120):
    """Run Python with the arguments in so many processes; return the finished process."""
    assert HOME is not None
    command = [f"{HOME}/bin/mpiexec", "-n", str(size), f"{HOME}/bin/python", *map(str, arguments)]
    return subprocess.run(
        command,
        env=environment(),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=seconds,
    )


def succeed(size, *arguments, **options):
    """Return what it prints; fail where it fails."""
    process = start(size, *arguments, **options)
    assert process.returncode == 0, f"{sys.argv}\n{process.stdout}\n{process.stderr}"
    return process.stdout
