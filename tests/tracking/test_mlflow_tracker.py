from __future__ import annotations

import math
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from gisearch.errors import TrackingError
from gisearch.tracking.config import TrackingConfig
from gisearch.tracking.mlflow_tracker import SweepTracker
from gisearch.tracking.records import DatasetRecord, TrialEnd, TrialStart
from gisearch.tracking.store import Store, open_store

if TYPE_CHECKING:
    from tests.tracking.conftest import Flaky

CONFIG = "model:\n  width: 64\n"


def begin(store: Store | None, folder: Path, **more: Any) -> SweepTracker:
    tracker = SweepTracker(store, folder)
    tracker.start("dango_gi", {"search.trials": 2}, {"git.commit": "abc"}, "**Why?**", **more)
    return tracker


def trial(number: int, **params: Any) -> TrialStart:
    return TrialStart(number, f"trial {number:03d}", params or {"model.width": 64}, CONFIG)


def runs(store: Store) -> dict[str, Any]:
    return {run.info.run_name: run for run in store.client.search_runs([store.experiment_id])}


def test_a_sweep_and_its_trials_are_nested_runs(store: Store, tmp_path: Path) -> None:
    seen: dict[int, str] = {}
    tracker = SweepTracker(store, tmp_path, on_run=seen.__setitem__)
    data = DatasetRecord("demo", "9f2c1a7b", "generated", {"genes": 600})
    tracker.start("dango_gi", {"search.trials": 2}, {"git.commit": "abc"}, "**Why?**", dataset=data)
    tracker.start_trial(trial(0, **{"model.width": 64, "optimizer.lr": 0.00123456789, "model.gate": True}))
    for epoch in range(3):
        tracker.log_metrics(0, epoch, {"val/pearson": 0.1 * epoch, "train/loss": math.nan})
    tracker.end_trial(
        TrialEnd(
            0, "finished", summary={"objective": 0.2, "val/pearson": 0.2, "seconds": 1.5}, tags={"x": "y"}
        )
    )
    (tmp_path / "best.yaml").write_text(CONFIG)
    (tmp_path / "curves.png").write_bytes(b"png")
    report = tracker.finish(
        "finished",
        {"objective": 0.2},
        {"best/config.yaml": tmp_path / "best.yaml", "plots/learning.png": tmp_path / "curves.png"},
        description_markdown="**Because.**",
    )
    assert (report.spooled, report.rejected, report.message) == (0, (), "")
    found = runs(store)
    parent, child = found["dango_gi"], found["trial 000"]
    assert child.data.tags["mlflow.parentRunId"] == parent.info.run_id == tracker.parent_run_id
    assert tracker.run_ids == seen == {0: child.info.run_id}
    assert tracker.run_id(0) == child.info.run_id
    assert (parent.info.status, child.info.status) == ("FINISHED", "FINISHED")
    assert child.data.params == {"model.width": "64", "optimizer.lr": "0.00123457", "model.gate": "true"}
    assert child.data.tags["gisearch.status"] == "finished"
    assert child.data.tags["x"] == "y"
    assert child.data.metrics["objective"] == 0.2
    assert child.data.metrics["val_best/pearson"] == 0.2
    assert child.data.metrics["seconds"] == 1.5
    curve = store.client.get_metric_history(child.info.run_id, "val/pearson")
    assert [(m.step, round(m.value, 6)) for m in curve] == [(0, 0.0), (1, 0.1), (2, 0.2)]
    assert math.isnan(child.data.metrics["train/loss"])
    assert parent.data.tags["mlflow.note.content"].startswith("**Because.**\n\n[All trials, best first](#/")
    for run in (parent, child):
        assert run.data.tags["mlflow.source.git.commit"] == "abc"
        assert run.inputs.dataset_inputs[0].dataset.digest == "9f2c1a7b"
    download = store.client.download_artifacts
    assert Path(download(child.info.run_id, "config.yaml")).read_text() == CONFIG
    assert Path(download(parent.info.run_id, "best/config.yaml")).read_text() == CONFIG
    assert Path(download(parent.info.run_id, "plots/learning.png")).read_bytes() == b"png"


