"""What a sweep may cost beyond its number of trials: hours, and hours of GPUs."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import optuna

from gisearch.search.config import SearchConfig
from gisearch.search.ledger import Handout, Outcome
from gisearch.search.observer import Observer
from gisearch.training.config import ExperimentConfig

# Kept in the study, so that a sweep that is resumed goes on counting.
_SECONDS, _GPU_SECONDS = "sweep_seconds", "gpu_seconds"
# How often they are written down while no trial ends.
_INTERVAL = 10.0


class Budget(Observer):
    """Counts a sweep's time over all its processes.

    Args:
        study: where the counts are kept.
        config: the limits.
        gpus: GPUs that one trial holds.
        clock: seconds, for simulated ones.
    """

    def __init__(
        self,
        study: optuna.Study,
        config: SearchConfig,
        gpus: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.study, self.config, self.gpus, self.clock = study, config, gpus, clock
        self._seconds_before = float(study.user_attrs.get(_SECONDS, 0.0))
        self._gpu_seconds = float(study.user_attrs.get(_GPU_SECONDS, 0.0))
        self._began = self._kept = clock()
        self._running: dict[int, float] = {}

    @property
    def seconds(self) -> float:
        """Seconds that the sweep has run."""
        return self._seconds_before + self.clock() - self._began

    @property
    def gpu_seconds(self) -> float:
        """Seconds times GPUs that trials have held."""
        now = self.clock()
        return self._gpu_seconds + self.gpus * sum(now - began for began in self._running.values())

    def used_up(self) -> str | None:
        """Return which limit has been reached, in words; None for none."""
        hours, gpu_hours = self.config.hours, self.config.gpu_hours
        if hours is not None and self.seconds >= hours * 3600:
            return f"the sweep's {hours:g} hours are over"
        if gpu_hours is not None and self.gpu_seconds >= gpu_hours * 3600:
            return f"the sweep's {gpu_hours:g} GPU-hours are used up"
        return None

    def seconds_of(self, number: int) -> float:
        """Return for how long a trial has been running in this process."""
        return self.clock() - self._running.get(number, self.clock())

    def on_start(self, handout: Handout, config: ExperimentConfig) -> None:
        """A trial begins to hold its GPUs."""
        self._running[handout.number] = self.clock()

    def on_epoch(self, number: int, epoch: int, best: float, metrics: Mapping[str, float]) -> None:
        """Write the counts down now and then."""
        if self.clock() - self._kept >= _INTERVAL:
            self.keep()

    def on_end(self, number: int, outcome: Outcome) -> None:
        """A trial has given its GPUs back."""
        self._release(number)
        self.keep()

    def on_pause(self, number: int, reason: str | None) -> None:
        """A trial has given its GPUs back, for now."""
        self._release(number)

    def _release(self, number: int) -> None:
        self._gpu_seconds += self.gpus * self.seconds_of(number)
        self._running.pop(number, None)

    def keep(self) -> None:
        """Write the counts into the study."""
        self._kept = self.clock()
        self.study.set_user_attr(_SECONDS, self.seconds)
        if self.gpus:
            self.study.set_user_attr(_GPU_SECONDS, self.gpu_seconds)
