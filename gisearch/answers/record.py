"""What a comparison was asked, written down before it starts: an interrupted one goes on from there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from gisearch.answers.findings import ANSWERS_FOLDER, Candidate, findings_path
from gisearch.errors import ConfigError
from gisearch.files import write_whole

_FOLDER = "asked"


@dataclass(frozen=True)
class ComparisonSweep:
    """One sweep that trains a comparison's candidates.

    Attributes:
        name: its name in the results folder.
        split: the seed of its split; None for that of the sweep that is asked about.
        done: whether all its runs have ended.
    """

    name: str
    split: int | None
    done: bool = False


@dataclass(frozen=True)
class Record:
    """A comparison.

    Attributes:
        choice: the path that an ablation varies; None for a confirmation.
        asked: the command's options that decide what is trained.
        candidates: what is trained; without results.
        seeds: the seeds of all of them.
        sweeps: where it is trained, one per split.
        notes: what the user should know of how the candidates were chosen.
    """

    choice: str | None
    asked: Mapping[str, Any]
    candidates: tuple[Candidate, ...]
    seeds: tuple[int, ...]
    sweeps: tuple[ComparisonSweep, ...]
    notes: tuple[str, ...] = ()

    @property
    def runs(self) -> int:
        """How many trainings it takes."""
        return len(self.candidates) * len(self.seeds) * len(self.sweeps)

    def finished(self, name: str) -> Record:
        """Return the record with one of its sweeps done."""
        sweeps = tuple(replace(one, done=one.done or one.name == name) for one in self.sweeps)
        return replace(self, sweeps=sweeps)


def record_path(sweep: Path, choice: str | None) -> Path:
    """Return where a comparison of a sweep is written down."""
    return sweep / ANSWERS_FOLDER / _FOLDER / findings_path(sweep, choice).name


def write_record(sweep: Path, record: Record) -> None:
    """Write a comparison down.

    Raises:
        DiskFullError: there is no space left.
        ConfigError: the folder cannot be written.
    """
    write_whole(record_path(sweep, record.choice), json.dumps(asdict(record), indent=1))


def read_record(sweep: Path, choice: str | None) -> Record | None:
    """Read what was written down; None where nothing was asked yet.

    Raises:
        ConfigError: the file is damaged.
    """
    path = record_path(sweep, choice)
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        return Record(
            choice=values["choice"],
            asked=values["asked"],
            candidates=tuple(Candidate(**{**one, "runs": ()}) for one in values["candidates"]),
            seeds=tuple(values["seeds"]),
            sweeps=tuple(ComparisonSweep(**one) for one in values["sweeps"]),
            notes=tuple(values["notes"]),
        )
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ConfigError(f"{path} is damaged: {error}; --again starts anew.") from None


def earlier_record(
    sweep: Path, choice: str | None, asked: Mapping[str, Any], *, again: bool
) -> Record | None:
    """Return the record to go on with; None to start anew.

    Raises:
        ConfigError: something else was asked before.
    """
    earlier = None if again else read_record(sweep, choice)
    if earlier is None or earlier.asked == asked:
        return earlier
    finished = findings_path(sweep, choice).exists()
    what = "confirmation" if choice is None else f"ablation of {choice}"
    before = " ".join(f"--{key} {value}" for key, value in earlier.asked.items() if value)
    state = "a finished" if finished else "an unfinished"
    raise ConfigError(
        f"{sweep.name} has {state} {what} with {before}; expected the "
        f"same options to {'show' if finished else 'go on with'} it, or --again to train anew and replace it."
    )