@pytest.mark.parametrize(
    ("status", "mlflow_status", "tag"),
    [
        ("stopped_early", "FINISHED", "gisearch.reason"),
        ("failed", "FAILED", "gisearch.failure"),
        ("interrupted", "KILLED", "gisearch.reason"),
    ],
)
def test_every_ending_has_its_status(
    store: Store, tmp_path: Path, status: Any, mlflow_status: str, tag: str
) -> None:
    tracker = begin(store, tmp_path)
    tracker.start_trial(trial(0))
    tracker.end_trial(TrialEnd(0, status, "lost http://u:pa55@host:1"))
    tracker.finish("finished", {}, {})
    child = runs(store)["trial 000"]
    assert child.info.status == mlflow_status
    assert child.data.tags["gisearch.status"] == status
    assert child.data.tags[tag] == "lost http://host:1"


def test_trials_left_open_are_closed_as_interrupted(store: Store, tmp_path: Path) -> None:
    tracker = begin(store, tmp_path)
    tracker.start_trial(trial(0))
    tracker.finish("interrupted", {}, {})
    found = runs(store)
    assert found["trial 000"].info.status == "KILLED"
    assert found["dango_gi"].info.status == "KILLED"


def test_secrets_never_reach_the_store(store: Store, tmp_path: Path) -> None:
    tracker = SweepTracker(store, tmp_path)
    tracker.start("s", {"db.password": "hunter2"}, {"uri": "http://u:hunter2@h"}, "see http://u:hunter2@h")
    tracker.start_trial(TrialStart(0, "trial 000", {"api_key": "hunter2"}, "api_key: hunter2\n"))
    (tmp_path / "config.yaml").write_text("token: hunter2\n")
    tracker.finish("finished", {}, {"best/config.yaml": tmp_path / "config.yaml"})
    for run in runs(store).values():
        assert "hunter2" not in str(run.to_dictionary())
        for path in ("config.yaml", "best/config.yaml"):
            if any(item.path == path.split("/")[0] for item in store.client.list_artifacts(run.info.run_id)):
                text = Path(store.client.download_artifacts(run.info.run_id, path)).read_text()
                assert "***" in text
                assert "hunter2" not in text
    for path in tmp_path.glob("mlflow.db*"):
        assert b"hunter2" not in path.read_bytes()


def test_a_resumed_sweep_goes_on_in_the_same_runs(
    tracking: TrackingConfig, store: Store, tmp_path: Path
) -> None:
    first = begin(store, tmp_path)
    first.start_trial(trial(0))
    first.start_trial(trial(1))
    first.log_metrics(0, 0, {"val/pearson": 0.1})
    first.log_metrics(0, 1, {"val/pearson": 0.2})
    wait_for(lambda: len(first.run_ids) == 2 and "val/pearson" in runs(store)["trial 000"].data.metrics)
    before = first.run_ids  # the driver dies here: no end_trial, no finish

    second_store = open_store(tracking)
    second = SweepTracker(second_store, tmp_path)
    second.start(
        "dango_gi", {}, {"git.commit": "def"}, "", parent_run_id=first.parent_run_id, children={0: before[0]}
    )
    assert runs(store)["trial 001"].info.status == "KILLED"
    assert second.run_ids == before
    second.start_trial(trial(0))
    for epoch, value in ((1, 0.2), (2, 0.3)):  # epoch 1 again, from the last checkpoint
        second.log_metrics(0, epoch, {"val/pearson": value})
    second.end_trial(TrialEnd(0, "finished", summary={"objective": 0.3}))
    second.finish("finished", {}, {})
    found = runs(store)
    assert len(found) == 3
    assert found["trial 000"].info.run_id == before[0]
    assert found["trial 000"].info.status == "FINISHED"
    curve = store.client.get_metric_history(before[0], "val/pearson")
    assert [(m.step, m.value) for m in curve] == [(0, 0.1), (1, 0.2), (2, 0.3)]
    parent = found["dango_gi"]
    assert parent.info.run_id == first.parent_run_id
    assert parent.info.status == "FINISHED"
    assert parent.data.tags["gisearch.resumed"] == "1"
    assert (parent.data.tags["git.commit"], parent.data.tags["git.commit.resumed"]) == ("abc", "def")


def test_a_failed_trial_that_is_tried_again_loses_its_failure(store: Store, tmp_path: Path) -> None:
    tracker = begin(store, tmp_path)
    tracker.start_trial(trial(0))
    tracker.end_trial(TrialEnd(0, "failed", "worker killed"))
    # MLflow refuses to change a parameter; the rest of the trial must not suffer for it.
    tracker.start_trial(trial(0, **{"model.width": 128, "model.depth": 2}))
    tracker.end_trial(TrialEnd(0, "finished", summary={"objective": 1.0}))
    report = tracker.finish("finished", {}, {})
    assert (report.spooled, report.rejected) == (0, ())
    found = runs(store)
    assert len(found) == 2
    assert found["trial 000"].info.status == "FINISHED"
    assert found["trial 000"].data.params == {"model.width": "64", "model.depth": "2"}
    assert "gisearch.failure" not in found["trial 000"].data.tags


