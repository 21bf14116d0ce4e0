"""Messages between trials and their groups of workers, which cannot call each other."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

GO, STOP = "go", "stop"
# What a group says of a run: an epoch (a report, which waits for a verdict), the epochs of earlier attempts,
# its result, an error that all workers raised, a crash of one, that it left a run it was told to stop, that
# its disk is full, or that its processes were lost.
EPOCH, PAST, RESULT, ERROR, CRASH = "epoch", "past", "result", "error", "crash"
STOPPED, FULL, GONE = "stopped", "full", "gone"

LOST_SWITCHBOARD = "the process that hands trials to their workers died."

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
        self._dismissed: set[str] = set()

    async def enter(self, group: str, worker: Any) -> None:
        """A worker has started and will ask for jobs."""
        self._workers[group].append(worker)

    async def serves(self, group: str) -> bool:
        """Return whether a group takes jobs."""
        return group not in self._dismissed

    async def dismiss(self, group: str) -> list[Any]:
        """Have a group's workers leave, also those that have yet to start.

        Returns:
            The actors of those that have started, to end them where they do not answer.
        """
        self._dismissed.add(group)
        for key in [key for key in self._runs if key[0] == group]:
            run = self._runs[key]
            run.verdicts.put_nowait(STOP)
            if not run.job.done():
                run.job.set_result(None)
                del self._runs[key]
        return self._workers.get(group, [])

    async def actors(self, group: str) -> list[str]:
        """Return the identifiers of the actors of a group's workers."""
        return [worker._actor_id.hex() for worker in self._workers.get(group, [])]

    async def gone(self, group: str) -> None:
        """A group's processes are gone: nothing waits for them any more."""
        await self.dismiss(group)
        self._workers.pop(group, None)

    async def post(self, group: str, number: int, job: Any) -> None:
        """Give a group a job."""
        self._runs[group, number].job.set_result(job)

    async def job(self, group: str, number: int) -> Any:
        """Wait for a job and return it; None tells a worker to leave."""
        if group in self._dismissed:
            return None
        return await asyncio.shield(self._runs[group, number].job)

    async def tell(self, group: str, number: int, kind: str, value: Any) -> None:
        """Say something about a run."""
        if kind == CRASH:
            await self.dismiss(group)
        await self._runs[group, number].events.put((kind, value))

    async def ask(self, group: str, number: int, value: Any) -> str:
        """Tell of an epoch and wait for the verdict."""
        if group in self._dismissed:
            return STOP
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
    switchboard: Any,
    group: str,
    number: int,
    job: dict[str, Any],
    report: Callable[[dict[str, Any]], None],
    recall: Callable[[list[dict[str, Any]]], None] = lambda _: None,
) -> tuple[str, Any]:
    """Have a group train a run; pass its epochs on until it is over.

    Args:
        switchboard: the actor.
        group: the group's name.
        number: the run's number there.
        job: what its workers are given.
        report: called after every epoch; whatever it raises ends the run and is raised again.
        recall: called with the epochs of earlier attempts where the run is continued.

    Returns:
        What the group said last, and its value: ``RESULT``, ``ERROR``, ``CRASH``, ``FULL`` or ``GONE``.
    """
    import ray

    ray.get(switchboard.post.remote(group, number, job))
    try:
        while True:
            event: tuple[str, Any] | None = ray.get(switchboard.hear.remote(group, number, 60.0))
            if event is None:
                continue
            if event[0] == PAST:
                recall(event[1])
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

    for worker in ray.get(switchboard.dismiss.remote(group)):
        ray.kill(worker)
