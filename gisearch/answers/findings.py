"""What confirmation and ablation found, as files in a sweep's folder that the report reads."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from gisearch.errors import ConfigError
from gisearch.files import write_whole

ANSWERS_FOLDER = "answers"
CONFIRMATION = "confirmation.json"
ABLATION = "ablation"


@dataclass(frozen=True)
class Interval:
    """A mean with its spread.

    Attributes:
        mean: over the runs.
        std: standard deviation over the runs (n - 1); 0 for one run.
        low: lower end of the 95 % interval of the mean.
        high: upper end.
        n: runs.
    """

    mean: float
    std: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class RunScore:
    """One retraining.

    Attributes:
        trial: its name in the comparison's own sweep.
        seed: the seed of weights, batches and dropout.
        split: the seed of the split; None where it is the sweep's own.
        val: the objective on the validation split at its best epoch; None where it failed.
        test: the same metric on the test split; None where it failed.
        seconds: training time.
        step_seconds: mean time of one optimisation step.
        reason: why it failed.
    """

    trial: str
    seed: int
    split: int | None
    val: float | None
    test: float | None
    seconds: float
    step_seconds: float | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Candidate:
    """One configuration that was retrained with several seeds.

    Attributes:
        name: a trial of the sweep (``t0012``), ``baseline 1``, or in an ablation the choice's value as JSON.
        baseline: whether it is a published setting.
        params: its searched values.
        search_value: what the search scored it with; None where the search never evaluated it.
        parameters: trainable parameters.
        val: validation score over the runs; None where all failed.
        test: test score over the runs.
        runs: the retrainings.
        borrowed: in an ablation, values that only this one needs, and where each was taken from.
    """

    name: str
    baseline: bool
    params: Mapping[str, Any]
    search_value: float | None
    parameters: int
    val: Interval | None
    test: Interval | None
    runs: tuple[RunScore, ...]
    borrowed: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Difference:
    """A paired difference, ``other`` minus ``reference``: same seeds, same test genotypes.

    Attributes:
        reference: a candidate's name.
        other: a candidate's name.
        test: difference of the test score.
        relative_step: step time of the other over that of the reference; None where unknown.
        relative_parameters: parameters of the other over those of the reference.
        sentence: what this says, in plain words.
        verdict: ``better``, ``worse`` (the interval excludes 0) or ``no evidence``, of ``other``.
    """

    reference: str
    other: str
    test: Interval
    relative_step: float | None
    relative_parameters: float
    sentence: str
    verdict: Literal["better", "worse", "no evidence"]


@dataclass(frozen=True)
class Findings:
    """A finished confirmation or ablation.

    Attributes:
        kind: ``confirmation`` or ``ablation``.
        choice: the path that an ablation varied; None for a confirmation.
        metric: such as ``test/pearson``.
        mode: ``max`` or ``min``.
        noise_ceiling: the best attainable test score, where the data knows it.
        seeds: seeds per candidate (and split).
        splits: fresh splits; 0 for the sweep's own.
        sweeps: the sweeps that trained the candidates, in the results folder.
        candidates: the confirmation's best validation score first, for to choose by test score would be luck
            again; an ablation's best configuration first.
        differences: against the first candidate.
        sentences: the answer in plain words.
        made: time stamp, ISO 8601 in UTC.
    """

    kind: Literal["confirmation", "ablation"]
    choice: str | None
    metric: str
    mode: Literal["max", "min"]
    noise_ceiling: float | None
    seeds: int
    splits: int
    sweeps: tuple[str, ...]
    candidates: tuple[Candidate, ...]
    differences: tuple[Difference, ...]
    sentences: tuple[str, ...]
    made: str


def findings_path(sweep: Path, choice: str | None = None) -> Path:
    """Return where the findings about a sweep lie: its confirmation, or the ablation of a choice."""
    name = CONFIRMATION if choice is None else f"{ABLATION}_{choice}.json"
    return sweep / ANSWERS_FOLDER / name


def write_findings(sweep: Path, findings: Findings) -> Path:
    """Write findings beside the sweep they are about.

    Raises:
        DiskFullError: there is no space left.
        ConfigError: the folder cannot be written.
    """
    path = findings_path(sweep, findings.choice)
    write_whole(path, json.dumps(asdict(findings), indent=1))
    return path


def read_findings(path: Path) -> Findings:
    """Read what :func:`write_findings` wrote.

    Raises:
        ConfigError: the file is missing or damaged.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        values["candidates"] = tuple(_candidate(one) for one in values["candidates"])
        values["differences"] = tuple(
            Difference(**{**one, "test": Interval(**one["test"])}) for one in values["differences"]
        )
        return Findings(
            **{**values, "sweeps": tuple(values["sweeps"]), "sentences": tuple(values["sentences"])}
        )
    except FileNotFoundError:
        raise ConfigError(f"no findings at {path}.") from None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ConfigError(f"the findings {path} are damaged: {error}.") from None


def all_findings(sweep: Path) -> tuple[Findings, ...]:
    """Return everything that was found about a sweep, the confirmation first.

    Raises:
        ConfigError: a file is damaged.
    """
    folder = sweep / ANSWERS_FOLDER
    ablations = sorted(folder.glob(f"{ABLATION}_*.json"))
    paths = [path for path in (folder / CONFIRMATION, *ablations) if path.exists()]
    return tuple(read_findings(path) for path in paths)


def _candidate(values: Mapping[str, Any]) -> Candidate:
    intervals = {part: None if values[part] is None else Interval(**values[part]) for part in ("val", "test")}
    return Candidate(**{**values, **intervals, "runs": tuple(RunScore(**run) for run in values["runs"])})
