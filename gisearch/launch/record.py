"""What was launched: one small file per launch, so that it can be followed, fetched and stopped later."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from gisearch.errors import ConfigError, nearest_name
from gisearch.files import write_whole

LAUNCHES = Path("launches")
_FILE = "launch.json"


@dataclass(frozen=True, kw_only=True)
class Launch:
    """A sweep that was sent away.

    Attributes:
        name: the sweep's name.
        kind: ``slurm`` or ``ray``.
        job: the scheduler's own name for it.
        results: the sweep's folder where it runs.
        cluster: the cluster's configuration, as plain values.
        command: what was run to submit it.
        overrides: the sweep's overrides.
        time: when, in ISO format.
    """

    name: str
    kind: str
    job: str
    results: str
    cluster: dict[str, Any]
    command: list[str]
    overrides: list[str]
    time: str = field(default_factory=lambda: datetime.now().astimezone().isoformat(timespec="seconds"))

    @property
    def folder(self) -> Path:
        """The launch's folder on this machine."""
        return launch_folder(self.name)

    def write(self) -> None:
        """Write it into its folder."""
        self.folder.mkdir(parents=True, exist_ok=True)
        write_whole(self.folder / _FILE, json.dumps(asdict(self), indent=1))


def launch_folder(name: str) -> Path:
    """Return the folder of a launch on this machine, made or not."""
    return LAUNCHES / name


def find_launch(name: str) -> Launch | None:
    """Return the launch of a name; None where there is none.

    Raises:
        ConfigError: its file is damaged.
    """
    path = launch_folder(name) / _FILE
    try:
        return Launch(**json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError):
        raise ConfigError(f"{path} is damaged: expected what `gisearch launch` wrote.") from None


def require_launch(name: str) -> Launch:
    """Return the launch of a name.

    Raises:
        ConfigError: there is none; the message gives the nearest name.
    """
    launch = find_launch(name)
    if launch is None:
        known = sorted(p.parent.name for p in LAUNCHES.glob(f"*/{_FILE}"))
        raise ConfigError(
            f"nothing called {name!r} was launched from this folder (it has: {', '.join(known) or 'none'})."
            f"{nearest_name(name, known)}"
        )
    return launch
