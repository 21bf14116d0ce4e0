"""A store slower than the trials, and what a waiting trial costs it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from gisearch.tracking.operations import Operation, Runs, RunWriter
from gisearch.tracking.spool import Spool, read_spool
from gisearch.tracking.store import Store
from gisearch.tracking.writer import BackgroundWriter

if TYPE_CHECKING:
    from tests.tracking.conftest import Flaky

LIMIT = 20
Opener = Callable[[], tuple[BackgroundWriter, str]]


class Counting:
    """An MlflowClient that counts its requests and takes time for each."""

    def __init__(self, client: Any, seconds: float = 0.0) -> None:
        self.client, self.seconds = client, seconds
        self.calls: Counter[str] = Counter()

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.client, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            self.calls[name] += 1
            time.sleep(self.seconds)
            return method(*args, **kwargs)

        return call


@pytest.fixture
def opened(store: Store, tmp_path: Path) -> Opener:
    """Open a writer on a new parent run, with room for few operations."""

    def make() -> tuple[BackgroundWriter, str]:
        parent = store.client.create_run(store.experiment_id).info.run_id
        spool = Spool(tmp_path / "spool.jsonl", parent, "test", store.address)
        writer = RunWriter(store, Runs(parent, {}), tmp_path)
        return BackgroundWriter(writer, spool, flush_seconds=0.05, first_backoff=0.05, limit=LIMIT), parent

    return make


def operations(number: int, epochs: int = 3) -> list[Operation]:
    points = [
        Operation("metrics", number, {"values": [["val/loss", 1.0 / step, step, 1_700_000_000_000 + step]]})
        for step in range(1, epochs + 1)
    ]
    start = Operation("start", number, {"name": f"t{number:04d}", "params": {"lr": "0.1"}, "tags": {}})
    text = Operation("text", number, {"path": "config.yaml", "text": "lr: 0.1\n"})
    end = Operation(
        "end",
        number,
        {"status": "FINISHED", "tags": {"gisearch.status": "finished"}, "summary": {"objective": 0.5}},
    )
    return [start, text, *points, end]


def check(store: Store, run: Any, epochs: int = 3) -> None:
    assert run.info.status == "FINISHED"
    assert run.data.params == {"lr": "0.1"}
    assert run.data.tags["gisearch.status"] == "finished"
    assert run.data.metrics["objective"] == 0.5
    history = store.client.get_metric_history(run.info.run_id, "val/loss")
    assert [point.step for point in history] == list(range(1, epochs + 1))
    assert Path(store.client.download_artifacts(run.info.run_id, "config.yaml")).read_text() == "lr: 0.1\n"


def test_a_store_slower_than_the_trials_gets_everything_and_memory_stays_bounded(
    store: Store, flaky: Flaky, opened: Opener, tmp_path: Path
) -> None:
    writer, parent = opened()
    flaky.open.clear()  # the store hangs
    for number in range(30):
        for operation in operations(number):
            writer.submit(operation)
            assert len(writer._backlog.queue) + len(writer._backlog._incoming) <= 2 * LIMIT
    assert writer.pending > 4 * LIMIT
    assert (tmp_path / "spool.jsonl").stat().st_size > 10_000
    flaky.open.set()
    assert writer.close(60.0) == 0
    assert (writer.pending, writer.set_aside, writer.rejected) == (0, 0, [])
    children = store.children(parent)
    assert sorted(children) == list(range(30))
    for run in children.values():
        check(store, run)
    assert read_spool(tmp_path / "spool.jsonl")[1] == []
    assert (tmp_path / "spool.jsonl").stat().st_size < 1000, "what is delivered need not stay on the disk"


def test_a_trial_that_waits_costs_four_requests(store: Store, flaky: Flaky, opened: Opener) -> None:
    counting = Counting(store.client)
    writer, parent = opened()
    store.client = counting
    flaky.open.clear()
    for number in (0, 1):  # the writer may already hold the first operations of the first
        for operation in operations(number, epochs=6):
            writer.submit(operation)
    flaky.open.set()
    before = counting.calls.copy()
    assert writer.close(60.0) == 0
    spent = counting.calls - before
    assert spent["log_batch"] <= 4
    assert spent["create_run"] <= 2
    store.client = flaky.client
    for run in store.children(parent).values():
        check(store, run, epochs=6)
    alone = Counting(store.client)
    store.client = alone
    RunWriter(store, Runs(parent, {}), Path()).apply(operations(2, epochs=6))
    assert alone.calls == {"create_run": 1, "log_batch": 1, "log_artifact": 1, "set_terminated": 1}


def test_what_is_refused_takes_nothing_else_along(store: Store, flaky: Flaky, opened: Opener) -> None:
    writer, parent = opened()
    flaky.open.clear()
    writer.submit(Operation("tags", None, {"a": "1"}))  # what follows waits together
    whole = operations(0)
    for operation in [*whole[:2], Operation("file", 0, {"path": "x.png", "local": "absent.png"}), *whole[2:]]:
        writer.submit(operation)
    flaky.open.set()
    assert writer.close(60.0) == 0
    assert len(writer.rejected) == 1
    assert "file of trial 0" in writer.rejected[0]
    check(store, store.children(parent)[0])


def test_closing_waits_for_a_slow_store_as_long_as_it_takes_writes(store: Store, opened: Opener) -> None:
    writer, parent = opened()
    store.client = Counting(store.client, seconds=0.1)
    for number in range(6):
        for operation in operations(number):
            writer.submit(operation)
    started = time.monotonic()
    assert writer.close(1.0) == 0
    assert time.monotonic() - started > 1.0
    assert len(store.children(parent)) == 6


def test_a_run_whose_answer_was_lost_is_found_among_many(
    store: Store, opened: Opener, tmp_path: Path
) -> None:
    parent = store.client.create_run(store.experiment_id).info.run_id
    RunWriter(store, Runs(parent, {}), tmp_path).apply(operations(11))
    RunWriter(store, Runs(parent, {}), tmp_path).apply(operations(1))
    counting = Counting(store.client)
    store.client = counting
    RunWriter(store, Runs(parent, {}), tmp_path).apply(operations(1)[:1], again=True)
    assert counting.calls["create_run"] == 0
    assert counting.calls["search_runs"] == 1
    assert len(store.children(parent)) == 2
