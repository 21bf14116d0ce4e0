"""The copy of a cluster's results in S3, against a stand-in for it."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from gisearch.resources import resource_folder
from tests.launch.programs import load_program

CONFIG = {"cluster_name": "gisearch", "provider": {"region": "eu-central-1"}}
BUCKET = "gisearch-123456789012-eu-central-1"

program = load_program("mirror")


@pytest.fixture(autouse=True)
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    with mock_aws():
        yield boto3.client("s3", region_name="eu-central-1")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A shared folder with a sweep in it, of a head that has just started."""
    folder = tmp_path / "shared"
    (folder / "results" / "sweep").mkdir(parents=True)
    (folder / "results" / "sweep" / "study.journal").write_text("one\n")
    (folder / "results" / "sweep" / "last.pt").write_bytes(b"weights")
    return folder


def opened(root: Path) -> Any:
    """The mirror as a head that has just started sees it; filled, so that it may be saved."""
    mirror = program.open_mirror(CONFIG, root)
    mirror.restore()
    return mirror


def test_only_what_changed_is_copied(root: Path, s3: Any) -> None:
    mirror = opened(root)
    assert mirror.save() == 2
    assert mirror.save() == 0
    with (root / "results" / "sweep" / "study.journal").open("a") as file:
        file.write("two\n")
    assert mirror.save() == 1
    body = s3.get_object(Bucket=BUCKET, Key="gisearch/files/results/sweep/study.journal")["Body"].read()
    assert body == b"one\ntwo\n"
    # A mirror that is started anew reads what is there already.
    assert opened(root).save() == 0


def test_what_is_deleted_is_forgotten(root: Path, s3: Any) -> None:
    mirror = opened(root)
    mirror.save()
    (root / "results" / "sweep" / "last.pt").unlink()
    assert mirror.save() == 0
    keys = [o["Key"] for o in s3.list_objects_v2(Bucket=BUCKET)["Contents"]]
    assert sorted(keys) == ["gisearch/files/results/sweep/study.journal", "gisearch/index.json"]


def test_a_new_head_gets_everything(root: Path, tmp_path: Path) -> None:
    opened(root).save()
    other = tmp_path / "other"
    other.mkdir()
    mirror = program.open_mirror(CONFIG, other)
    assert mirror.restore() == 2
    for path in (root / "results").rglob("*.*"):
        copy = other / path.relative_to(root)
        assert copy.read_bytes() == path.read_bytes()
        assert copy.stat().st_mtime_ns == path.stat().st_mtime_ns
    # Nothing is copied back, and nothing fetched over what has been written since.
    assert mirror.save() == 0
    (other / "results" / "sweep" / "study.journal").write_text("newer\n")
    assert opened(other).restore() == 0
    assert (other / "results" / "sweep" / "study.journal").read_text() == "newer\n"


def test_an_empty_folder_never_empties_the_copy(root: Path, tmp_path: Path) -> None:
    opened(root).save()
    (tmp_path / "empty").mkdir()
    fresh = program.open_mirror(CONFIG, tmp_path / "empty")
    with pytest.raises(program.MirrorError, match="not filled yet"):
        fresh.save()
    assert program.open_mirror(CONFIG, tmp_path / "empty").restore() == 2


def test_a_restore_that_broke_off_goes_on(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened(root).save()
    other = tmp_path / "other"
    other.mkdir()
    mirror = program.open_mirror(CONFIG, other)
    fetch = mirror._fetch

    def break_off(name: str) -> None:
        if name.endswith("last.pt"):
            raise ConnectionError("the network is away")
        fetch(name)

    monkeypatch.setattr(mirror, "_fetch", break_off)
    with pytest.raises(program.MirrorError, match=r"1 of 2 files .*last\.pt \(the network is away\)"):
        mirror.restore()
    assert program.open_mirror(CONFIG, other).restore() == 1


def test_an_object_that_is_gone_keeps_no_head_from_starting(root: Path, s3: Any, tmp_path: Path) -> None:
    opened(root).save()
    s3.delete_object(Bucket=BUCKET, Key="gisearch/files/results/sweep/last.pt")
    other = tmp_path / "other"
    other.mkdir()
    mirror = program.open_mirror(CONFIG, other)
    mirror.restore()
    assert (other / "results" / "sweep" / "study.journal").exists()
    mirror.save()
    assert list(program.open_mirror(CONFIG, other).index) == ["results/sweep/study.journal"]


def test_a_database_is_copied_whole_while_it_is_written(root: Path, tmp_path: Path) -> None:
    path = root / "mlflow.db"
    with closing(sqlite3.connect(path)) as first:
        first.execute("PRAGMA journal_mode=WAL")
        first.execute("CREATE TABLE accounts (name TEXT, amount INTEGER)")
        first.execute("INSERT INTO accounts VALUES ('a', 1000), ('b', 0)")
        first.commit()
    ended = threading.Event()

    def move() -> None:
        with closing(sqlite3.connect(path, timeout=30)) as writing:
            while not ended.is_set():
                writing.execute("UPDATE accounts SET amount = amount - 1 WHERE name = 'a'")
                writing.execute("UPDATE accounts SET amount = amount + 1 WHERE name = 'b'")
                writing.commit()

    mirror = opened(root)
    thread = threading.Thread(target=move)
    thread.start()
    try:
        for number in range(3):
            mirror.save()
            other = tmp_path / f"copy{number}"
            other.mkdir()
            program.open_mirror(CONFIG, other).restore()
            assert not list(other.glob("*-wal"))
            with closing(sqlite3.connect(other / "mlflow.db")) as copy:
                assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)
                assert copy.execute("SELECT sum(amount) FROM accounts").fetchone() == (1000,)
    finally:
        ended.set()
        thread.join()


def test_the_bucket_is_closed_to_the_public(root: Path, s3: Any) -> None:
    opened(root)
    closed = s3.get_public_access_block(Bucket=BUCKET)["PublicAccessBlockConfiguration"]
    assert len(closed) == 4
    assert all(closed.values())


def test_a_bucket_of_somebody_else_is_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from botocore.exceptions import ClientError

    mirror = opened(root)

    def refuse(**_: str) -> None:
        raise ClientError({"Error": {"Code": "403", "Message": "Forbidden"}}, "HeadBucket")

    monkeypatch.setattr(mirror.s3, "head_bucket", refuse)
    with pytest.raises(
        program.MirrorError, match=f"the bucket {BUCKET} is there and not open to this machine"
    ):
        mirror.open()


def test_files_outside_the_folder_are_not_written(root: Path, tmp_path: Path) -> None:
    mirror = opened(root)
    mirror.index = {"../stolen": [1, 1]}
    (root / program.MARK).unlink()
    with pytest.raises(program.MirrorError, match="outside the folder"):
        mirror.restore()
    assert not (tmp_path / "stolen").exists()


def test_without_credentials_the_command_says_so(root: Path, tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text('{"cluster_name": "gisearch", "provider": {"region": "eu-central-1"}}')
    bare = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
    done = subprocess.run(
        [sys.executable, resource_folder("clusters") / "mirror.py", "save", config, "--root", root],
        capture_output=True,
        text=True,
        env=bare | {"AWS_EC2_METADATA_DISABLED": "true", "HOME": str(tmp_path)},
        timeout=60,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: this machine may not use S3 (Unable to locate credentials)")
    assert done.stderr.count("\n") == 1
