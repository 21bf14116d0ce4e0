"""How far a screening is: a bar in a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from datetime import timedelta
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

_PLAIN_INTERVAL = 10.0


class ScreeningProgress:
    """Shows how many candidates are scored, how fast, and the time left."""

    def __init__(self, console: Console, total: int) -> None:
        self.console, self.total = console, total
        self._started = self._last_line = time.monotonic()
        self._bar: Progress | None = None

    def __enter__(self) -> ScreeningProgress:
        if self.console.is_terminal:
            columns = (BarColumn(), TaskProgressColumn(), TextColumn("{task.description}"))
            self._bar = Progress(*columns, TimeRemainingColumn(), console=self.console, transient=True)
            self._bar.add_task("", total=self.total)
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, done: int) -> None:
        """Show that ``done`` candidates are scored."""
        rate = done / max(time.monotonic() - self._started, 1e-9)
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=done, description=f"{rate:,.0f} a second")
        elif time.monotonic() - self._last_line >= _PLAIN_INTERVAL:
            self._last_line = time.monotonic()
            left = timedelta(seconds=round((self.total - done) / rate)) if rate else "unknown"
            self.console.print(
                f"{done:,} of {self.total:,} candidates, {rate:,.0f} a second, {left} left",
                highlight=False,
                soft_wrap=True,
            )
