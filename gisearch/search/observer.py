"""Who hears of every trial: the tracker, the progress view, the budget, the housekeeper."""

from __future__ import annotations

from collections.abc import Mapping

from gisearch.search.ledger import Handout, Outcome
from gisearch.training.config import ExperimentConfig


class Observer:
    """Hears of every trial of a sweep; a subclass overrides what it wants to hear of."""

    def on_start(self, handout: Handout, config: ExperimentConfig) -> None:
        """A trial was handed out, for the first time or again."""

    def on_epoch(self, number: int, epoch: int, best: float, metrics: Mapping[str, float]) -> None:
        """A trial finished an epoch, told once for every epoch."""

    def on_pause(self, number: int, reason: str | None) -> None:
        """A trial lost its place and will be handed out again, by this process or a later one.

        ``reason`` is None where it gave its place to another that waits, as members of a population do.
        """

    def on_end(self, number: int, outcome: Outcome) -> None:
        """A trial ended."""
