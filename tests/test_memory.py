"""Memory is measured as allowed, by control groups and by ``ulimit -v``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from gisearch.memory import allowed_memory

TOTAL = psutil.virtual_memory().total


@pytest.mark.parametrize(
    ("line", "files", "expected"),
    [
        ("0::/a/b", {"a/b/memory.max": "max", "a/memory.max": "300000000"}, 300_000_000),
        ("0::/on/the/host", {"memory.max": "200000000"}, 200_000_000),
        ("0::/", {"memory.max": "max"}, TOTAL),
        ("7:memory:/x", {"memory/x/memory.limit_in_bytes": "100000000"}, 100_000_000),
        ("7:memory:/x", {"memory/x/memory.limit_in_bytes": "9223372036854771712"}, TOTAL),
        # Of processors' groups nothing is read.
        ("4:cpu:/x", {"cpu/x/memory.limit_in_bytes": "100000000"}, TOTAL),
    ],
)
def test_control_groups(line: str, files: dict[str, str], expected: int, tmp_path: Path) -> None:
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text(f"{line}\n")
    for name, text in files.items():
        path = tmp_path / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")
    assert allowed_memory(tmp_path) == expected


def test_a_limit_of_the_shell() -> None:
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_AS, (10**9, 10**9))\n"
        "from gisearch.memory import allowed_memory; print(allowed_memory())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) == min(10**9, TOTAL)
