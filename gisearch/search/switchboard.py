"""Messages between trials and their groups of workers, which cannot call each other."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

GO, STOP = "go", "stop"
# What a group says of a run: an epoch (a report, which waits for a verdict), its result, an error that all
# workers raised, a crash of one, that it left a run it was told to stop, or that its processes were lost.
EPOCH, RESULT, ERROR, CRASH, STOPPED, GONE = "epoch", "result", "error", "crash", "stopped", "gone"

# Seconds that a group is given to leave a run it was told to stop, before its processes are ended.
STOP_SECONDS = 5.0


@dataclass
class _Run:
    """The messages of one run in a group."""

    job: asyncio.Future[Any]
    events: asyncio.Queue[Any] = field(default_factory=asyncio.Queue)
    verdicts: asyncio.Queue[str] = field(default_factory=asyncio.Queue)


class Switchboard:
    """An asynchronous Ray actor through which runs are handed to groups; one per sweep.

    A run is known by its group's name and its number there.
    """

    def __init__(self) -> None:
        self._runs: defaultdict[tuple[str, int], _Run] = defaultdict(
            lambda: _Run(asyncio.get_running_loop().create_future())
        )
        self._workers: defaultdict[str, list[Any]] = defaultdict(list)

    async def enter(self, group: str, worker: Any) -> None:
        """A worker has started and will ask for jobs."""
        self._workers[group].append(worker)

    async def workers(self, group: str) -> list[Any]:
        """Return the actors of a group's workers, to end those that do not answer."""
        return self._workers.pop(group, [])

    async def post(self, group: str, number: int, job: Any) -> None:
        """Give a group a job; None tells its workers to leave."""
        self._runs[group, number].job.set_result(job)

    async def job(self, group: str, number: int) -> Any:
        """Wait for a job and return it."""
        return await asyncio.shield(self._runs[group, number].job)

    async def tell(self, group: str, number: int, kind: str, value: Any) -> None:
        """Say something about a run."""
        await self._runs[group, number].events.put((kind, value))

    async def ask(self, group: str, number: int, value: Any) -> str:
        """Tell of an epoch and wait for the verdict."""
        run = self._runs[group, number]
        await run.events.put((EPOCH, value))
        return await run.verdicts.get()

    async def hear(self, group: str, number: int, timeout: float) -> tuple[str, Any] | None:
        """Return what is said of a run next, or None after ``timeout`` seconds."""
        try:
            return await asyncio.wait_for(self._runs[group, number].events.get(), timeout)
        except TimeoutError:
            return None

    async def answer(self, group: str, number: int, verdict: str) -> None:
        """Answer an epoch that waits for a verdict."""
        await self._runs[group, number].verdicts.put(verdict)

    async def forget(self, group: str, number: int) -> None:
        """Drop the messages of a run that is over."""
        self._runs.pop((group, number), None)


def relay(
    switchboard: Any, group: str, number: int, job: dict[str, Any], report: Callable[[dict[str, Any]], None]
) -> tuple[str, Any]:
    """Have a group train a run; pass its epochs on until it is over.

    Args:
        switchboard: the actor.
        group: the group's name.
        number: the run's number there.
        job: what its workers are given.
        report: called after every epoch; whatever it raises ends the run and is raised again.

    Returns:
        What the group said last, and its value: ``RESULT``, ``ERROR``, ``CRASH`` or ``GONE``.
    """
    import ray

    ray.get(switchboard.post.remote(group, number, job))
    try:
        while True:
            event: tuple[str, Any] | None = ray.get(switchboard.hear.remote(group, number, 60.0))
            if event is None:
                continue
            if event[0] != EPOCH:
                return event
            try:
                report(event[1])
            except BaseException:
                _stop(switchboard, group, number)
                raise
            ray.get(switchboard.answer.remote(group, number, GO))
    finally:
        ray.get(switchboard.forget.remote(group, number))


def _stop(switchboard: Any, group: str, number: int) -> None:
    """Tell the workers, who wait for the verdict on an epoch, to leave the run; end those that do not."""
    import ray

    ray.get(switchboard.answer.remote(group, number, STOP))
    if ray.get(switchboard.hear.remote(group, number, STOP_SECONDS)) is None:
        end_processes(switchboard, group)


def end_processes(switchboard: Any, group: str) -> None:
    """End the processes of a group; its controller notices and gives the reservation back."""
    import ray

    for worker in ray.get(switchboard.workers.remote(group)):
        ray.kill(worker)
