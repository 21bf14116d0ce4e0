"""Groups of workers: a stopped run leaves at once, and what was lost is noticed and started again."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from gisearch.config import assign, build, to_plain
from gisearch.data.config import compose_data
from gisearch.data.load import load_dataset
from gisearch.search.cluster import WorkerNeeds, ray_session
from gisearch.search.distributed import GroupPool
from gisearch.search.switchboard import ERROR, GONE, RESULT, relay
from gisearch.training.checkpoint import LAST, CheckpointStore
from gisearch.training.config import ExperimentConfig

pytestmark = [pytest.mark.ray, pytest.mark.slow]

# What the project promises for a stopped trial's processes and reservations.
SECONDS = 10.0


class EnoughError(Exception):
    """Stands for whatever ends a trial from outside."""


def job(folder: Path, changes: Mapping[str, Any] | None = None) -> dict[str, Any]:
    values = {
        "data": to_plain(compose_data(["data=demo_tiny"])),
        "model": {"name": "dango_gi", "hidden_dim": 8},
        "trainer": {"max_epochs": 3, "workers": 2},
    }
    config = build(ExperimentConfig, assign(values, changes or {}))
    return {"experiment": to_plain(config), "folder": str(folder), "adopt": None}


def workers() -> list[psutil.Process]:
    """Return the training processes that Ray started for this test."""
    found = []
    for process in psutil.Process().children(recursive=True):
        # One that ends meanwhile is none any more.
        with suppress(psutil.Error):
            if "RayTrainWorker" in " ".join(process.cmdline()):
                found.append(process)
    return found


def wait_until(what: Callable[[], bool], seconds: float) -> float:
    """Wait for something; return how long it took."""
    started = time.monotonic()
    while not what():
        assert time.monotonic() - started < seconds, f"not within {seconds} s"
        time.sleep(0.1)
    return time.monotonic() - started


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GroupPool]:
    """A pool of one group of two workers, on two processors."""
    import ray

    os.environ["RAY_AUTH_MODE"] = "disabled"
    dataset = load_dataset(compose_data(["data=demo_tiny"]))
    with ray_session(state_api=True):
        made = GroupPool(1, WorkerNeeds(2, 1.0, 0.0), ray.put(dataset), tmp_path_factory.mktemp("ray"))
        yield made
        made.close()
        wait_until(lambda: not workers(), SECONDS)
        wait_until(lambda: ray.available_resources().get("CPU", 0) == 2, SECONDS)


def run(
    pool: GroupPool, job: dict[str, Any], report: Callable[[dict[str, Any]], None] = lambda _: None
) -> tuple[str, Any]:
    """Train as a trial does; whatever the report raises is the trial's end."""
    name, number = pool.take("trial")
    intact = False
    try:
        kind, value = relay(pool.switchboard, name, number, job, report)
        intact = kind in (RESULT, ERROR)
        return kind, value
    except EnoughError:
        intact = True
        raise
    finally:
        pool.give_back("trial", intact=intact)


def stop_after(epoch: int) -> Callable[[dict[str, Any]], None]:
    def report(progress: dict[str, Any]) -> None:
        if progress["epoch"] == epoch:
            raise EnoughError

    return report


def test_one_group_trains_run_after_run(pool: GroupPool, tmp_path: Path) -> None:
    assert run(pool, job(tmp_path / "a"))[0] == RESULT
    pids = {p.pid for p in workers()}
    assert len(pids) == 2
    started = time.monotonic()
    with pytest.raises(EnoughError):
        run(pool, job(tmp_path / "b", {"trainer.max_epochs": 100_000}), stop_after(2))
    kind, result = run(pool, job(tmp_path / "c"))
    assert time.monotonic() - started < SECONDS, "a stopped run makes way for the next one"
    assert kind == RESULT
    assert result["epochs"] == 3
    assert {p.pid for p in workers()} == pids
    assert CheckpointStore(tmp_path / "b").load(LAST)["progress"]["epoch"] == 2


def test_an_error_of_the_configuration_leaves_the_group_usable(pool: GroupPool, tmp_path: Path) -> None:
    pids = {p.pid for p in workers()}
    kind, message = run(
        pool,
        job(tmp_path / "a", {"optimizer.lr": 10.0, "optimizer.clip_norm": None, "trainer.max_epochs": 50}),
    )
    assert kind == ERROR, message
    assert "NaN or infinite" in message
    assert run(pool, job(tmp_path / "b"))[0] == RESULT
    assert {p.pid for p in workers()} == pids


def test_workers_that_do_not_answer_are_ended(pool: GroupPool, tmp_path: Path) -> None:
    import ray

    assert run(pool, job(tmp_path / "a"))[0] == RESULT
    frozen = workers()

    def freeze(progress: dict[str, Any]) -> None:
        # Not the first worker, which answers for the group.
        for process in frozen:
            os.kill(process.pid, signal.SIGSTOP)
        raise EnoughError

    started = time.monotonic()
    with pytest.raises(EnoughError):
        run(pool, job(tmp_path / "b"), freeze)
    wait_until(lambda: not any(p.is_running() for p in frozen), SECONDS)
    wait_until(lambda: ray.available_resources().get("CPU", 0) == 2, SECONDS)
    assert time.monotonic() - started < SECONDS
    assert run(pool, job(tmp_path / "c"))[0] == RESULT


def test_a_killed_worker_is_noticed_and_the_run_goes_on_in_a_new_group(
    pool: GroupPool, tmp_path: Path
) -> None:
    assert run(pool, job(tmp_path / "a"))[0] == RESULT
    victim = workers()[1]
    seen: list[int] = []

    def kill(progress: dict[str, Any]) -> None:
        seen.append(progress["epoch"])
        if progress["epoch"] == 3:
            os.kill(victim.pid, signal.SIGKILL)

    long = job(tmp_path / "b", {"trainer.max_epochs": 6})
    kind, value = run(pool, long, kill)
    assert kind == GONE
    assert value == ("died", "its process died.")
    kind, result = run(pool, long, lambda progress: seen.append(progress["epoch"]))
    assert kind == RESULT
    assert result["epochs"] == 6
    assert seen == [1, 2, 3, 4, 5, 6], "it continues from the last checkpoint"
