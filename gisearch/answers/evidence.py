"""Intervals of test scores: runs and test genotypes are both samples, and both are resampled.

A score varies with the seed of a run and with the genotypes that it happens to be tested on. Every resample
draws runs and genotypes with replacement, the same ones for all candidates, and scores anew (the pigeonhole
bootstrap of crossed factors: Owen 2007, Annals of Applied Statistics 1, 386; on the safe side, because what
runs and genotypes have in common is counted more than once). Of a few runs the percentile interval is too
narrow; it is widened as Hesterberg (2015, The American Statistician 69, 371) does, to Student's quantile
and n - 1. Where he takes more extreme percentiles, of which few runs have none, the deviations that come
from the choice of runs are stretched by the same factor.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gisearch.answers.findings import Interval
from gisearch.answers.weighted_metrics import weighted_metric
from gisearch.seeding import child_generator

RESAMPLES = 2000
LEVEL = 0.95
_CHUNK_VALUES = 2_000_000

# What a score can be.
_LIMITS = {
    "pearson": (-1.0, 1.0),
    "spearman": (-1.0, 1.0),
    "rmse": (0.0, math.inf),
    "r2": (-math.inf, 1.0),
    "auroc": (0.0, 1.0),
    "average_precision": (0.0, 1.0),
    "loss": (0.0, math.inf),
}

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ScoredPart:
    """What candidates predicted for one part of one split.

    Attributes:
        measured: the labels, float64 [G].
        predicted: predictions in label units by candidate and seed, float64 [G] each; a run that failed is
            not there.
    """

    measured: Array
    predicted: Mapping[str, Mapping[int, Array]]


class Evidence:
    """The resampled scores of all candidates, on one or several splits.

    Attributes:
        seeds: per split, the seeds in the order of the resamples' columns.
    """

    def __init__(
        self,
        parts: Sequence[ScoredPart],
        metric: str,
        kind: str,
        *,
        scale: float = 1.0,
        seed: int = 0,
        resamples: int = RESAMPLES,
    ) -> None:
        """Score every run on every resample of its test genotypes.

        Args:
            parts: one per split.
            metric: a name of ``METRICS``, such as ``pearson``.
            kind: ``regression`` or ``binary``.
            scale: the label's standard deviation in training, which ``loss`` is in units of.
            seed: decides every resample.
            resamples: how many.
        """
        self.metric, self.kind, self.scale = metric, kind, scale
        self.seeds = [sorted({s for runs in p.predicted.values() for s in runs}) for p in parts]
        self._scores = [self._plain(part, seeds) for part, seeds in zip(parts, self.seeds, strict=True)]
        self._resampled: list[dict[str, Array]] = []
        self._runs: list[npt.NDArray[np.int64]] = []
        for i, (part, seeds) in enumerate(zip(parts, self.seeds, strict=True)):
            genotypes = child_generator(seed, "evidence", i, "genotypes")
            runs = child_generator(seed, "evidence", i, "runs")
            self._resampled.append(self._resample(part, seeds, genotypes, resamples))
            self._runs.append(_counts(runs, resamples, len(seeds)))
        splits = child_generator(seed, "evidence", "splits")
        self._splits = _counts(splits, resamples, len(parts))

    def scores(self, candidate: str, split: int = 0) -> dict[int, float]:
        """Return a candidate's score by seed on one split."""
        values = self._scores[split].get(candidate)
        if values is None:
            return {}
        return {s: float(v) for s, v in zip(self.seeds[split], values, strict=True) if not math.isnan(v)}

    def interval(self, candidate: str) -> Interval | None:
        """Return a candidate's mean score with its interval; None where no run has a score."""
        low, high = _LIMITS[self.metric]
        return self._interval(
            [scores.get(candidate) for scores in self._scores],
            [scores.get(candidate) for scores in self._resampled],
            (low, high),
        )

    def difference(self, other: str, reference: str) -> Interval | None:
        """Return ``other`` minus ``reference`` over the seeds that both have; None for no such seed."""
        low, high = _LIMITS[self.metric]
        return self._interval(
            [_minus(scores.get(other), scores.get(reference)) for scores in self._scores],
            [_minus(scores.get(other), scores.get(reference)) for scores in self._resampled],
            (low - high, high - low),
        )

    def _plain(self, part: ScoredPart, seeds: Sequence[int]) -> dict[str, Array]:
        once = np.ones((1, len(part.measured)))
        return {name: values[0] for name, values in self._weighted(part, seeds, once).items()}

    def _resample(
        self, part: ScoredPart, seeds: Sequence[int], generator: np.random.Generator, resamples: int
    ) -> dict[str, Array]:
        size = len(part.measured)
        chunks = [
            self._weighted(part, seeds, _counts(generator, rows, size).astype(np.float64))
            for rows in _chunks(resamples, size)
        ]
        return {name: np.concatenate([chunk[name] for chunk in chunks]) for name in part.predicted}

    def _weighted(self, part: ScoredPart, seeds: Sequence[int], weights: Array) -> dict[str, Array]:
        """Return scores [resamples, runs] by candidate; NaN where there is no such run."""
        found = {}
        for name, runs in part.predicted.items():
            values = np.full((len(weights), len(seeds)), np.nan)
            there = [i for i, s in enumerate(seeds) if s in runs]
            if there:
                table = np.stack([runs[seeds[i]] for i in there])
                values[:, there] = weighted_metric(
                    self.metric, self.kind, table, part.measured, weights, self.scale
                )
            found[name] = values
        return found

    def _interval(
        self,
        plain: Sequence[Array | None],
        resampled: Sequence[Array | None],
        limits: tuple[float, float],
    ) -> Interval | None:
        centres, spreads, everything, kept = [], [], [], []
        for i, (values, table) in enumerate(zip(plain, resampled, strict=True)):
            if values is None or table is None or np.isnan(values).all():
                continue
            there = ~np.isnan(values)
            centres.append(float(values[there].mean()))
            everything.append(values[there])
            spreads.append(_spread_of_runs(table[:, there], self._runs[i][:, there]))
            kept.append(i)
        if not centres:
            return None
        runs = np.concatenate(everything)
        drawn = _spread_of_runs(np.stack(spreads, axis=1), self._splits[:, kept])
        tail = 100 * (1 - LEVEL) / 2
        # Stretched, resamples of bounded scores can lie beyond what is possible.
        low, high = np.clip(np.nanpercentile(drawn, [tail, 100 - tail]), *limits)
        std = float(runs.std(ddof=1)) if len(runs) > 1 else 0.0
        return Interval(float(np.mean(centres)), std, float(low), float(high), len(runs))


