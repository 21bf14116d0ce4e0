"""How much memory this process may use: that of the machine is often not all its own."""

from __future__ import annotations

import resource
from pathlib import Path

from gisearch.processors import control_groups, read_or_nothing

_ROOT = Path("/")
# Of version 2 and of version 1; without a limit they hold "max" and a number beyond any memory.
_LIMITS = ("memory.max", "memory.limit_in_bytes")


def allowed_memory(root: Path = _ROOT) -> int:
    """Return the bytes that control groups (containers, schedulers) and ``ulimit -v`` leave of the machine's.

    Args:
        root: the folder that holds ``proc`` and ``sys``.
    """
    import psutil

    limits = [int(psutil.virtual_memory().total)]
    for folder in control_groups("memory", root):
        found = (read_or_nothing(folder / name).strip() for name in _LIMITS)
        limits += [int(text) for text in found if text.isdigit()]
    addresses, _ = resource.getrlimit(resource.RLIMIT_AS)
    if addresses != resource.RLIM_INFINITY:
        limits.append(addresses)
    return min(limits)
