"""What a sweep uses is tried as a sweep does, and nothing is left behind."""

from __future__ import annotations

import os
import shutil
import socket
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from gisearch.checkup import services
from gisearch.checkup.finding import State, examine
from gisearch.checkup.services import Settings
from gisearch.errors import ConfigError, TrackingError
from gisearch.search.folders import check_results_dir
from gisearch.tracking.config import TrackingConfig
from gisearch.tracking.database_version import installed_versions, version_of
from gisearch.tracking.store import check_address, look_at_store, open_store

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs a superuser")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("RAY_ADDRESS", "RAY_TMPDIR", "TMPDIR", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)


class TestSettings:
    def test_what_is_given_counts(self) -> None:
        given = ["results.dir=2026", "search.gpus_per_worker=0.5", "tracking.uri=http://127.0.0.1:5000"]
        settings = Settings.of(given)
        assert settings.results.dir == "2026"
        assert settings.search.gpus_per_worker == 0.5
        assert settings.tracking.uri == "http://127.0.0.1:5000"

    @pytest.mark.parametrize(
        ("override", "message"),
        [
            ("trackin.uri=x", r"^trackin\.uri=x: expected keys of results, search, tracking.*'tracking'\?$"),
            ("search", "^search: expected keys of"),
            ("search.gpus=1", "unknown key.* 'search.gpus'"),
            ("search.trials=0", "search.trials"),
        ],
    )
    def test_what_is_wrong(self, override: str, message: str) -> None:
        with pytest.raises(ConfigError, match=message):
            Settings.of([override])


class TestResults:
    def test_nothing_is_left(self, tmp_path: Path) -> None:
        state, text = services.check_results(Settings.of([]))
        assert state in (State.OK, State.NOTE)
        assert text.startswith("results can be written, ")
        assert list(tmp_path.iterdir()) == []

    def test_a_file(self, tmp_path: Path) -> None:
        (tmp_path / "results").write_text("")
        for folder in ("results", "results/below"):
            with pytest.raises(
                ConfigError, match=rf"^results.dir: cannot write to {folder}: Not a directory\.$"
            ):
                services.check_results(Settings.of([f"results.dir={folder}"]))

    def test_one_of_the_system(self) -> None:
        found = examine("results", lambda: services.check_results(Settings.of(["results.dir=/proc/results"])))
        assert found.state is State.PROBLEM
        assert found.text.startswith("results.dir: cannot write to /proc/results: ")

    @as_root
    def test_one_of_another_user(self, tmp_path: Path) -> None:
        (tmp_path / "results").mkdir(mode=0o755)
        for above in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
            above.chmod(above.stat().st_mode | 0o055)
        code = """
import os
from gisearch.errors import ConfigError
from gisearch.search.folders import check_results_dir
os.setuid(54321)
try:
    check_results_dir("results")
except ConfigError as error:
    print(error)
"""
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout == "results.dir: cannot write to results: Permission denied.\n"

    def test_the_nearest_folder(self, tmp_path: Path) -> None:
        assert check_results_dir("a/b/c") == tmp_path
        assert list(tmp_path.iterdir()) == []


class TestRay:
    def test_addresses(self, monkeypatch: pytest.MonkeyPatch) -> None:
        settings = Settings.of([])
        assert services.check_ray_start(settings, start=False)[0] is State.OK
        monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:9")
        with pytest.raises(ConfigError, match=r"^RAY_ADDRESS=127\.0\.0\.1:9: no Ray cluster can be joined"):
            services.check_ray_start(settings, start=False)
        with socket.create_server(("127.0.0.1", 0)) as head:
            address = f"127.0.0.1:{head.getsockname()[1]}"
            monkeypatch.setenv("RAY_ADDRESS", address)
            state, text = services.check_ray_start(settings, start=False)
        assert (state, text.partition(";")[0]) == (State.OK, f"the cluster of RAY_ADDRESS={address} answers")

    def test_trials_without_room(self) -> None:
        state, text = services.check_trials(Settings.of(["search.concurrency=1"]))
        assert (state, text) == (State.OK, "1 at a time, each with 1 CPU")
        with pytest.raises(ConfigError, match="a trial needs 9999 CPU"):
            services.check_trials(Settings.of(["search.cpus_per_worker=9999"]))

    def test_gpus_that_are_not_there(self) -> None:
        import torch

        if torch.cuda.is_available():
            pytest.skip("there are GPUs here")
        with pytest.raises(ConfigError, match="a trial needs 1 CPU and 1 GPU"):
            services.check_trials(Settings.of(["search.gpus_per_worker=1"]))
        assert services.check_gpu()[0] is not State.PROBLEM

    @pytest.mark.ray
    @pytest.mark.slow
    def test_it_starts_and_stops(self) -> None:
        import ray

        state, text = services.check_ray_start(Settings.of(["search.concurrency=1"]), start=True)
        assert (state, text) == (State.OK, "started and stopped; room for 1 trials at a time")
        assert not ray.is_initialized()


class TestStore:
    def test_a_new_file_is_not_made(self, tmp_path: Path) -> None:
        state, text = services.check_store(Settings.of([]))
        assert (state, text) == (State.OK, f"sqlite:///{tmp_path}/mlflow.db will be made")
        assert list(tmp_path.iterdir()) == []

    def test_one_that_is_there_is_not_changed(self, tmp_path: Path, empty_database: Path) -> None:
        path = tmp_path / "my store?.db"
        shutil.copy(empty_database, path)
        before = path.read_bytes()
        assert version_of(path) == installed_versions()[1] is not None
        uri = f"sqlite:///{tmp_path}/my store%3F.db"
        assert look_at_store(TrackingConfig(uri=uri)) == f"{uri} can be written"
        assert path.read_bytes() == before

    def test_one_of_another_mlflow(self, tmp_path: Path, empty_database: Path) -> None:
        path = tmp_path / "mlflow.db"
        shutil.copy(empty_database, path)
        for version, words in (
            ("0123456789ab", "a newer MLflow than"),
            ("451aebb31d03", "an older MLflow than"),
        ):
            with sqlite3.connect(path) as database:
                database.execute("UPDATE alembic_version SET version_num = ?", (version,))
            database.close()
            messages = []
            # A sweep says the same before it starts.
            for look in (look_at_store, check_address, open_store):
                with pytest.raises(TrackingError, match=words) as error:
                    look(TrackingConfig())
                messages.append(str(error.value))
            assert len(set(messages)) == 1

    def test_a_server(self) -> None:
        with pytest.raises(TrackingError, match=r"connection refused\); start the server"):
            look_at_store(TrackingConfig(uri="http://127.0.0.1:9", timeout=2.0))
        with pytest.raises(TrackingError, match="cannot be opened"):
            look_at_store(TrackingConfig(uri="postgresql://u:secret@127.0.0.1:9/db", timeout=2.0))

    def test_none(self) -> None:
        assert look_at_store(TrackingConfig(enabled=False)) == "runs are not tracked (tracking.enabled=false)"


def test_the_demo_cell() -> None:
    assert services.check_data() == (State.OK, "the demo cell has 270 genotypes")
