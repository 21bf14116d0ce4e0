"""What a sweep tells the tracker: plain records, without MLflow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Scalar = str | int | float | bool | None
TrialStatus = Literal["finished", "stopped_early", "failed", "interrupted"]
SweepStatus = Literal["finished", "failed", "interrupted"]

# MLflow knows FINISHED, FAILED and KILLED; the tag `gisearch.status` keeps the finer word.
RUN_STATUS: Mapping[str, str] = {
    "finished": "FINISHED",
    "stopped_early": "FINISHED",
    "failed": "FAILED",
    "interrupted": "KILLED",
}


@dataclass(frozen=True)
class TrialStart:
    """A trial that begins, or goes on after an interruption.

    Attributes:
        number: the trial's number in its sweep, from 0.
        name: what people call it, for example ``trial 007``.
        params: the flattened configuration, dotted path to value; inactive parameters left out.
        config_yaml: the whole configuration, as ``gisearch.train --config`` reads it.
        description: Markdown, shown above its run.
    """

    number: int
    name: str
    params: Mapping[str, Scalar]
    config_yaml: str
    description: str = ""


@dataclass(frozen=True)
class TrialEnd:
    """How a trial ended.

    Attributes:
        number: the trial's number.
        status: ``stopped_early`` is a scheduler's decision, ``interrupted`` a person's or a machine's.
        reason: why it failed or was stopped, in a sentence.
        summary: single numbers for the table of runs, for example ``objective``, ``val/pearson`` (of the
            best epoch), ``seconds``, ``epochs``, ``parameters``, ``peak_memory_mb``.
        tags: further tags of the run.
    """

    number: int
    status: TrialStatus
    reason: str | None = None
    summary: Mapping[str, float] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class DatasetRecord:
    """The data behind a sweep.

    Attributes:
        name: for example ``demo`` or ``yeast``.
        digest: hash of its contents; MLflow keeps the first 36 characters.
        source: where it came from, without machine-specific paths.
        profile: counts worth showing, for example ``{"genotypes": 11846, "genes": 6604}``; ``train`` and
            ``val`` count the genotypes of these parts of the split.
        columns: what a genotype has, name to one of MLflow's types, for example ``string`` or ``double``.
    """

    name: str
    digest: str
    source: str
    profile: Mapping[str, Scalar] = field(default_factory=dict)
    columns: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class TrackingReport:
    """What became of a sweep's writes.

    Attributes:
        delivered: operations that the store holds.
        spooled: operations kept in ``spool`` because the store could not take them.
        rejected: operations that the store refused for good, one reason each.
        spool: the spool file, where it holds anything.
        message: one sentence for the user; empty when everything is in the store.
        model: the address of the registered model, for ``mlflow.pyfunc.load_model``.
    """

    delivered: int = 0
    spooled: int = 0
    rejected: tuple[str, ...] = ()
    spool: Path | None = None
    message: str = ""
    model: str | None = None
