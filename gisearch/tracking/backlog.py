"""What waits to be written: in memory up to a limit, beyond it in the spool, in one order."""

from __future__ import annotations

import itertools
import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import replace

from gisearch.tracking.operations import Operation
from gisearch.tracking.spool import Spool, Stretch

_log = logging.getLogger(__name__)


class Backlog:
    """Operations on their way from the sweep's thread to the writer's.

    An operation comes in; if ``limit`` of them wait there, they move to a stretch of the spool; from there,
    or directly, they enter the queue, from which the writer delivers. So at most ``2 * limit`` lie in memory,
    however much faster trials end than the store takes them.

    Args:
        spool: where operations lie that memory has no room for, or that the store cannot take.
        limit: operations that may wait to enter the queue, and in the queue.
        earlier: operations of an earlier process, already in the spool; they come first.

    Attributes:
        queue: what is delivered next; the writer's thread alone changes it.
        attempts: by operation, how often its delivery has been tried.
        lost: operations that could not be read back from the spool.
    """

    def __init__(self, spool: Spool, limit: int, earlier: list[Operation] | None = None) -> None:
        earlier = earlier or []
        self.queue = deque(earlier[:limit])
        self.attempts = {operation.id: 1 for operation in self.queue}
        self.lost = 0
        self._spool, self._limit = spool, limit
        self._spooled = {operation.id for operation in self.queue}
        self._incoming: list[Operation] = []
        # A stretch that the disk has no room for stays here as it is.
        self._stretches: deque[Stretch | list[Operation]] = deque()
        self._lock = threading.RLock()
        for first in range(limit, len(earlier), limit):
            self._stretches.append(replace(spool.keep(earlier[first : first + limit]), again=True))

    def __len__(self) -> int:
        with self._lock:
            behind = sum(s.count if isinstance(s, Stretch) else len(s) for s in self._stretches)
            return len(self.queue) + behind + len(self._incoming)

    @property
    def moves(self) -> bool:
        """Whether :meth:`advance` has anything to do."""
        return bool(self._incoming) or self.refills

    @property
    def refills(self) -> bool:
        """Whether the queue is empty and the spool holds what comes next."""
        return bool(self._stretches) and not self.queue

    def add(self, operation: Operation) -> None:
        """Put an operation at the end."""
        with self._lock:
            self._incoming.append(operation)
            if len(self._incoming) >= self._limit:
                self._spill()

    def advance(self) -> None:
        """Move what came in to the queue, or behind what waits in the spool; refill an empty queue there."""
        with self._lock:
            if self.refills:
                stretch = self._stretches.popleft()
                self.queue.extend(self._read_back(stretch) if isinstance(stretch, Stretch) else stretch)
            elif self._incoming and not self._stretches and len(self.queue) < self._limit:
                self.queue.extend(_merge(self._incoming))
                self._incoming = []
            elif self._incoming:
                self._spill()

    def next_group(self) -> list[Operation]:
        """Return the first operation with those of the same trial that can be written with it.

        One that has been tried before is written alone: it may be the one at fault.
        """
        first = self.queue[0]
        group = [first]
        if first.number is None or first.id in self.attempts or first.kind == "end":
            return group
        for operation in itertools.islice(self.queue, 1, None):
            if operation.number != first.number:
                continue
            if operation.kind == "start" or operation.id in self.attempts:
                break
            group.append(operation)
            if operation.kind == "end":
                break
        return group

    def remove(self, group: list[Operation]) -> None:
        """Take operations out of the queue."""
        done = {operation.id for operation in group}
        with self._lock:
            self.queue = deque(operation for operation in self.queue if operation.id not in done)
            for key in done:
                self.attempts.pop(key, None)

    def settle(self, operations: list[Operation]) -> None:
        """Mark in the spool those that it holds of ``operations``, which are dealt with."""
        with self._lock:
            marks = [operation for operation in operations if operation.id in self._spooled]
            self._spooled.difference_update(operation.id for operation in marks)
            self._write(lambda: self._spool.settle(marks))

    def keep(self, operations: Iterable[Operation] | None = None) -> None:
        """Make sure that operations, by default the whole queue, are in the spool as well."""
        with self._lock:
            new = [o for o in (self.queue if operations is None else operations) if o.id not in self._spooled]
            if self._write(lambda: self._spool.keep(new)) is not None:
                self._spooled.update(operation.id for operation in new)

    def keep_all(self) -> int:
        """Make sure that everything is in the spool, in order; return how many operations wait."""
        with self._lock:
            self.keep()
            for stretch in self._stretches:
                if not isinstance(stretch, Stretch):
                    self.keep(stretch)
            self._incoming = _merge(self._incoming)
            self.keep(self._incoming)
            return len(self)

    def clear_spool(self) -> None:
        """Empty the spool, of which everything is settled."""
        with self._lock:
            self._write(self._spool.clear)

    def _spill(self) -> None:
        fresh, self._incoming = _merge(self._incoming), []
        # What waits before it lies before it in the file too, should another process read it.
        self.keep()
        stretch = self._write(lambda: self._spool.keep(fresh))
        if stretch is None:
            self._stretches.append(fresh)
            return
        last = self._stretches[-1] if self._stretches else None
        joined = isinstance(last, Stretch) and not last.again and last.end == stretch.start
        if isinstance(last, Stretch) and joined and last.count + stretch.count <= self._limit:
            stretch = Stretch(last.start, stretch.end, last.count + stretch.count)
            self._stretches.pop()
        self._stretches.append(stretch)

    def _read_back(self, stretch: Stretch) -> list[Operation]:
        try:
            operations = self._spool.read(stretch)
        except (OSError, ValueError) as error:
            _log.warning("tracking: %s cannot be read back (%s)", self._spool.path, error)
            self.lost += stretch.count
            return []
        self._spooled.update(operation.id for operation in operations)
        if stretch.again:
            self.attempts.update((operation.id, 1) for operation in operations)
        return operations

    def _write(self, action: Callable[[], Stretch | None]) -> Stretch | None:
        """Return what ``action`` returns; None where the spool cannot be written."""
        try:
            return action()
        except OSError as error:
            _log.warning("tracking: %s cannot be written (%s)", self._spool.path, error.strerror)
            return None


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
