"""From a question about a sweep to stored findings: asked once, trained once, evaluated once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from rich.console import Console

from gisearch.answers.comparison import Comparison
from gisearch.answers.findings import Findings, findings_path, read_findings, write_findings
from gisearch.answers.record import Record, earlier_record
from gisearch.answers.scoring import Scores, score_runs
from gisearch.answers.source import Source
from gisearch.answers.timing import step_seconds
from gisearch.data.dataset import Dataset
from gisearch.search.sweep import SweepOutcome

Propose = Callable[[Dataset], Record]
Conclude = Callable[[Source, Record, Scores, Mapping[str, float]], Findings]


@dataclass(frozen=True)
class Inquiry:
    """One question about a sweep.

    Attributes:
        source: the sweep.
        choice: what an ablation varies; None for a confirmation.
        asked: the options that decide what is trained.
        question: in words, for the comparison's own record.
        propose: chooses what is trained.
        conclude: says what was found.
    """

    source: Source
    choice: str | None
    asked: Mapping[str, Any]
    question: str
    propose: Propose
    conclude: Conclude

    def prepare(self, *, again: bool) -> Comparison:
        """Return what is to be trained, checked; that of an earlier call where there was one.

        Raises:
            GisearchError: something does not fit; nothing has been started.
        """
        dataset = self.source.load_data()
        record = earlier_record(self.source.folder, self.choice, self.asked, again=again)
        comparison = self._comparison(record or self.propose(dataset))
        comparison.check()
        return comparison

    def stored(self, *, again: bool) -> Findings | None:
        """Return what was found before; None where it has not been, or is to be found again.

        Raises:
            ConfigError: something else was asked before, or a file is damaged.
        """
        record = earlier_record(self.source.folder, self.choice, self.asked, again=again)
        path = findings_path(self.source.folder, self.choice)
        if record is None or not path.exists():
            return None
        findings = read_findings(path)
        # Those that were found before --again stay until the new ones are there.
        return findings if findings.sweeps == tuple(sweep.name for sweep in record.sweeps) else None

    def answer(self, comparison: Comparison, console: Console) -> Findings | SweepOutcome:
        """Train what is missing, then evaluate on the test split, once.

        Returns:
            What was found and is stored now; or the outcome of a sweep that was not finished.

        Raises:
            GisearchError: the comparison cannot start or its results not be written.
        """
        outcome = comparison.run(console)
        if outcome is not None:
            return outcome
        console.print("Evaluating on the test split ...", highlight=False, style="dim")
        scores = score_runs(comparison)
        trained = {one.name for one in scores.candidates if one.test is not None}
        configs = {name: one for name, one in comparison.experiments().items() if name in trained}
        steps = step_seconds(configs, self.source.load_data())
        findings = self.conclude(self.source, comparison.record, scores, steps)
        write_findings(self.source.folder, findings)
        return findings

    def _comparison(self, record: Record) -> Comparison:
        values: dict[str, list[Any]] = {}
        if self.choice is not None:
            values = {self.choice: [one.params[self.choice] for one in record.candidates]}
        return Comparison(self.source, record, self.question, values)
