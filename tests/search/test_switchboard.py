"""The plain class; tests/faults drive it as an actor."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from gisearch.search.switchboard import CRASH, EPOCH, ERROR, GO, GONE, RESULT, STOP, Switchboard


def driven(test: Callable[[Switchboard], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    """Run a test on a fresh switchboard in an event loop, for some seconds at most."""

    def run() -> None:
        async def within() -> None:
            await asyncio.wait_for(test(Switchboard()), 10)

        asyncio.run(within())

    run.__name__ = test.__name__
    return run


async def soon(*waiting: Coroutine[Any, Any, Any]) -> list[asyncio.Task[Any]]:
    """Start calls and let them get as far as they can."""
    tasks = [asyncio.create_task(one) for one in waiting]
    for _ in range(5):
        await asyncio.sleep(0)
    return tasks


@driven
async def test_every_worker_of_a_group_gets_the_job(board: Switchboard) -> None:
    early = await soon(board.job("g", 0), board.job("g", 0))
    other = await soon(board.job("h", 0), board.job("g", 1))
    assert not any(task.done() for task in early)
    await board.post("g", 0, {"x": 1})
    assert [await task for task in early] == [{"x": 1}] * 2
    assert await board.job("g", 0) == {"x": 1}, "one that comes late too"
    assert not any(task.done() for task in other)


@driven
async def test_a_worker_that_dies_while_it_waits_leaves_the_job_to_others(board: Switchboard) -> None:
    first, second = await soon(board.job("g", 0), board.job("g", 0))
    first.cancel()
    await board.post("g", 0, "job")
    assert await second == "job"


@driven
async def test_an_epoch_waits_for_its_verdict(board: Switchboard) -> None:
    for number, verdict in ((1, GO), (2, STOP)):
        (asking,) = await soon(board.ask("g", 0, {"epoch": number}))
        assert await board.hear("g", 0, 1.0) == (EPOCH, {"epoch": number})
        assert not asking.done()
        await board.answer("g", 0, verdict)
        assert await asking == verdict


@driven
async def test_messages_arrive_in_order_and_nothing_is_lost_by_a_timeout(board: Switchboard) -> None:
    assert await board.hear("g", 0, 0.01) is None
    await board.tell("g", 0, ERROR, "one")
    await board.tell("g", 0, RESULT, "two")
    await board.tell("g", 1, RESULT, "another run")
    assert [await board.hear("g", 0, 0.01) for _ in range(3)] == [(ERROR, "one"), (RESULT, "two"), None]
    (hearing,) = await soon(board.hear("g", 0, 1.0))
    await board.tell("g", 0, GONE, ("died", "x"))
    assert await hearing == (GONE, ("died", "x"))


@driven
async def test_a_dismissed_group_leaves(board: Switchboard) -> None:
    await board.enter("g", "worker 0")
    await board.post("g", 0, "job")
    training, waiting, another = await soon(
        board.ask("g", 0, {"epoch": 1}), board.job("g", 1), board.job("h", 0)
    )
    assert await board.serves("g")
    assert await board.dismiss("g") == ["worker 0"]
    assert not await board.serves("g")
    assert await training == STOP
    assert await waiting is None
    # Workers that have yet to start, or that are in the middle of an epoch.
    await board.enter("g", "worker 1")
    assert await board.job("g", 0) is None
    assert await board.ask("g", 0, {"epoch": 2}) == STOP
    assert await board.dismiss("g") == ["worker 0", "worker 1"]
    assert not another.done()
    assert await board.serves("h")


@driven
async def test_a_group_of_which_a_worker_crashed_gets_no_more_runs(board: Switchboard) -> None:
    await board.post("g", 0, "job")
    await board.tell("g", 0, ERROR, "all raised it")
    assert await board.serves("g")
    await board.tell("g", 0, CRASH, "ValueError: x")
    assert not await board.serves("g")
    assert [await board.hear("g", 0, 1.0) for _ in range(2)] == [
        (ERROR, "all raised it"),
        (CRASH, "ValueError: x"),
    ]


@driven
async def test_what_is_told_of_a_dead_group_reaches_a_run_that_comes_later(board: Switchboard) -> None:
    await board.gone("g")
    await board.tell("g", 3, GONE, ("died", "its process died."))
    await board.post("g", 3, "job")
    assert await board.hear("g", 3, 1.0) == (GONE, ("died", "its process died."))


@driven
async def test_runs_and_lost_groups_leave_nothing_behind(board: Switchboard) -> None:
    for i in range(50):
        group = f"g{i}"
        await board.enter(group, "worker")
        for number in range(5):
            await board.post(group, number, "job")
            await board.job(group, number)
            await board.tell(group, number, RESULT, {})
            await board.hear(group, number, 1.0)
            await board.forget(group, number)
        # Its workers die while they wait for the next run; their calls must not wait for ever.
        waiting = await soon(board.job(group, 5), board.job(group, 5))
        await board.gone(group)
        assert [await task for task in waiting] == [None, None]
    assert board._runs == {}
    assert board._workers == {}
    assert len(asyncio.all_tasks()) <= 2
