"""Screening on a Ray cluster: every node scores slices of the candidates with a model of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from gisearch.search.cluster import ray_session
from gisearch.training.screening import SLICE, Extremes, Screen

# Slices that travel together, at most: some seconds of work, and progress often enough.
_SLICES_AT_MOST = 64
# Parcels per processor, so that the last ones do not wait for one of them.
_PARCELS_EACH = 8

Columns = dict[str, npt.NDArray[Any]]


class SliceWorker:
    """An actor of Ray Data: takes numbers of parcels, gives the extremes among their candidates."""

    def __init__(self, screen: Any, parcel: int) -> None:
        """Prepare.

        Args:
            screen: a reference to the :class:`Screen`, which nodes fetch once.
            parcel: candidates of one parcel.
        """
        import ray
        import torch

        torch.set_num_threads(1)
        self.screen: Screen = ray.get(screen)
        self.parcel = parcel

    def __call__(self, batch: Columns) -> Columns:
        """Score parcels; a row is a kept candidate, or says how many were scored (rank -1)."""
        extremes, done = Extremes(self.screen.keeps), 0
        for number in batch["id"].tolist():
            whole = range(self.screen.candidates.total)[number * self.parcel : (number + 1) * self.parcel]
            for start in range(whole.start, whole.stop, SLICE):
                extremes.merge(self.screen.score(range(start, min(start + SLICE, whole.stop))))
            done += len(whole)
        top, bottom = extremes.top, extremes.bottom
        # One row more in which the number of scored candidates stands.
        return {
            "is_top": np.repeat([True, False, False], [len(top.ranks), len(bottom.ranks), 1]),
            "score": np.concatenate([top.scores, bottom.scores, np.zeros(1, np.float32)]),
            "rank": np.concatenate([top.ranks, bottom.ranks, [-1]]),
            "done": np.repeat([0, done], [len(top.ranks) + len(bottom.ranks), 1]),
        }


def screen_on_cluster(screen: Screen, report: Callable[[int], None] = lambda _: None) -> Extremes:
    """Score all candidates on the cluster that RAY_ADDRESS names, or on Ray here, by Ray Data.

    Args:
        screen: what to score; it is sent to every node once, and candidates not at all.
        report: told the number of candidates so far, those that are left out included.

    Raises:
        NonFiniteError: a score is NaN or infinite.
    """
    extremes, done = Extremes(screen.keeps), 0
    with ray_session() as nodes:
        import ray
        import ray.data

        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        workers = max(1, int(sum(node.get("CPU", 0.0) for node in nodes)))
        slices = -(-screen.candidates.total // SLICE)
        together = max(1, min(_SLICES_AT_MOST, slices // (workers * _PARCELS_EACH)))
        parcels = -(-slices // together)
        found = ray.data.range(parcels, override_num_blocks=parcels).map_batches(
            SliceWorker,
            fn_constructor_args=(ray.put(screen), together * SLICE),
            batch_size=1,
            num_cpus=1,
            concurrency=(1, min(workers, parcels)),
        )
        for batch in found.iter_batches(batch_size=None, batch_format="numpy"):
            kept, top = batch["rank"] >= 0, batch["is_top"]
            extremes.top.add(batch["score"][kept & top], batch["rank"][kept & top])
            extremes.bottom.add(batch["score"][kept & ~top], batch["rank"][kept & ~top])
            done += int(batch["done"].sum())
            report(done)
    return extremes
