"""A trial's own process is killed, hangs, runs out of memory or out of numbers; the sweep goes on."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.faults.sweeps import Sweep, stop

# One sweep, started several times, is what all tests of a class look at.
pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(1200)]

EPOCHS = 16
# By trial: killed once; killed whenever it goes on; nothing wrong; more memory than its process may have;
# weights that are multiplied by -99 at every step; nothing wrong.
TROUBLE = """
name: trouble
base: [model=dango_gi, data=demo_tiny]
space:
  optimizer.lr: [2.0e-3, 3.0e-3, 4.0e-3, 5.0e-3, 6.0e-3, 10.0]
  optimizer.weight_decay: [1.0e-4, 10.0]
  model.hidden_dim: [16, 1024]
baselines:
  - {optimizer.lr: 2.0e-3, optimizer.weight_decay: 1.0e-4, model.hidden_dim: 16}
  - {optimizer.lr: 3.0e-3, optimizer.weight_decay: 1.0e-4, model.hidden_dim: 16}
  - {optimizer.lr: 4.0e-3, optimizer.weight_decay: 1.0e-4, model.hidden_dim: 16}
  - {optimizer.lr: 2.0e-3, optimizer.weight_decay: 1.0e-4, model.hidden_dim: 1024}
  - {optimizer.lr: 10.0, optimizer.weight_decay: 10.0, model.hidden_dim: 16}
  - {optimizer.lr: 5.0e-3, optimizer.weight_decay: 1.0e-4, model.hidden_dim: 16}
  - {optimizer.lr: 6.0e-3, optimizer.weight_decay: 1.0e-4, model.hidden_dim: 16}
