from __future__ import annotations

import io
import time
from typing import Any

import pytest
from rich.console import Console

from gisearch.search.ledger import Handout, Outcome
from gisearch.search.progress import ProgressView, _duration
from gisearch.training.objective import Objective


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Any:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def view(total: int = 4, done: int = 0, mode: Any = "max", **more: Any) -> ProgressView:
    return ProgressView(
        Console(file=io.StringIO(), width=200), Objective("val/pearson", mode), total, done, **more
    )


def written(made: ProgressView) -> str:
    assert isinstance(made.console.file, io.StringIO)
    return made.console.file.getvalue()


def run(made: ProgressView, number: int, status: Any = "finished", value: float = 0.5) -> None:
    config: Any = None
    made.on_start(Handout(number, {}, 0), config)
    made.on_epoch(number, 1, value, {})
    made.on_end(number, Outcome(status, value, "it broke" if status == "failed" else None))


def test_one_line(clock: list[float]) -> None:
    made = view()
    assert made.line() == "0/4 trials, 0 running, 0 stopped early, 0 s elapsed"
    run(made, 0)
    run(made, 1, "stopped_early", 0.75)
    run(made, 2, "failed", 0.1)
    clock[0] += 90
    assert made.line() == (
        "3/4 trials, 0 running, 1 stopped early, 1 failed, best val/pearson 0.7500 (t0001), "
        "1 min 30 s elapsed, about 30 s left"
    )
    assert written(made) == "trial t0002 failed: it broke\n"


def test_time_left_counts_only_what_this_process_did(clock: list[float]) -> None:
    made = view(total=10, done=6)
    assert made.seconds_left() is None
    run(made, 6)
    run(made, 7)
    clock[0] += 20
    assert made.seconds_left() == pytest.approx(20.0)
    run(made, 8)
    run(made, 9)
    assert made.seconds_left() == 0.0
    assert made.line().startswith("10/10 trials")


def test_the_best_of_a_loss_is_the_smallest(clock: list[float]) -> None:
    made = view(mode="min")
    run(made, 0, value=0.5)
    run(made, 1, value=0.7)
    assert made.best == (0.5, 0)


def test_a_file_gets_a_line_now_and_then(clock: list[float]) -> None:
    with view() as made:
        run(made, 0)
        assert written(made) == ""
        clock[0] += 11
        config: Any = None
        made.on_start(Handout(1, {}, 0), config)
        assert written(made).count("\n") == 1
    assert written(made).splitlines()[-1].startswith("1/4 trials, 1 running")


def test_the_live_view_names_running_trials_and_notices() -> None:
    made = view(notice=lambda: "the tracking server does not answer")
    config: Any = None
    made.on_start(Handout(3, {}, 0), config)
    made.on_epoch(3, 2, 0.25, {})
    made.console.print(made.render())
    assert "running: t0003 epoch 2 0.250" in written(made)
    assert "the tracking server does not answer" in written(made)


def test_durations() -> None:
    assert [_duration(s) for s in (0.4, 61, 3725)] == ["0 s", "1 min 01 s", "1 h 02 min"]