def test_resuming_in_another_store_is_an_error(store: Store, tmp_path: Path) -> None:
    with pytest.raises(
        TrackingError, match=r"holds no run 0123abcd, in which this sweep began; set tracking"
    ):
        begin(store, tmp_path, parent_run_id="0123abcd")


def test_without_a_store_every_call_does_nothing(tmp_path: Path) -> None:
    tracker = begin(None, tmp_path)
    tracker.start_trial(trial(0))
    tracker.log_metrics(0, 0, {"a": 1.0})
    tracker.end_trial(TrialEnd(0, "finished"))
    report = tracker.finish("finished", {}, {"x.yaml": tmp_path / "absent.yaml"})
    assert (report.delivered, report.spooled, report.message) == (0, 0, "")
    assert (tracker.parent_run_id, tracker.run_ids, tracker.run_id(0), tracker.page) == (None, {}, None, None)
    assert tracker.notice() is None
    assert list(tmp_path.iterdir()) == []


def test_the_search_never_waits_for_the_store(store: Store, flaky: Flaky, tmp_path: Path) -> None:
    tracker = begin(store, tmp_path)
    flaky.open.clear()  # from here on the store hangs
    for number in range(5):
        tracker.start_trial(trial(number))
        for epoch in range(50):
            tracker.log_metrics(number, epoch, {"val/pearson": 0.1, "val/loss": 1.0})
        tracker.end_trial(TrialEnd(number, "finished", summary={"objective": 0.1}))
    assert tracker.run_ids == {}
    flaky.open.set()
    report = tracker.finish("finished", {}, {})
    assert report.message == ""
    found = runs(store)
    assert len(found) == 6
    for number in range(5):
        run_id = found[f"trial {number:03d}"].info.run_id
        assert [m.step for m in store.client.get_metric_history(run_id, "val/loss")] == list(range(50))


def test_a_store_that_hangs_for_good_does_not_hold_up_the_end(
    store: Store, flaky: Flaky, tmp_path: Path
) -> None:
    others = set(threading.enumerate())
    tracker = begin(store, tmp_path)
    (writer,) = set(threading.enumerate()) - others
    flaky.open.clear()
    tracker.start_trial(trial(0))
    tracker.end_trial(TrialEnd(0, "finished"))
    started = time.monotonic()
    report = tracker.finish("finished", {}, {}, timeout=1.0)
    assert time.monotonic() - started < 5
    assert report.spooled == 4
    assert "could not be delivered" in report.message
    flaky.open.set()
    writer.join(10)
    assert not writer.is_alive(), "an abandoned writer that goes on would take a core from the training"


def test_the_sweeps_own_curve_ends_with_its_summary(store: Store, tmp_path: Path) -> None:
    tracker = begin(store, tmp_path)
    for done, best in ((1, 0.2), (2, 0.3)):
        tracker.log_metrics(None, done, {"objective": best})
    tracker.finish("finished", {"objective": 0.3, "trials": 2}, {})
    parent = runs(store)["dango_gi"]
    assert parent.data.metrics == {"objective": 0.3, "trials": 2.0}
    history = store.client.get_metric_history(parent.info.run_id, "objective")
    assert {m.step for m in history} == {1, 2}


def test_page_shows_this_sweeps_trials_best_first(store: Store, tmp_path: Path) -> None:
    tracker = begin(store, tmp_path, searched=["model.width"], mode="min")
    tracker.finish("finished", {}, {})
    assert tracker.page is not None
    assert tracker.page.startswith(f"http://127.0.0.1:5000/#/experiments/{store.experiment_id}/runs?")
    assert tracker.page.endswith(f"viewStateShareKey={tracker.parent_run_id}")
    tags = store.client.get_experiment(store.experiment_id).tags
    view = tags[f"mlflow.sharedViewState.{tracker.parent_run_id}"]
    assert f"tags.`mlflow.parentRunId` = '{tracker.parent_run_id}'" in view
    assert '"orderByAsc": true' in view
    assert "params.`model.width`" in view


def wait_for(condition: Any, seconds: float = 15.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the writer did not get there"
        time.sleep(0.05)
