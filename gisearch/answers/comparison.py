"""Candidates trained with the same seeds: run as sweeps in which every trial is named, then scored.

A comparison is a sweep like any other: its trials run side by side, survive faults, are resumed, recorded
and limited as those of a search.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console

from gisearch.answers.record import ComparisonSweep, Record, write_record
from gisearch.answers.source import Source
from gisearch.data.load import load_dataset
from gisearch.search.folders import SPACE_FILE, SWEEP_FILE, read_facts
from gisearch.search.plan import SweepPlan, plan_sweep
from gisearch.search.results import TrialRow, load_results
from gisearch.search.space import canonical
from gisearch.search.space_file import SEED
from gisearch.search.sweep import SweepOutcome, run_sweep
from gisearch.seeding import child_seed
from gisearch.training.config import ExperimentConfig


@dataclass(frozen=True)
class Comparison:
    """A comparison that can be run.

    Attributes:
        source: the sweep that it is about.
        record: what is trained.
        question: what it is to answer.
        values: values of keys that the sweep's space does not have.
    """

    source: Source
    record: Record
    question: str
    values: Mapping[str, Sequence[Any]] = field(default_factory=dict)

    def plan(self, sweep: ComparisonSweep, folder: Path | None = None) -> SweepPlan:
        """Return the checked plan of one of its sweeps; of one that has begun, its own.

        Args:
            sweep: which.
            folder: where a search-space file is written, of a sweep that has not begun; it is copied from
                there when it begins. None leaves none behind.

        Raises:
            ConfigError: something does not fit together; nothing has been started.
        """
        own = self.folder_of(sweep)
        if (own / SWEEP_FILE).exists():
            stored: list[str] = read_facts(own)["overrides"]
            known = {o.partition("=")[0]: o for o in (*stored, *self.source.given)}
            return plan_sweep(own / SPACE_FILE, list(known.values()))
        if folder is None:
            with TemporaryDirectory() as scratch:
                return self.plan(sweep, Path(scratch))
        assignments = [dict(candidate.params) for candidate in self.record.candidates]
        return self.source.compare(
            sweep.name,
            self.question,
            assignments,
            self.record.seeds,
            folder,
            split=sweep.split,
            values=self.values,
        )

    def check(self) -> None:
        """Plan every sweep and load every split.

        Raises:
            GisearchError: something does not fit together; nothing has been started.
        """
        for sweep in self.record.sweeps:
            plan = self.plan(sweep)
            if sweep.split is not None:
                load_dataset(plan.config.data)

    def run(self, console: Console) -> SweepOutcome | None:
        """Train what has not been trained yet.

        Returns:
            None where everything has been trained, else the outcome of the sweep that was not finished.

        Raises:
            GisearchError: a sweep cannot start.
        """
        record = self.record
        write_record(self.source.folder, record)
        for sweep in record.sweeps:
            if sweep.done:
                continue
            own = self.folder_of(sweep)
            with TemporaryDirectory() as scratch:
                plan = self.plan(sweep, Path(scratch))
                folder = own if (own / SWEEP_FILE).exists() else None
                outcome = run_sweep(plan, folder, console=console)
            for message in outcome.messages:
                console.print(message, style="yellow", highlight=False)
            if outcome.interrupted or self.missing(sweep):
                return outcome
            record = record.finished(sweep.name)
            write_record(self.source.folder, record)
        return None

    def experiments(self) -> dict[str, ExperimentConfig]:
        """Return the experiments of the candidates by name, with the first seed and on the first split."""
        plan, seed = self.plan(self.record.sweeps[0]), self.record.seeds[0]
        return {one.name: plan.configure({**one.params, SEED: seed}) for one in self.record.candidates}

    def folder_of(self, sweep: ComparisonSweep) -> Path:
        """Return the folder of one of its sweeps."""
        return self.source.results_dir / sweep.name

    def missing(self, sweep: ComparisonSweep) -> int:
        """Return how many runs of a sweep have not ended."""
        ended = [row for row in self.rows(sweep).values() if row.status != "running"]
        return len(self.record.candidates) * len(self.record.seeds) - len(ended)

    def rows(self, sweep: ComparisonSweep) -> dict[tuple[str, int], TrialRow]:
        """Return the trials of a sweep by the candidate's name and the seed."""
        names = {canonical(one.params): one.name for one in self.record.candidates}
        found = {}
        for row in load_results(self.folder_of(sweep)).rows:
            params = {path: value for path, value in row.params.items() if path != SEED}
            found[names[canonical(params)], int(row.params[SEED])] = row
        return found


def fresh_seeds(source: Source, stream: str, count: int) -> tuple[int, ...]:
    """Return different seeds that the sweep did not use; the same ones whenever it is asked.

    Args:
        source: the sweep.
        stream: what they are for; different streams do not share seeds.
        count: how many.
    """
    plan = source.plan
    trials = {child_seed(plan.config.seed, "trial", row.number) % 2**31 for row in source.results.rows}
    used, seeds, i = {plan.config.seed, plan.config.data.seed, *trials}, list[int](), 0
    while len(seeds) < count:
        seed = child_seed(plan.config.seed, "answers", stream, i) % 2**31
        if seed not in used:
            seeds.append(seed)
            used.add(seed)
        i += 1
    return tuple(seeds)
