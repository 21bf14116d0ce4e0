"""The live view of a sweep: trials done, running, stopped early, best so far, time left."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from gisearch.search.ledger import Handout, Outcome
from gisearch.search.observer import Observer
from gisearch.search.trial import trial_name
from gisearch.training.config import ExperimentConfig
from gisearch.training.objective import Objective

_PLAIN_INTERVAL = 10.0


class ProgressView(Observer):
    """Shows a sweep while it runs: live in a terminal, a line now and then elsewhere."""

    def __init__(
        self,
        console: Console,
        objective: Objective,
        total: int,
        done: int = 0,
        notice: Callable[[], str | None] = lambda: None,
    ) -> None:
        """Prepare the view.

        Args:
            console: where to show it.
            objective: what is optimised.
            total: trials of the whole sweep.
            done: trials that an earlier process finished.
            notice: asked for one more sentence, such as a tracking outage.
        """
        self.console, self.objective, self.total, self.notice = console, objective, total, notice
        self.done, self._done_before = done, done
        self.stopped_early = self.failed = 0
        self.best: tuple[float, int] | None = None
        self.running: dict[int, tuple[int, float | None]] = {}
        self._started = time.monotonic()
        self._last_line = self._started
        self._live = Live(get_renderable=self.render, console=console, refresh_per_second=4, transient=True)

    def __enter__(self) -> ProgressView:
        if self.console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.console.is_terminal:
            self._live.stop()
        self.console.print(self.line(), highlight=False)

    def on_start(self, handout: Handout, config: ExperimentConfig) -> None:
        """A trial was handed out."""
        self.running[handout.number] = (0, None)
        self._tick()

    def on_epoch(self, number: int, epoch: int, best: float, metrics: Mapping[str, float]) -> None:
        """A trial finished an epoch."""
        self.running[number] = (epoch, best)
        if self.best is None or self.objective.better(best, self.best[0]):
            self.best = (best, number)
        self._tick()

    def on_pause(self, number: int, reason: str | None) -> None:
        """A trial lost its place; the user is told why."""
        self.running.pop(number, None)
        if reason is not None:
            self.console.print(
                Text(f"trial {trial_name(number)} will be continued: {reason}", style="yellow"),
                highlight=False,
            )
        self._tick()

    def on_end(self, number: int, outcome: Outcome) -> None:
        """A trial ended."""
        self.running.pop(number, None)
        self.done += 1
        self.stopped_early += outcome.status == "stopped_early"
        self.failed += outcome.status == "failed"
        if outcome.status == "failed":
            self.console.print(
                Text(f"trial {trial_name(number)} failed: {outcome.reason}", style="yellow"), highlight=False
            )
        self._tick()

    def seconds_left(self) -> float | None:
        """Return the expected time left, or None before the first trial ended."""
        finished = self.done - self._done_before
        if not finished or self.done >= self.total:
            return 0.0 if self.done >= self.total else None
        return (time.monotonic() - self._started) / finished * (self.total - self.done)

    def line(self) -> str:
        """Return the view as one line."""
        parts = [f"{self.done}/{self.total} trials", f"{len(self.running)} running"]
        parts.append(f"{self.stopped_early} stopped early")
        if self.failed:
            parts.append(f"{self.failed} failed")
        if self.best is not None:
            value, number = self.best
            parts.append(f"best {self.objective.metric} {value:.4f} ({trial_name(number)})")
        parts.append(f"{_duration(time.monotonic() - self._started)} elapsed")
        left = self.seconds_left()
        if left:
            parts.append(f"about {_duration(left)} left")
        return ", ".join(parts)

    def render(self) -> RenderableType:
        """Return the live view."""
        bar = Table.grid(padding=(0, 1))
        bar.add_row(ProgressBar(total=self.total, completed=self.done, width=30), Text(self.line()))
        rows: list[RenderableType] = [bar]
        if self.running:
            running = ", ".join(
                f"{trial_name(n)} epoch {epoch}" + (f" {best:.3f}" if best is not None else "")
                for n, (epoch, best) in sorted(self.running.items())
            )
            rows.append(Text(f"running: {running}", style="dim", overflow="ellipsis", no_wrap=True))
        notice = self.notice()
        if notice:
            rows.append(Text(notice, style="yellow"))
        return Group(*rows)

    def _tick(self) -> None:
        if not self.console.is_terminal and time.monotonic() - self._last_line >= _PLAIN_INTERVAL:
            self._last_line = time.monotonic()
            self.console.print(self.line(), highlight=False)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
