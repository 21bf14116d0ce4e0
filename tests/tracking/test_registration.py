"""The winner in the model registry: one version per winner, an alias, nothing lost where it fails."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from gisearch.tracking.attach import attach, attach_model
from gisearch.tracking.config import TrackingConfig
from gisearch.tracking.mlflow_tracker import SweepTracker
from gisearch.tracking.model_package import weights_digest
from gisearch.tracking.records import TrackingReport, TrialEnd, TrialStart
from gisearch.tracking.registration import ENSEMBLE, Winner, registered_name
from gisearch.tracking.spool import upload_spool
from gisearch.tracking.store import Store, open_store

if TYPE_CHECKING:
    from tests.tracking.conftest import Flaky


def fake_package(folder: Path, weights: bytes) -> Path:
    """A folder with what the registry looks at: it never loads the model."""
    (folder / "model" / "data").mkdir(parents=True, exist_ok=True)
    (folder / "model" / "data" / "best.pt").write_bytes(weights)
    (folder / "model" / "MLmodel").write_text("flavors: {}\n")
    return folder / "model"


def end_sweep(
    store: Store, folder: Path, weights: bytes, number: int = 0, again: SweepTracker | None = None
) -> tuple[SweepTracker, TrackingReport]:
    """Record a sweep of one more trial, whose model wins."""
    tracker = SweepTracker(store, folder)
    parent = None if again is None else again.parent_run_id
    tracker.start("my sweep", {}, {}, "", parent_run_id=parent)
    tracker.start_trial(TrialStart(number, f"t{number:04d}", {}, ""))
    tracker.end_trial(TrialEnd(number, "finished", summary={"objective": 0.1 * number}))
    package = fake_package(folder, weights)
    winner = Winner("my sweep", weights_digest(package), "**about it**", {"lr": 0.1}, {"gisearch.data": "d1"})
    tracker.register_model(number, package, winner)
    return tracker, tracker.finish("finished", {"objective": 0.1 * number}, {})


def versions(store: Store, name: str = "my_sweep") -> list[Any]:
    found = store.client.search_model_versions(f"name = '{name}'")
    return sorted(found, key=lambda version: int(version.version))


def test_the_winner_is_registered_with_alias_tags_and_files(store: Store, tmp_path: Path) -> None:
    tracker, report = end_sweep(store, tmp_path, b"one")
    assert (report.message, report.model) == ("", "models:/my_sweep@best")
    version = store.client.get_model_version_by_alias("my_sweep", "best")
    assert version.version == 1
    assert version.run_id == tracker.run_id(0)
    assert version.description == "**about it**"
    assert version.tags["gisearch.data"] == "d1"
    assert version.tags["gisearch.sweep"] == tracker.parent_run_id
    run = store.client.get_run(str(tracker.run_id(0)))
    (output,) = run.outputs.model_outputs
    model = store.client.get_logged_model(output.model_id)
    assert model.params == {"lr": "0.1"}
    assert [(metric.key, metric.value) for metric in model.metrics] == [("objective", 0.0)]
    files = Path(model.artifact_location.removeprefix("file://"))
    assert (files / "data" / "best.pt").read_bytes() == b"one"
    assert len(store.client.get_metric_history(run.info.run_id, "objective")) == 1
    parent = store.client.get_run(str(tracker.parent_run_id))
    assert parent.data.tags["gisearch.model"] == report.model


def test_only_a_new_winner_is_a_new_version(store: Store, tmp_path: Path) -> None:
    first, _ = end_sweep(store, tmp_path, b"one")
    end_sweep(store, tmp_path, b"one", again=first)
    assert [version.version for version in versions(store)] == [1]
    end_sweep(store, tmp_path, b"two", 1, again=first)
    assert [version.version for version in versions(store)] == [1, 2]
    assert store.client.get_model_version_by_alias("my_sweep", "best").version == 2
    # An earlier winner that is the best again, for example because a trial was withdrawn.
    end_sweep(store, tmp_path, b"one", again=first)
    assert store.client.get_model_version_by_alias("my_sweep", "best").version == 1
    assert len(versions(store)) == 2


def test_another_sweep_of_the_same_name_does_not_move_the_alias(store: Store, tmp_path: Path) -> None:
    end_sweep(store, tmp_path / "a", b"one")
    other, report = end_sweep(store, tmp_path / "b", b"two")
    name = f"my_sweep-{str(other.parent_run_id)[:8]}"
    assert report.model == f"models:/{name}@best"
    assert len(versions(store)) == len(versions(store, name)) == 1


@pytest.mark.parametrize(
    "request_without_answer",
    ["create_registered_model", "create_logged_model", "log_outputs", "create_model_version"],
)
def test_a_lost_answer_makes_no_second_model(
    request_without_answer: str, store: Store, flaky: Flaky, tmp_path: Path
) -> None:
    flaky.after.add(request_without_answer)
    tracker, report = end_sweep(store, tmp_path, b"one")
    assert report.message == ""
    assert not flaky.after, "the request was never made"
    assert len(versions(store)) == 1
    (model,) = store.client.search_logged_models([store.experiment_id])
    assert str(model.status) == "READY"
    assert [metric.key for metric in model.metrics] == ["objective"]
    assert len(store.client.get_run(str(tracker.run_id(0))).outputs.model_outputs) == 1


def test_a_store_without_registry_takes_everything_else(
    store: Store, flaky: Flaky, tracking: TrackingConfig, tmp_path: Path
) -> None:
    flaky.broken.add("search_registered_models")
    tracker, report = end_sweep(store, tmp_path, b"one")
    assert report.model is None
    assert report.message.startswith("1 tracking writes could not be delivered")
    parent = store.client.get_run(str(tracker.parent_run_id))
    assert parent.info.status == "FINISHED"
    assert parent.data.metrics == {"objective": 0.0}
    assert report.spool is not None
    uploaded = upload_spool(report.spool, tracking)
    assert uploaded.delivered == 1
    opened = open_store(tracking)
    assert opened is not None
    assert len(versions(opened)) == 1


def test_a_package_of_a_later_winner_is_not_registered_as_the_earlier_one(
    store: Store, flaky: Flaky, tracking: TrackingConfig, tmp_path: Path
) -> None:
    flaky.broken.add("create_model_version")
    _, report = end_sweep(store, tmp_path, b"one")
    fake_package(tmp_path, b"two")
    assert report.spool is not None
    uploaded = upload_spool(report.spool, tracking)
    assert len(uploaded.rejected) == 1
    assert "no longer holds the model of this trial" in uploaded.rejected[0]
    assert versions(store) == []


def test_names_that_the_registry_refuses() -> None:
    assert registered_name("wide/α 2.0:x") == "wide_α_2_0_x"
    assert registered_name("dango_gi-2") == "dango_gi-2"


def test_an_ensemble_stands_beside_the_winner(store: Store, tracking: TrackingConfig, tmp_path: Path) -> None:
    tracker, _ = end_sweep(store, tmp_path, b"one")
    parent = str(tracker.parent_run_id)
    package = tmp_path / "ensemble"
    for name, weights in (("01", b"one"), ("02", b"two")):
        (package / "data" / name).mkdir(parents=True)
        (package / "data" / name / "best.pt").write_bytes(weights)
    (package / "data" / "members.json").write_text('{"weights": {"01": 0.5, "02": 0.5}}')
    digest = weights_digest(package)
    assert attach(tracking, parent, {}, metrics={"ensemble/objective": 0.7}) is None
    winner = Winner("my sweep", digest, "", {"t0000": 0.5}, {}, alias=ENSEMBLE, metric="ensemble/objective")
    for _ in range(2):
        assert attach_model(tracking, parent, package, winner) == ("models:/my_sweep@ensemble", "")
    assert [version.version for version in versions(store)] == [1, 2]
    assert store.client.get_model_version_by_alias("my_sweep", "best").version == 1
    assert store.client.get_model_version_by_alias("my_sweep", "ensemble").version == 2
    run = store.client.get_run(parent)
    assert run.data.tags["gisearch.model"] == "models:/my_sweep@best"
    assert run.data.tags["gisearch.ensemble"] == "models:/my_sweep@ensemble"
    (output,) = run.outputs.model_outputs
    model = store.client.get_logged_model(output.model_id)
    assert [(metric.key, metric.value) for metric in model.metrics] == [("ensemble/objective", 0.7)]
    # Other shares of the same models are another ensemble; one that is no longer there is not registered.
    (package / "data" / "members.json").write_text('{"weights": {"01": 0.6, "02": 0.4}}')
    assert weights_digest(package) != digest
    address, problem = attach_model(tracking, parent, package, winner)
    assert address is None
    assert problem.startswith("the model could not be registered in sqlite:")


def test_a_store_that_is_gone_costs_a_sentence(tmp_path: Path) -> None:
    gone = TrackingConfig(uri=f"sqlite:///{tmp_path / 'none.db'}")
    winner = Winner("x", "0", "", {}, {}, alias=ENSEMBLE)
    address, problem = attach_model(gone, "run", tmp_path, winner)
    assert address is None
    assert problem == (
        f"the model could not be registered in MLflow: there is no {tmp_path / 'none.db'} (a relative path?)."
    )
