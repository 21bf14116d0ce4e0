"""Processors are counted as allowed, by affinity and by control group."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gisearch import processors
from gisearch.processors import allowed_processors

HERE = len(os.sched_getaffinity(0))


@pytest.fixture
def eight(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that may run on eight processors."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))


def group(root: Path, line: str, **files: str) -> Path:
    """Make the files that the kernel shows of a process's control group."""
    (root / "proc/self").mkdir(parents=True, exist_ok=True)
    (root / "proc/self/cgroup").write_text(line + "\n")
    for name, text in files.items():
        path = root / "sys/fs/cgroup" / name.replace("__", "/").replace("_DOT_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    return root


def test_affinity_counts(tmp_path: Path) -> None:
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(before)[:1])
    try:
        assert allowed_processors() == 1
    finally:
        os.sched_setaffinity(0, before)
    assert allowed_processors(tmp_path) == HERE


@pytest.mark.usefixtures("eight")
@pytest.mark.parametrize(
    ("line", "files", "expected"),
    [
        ("0::/", {"cpu_DOT_max": "max 100000"}, 8),
        ("0::/", {"cpu_DOT_max": "300000 100000"}, 3),
        ("0::/", {"cpu_DOT_max": "250000 100000"}, 2),
        ("0::/", {"cpu_DOT_max": "50000 100000"}, 1),
        ("0::/", {"cpu_DOT_max": "1600000 100000"}, 8),
        # The tightest of those above counts, and the host's path means nothing in a container.
        ("0::/a/b", {"a__cpu_DOT_max": "200000 100000", "a__b__cpu_DOT_max": "max 100000"}, 2),
        ("0::/on/the/host", {"cpu_DOT_max": "400000 100000"}, 4),
        ("0::/", {"cpu_DOT_max": "nonsense"}, 8),
        (
            "4:cpu,cpuacct:/x",
            {
                "cpu__x__cpu_DOT_cfs_quota_us": "150000",
                "cpu__x__cpu_DOT_cfs_period_us": "50000",
            },
            3,
        ),
        ("4:cpu:/", {"cpu__cpu_DOT_cfs_quota_us": "-1", "cpu__cpu_DOT_cfs_period_us": "100000"}, 8),
        ("3:memory:/", {}, 8),
    ],
)
def test_control_groups_count(line: str, files: dict[str, str], expected: int, tmp_path: Path) -> None:
    assert allowed_processors(group(tmp_path, line, **files)) == expected


def test_nobody_else_counts_them() -> None:
    package = Path(processors.__file__).parent
    counting = [p.name for p in package.rglob("*.py") if "cpu_count" in p.read_text(encoding="utf-8")]
    assert counting == ["processors.py"]
