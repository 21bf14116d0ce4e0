"""Memory that a training step freed is kept, and given back at the end."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only the GNU C library is told")

# Blocks as a step has them; in a thread, as trials train.
PROGRAM = """
import resource, threading
from contextlib import nullcontext
import psutil, torch
from gisearch.training.allocator import freed_memory_kept

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def train():
    before = faults()
    for _ in range(20):
        kept = [torch.ones(2**20) for _ in range(8)]
        del kept
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
    """Return the page faults of twenty steps, and the bytes that were given back at the end."""
    environment = {**os.environ, "MALLOC_ARENA_MAX": "1"}
    program = PROGRAM.replace("KEEP", str(keep))
    out = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert out.returncode == 0, out.stderr
    faults, given_back = map(int, out.stdout.split())
    return faults, given_back


def test_steps_do_not_fetch_their_memory_anew() -> None:
    # Eight blocks of 4 MB are 8,192 pages.
    assert measured(keep=False)[0] > 4 * 8192
    faults, given_back = measured(keep=True)
    assert faults < 3 * 8192, "but for the first step"
    assert given_back > 16 * 2**20
