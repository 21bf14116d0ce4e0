"""The store fails: nothing blocks, nothing is lost, nothing is written twice."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from gisearch.errors import TrackingError
from gisearch.tracking.__main__ import main
from gisearch.tracking.config import TrackingConfig
from gisearch.tracking.mlflow_tracker import SweepTracker
from gisearch.tracking.records import TrialEnd, TrialStart
from gisearch.tracking.spool import read_spool, upload_spool
from gisearch.tracking.store import Store, open_store
from tests.tracking.server import Server

if TYPE_CHECKING:
    from tests.tracking.conftest import Flaky


def wait_for(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def kept(spool: Path) -> int:
    # The file exists a moment before its first line.
    return len(read_spool(spool)[1]) if spool.exists() and spool.stat().st_size else 0


def begin(store: Store, folder: Path) -> SweepTracker:
    tracker = SweepTracker(store, folder)
    tracker.start("sweep", {}, {}, "")
    return tracker


def whole_trial(tracker: SweepTracker, number: int) -> None:
    tracker.start_trial(TrialStart(number, f"trial {number:03d}", {"lr": 0.1}, "lr: 0.1\n"))
    for epoch in range(3):
        tracker.log_metrics(number, epoch, {"val/loss": 1.0 - 0.1 * epoch})
    tracker.end_trial(TrialEnd(number, "finished", summary={"objective": 0.8}))


def children(store: Store) -> dict[str, Any]:
    found = store.client.search_runs([store.experiment_id])
    kept = {run.info.run_name: run for run in found if "mlflow.parentRunId" in run.data.tags}
    assert len(kept) == sum("mlflow.parentRunId" in run.data.tags for run in found), "a trial has two runs"
    return kept


def check_whole(store: Store, run: Any) -> None:
    assert run.info.status == "FINISHED"
    assert run.data.params == {"lr": "0.1"}
    assert run.data.metrics["objective"] == 0.8
    history = store.client.get_metric_history(run.info.run_id, "val/loss")
    assert [(m.step, m.value) for m in history] == [(0, 1.0), (1, 0.9), (2, 0.8)]
    assert Path(store.client.download_artifacts(run.info.run_id, "config.yaml")).read_text() == "lr: 0.1\n"


def test_a_store_that_comes_back_gets_everything_once(
    store: Store, flaky: Flaky, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tracker = begin(store, tmp_path)
    whole_trial(tracker, 0)
    wait_for(lambda: tracker.run_id(0) is not None)
    with caplog.at_level(logging.WARNING, "gisearch"):
        flaky.down.set()
        whole_trial(tracker, 1)
        wait_for(lambda: tracker.notice() is not None)
        notice = tracker.notice()
        assert notice is not None
        assert "has not answered for" in notice
        assert "connection refused" in notice
        # Everything that waits is already on disk, should this process die now.
        wait_for(lambda: kept(tmp_path / "tracking_spool.jsonl") >= 4)
        flaky.down.clear()
        wait_for(lambda: tracker.notice() is None and tracker.run_id(1) is not None)
    report = tracker.finish("finished", {}, {})
    assert (report.spooled, report.message) == (0, "")
    found = children(store)
    check_whole(store, found["trial 000"])
    check_whole(store, found["trial 001"])
    assert read_spool(tmp_path / "tracking_spool.jsonl")[1] == []
    assert "answers again" in caplog.text


def test_what_is_left_at_the_end_is_spooled_and_uploaded_once(
    tracking: TrackingConfig, store: Store, flaky: Flaky, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tracker = begin(store, tmp_path)
    whole_trial(tracker, 0)
    wait_for(lambda: tracker.run_id(0) is not None)
    flaky.down.set()
    whole_trial(tracker, 1)
    (tmp_path / "plot.png").write_bytes(b"png")
    started = time.monotonic()
    report = tracker.finish("finished", {"objective": 0.8}, {"plots/plot.png": tmp_path / "plot.png"})
    assert time.monotonic() - started < 10
    spool = tmp_path / "tracking_spool.jsonl"
    assert report.spooled >= 5
    assert report.spool == spool
    assert f"kept in {spool}" in report.message
    assert f"python -m gisearch.tracking upload {spool}" in report.message
    flaky.down.clear()
    before = spool.read_bytes()

    first = upload_spool(spool, tracking)
    assert first.delivered == report.spooled
    assert "were uploaded to" in first.message
    assert spool.read_bytes().startswith(before), "the spool is append-only"
    spool.write_bytes(before)  # as if a crash had lost the marks: everything is delivered again
    assert main(["upload", str(spool), "--uri", str(tracking.uri)]) == 0
    assert "were uploaded to" in capsys.readouterr().out
    assert upload_spool(spool, tracking).delivered == 0
    found = children(store)
    assert len(found) == 2
    check_whole(store, found["trial 000"])
    check_whole(store, found["trial 001"])
    parent = store.client.get_run(str(tracker.parent_run_id))
    assert parent.info.status == "FINISHED"
    assert Path(store.client.download_artifacts(parent.info.run_id, "plots/plot.png")).read_bytes() == b"png"


def test_a_resumed_sweep_delivers_the_spool_of_the_one_that_died(
    tracking: TrackingConfig, store: Store, flaky: Flaky, tmp_path: Path
) -> None:
    tracker = begin(store, tmp_path)
    flaky.down.set()
    whole_trial(tracker, 0)
    wait_for(lambda: tracker.notice() is not None)
    wait_for(lambda: kept(tmp_path / "tracking_spool.jsonl") >= 3)
    second_store = open_store(tracking)  # the driver dies without finish(); the store is back
    assert second_store is not None
    second = SweepTracker(second_store, tmp_path)
    second.start("sweep", {}, {}, "", parent_run_id=tracker.parent_run_id)
    report = second.finish("finished", {}, {})
    assert report.message == ""
    check_whole(second_store, children(second_store)["trial 000"])


def test_a_lost_answer_does_not_make_a_second_run(store: Store, flaky: Flaky, tmp_path: Path) -> None:
    tracker = begin(store, tmp_path)
    flaky.after.update({"create_run", "log_batch"})
    whole_trial(tracker, 0)
    report = tracker.finish("finished", {}, {})
    if report.spooled:  # closing gives up soon; the rest is then in the spool
        upload_spool(tmp_path / "tracking_spool.jsonl", TrackingConfig(uri=store.uri, experiment="test"))
    check_whole(store, children(store)["trial 000"])


def test_a_broken_artifact_store_does_not_hold_up_the_rest(
    store: Store, flaky: Flaky, tmp_path: Path
) -> None:
    tracker = begin(store, tmp_path)
    flaky.broken.add("log_artifact")
    whole_trial(tracker, 0)
    wait_for(
        lambda: "trial 000" in children(store) and children(store)["trial 000"].info.status == "FINISHED"
    )
    report = tracker.finish("finished", {}, {})
    assert report.spooled == 1
    assert [op.kind for op in read_spool(tmp_path / "tracking_spool.jsonl")[1]] == ["text"]
    flaky.broken.clear()
    upload_spool(tmp_path / "tracking_spool.jsonl", TrackingConfig(uri=store.uri, experiment="test"))
    check_whole(store, children(store)["trial 000"])


def test_a_write_that_is_refused_for_good_is_reported_and_skipped(store: Store, tmp_path: Path) -> None:
    tracker = begin(store, tmp_path)
    report = tracker.finish("finished", {"objective": 1.0}, {"plot.png": tmp_path / "absent.png"})
    assert report.spooled == 0
    assert len(report.rejected) == 1
    assert "file of the sweep" in report.rejected[0]
    assert "refused 1 tracking writes" in report.message
    assert store.client.get_run(str(tracker.parent_run_id)).data.metrics == {"objective": 1.0}


def test_upload_needs_the_right_store(tracking: TrackingConfig, tmp_path: Path) -> None:
    spool = tmp_path / "tracking_spool.jsonl"
    header = {"spool": 1, "parent_run_id": "0123", "experiment": "test", "uri": "http://host:5000"}
    spool.write_text(json.dumps(header) + "\n")
    with pytest.raises(TrackingError, match="has no run 0123") as caught:
        upload_spool(spool, tracking)
    assert "the store that the sweep began in (http://host:5000)" in str(caught.value)


def test_files_that_are_no_spool_are_refused(
    tracking: TrackingConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x.jsonl").write_text("hello\n")
    with pytest.raises(TrackingError, match="is no tracking spool"):
        upload_spool(tmp_path / "x.jsonl", tracking)
    assert main(["upload", str(tmp_path / "absent.jsonl")]) == 2
    assert "cannot be read (No such file or directory)" in capsys.readouterr().err


def test_a_line_torn_by_a_crash_is_skipped_and_not_joined(tmp_path: Path) -> None:
    from gisearch.tracking.operations import Operation
    from gisearch.tracking.spool import Spool

    spool = Spool(tmp_path / "s.jsonl", "p", "e", "u")
    spool.keep([Operation("tags", None, {"a": "1"})])
    with spool.path.open("a") as file:
        file.write('{"operation": {"kind": "ta')
    last = Operation("tags", None, {"a": "2"})
    spool.keep([last])
    assert [op.payload for op in read_spool(spool.path)[1]] == [{"a": "1"}, {"a": "2"}]
    spool.settle([last])
    assert [op.payload for op in read_spool(spool.path)[1]] == [{"a": "1"}]


@pytest.mark.slow
def test_a_real_server_that_is_stopped_and_started_again(tmp_path: Path) -> None:
    server = Server(tmp_path)
    config = TrackingConfig(uri=server.uri, experiment="outage", timeout=10.0)
    server.start()
    try:
        store = open_store(config)
        assert store is not None
        tracker = begin(store, tmp_path)
        whole_trial(tracker, 0)
        wait_for(lambda: tracker.run_id(0) is not None)
        server.kill()
        started = time.perf_counter()
        whole_trial(tracker, 1)
        assert time.perf_counter() - started < 0.1
        wait_for(lambda: tracker.notice() is not None)
        server.start()
        wait_for(lambda: tracker.notice() is None, 60)
        whole_trial(tracker, 2)
        report = tracker.finish("finished", {}, {})
        assert report.message == ""
        found = children(store)
        assert sorted(found) == ["trial 000", "trial 001", "trial 002"]
        for run in found.values():
            check_whole(store, run)
    finally:
        server.kill()
