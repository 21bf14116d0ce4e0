"""Screening: a trained model scores very many candidates and keeps the highest and the lowest.

Candidates are made slice by slice and forgotten, so that memory does not depend on their number.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from gisearch.data.candidates import Candidates
from gisearch.errors import NonFiniteError
from gisearch.models.base import Scorer
from gisearch.models.batch import GenotypeBatch
from gisearch.processors import allowed_processors
from gisearch.training.experiment import TrainedModel
from gisearch.training.loop import predict, resolve_device
from gisearch.training.target import TargetScale

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]

# Candidates of one slice, the least that a worker takes.
SLICE = 2**14
# Scored at a time: on a processor what is computed on the way should fit its cache.
_AT_A_TIME = {"cpu": 2**10, "cuda": 2**14}
# Kept beyond what is asked for, because the model's own scores decide in the end: against rounding, and, by
# a factor, where candidates are chosen by estimates.
_SPARE, _SPARE_FOR_ESTIMATES = 64, 4


class Highest:
    """The N highest of a stream of scores; of equal ones those of lowest rank, whatever their order."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.scores: Floats = np.empty(0, dtype=np.float32)
        self.ranks: Integers = np.empty(0, dtype=np.int64)

    def add(self, scores: Floats, ranks: Integers) -> None:
        """Take scores and ranks, [B] each."""
        if len(self.scores) == self.count:
            hopeful = scores >= self.scores[-1]
            scores, ranks = scores[hopeful], ranks[hopeful]
        if len(scores):
            scores, ranks = np.concatenate([self.scores, scores]), np.concatenate([self.ranks, ranks])
            best = np.lexsort((ranks, -scores))[: self.count]
            self.scores, self.ranks = scores[best], ranks[best]


class Extremes:
    """The N highest and the N lowest scores of a stream.

    Attributes:
        top: the highest.
        bottom: the lowest, their signs changed.
    """

    def __init__(self, count: int) -> None:
        self.top, self.bottom = Highest(count), Highest(count)

    def add(self, scores: Floats, ranks: Integers) -> None:
        """Take scores and ranks, [B] each."""
        self.top.add(scores, ranks)
        self.bottom.add(-scores, ranks)

    def merge(self, other: Extremes) -> None:
        """Take what another has kept."""
        self.top.add(other.top.scores, other.top.ranks)
        self.bottom.add(other.bottom.scores, other.bottom.ranks)


class Screen:
    """A trained model and what it is asked: the extremes among candidates.

    Attributes:
        trained: the model.
        candidates: what is scored.
        count: N, how many are wanted at either end.
    """

    def __init__(self, trained: TrainedModel, candidates: Candidates, count: int) -> None:
        self.trained, self.candidates, self.count = trained, candidates, count
        self.device = resolve_device(trained.config.trainer.device)
        self._stopped = threading.Event()
        self._scorer: Scorer | None = None

    def __getstate__(self) -> dict[str, object]:
        return {"trained": self.trained, "candidates": self.candidates, "count": self.count}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__init__(**state)  # type: ignore[misc]

    @property
    def scorer(self) -> Scorer:
        """The model's scorer, made once.

        Raises:
            NonFiniteError: a stage produced NaN or infinite values.
        """
        if self._scorer is None:
            model = self.trained.model.to(self.device).eval()
            with torch.inference_mode():
                self._scorer = model.scorer()
            model.monitor.check()
        return self._scorer

    @property
    def keeps(self) -> int:
        """How many are kept at either end until the model's own scores decide."""
        return self.count * (_SPARE_FOR_ESTIMATES if self.scorer.is_estimate else 1) + _SPARE

    def slices(self) -> Iterable[range]:
        """The ranks of all candidates, in slices."""
        return self.candidates.blocks(SLICE)

    def score(self, ranks: range) -> Extremes:
        """Score one slice; return its extremes.

        Raises:
            NonFiniteError: a score is NaN or infinite.
        """
        extremes, scorer = Extremes(self.keeps), self.scorer
        block = self.candidates.block(ranks.start, ranks.stop)
        genes = torch.from_numpy(block.genes)
        found = []
        with torch.inference_mode():
            for part in genes.split(_AT_A_TIME[self.device.type]):
                if self._stopped.is_set():
                    break
                scores = scorer.score(part.to(self.device)).float().cpu()
                if not bool(torch.isfinite(scores).all()):
                    # The model itself can name the stage.
                    self.trained.predict(GenotypeBatch.complete(part))
                    raise NonFiniteError("the scores of candidates are NaN or infinite.")
                found.append(scores.numpy())
        if found:
            scored = np.concatenate(found)
            extremes.add(scored, block.ranks[: len(scored)])
        return extremes

    def seconds_per_candidate(self) -> float:
        """Measure what a candidate takes one worker, on the first few of them."""
        few = range(min(4 * _AT_A_TIME[self.device.type], self.candidates.total))
        with _one_thread():
            for _ in range(2):
                started = time.perf_counter()
                self.score(few)
            return (time.perf_counter() - started) / len(few)

    def stop(self) -> None:
        """Have slices that are being scored elsewhere end at once."""
        self._stopped.set()


