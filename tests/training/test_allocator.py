"""Memory that a training step freed is kept, and given back at the end."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only the GNU C library is told")

# Blocks of 48 MB, which the library always gives back by itself; in a thread, as trials train.
PROGRAM = """
import resource, threading
from contextlib import nullcontext
import psutil, torch
from gisearch.training.allocator import freed_memory_kept

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def train():
    for step in range(30):
        if step == 20:  # by then everything has found its place
            before = faults()
        held = [torch.ones(12 * 2**20) for _ in range(2)]
        del held
    found["faults"] = faults() - before
    found["resident"] = psutil.Process().memory_info().rss

found = {}
with freed_memory_kept() if KEEP else nullcontext():
    thread = threading.Thread(target=train)
    thread.start()
    thread.join()
print(found["faults"], found["resident"] - psutil.Process().memory_info().rss)
"""


def measured(*, keep: bool) -> tuple[int, int]:
    """Return the page faults of ten steps, and the bytes that were given back at the end."""
    environment = {**os.environ, "MALLOC_ARENA_MAX": "1"}
    program = PROGRAM.replace("KEEP", str(keep))
    out = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert out.returncode == 0, out.stderr
    faults, given_back = map(int, out.stdout.split())
    return faults, given_back


def test_steps_do_not_fetch_their_memory_anew() -> None:
    given_back_at_once, _ = measured(keep=False)
    faults, given_back = measured(keep=True)
    assert faults < given_back_at_once / 10
    assert given_back > 64 * 2**20
