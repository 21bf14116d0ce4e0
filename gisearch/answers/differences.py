"""Candidates against the first one: paired differences of the test score, and what each costs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from gisearch.answers.findings import Candidate, Difference, Findings
from gisearch.answers.record import Record
from gisearch.answers.scoring import Scores
from gisearch.answers.source import Source
from gisearch.answers.wording import Verdict, change_sentence, verdict_of


@dataclass(frozen=True)
class Judge:
    """Says how candidates differ from a reference.

    Attributes:
        source: the sweep.
        record: what was trained.
        scores: its scores.
        steps: the time of a step by candidate, where it was measured.
    """

    source: Source
    record: Record
    scores: Scores
    steps: Mapping[str, float]

    @property
    def metric(self) -> str:
        """What the test split is scored with, such as ``test/pearson``."""
        return f"test/{self.source.results.metric.partition('/')[2]}"

    def differences(
        self,
        reference: Candidate,
        others: Sequence[Candidate],
        subject: Callable[[Candidate], str],
        words: Callable[[Candidate, Verdict], str],
    ) -> tuple[Difference, ...]:
        """Return the others' differences from the reference, of those that share a seed with it.

        Args:
            reference: the candidate to subtract.
            others: the candidates to subtract it from.
            subject: the beginning of a sentence, such as ``Switching x off``.
            words: the end of it, what the verdict means for a candidate.
        """
        found = []
        for other in others:
            test = self.scores.test.difference(other.name, reference.name)
            if test is None:
                continue
            verdict, known = verdict_of(test, self.source.results.mode), self.steps.keys()
            measured = {other.name, reference.name} <= known
            step = self.steps[other.name] / self.steps[reference.name] if measured else None
            # A model without parameters counts as one with a single one.
            parameters = max(other.parameters, 1) / max(reference.parameters, 1)
            change = change_sentence(subject(other), self.metric, test, step, parameters)
            sentence = f"{change}: {words(other, verdict)}."
            found.append(Difference(reference.name, other.name, test, step, parameters, sentence, verdict))
        return tuple(found)

    def findings(
        self, candidates: tuple[Candidate, ...], differences: tuple[Difference, ...], sentences: Sequence[str]
    ) -> Findings:
        """Return everything as findings, made now."""
        return Findings(
            kind="confirmation" if self.record.choice is None else "ablation",
            choice=self.record.choice,
            metric=self.metric,
            mode=self.source.results.mode,
            noise_ceiling=self.scores.noise_ceiling,
            seeds=len(self.record.seeds),
            splits=sum(sweep.split is not None for sweep in self.record.sweeps),
            sweeps=tuple(sweep.name for sweep in self.record.sweeps),
            candidates=candidates,
            differences=differences,
            sentences=tuple(sentences),
            made=datetime.now(UTC).isoformat(timespec="seconds"),
        )