def default_workers() -> int:
    """Return how many threads score: as many as PyTorch would use for one computation."""
    return min(torch.get_num_threads(), allowed_processors())


def screen_here(screen: Screen, workers: int, report: Callable[[int], None] = lambda _: None) -> Extremes:
    """Score all candidates on this machine.

    Args:
        screen: what to score.
        workers: threads, each of which scores slices of its own; a GPU is used by one.
        report: told the number of candidates so far, those that are left out included.

    Raises:
        NonFiniteError: a score is NaN or infinite.
    """
    extremes = Extremes(screen.keeps)
    workers = 1 if screen.device.type == "cuda" else workers
    waiting: dict[Future[Extremes], range] = {}
    done, slices = 0, iter(screen.slices())
    with (
        _one_thread(),
        ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)) as pool,
    ):
        try:
            while True:
                while len(waiting) < 2 * workers and (ranks := next(slices, None)) is not None:
                    waiting[pool.submit(screen.score, ranks)] = ranks
                if not waiting:
                    return extremes
                for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                    done += len(waiting.pop(future))
                    extremes.merge(future.result())
                report(done)
        except BaseException:
            screen.stop()
            raise


@contextmanager
def _one_thread() -> Iterator[None]:
    """Slices are shared out; sharing out every small operation as well would only cost."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@dataclass(frozen=True)
class Screened:
    """The extremes, best first at either end, as the model itself scores them.

    Attributes:
        ranks: int64 [n].
        genes: deleted genes, int64 [n, K].
        scores: in label units, probabilities for a binary target, [n].
        std: the predictive standard deviations, or None where the model has none.
    """

    ranks: Integers
    genes: Integers
    scores: Floats
    std: Floats | None

    def __len__(self) -> int:
        return len(self.ranks)

    def rows(self, rows: Integers) -> Screened:
        """Return some of them."""
        std = None if self.std is None else self.std[rows]
        return Screened(self.ranks[rows], self.genes[rows], self.scores[rows], std)


def decide(screen: Screen, extremes: Extremes) -> tuple[Screened, Screened]:
    """Return the N highest and the N lowest by the model's own scores, which may overlap.

    Raises:
        NonFiniteError: a stage produced NaN or infinite values.
    """
    trained, count = screen.trained, screen.count
    ranks = np.union1d(extremes.top.ranks, extremes.bottom.ranks)
    genes = screen.candidates.genotypes(ranks)
    # On the model's scale: probabilities near 1 would tie.
    score, spread = predict(
        trained.model.to(screen.device),
        TargetScale("regression"),
        GenotypeBatch.complete(torch.from_numpy(genes)),
        trained.config.trainer.eval_batch_size,
        screen.device,
    )
    std = None if spread is None else (spread * trained.scale.std).numpy()
    every = Screened(ranks, genes, trained.scale.from_model(score).numpy(), std)
    own = score.numpy()
    return tuple(  # type: ignore[return-value]
        every.rows(np.lexsort((ranks, sign * own))[:count]) for sign in (-1, 1)
    )
