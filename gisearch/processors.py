"""How many processors this process may use: those of the machine are often not all its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

_ROOT = Path("/")


def allowed_processors(root: Path = _ROOT) -> int:
    """Return the number of processors that affinity (``taskset``) and control groups (containers) leave.

    A share of a processor counts as none, but there is always one.

    Args:
        root: the folder that holds ``proc`` and ``sys``.
    """
    affinity = getattr(os, "sched_getaffinity", None)
    count = (os.cpu_count() or 1) if affinity is None else len(affinity(0))
    return max(1, min([count, *(int(quota + 1e-9) for quota in _quotas(root))]))


def _quotas(root: Path) -> Iterator[float]:
    """Yield the processors that every control group above this process allows, where one limits them."""
    for folder in control_groups("cpu", root):
        quota, _, period = read_or_nothing(folder / "cpu.max").strip().partition(" ")
        if not quota:
            quota, period = (
                read_or_nothing(folder / f"cpu.cfs_{name}_us").strip() for name in ("quota", "period")
            )
        if quota.isdigit() and period.isdigit() and int(period):
            yield int(quota) / int(period)


def control_groups(controller: str, root: Path = _ROOT) -> Iterator[Path]:
    """Yield the folders of the control groups that this process is in, and of those above.

    Args:
        controller: what they limit, as version 1 calls it: ``cpu`` or ``memory``.
        root: the folder that holds ``proc`` and ``sys``.
    """
    for line in read_or_nothing(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        # Version 2 has one hierarchy without names; version 1 has one per controller.
        if not controllers:
            base = root / "sys/fs/cgroup"
        elif controller in controllers.split(","):
            base = root / "sys/fs/cgroup" / controllers
            base = base if base.is_dir() else root / "sys/fs/cgroup" / controller
        else:
            continue
        # In a container the path may be the host's, and what is mounted is the group itself.
        group = PurePosixPath(path.lstrip("/"))
        yield from {base / part for part in (group, *group.parents)}


def read_or_nothing(path: Path) -> str:
    """Return what a file of the kernel holds; nothing where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
