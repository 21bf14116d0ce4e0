"""The one thread that writes to the store, so that the search never waits for it."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable

from gisearch.tracking.operations import MissingRunError, Operation, RunWriter
from gisearch.tracking.spool import Spool
from gisearch.tracking.store_check import is_permanent, short_reason

_log = logging.getLogger(__name__)

_ATTEMPTS_ON_A_HEALTHY_STORE = 3
_ATTEMPTS_WHEN_CLOSING = 2


class BackgroundWriter:
    """Delivers operations in order, from a queue, on a thread of its own.

    While the store is away, everything that waits is also kept in the spool, so that not even the death
    of this process loses it; it is marked as settled once delivered.

    Args:
        runs: applies operations to MLflow.
        spool: keeps what cannot be delivered.
        backlog: operations of an earlier process, already in the spool; delivered first.
        on_run: called on the writer's thread with a trial's number and run id once they are known.
        flush_seconds: how long metrics may wait to be sent together.
        first_backoff: seconds before the first repetition; doubled up to ``last_backoff``.
        last_backoff: the longest pause between repetitions, in seconds.
    """

    def __init__(
        self,
        runs: RunWriter,
        spool: Spool,
        *,
        backlog: list[Operation] | None = None,
        on_run: Callable[[int, str], None] | None = None,
        flush_seconds: float = 0.5,
        first_backoff: float = 0.5,
        last_backoff: float = 30.0,
    ) -> None:
        self.delivered = 0
        self.set_aside = 0
        self.rejected: list[str] = []
        self._runs = runs
        self._spool = spool
        self._on_run = on_run
        self._flush_seconds = flush_seconds
        self._first_backoff = first_backoff
        self._last_backoff = last_backoff
        self._incoming: list[Operation] = []
        self._wake = threading.Condition()
        self._urgent = False
        self._closing = False
        self._abandoned = False
        self._queue: deque[Operation] = deque(backlog or ())
        self._spooled = {operation.id for operation in self._queue}
        self._attempts: dict[str, int] = {operation.id: 1 for operation in self._queue}
        self._away_since: float | None = None
        self._reason = ""
        self._retry_at = 0.0
        self._failures = 0
        self._aside: set[int | None] = set()
        self._thread = threading.Thread(target=self._run, name="gisearch-tracking", daemon=True)
        self._thread.start()

    def submit(self, operation: Operation) -> None:
        """Queue one operation; returns at once."""
        with self._wake:
            self._incoming.append(operation)
            self._urgent = self._urgent or operation.kind != "metrics"
            self._wake.notify()

    @property
    def pending(self) -> int:
        """Operations not yet delivered."""
        return len(self._queue) + len(self._incoming)

    def outage(self) -> tuple[float, str] | None:
        """Return for how many seconds the store has been away and why; None while it answers."""
        since = self._away_since
        return None if since is None else (time.monotonic() - since, self._reason)

    def close(self, timeout: float) -> list[Operation]:
        """Deliver what can be delivered, keep the rest in the spool, end the thread; return the rest.

        Args:
            timeout: seconds after which a store that neither answers nor fails is given up.
        """
        with self._wake:
            self._closing = True
            self._retry_at = 0.0
            self._failures = 0
            self._wake.notify()
        self._thread.join(timeout)
        self._abandoned = True
        with self._wake:
            self._queue.extend(_merge(self._incoming))
            self._incoming = []
        rest = list(self._queue)
        self._keep(rest)
        return rest

    def _run(self) -> None:
        while True:
            with self._wake:
                self._wake.wait_for(self._ready, timeout=self._pause())
                if not self._urgent and not self._closing:
                    self._wake.wait_for(lambda: self._urgent or self._closing, timeout=self._flush_seconds)
                fresh, self._incoming = self._incoming, []
                self._urgent = False
            self._queue.extend(_merge(fresh))
            if time.monotonic() >= self._retry_at:
                self._deliver()
            if self._away_since is not None:
                self._keep(self._queue)
            if self._abandoned:  # the closing side has taken over what is left
                return
            if self._closing and not self._incoming:
                given_up = self._failures >= _ATTEMPTS_WHEN_CLOSING
                if not self._queue or given_up:
                    return

    def _ready(self) -> bool:
        due = bool(self._queue) and time.monotonic() >= self._retry_at
        return bool(self._incoming) or due or (self._closing and not self._failures)

    def _pause(self) -> float | None:
        return max(0.0, self._retry_at - time.monotonic()) if self._queue else None

    def _deliver(self) -> None:
        settled: list[Operation] = []
        while self._queue and not self._abandoned:
            operation = self._queue[0]
            attempt = self._attempts.get(operation.id, 0)
            try:
                self._runs.apply(operation, again=attempt > 0)
            except Exception as error:
                if isinstance(error, MissingRunError):
                    self._set_aside(operation, error)
                elif is_permanent(error):
                    self._reject(operation, error)
                    settled.append(operation)
                else:
                    self._attempts[operation.id] = attempt + 1
                    healthy = self._runs.store.takes_writes(self._runs.runs.parent)
                    if not healthy or attempt + 1 < _ATTEMPTS_ON_A_HEALTHY_STORE:
                        self._back_off(error, away=not healthy)
                        break
                    self._set_aside(operation, error)
            else:
                self.delivered += 1
                settled.append(operation)
                self._back()
                if operation.kind == "start" and self._on_run is not None:
                    self._announce(operation)
            if self._abandoned:
                return
            self._queue.popleft()
            self._attempts.pop(operation.id, None)
        marks = [operation for operation in settled if operation.id in self._spooled]
        self._spooled.difference_update(operation.id for operation in marks)
        try:
            self._spool.settle(marks)
        except OSError as error:
            _log.warning("tracking: %s cannot be written (%s)", self._spool.path, error.strerror)

    def _announce(self, operation: Operation) -> None:
        run_id = self._runs.runs.get(operation.number)
        if self._on_run is None or operation.number is None or run_id is None:
            return
        try:
            self._on_run(operation.number, run_id)
        except Exception:
            _log.exception("tracking: the callback for run %s failed", run_id)

    def _back_off(self, error: Exception, *, away: bool) -> None:
        pause = min(self._last_backoff, self._first_backoff * 2.0**self._failures)
        self._failures += 1
        if self._closing:
            pause = min(pause, 1.0)
        self._retry_at = time.monotonic() + pause
        if away and self._away_since is None:
            self._away_since = time.monotonic()
            self._reason = short_reason(error)
            _log.warning(
                "tracking: %s does not answer (%s); the sweep goes on and its records are kept in %s",
                self._runs.store.address,
                self._reason,
                self._spool.path,
            )

    def _back(self) -> None:
        self._failures = 0
        self._retry_at = 0.0
        if self._away_since is not None:
            seconds = time.monotonic() - self._away_since
            self._away_since = None
            _log.warning("tracking: %s answers again after %.0f s", self._runs.store.address, seconds)

    def _reject(self, operation: Operation, error: Exception) -> None:
        self.rejected.append(f"{operation.kind} of {_whose(operation)}: {short_reason(error)}")
        _log.warning("tracking: the store refused %s", self.rejected[-1])

    def _set_aside(self, operation: Operation, error: Exception) -> None:
        if operation.number not in self._aside:
            _log.warning(
                "tracking: a write (%s) of %s failed (%s) and is kept in %s",
                operation.kind,
                _whose(operation),
                short_reason(error),
                self._spool.path,
            )
        self._aside.add(operation.number)
        self._keep([operation])
        self.set_aside += 1

    def _keep(self, operations: list[Operation] | deque[Operation]) -> None:
        new = [operation for operation in operations if operation.id not in self._spooled]
        try:
            self._spool.keep(new)
        except OSError as error:
            _log.warning("tracking: %s cannot be written (%s)", self._spool.path, error.strerror)
            return
        self._spooled.update(operation.id for operation in new)


def _whose(operation: Operation) -> str:
    return "the sweep" if operation.number is None else f"trial {operation.number}"


def _merge(operations: list[Operation]) -> list[Operation]:
    """Join neighbouring metrics of one trial, so that they travel in one request."""
    merged: list[Operation] = []
    open_metrics: dict[int | None, Operation] = {}
    for operation in operations:
        if operation.kind == "metrics" and operation.number in open_metrics:
            open_metrics[operation.number].payload["values"].extend(operation.payload["values"])
            continue
        merged.append(operation)
        if operation.kind == "metrics":
            open_metrics[operation.number] = operation
        else:
            open_metrics.pop(operation.number, None)
    return merged
