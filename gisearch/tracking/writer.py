"""The one thread that writes to the store, so that the search never waits for it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from gisearch.tracking.backlog import Backlog
from gisearch.tracking.operations import MissingRunError, Operation, RunWriter
from gisearch.tracking.spool import Spool
from gisearch.tracking.store_check import is_permanent, short_reason

_log = logging.getLogger(__name__)

_ATTEMPTS_ON_A_HEALTHY_STORE = 3
_ATTEMPTS_WHEN_CLOSING = 2
# A trial is about four operations, 20 kB together.
_LIMIT = 2000


class BackgroundWriter:
    """Delivers operations in order, from a queue, on a thread of its own.

    While the store is away, everything that waits is also kept in the spool, so that not even the death
    of this process loses it; it is marked as settled once delivered. Where trials end faster than the store
    takes them, what exceeds ``limit`` waits in the spool alone.

    Args:
        runs: applies operations to MLflow.
        spool: keeps what cannot be delivered.
        backlog: operations of an earlier process, already in the spool; delivered first.
        on_run: called on the writer's thread with a trial's number and run id once they are known.
        flush_seconds: how long metrics may wait to be sent together.
        first_backoff: seconds before the first repetition; doubled up to ``last_backoff``.
        last_backoff: the longest pause between repetitions, in seconds.
        limit: operations that may wait in memory, of :class:`gisearch.tracking.backlog.Backlog`.
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
        limit: int = _LIMIT,
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
        self._backlog = Backlog(spool, limit, backlog)
        self._limit = limit
        self._wake = threading.Condition()
        self._urgent = False
        self._closing = False
        self._abandoned = False
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
            self._backlog.add(operation)
            self._urgent = self._urgent or operation.kind != "metrics"
            self._wake.notify()

    @property
    def pending(self) -> int:
        """Operations not yet delivered."""
        return len(self._backlog)

    def outage(self) -> tuple[float, str] | None:
        """Return for how many seconds the store has been away and why; None while it answers."""
        since = self._away_since
        return None if since is None else (time.monotonic() - since, self._reason)

    def close(self, timeout: float) -> int:
        """Deliver what can be delivered, keep the rest in the spool, end the thread.

        Args:
            timeout: seconds without a delivery after which a store that neither answers nor fails is
                given up.

        Returns:
            How many operations are left in the spool.
        """
        with self._wake:
            self._closing = True
            self._retry_at = 0.0
            self._failures = 0
            self._wake.notify()
        if self.pending > self._limit:
            _log.warning("tracking: %d writes are still to be delivered", self.pending)
        delivered = -1
        try:
            while self._thread.is_alive() and delivered != self.delivered:
                delivered = self.delivered
                self._thread.join(timeout)
        finally:
            self._abandoned = True
            left = self._backlog.keep_all() + self._backlog.lost
        if not left and not self.set_aside:
            self._backlog.clear_spool()
        return left

    def _run(self) -> None:
        while True:
            with self._wake:
                self._wake.wait_for(self._ready, timeout=self._pause())
                if not self._urgent and not self._closing and not self._backlog.refills:
                    self._wake.wait_for(lambda: self._urgent or self._closing, timeout=self._flush_seconds)
                self._urgent = False
            self._backlog.advance()
            if time.monotonic() >= self._retry_at:
                self._deliver()
            if self._away_since is not None:
                self._backlog.keep()
            if self._abandoned:  # the closing side has taken over what is left
                return
            if self._closing and not self._backlog.moves:
                given_up = self._failures >= _ATTEMPTS_WHEN_CLOSING
                if not self._backlog.queue or given_up:
                    return

    def _ready(self) -> bool:
        due = bool(self._backlog.queue) and time.monotonic() >= self._retry_at
        return self._backlog.moves or due or (self._closing and not self._failures)

    def _pause(self) -> float | None:
        return max(0.0, self._retry_at - time.monotonic()) if self._backlog.queue else None

    def _deliver(self) -> None:
        backlog, settled = self._backlog, list[Operation]()
        while backlog.queue and not self._abandoned:
            group = backlog.next_group()
            first = group[0]
            attempt = backlog.attempts.get(first.id, 0)
            try:
                self._runs.apply(group, again=attempt > 0)
            except Exception as error:
                # Any of a group may have been written, any may be at fault: from now on one at a time.
                backlog.attempts.update((operation.id, attempt + 1) for operation in group)
                hopeless = isinstance(error, MissingRunError) or is_permanent(error)
                if len(group) > 1 and hopeless:
                    continue
                if isinstance(error, MissingRunError):
                    self._set_aside(first, error)
                elif hopeless:
                    self._reject(first, error)
                    settled.append(first)
                else:
                    healthy = self._runs.store.takes_writes(self._runs.runs.parent)
                    if not healthy or len(group) > 1 or attempt + 1 < _ATTEMPTS_ON_A_HEALTHY_STORE:
                        self._back_off(error, away=not healthy)
                        break
                    self._set_aside(first, error)
            else:
                self.delivered += len(group)
                settled.extend(group)
                self._back()
                if first.kind == "start" and self._on_run is not None:
                    self._announce(first)
            if self._abandoned:
                return
            backlog.remove(group)
        backlog.settle(settled)

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
        self._backlog.keep([operation])
        self.set_aside += 1


def _whose(operation: Operation) -> str:
    return "the sweep" if operation.number is None else f"trial {operation.number}"
