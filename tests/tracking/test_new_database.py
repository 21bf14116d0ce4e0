"""A new SQLite database is made quickly, and written carefully afterwards."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from gisearch.tracking.config import TrackingConfig
from gisearch.tracking.new_database import alone_with, made_at_once
from gisearch.tracking.store import open_store

REPOSITORY = Path(__file__).resolve().parents[2]
OFF, FULL = 0, 2


def level(database: Path) -> int:
    """Return how carefully a new connection writes."""
    engine = create_engine(f"sqlite:///{database}")
    with engine.connect() as connection:
        found = connection.exec_driver_sql("PRAGMA synchronous").scalar()
    engine.dispose()
    assert isinstance(found, int)
    return found


@pytest.mark.parametrize("is_empty", [True, False])
def test_only_a_new_database_is_made_in_a_hurry(is_empty: bool, tmp_path: Path) -> None:
    database = tmp_path / "new.db"
    if is_empty:
        database.touch()
    with made_at_once(database):
        assert level(database) == OFF
        with create_engine(f"sqlite:///{database}").begin() as connection:
            connection.exec_driver_sql("CREATE TABLE kept (number)")
    assert level(database) == FULL
    with made_at_once(database):
        assert level(database) == FULL
    with made_at_once(None):
        assert level(database) == FULL


def test_it_is_written_to_the_disk_before_it_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(os.fstat(descriptor).st_ino))
    database = tmp_path / "new.db"
    with made_at_once(database):
        level(database)
        database.touch()
    assert synced == [database.stat().st_ino, tmp_path.stat().st_ino]


def test_mlflow_writes_carefully_to_what_it_has_made(tmp_path: Path, empty_database: Path) -> None:
    shutil.copy(empty_database, tmp_path / "old.db")
    for name in ("new.db", "old.db", "query.db?timeout=20"):
        store = open_store(TrackingConfig(uri=f"sqlite:///{tmp_path / name}"))
        assert store is not None
        with store.client._tracking_client.store.engine.connect() as connection:
            assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == FULL


MAKE = """
import sys, time
from pathlib import Path
from gisearch.tracking.new_database import alone_with
with alone_with(Path(sys.argv[1])):
    print("making", flush=True)
    sys.stdin.read()
"""


def test_one_waits_while_another_makes_it(tmp_path: Path) -> None:
    database = tmp_path / "mlflow.db"
    command = [sys.executable, "-c", MAKE, str(database)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None
        assert first.stdin is not None
        assert first.stdout.readline() == "making\n"
        entered = threading.Event()

        def enter() -> None:
            with alone_with(database):
                entered.set()

        second = threading.Thread(target=enter)
        second.start()
        assert not entered.wait(0.3)
        first.stdin.close()
        assert entered.wait(10)
        second.join(10)
    assert list(tmp_path.iterdir()) == []
    with alone_with(None):
        pass


@pytest.mark.slow
def test_two_first_sweeps_on_one_new_database(tmp_path: Path) -> None:
    script = (
        "import sys; from gisearch.tracking.config import TrackingConfig; "
        "from gisearch.tracking.store import open_store; "
        "print(open_store(TrackingConfig(uri='sqlite:///mlflow.db')).experiment_id)"
    )
    both = [
        subprocess.Popen(
            [sys.executable, "-c", script],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    ended = [process.communicate(timeout=250) for process in both]
    assert [out for out, _ in ended] == ["1\n", "1\n"], ended
