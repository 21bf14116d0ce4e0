"""A machine that is taken away while it trains, and a worker of a group that is killed, in real sweeps."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

from gisearch.training.checkpoint import LAST, CheckpointStore
from tests.faults.sweeps import Sweep

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(1200)]

# Enough to be in the middle of a trial still when something is done to it, on a fast machine too.
EPOCHS = 32
TWO_WORKERS = ("trainer.workers=2", f"trainer.max_epochs={EPOCHS}")


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Three machines with one processor each, on this one; the head has none."""
    for key, value in {
        "RAY_AUTH_MODE": "disabled",
        # A machine that does not answer for three seconds is gone.
        "RAY_health_check_period_ms": "1000",
        "RAY_health_check_failure_threshold": "3",
    }.items():
        monkeypatch.setenv(key, value)
    from ray.cluster_utils import Cluster

    memory = {"object_store_memory": 100 * 1024**2}
    # No port of its own for the dashboard: any that is free, beside the other tests' clusters.
    dashboard = {"include_dashboard": True, "dashboard_port": None}
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **dashboard, **memory})
    for _ in range(3):
        made.add_node(num_cpus=1, **memory)
    made.wait_for_nodes()
    yield made
    made.shutdown()


def processes(below: int, name: str) -> list[psutil.Process]:
    """Return the processes below another one whose command line holds a name."""
    children = psutil.Process(below).children(recursive=True)
    return [child for child in children if name in " ".join(child.cmdline())]


def nodes_with(cluster: Any, name: str) -> list[Any]:
    """Return the machines on which a process of Ray runs whose command line holds a name."""
    nodes = [cluster.head_node, *cluster.worker_nodes]
    return [node for node in nodes if processes(node.all_processes["raylet"][0].process.pid, name)]


def test_a_machine_is_taken_away_while_two_train_a_trial(cluster: Any, sweep: Sweep) -> None:
    sweep.environment = {"RAY_ADDRESS": cluster.address, "RAY_AUTH_MODE": "disabled"}
    sweep.begin(*TWO_WORKERS, trials=2)
    sweep.wait_for_epoch(0, 3)
    assert nodes_with(cluster, "Switchboard") == [cluster.head_node], "it lives where the driver does"
    victims = nodes_with(cluster, "RayTrainWorker")
    assert len(victims) == 2, "the two workers train on two machines"
    cluster.remove_node(victims[0], allow_graceful=False)
    code, out, _ = sweep.end()
    assert code == 0, out
    assert "its machine was taken away or died" in out
    for trial in sweep.trials:
        assert trial.state.name == "COMPLETE"
        assert sorted(trial.intermediate_values) == list(range(1, EPOCHS + 1)), "no epoch is missing"
    assert sweep.trials[0].user_attrs["losses"] == {"preempted": 1}
    assert "losses" not in sweep.trials[1].user_attrs


def test_a_killed_worker_and_a_killed_switchboard_cost_at_most_an_epoch(sweep: Sweep) -> None:
    sweep.environment = {"RAY_AUTH_MODE": "disabled"}
    sweep.begin(*TWO_WORKERS, trials=2)
    sweep.wait_for_epoch(0, 3)
    workers = processes(sweep.driver.pid, "RayTrainWorker")
    assert len(workers) == 2
    os.kill(workers[1].pid, signal.SIGKILL)
    # In the second trial, which no group can be handed any more.
    sweep.wait_for_epoch(1, 3)
    (switchboard,) = processes(sweep.driver.pid, "Switchboard")
    os.kill(switchboard.pid, signal.SIGKILL)
    code, out, err = sweep.end()
    assert code == 1, out + err
    assert "t0000 will be continued: its process died." in out
    assert "The sweep stops: the process that hands trials to their workers died." in out
    assert "--resume sweep" in out, out + err
    code, out, err = sweep.resume().end()
    assert code == 0, out + err
    first, second = sweep.trials
    assert first.user_attrs["losses"] == {"died": 1}
    assert sorted(first.intermediate_values) == sorted(second.intermediate_values)
    for number in range(2):
        state = CheckpointStore(sweep.trial_folder(number)).load(LAST)
        assert [epoch["epoch"] for epoch in state["progress"]["history"]] == list(range(1, EPOCHS + 1))


def test_a_stopped_sweep_of_groups_leaves_no_process_behind(sweep: Sweep) -> None:
    sweep.environment = {"RAY_AUTH_MODE": "disabled"}
    sweep.begin("trainer.workers=2", "trainer.max_epochs=100000", trials=2)
    sweep.wait_for_epoch(0, 3)
    below = psutil.Process(sweep.driver.pid).children(recursive=True)
    sweep.driver.send_signal(signal.SIGTERM)
    started = time.monotonic()
    code, out, err = sweep.end()
    assert code == 128 + signal.SIGTERM, out + err
    assert "--resume sweep" in out, out + err
    assert time.monotonic() - started < 60
    # Ray's own may take a moment longer than the driver.
    _, left = psutil.wait_procs(below, timeout=20)
    assert not left
    epoch = max(sweep.trials[0].intermediate_values)
    state = CheckpointStore(sweep.results / "trials" / "t0000").load(LAST)
    assert state["progress"]["epoch"] == epoch, "its last epoch was kept"