search: {trials: 7, concurrency: 1, scheduler: none, max_retries: 1, keep_checkpoints: 1}
"""


@contextmanager
def watching(folder: Path) -> Iterator[list[int]]:
    """Count, many times a second, the trials that have checkpoints."""
    counts: list[int] = []
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.05):
            counts.append(len({path.parent for path in folder.glob("*/*.pt")}))

    thread = threading.Thread(target=watch)
    thread.start()
    yield counts
    over.set()
    thread.join()


def kill_worker(sweep: Sweep, number: int, epoch: int, before: psutil.Process | None) -> psutil.Process:
    """Kill the process that trains a trial, once that has reached an epoch in another one than before."""
    sweep.wait_for_epoch(number, epoch)
    worker = sweep.worker()
    assert worker != before
    worker.kill()
    return worker


@pytest.fixture(scope="module")
def troubled(shared_sweep: Callable[[str], Sweep]) -> tuple[Sweep, dict[str, Any]]:
    one, facts = shared_sweep("trouble"), dict[str, Any]()
    one.begin_with(TROUBLE, f"trainer.max_epochs={EPOCHS}", "trainer.batch_size=8")
    with watching(one.results / "trials") as facts["kept"]:
        first = kill_worker(one, 0, 5, None)
        second = kill_worker(one, 1, 5, first)
        # One more epoch than the checkpoint has: that it goes on has then been recorded.
        kill_worker(one, 1, one.epoch(1) + 2, second)
        # What the process has, and less than the large model takes to be trained.
        one.wait_for_epoch(2, 3)
        worker = one.worker()
        allowed = worker.memory_info().vms + (150 << 20)
        worker.rlimit(psutil.RLIMIT_AS, (allowed, psutil.RLIM_INFINITY))
        facts["end"] = one.end()
    return one, facts


class TestTrouble:
    """One sweep in which nearly everything goes wrong."""

    def reason(self, troubled: tuple[Sweep, dict[str, Any]], number: int) -> str:
        one, facts = troubled
        assert facts["end"][0] == 0, facts["end"]
        trial = one.trials[number]
        assert trial.state.name == "FAIL"
        assert one.runs()[1][number].info.status == "FAILED"
        reason = str(trial.user_attrs["outcome"]["reason"])
        assert one.runs()[1][number].data.tags["gisearch.failure"] == reason
        assert f"trial t{number:04d} failed: {reason[:40]}" in facts["end"][1]
        return reason

    def test_a_killed_process_goes_on_from_its_checkpoint(
        self, troubled: tuple[Sweep, dict[str, Any]]
    ) -> None:
        one, facts = troubled
        assert facts["end"][0] == 0, facts["end"]
        trial = one.trials[0]
        assert trial.state.name == "COMPLETE"
        assert trial.user_attrs["losses"] == {"died": 1}
        assert sorted(trial.intermediate_values) == list(range(1, EPOCHS + 1))
        assert one.steps(one.runs()[1][0]) == list(range(1, EPOCHS + 1))
        assert "trial t0000 will be continued: its process died." in facts["end"][1]

    def test_a_process_that_dies_too_often_is_given_up(self, troubled: tuple[Sweep, dict[str, Any]]) -> None:
        assert self.reason(troubled, 1) == "its process died (2 times)."

    def test_nan_names_its_stage(self, troubled: tuple[Sweep, dict[str, Any]]) -> None:
        reason = self.reason(troubled, 4)
        assert reason.startswith("epoch ")
        assert "NaN" in reason or "finite" in reason

    def test_a_model_that_its_memory_cannot_hold(self, troubled: tuple[Sweep, dict[str, Any]]) -> None:
        assert self.reason(troubled, 3).startswith("out of memory: ")
        assert "losses" not in troubled[0].trials[3].user_attrs

    def test_the_others_are_trained(self, troubled: tuple[Sweep, dict[str, Any]]) -> None:
        assert [troubled[0].trials[i].state.name for i in (2, 5, 6)] == ["COMPLETE"] * 3

    def test_checkpoints_stay_few_while_it_runs(self, troubled: tuple[Sweep, dict[str, Any]]) -> None:
        one, facts = troubled
        # The best one's, the running one's, and for a moment those of the trial that has just ended.
        assert max(facts["kept"]) <= 3
        assert len(facts["kept"]) > 20
        best = max((t for t in one.trials if t.value is not None), key=lambda t: t.value or 0.0)
        assert {path.parent.name for path in (one.results / "trials").glob("*/*.pt")} == {
            f"t{best.number:04d}"
        }


def test_a_trial_that_hangs_is_ended_and_its_place_given_to_the_next(sweep: Sweep) -> None:
    """The next one needs every processor there is; it goes on until its own time is over."""
    limits = ("search.stall_minutes=0.4", "search.trial_minutes=0.4", "trainer.max_epochs=100000")
    sweep.begin(*limits, f"search.cpus_per_worker={os.cpu_count()}", "tracking.enabled=false")
    sweep.wait_for_epoch(0, 2)
    hanging = sweep.worker()
    stop(hanging)
    reached = sweep.epoch(0)
    code, out, err = sweep.end()
    assert code == 0, err
    hung, limited = sweep.trials
    assert hung.state.name == "FAIL"
    reason = "no epoch ended within 0.4 minutes; its process was ended."
    assert hung.user_attrs["outcome"]["reason"] == reason
    assert f"trial t0000 failed: {reason}" in out
    assert hung.last_step == reached
    assert not hanging.is_running()
    assert limited.user_attrs["outcome"]["status"] == "stopped_early"
    assert limited.user_attrs["outcome"]["reason"] == "it ran for its 0.4 minutes"
    assert limited.user_attrs["outcome"]["epochs"] == limited.last_step
    assert max(limited.intermediate_values.values()) == limited.intermediate_values[limited.last_step or 0]


# The first fits; the second takes gigabytes for weights, gradients and the optimiser's moments.
SIZES = """
name: sweep
base: [model=dango_gi, data=demo_tiny]
space:
  model.hidden_dim: [16, 4096]
baselines:
  - {model.hidden_dim: 16}
search: {trials: 2, concurrency: 1, scheduler: none, exhaustive: true}
"""


def test_a_trial_that_takes_the_machines_memory_is_ended_by_ray(sweep: Sweep) -> None:
    """Ray ends a process before the machine is out of memory: here, soon after what is used now."""
    memory = psutil.virtual_memory()
    room = 3 << 30
    if memory.available < room + (3 << 30):
        pytest.skip("needs 6 GB of free memory")
    threshold = (memory.total - memory.available + room) / memory.total
    sweep.environment = {
        "RAY_memory_usage_threshold": f"{threshold:.4f}",
        "RAY_memory_monitor_refresh_ms": "100",
    }
    sweep.begin_with(SIZES, "trainer.max_epochs=2", "tracking.enabled=false")
    code, out, err = sweep.end()
    assert code == 0, err
    fits, large = sorted(sweep.trials, key=lambda t: t.params["model.hidden_dim"])
    assert fits.state.name == "COMPLETE"
    assert large.state.name == "FAIL"
    assert large.user_attrs["losses"] == {"out_of_memory": 1}
    assert large.user_attrs["outcome"]["reason"].startswith("out of memory: ")
    assert "trial t0001 failed: out of memory: " in out
