"""A peer in a process of its own: both ends of the pipe.

The libraries' threads spin for a while when their work is done, and some of them bring their own
OpenMP. So each peer has a process, and a process is stopped (SIGSTOP) except while it answers.
Requests and answers are lines of JSON.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import resource
import signal
import subprocess
import sys
import time
from itertools import repeat
from pathlib import Path

import numpy as np

from peers import PEERS, UnsupportedError
from workloads import SCALAR_ALPHA


class PeerError(Exception):
    """The answer to a request was an error; the text says which."""


class Worker:
    """The near end: a process that runs one peer."""

    def __init__(self, key, threads):
        self.process = subprocess.Popen(
            [sys.executable, __file__, key, str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.stopped = False
        self._send("version")

    def version(self):
        """Wait until the library is imported, and return its version: before anything is asked."""
        return self._receive()

    def ask(self, request, **arguments):
        """Send a request and return its answer; the process runs only meanwhile."""
        self._send(request, **arguments)
        return self._receive()

    def close(self):
        """End the process, whatever it does."""
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()

    def _send(self, request, **arguments):
        if self.stopped:
            self.process.send_signal(signal.SIGCONT)
            self.stopped = False
        try:
            self.process.stdin.write(json.dumps({"request": request, **arguments}) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # _receive tells how the process ended

    def _receive(self):
        line = self.process.stdout.readline()
        if not line:
            raise PeerError(f"its process ended with status {self.process.wait()}")
        self.process.send_signal(signal.SIGSTOP)
        self.stopped = True
        answer = json.loads(line)
        if "error" in answer:
            raise PeerError(answer["error"])
        return answer["result"]


class Requests:
    """The far end: each method answers the request of its name."""

    def __init__(self, key, threads):
        self._key, self._threads = key, threads

    def version(self):
        """Import the library: the first request."""
        self._peer = PEERS[self._key](self._threads)
        self._without_arrays = dict(vars(self._peer))
        return self._peer.version

    def prepare(self, folder, axis):
        """Take the arrays x, alpha and, for the gradients, grad of a folder."""
        paths = [Path(folder, f"{name}.npy") for name in ("x", "grad", "alpha")]
        x, grad, alpha = (np.load(path) if path.exists() else None for path in paths)
        self._peer.prepare(x, grad, SCALAR_ALPHA if self._peer.scalar_alpha else alpha, axis)

    def results(self, folder, task):
        """Compute Z, or Z, dX and dalpha, and save them in the folder; return the names."""
        names = ("Z", "dX", "dalpha") if task == "forward_backward" else ("Z",)
        arrays = getattr(self._peer, task)()
        saved = []
        for name, array in zip(names, arrays if len(names) > 1 else [arrays], strict=True):
            if array is not None:
                np.save(Path(folder, f"{name}.npy"), self._peer.to_numpy(array))
                saved.append(name)
        return saved

    def calibrate(self, task, nanoseconds):
        """Return how many calls take about that long, at least three."""
        call, calls = getattr(self._peer, task), 1
        call()
        while True:
            elapsed = run(call, calls)
            if elapsed >= nanoseconds / 4:
                return max(3, round(calls * nanoseconds / elapsed))
            calls *= 4

    def time(self, task, calls):
        """Return nanoseconds and page faults of one call, the mean of `calls`.

        As many calls again as a fifth of them come first: the caches hold other peers' data, and
        threads have to wake up.
        """
        call = getattr(self._peer, task)
        run(call, 1 + calls // 5)
        gc.disable()
        faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        elapsed = run(call, calls)
        faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - faults
        gc.enable()
        return elapsed / calls, faults / calls

    def memory(self, task):
        """Return the bytes by which resident memory grows at its peak in one call.

        Inputs, and outputs that `prepare` made, are there before; what the first call leaves behind
        (pools, compiled code) counts, what compiling takes for a while does not. None where the
        system does not say. ru_maxrss would not do: it keeps the peak of compiling, and that of the
        process that started this one.
        """
        call = getattr(self._peer, task)
        trim()
        before = status("VmRSS")
        call()
        trim()
        try:
            Path("/proc/self/clear_refs").write_text("5")  # VmHWM starts again from VmRSS
        except OSError:
            return None
        call()
        return status("VmHWM") - before

    def release(self):
        """Drop the arrays."""
        vars(self._peer).clear()
        vars(self._peer).update(self._without_arrays)
        gc.collect()


def run(call, calls):
    start = time.perf_counter_ns()
    for _ in repeat(None, calls):
        call()
    return time.perf_counter_ns() - start


def status(name):
    """Bytes of an entry of this process's /proc/self/status."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise KeyError(name)


def trim():
    """Give free memory back to the system, where the C library can."""
    gc.collect()
    malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if malloc_trim:
        malloc_trim(0)


def answer(requests, request, **arguments):
    try:
        return {"result": getattr(requests, request)(**arguments)}
    except ModuleNotFoundError as error:
        return {"error": f"not installed ({error})"}
    except UnsupportedError as error:
        return {"error": str(error)}
    except Exception as error:
        first_line = str(error).strip().partition("\n")[0]
        return {"error": f"failed: {type(error).__name__}: {first_line}"}


def main():
    requests = Requests(sys.argv[1], int(sys.argv[2]))
    with os.fdopen(os.dup(1), "w", buffering=1) as answers:
        os.dup2(2, 1)  # what libraries print goes to standard error
        for line in sys.stdin:
            answers.write(json.dumps(answer(requests, **json.loads(line))) + "\n")


if __name__ == "__main__":
    main()
