"""What Ray knows of machines of one's own, kept safe: it lies in ``/tmp``, which a reboot empties."""

from __future__ import annotations

import os
from pathlib import Path

from gisearch.files import write_whole
from gisearch.launch.cluster_file import LOCAL, ClusterFile
from gisearch.launch.record import LAUNCHES

_FILE = "cluster.state"


def keep_state(file: ClusterFile, folder: Path) -> None:
    """Copy Ray's state of a cluster into a launch's folder."""
    state = _state(file)
    if file.provider == LOCAL and state.is_file():
        write_whole(folder / _FILE, state.read_text(encoding="utf-8"))


def restore_state(file: ClusterFile) -> None:
    """Put the newest copy where Ray's own is gone: it would take a running cluster for a new one."""
    state = _state(file)
    if file.provider != LOCAL or state.exists():
        return
    kept = [
        p
        for p in LAUNCHES.glob(f"*/{_FILE}")
        if f'"{file.values["provider"]["head_ip"]}"' in p.read_text(encoding="utf-8")
    ]
    if kept:
        write_whole(state, max(kept, key=lambda path: path.stat().st_mtime).read_text(encoding="utf-8"))


def _state(file: ClusterFile) -> Path:
    folder = os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR") or "/tmp"
    return Path(folder) / "ray" / f"cluster-{file.cluster_name}.state"