def expansion(n: int) -> float:
    """Return by how much a percentile interval over n runs is too narrow: sqrt(n / (n - 1)) t / z.

    Source: Hesterberg 2015, section 5.2. 1 for a single run, which says nothing about the others.
    """
    if n < 2:
        return 1.0
    # Imported late: SciPy takes a second.
    from scipy.stats import norm, t

    tail = (1 + LEVEL) / 2
    return math.sqrt(n / (n - 1)) * float(t.ppf(tail, n - 1)) / float(norm.ppf(tail))


def _spread_of_runs(values: Array, counts: npt.NDArray[np.int64]) -> Array:
    """Return resampled means of columns, their deviations from the plain mean stretched.

    Args:
        values: scores by resample and run, [B, n].
        counts: how often each run was drawn, [B, n]; a resample that drew none of them counts as plain.
    """
    mean = values.mean(axis=1)
    total = counts.sum(axis=1)
    drawn = np.where(total > 0, (values * counts).sum(axis=1) / np.maximum(total, 1), mean)
    stretched: Array = mean + expansion(values.shape[1]) * (drawn - mean)
    return stretched


def _minus(a: Array | None, b: Array | None) -> Array | None:
    return None if a is None or b is None else a - b


def _counts(generator: np.random.Generator, rows: int, size: int) -> npt.NDArray[np.int64]:
    """Return how often each of ``size`` things is drawn in each of ``rows`` resamples, [rows, size]."""
    drawn = generator.integers(0, size, size=(rows, size)) + np.arange(rows)[:, None] * size
    return np.bincount(drawn.ravel(), minlength=rows * size).reshape(rows, size)


def _chunks(resamples: int, size: int) -> Iterator[int]:
    step = max(1, min(resamples, _CHUNK_VALUES // max(size, 1)))
    for start in range(0, resamples, step):
        yield min(step, resamples - start)
