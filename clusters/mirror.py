"""A copy of a cluster's shared folder in S3, so that results outlive the head.

python mirror.py restore CONFIG      fill a new head's folder; one that was filled before is left alone
python mirror.py save CONFIG         copy what changed since the last time, forget what is gone
python mirror.py loop CONFIG         the same every five minutes, and once more when told to end

CONFIG is what ``ray up`` leaves on the head: ~/ray_bootstrap_config.yaml. The bucket, which is
called gisearch-ACCOUNT-REGION, is made where there is none and closed to the public; each cluster has its own
folder in it.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sqlite3
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

INDEX = "index.json"
# In a folder that was filled, or found to have no copy: only such a folder is copied, lest a head that has
# just started, with nothing in its folder, takes everything for deleted.
MARK = ".mirrored"
_SQLITE = b"SQLite format 3\0"
# A database's last transactions, which the copy of the database holds, and files that are being written.
_LEFT_OUT = ("-wal", "-shm", "-journal", ".part", ".tmp")
_THREADS = 8

Signature = list[int]


class MirrorError(Exception):
    """What cannot be done, in one sentence."""


class Mirror:
    """A folder and its copy.

    Args:
        root: the folder.
        s3: the client.
        bucket: the bucket; it is made where there is none.
        folder: the copy's folder in it.
        account: whose bucket it must be, so that nobody else's of that name is ever used.
    """

    def __init__(self, root: Path, s3: Any, bucket: str, folder: str, account: str) -> None:
        self.root, self.s3, self.folder = root, s3, folder
        self._where = {"Bucket": bucket, "ExpectedBucketOwner": account}
        self.index: dict[str, Signature] = {}

    def open(self) -> None:
        """Make sure of the bucket and read what the copy holds.

        Raises:
            MirrorError: the bucket is not to be used.
        """
        from botocore.exceptions import ClientError

        bucket, region = self._where["Bucket"], self.s3.meta.region_name
        try:
            self.s3.head_bucket(**self._where)
        except ClientError as error:
            if error.response["Error"]["Code"] not in ("404", "NoSuchBucket"):
                raise MirrorError(
                    f"the bucket {bucket} is there and not open to this machine: {error}"
                ) from None
            place = (
                {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
            )
            self.s3.create_bucket(Bucket=bucket, **place)
        self.s3.put_public_access_block(
            **self._where,
            PublicAccessBlockConfiguration={
                "BlockPublicAcls": True,
                "IgnorePublicAcls": True,
                "BlockPublicPolicy": True,
                "RestrictPublicBuckets": True,
            },
        )
        try:
            body = self.s3.get_object(**self._where, Key=self._key(INDEX))["Body"].read()
            self.index = json.loads(body)
        except self.s3.exceptions.NoSuchKey:
            self.index = {}

    def restore(self) -> int:
        """Fill the folder from the copy; returns the number of files.

        Raises:
            MirrorError: files could not be had; running it again goes on.
        """
        if (self.root / MARK).exists():
            return 0
        missing = [
            name for name, signature in self.index.items() if _signature(self.root / name) != signature
        ]
        self._each(self._fetch, missing)
        (self.root / MARK).touch()
        return len(missing)

    def save(self) -> int:
        """Copy what changed, forget what is gone; returns the number of files copied.

        Raises:
            MirrorError: the folder was never filled, or files could not be copied; the next time goes on.
        """
        if not (self.root / MARK).exists():
            raise MirrorError(f"{self.root} was not filled yet; expected `mirror.py restore` first.")
        seen = {name: _signature(self.root / name) for name in self._names()}
        present = {name: signature for name, signature in seen.items() if signature}
        changed = [name for name, signature in present.items() if self.index.get(name) != signature]
        gone = sorted(self.index.keys() - present.keys())
        copied = dict(self.index)

        def copy(name: str) -> None:
            if self._send(name):
                # A file that went on changing keeps its earlier signature, and is copied again the next time.
                copied[name] = present[name]

        try:
            self._each(copy, changed)
        finally:
            for name in gone:
                del copied[name]
            if copied != self.index:
                self.s3.put_object(**self._where, Key=self._key(INDEX), Body=json.dumps(copied).encode())
                self.index = copied
        # Last, so that the index never names what is no longer there.
        for start in range(0, len(gone), 1000):
            keys = [{"Key": self._key(name)} for name in gone[start : start + 1000]]
            self.s3.delete_objects(**self._where, Delete={"Objects": keys, "Quiet": True})
        return len(changed)

    def _names(self) -> Iterable[str]:
        for path in sorted(self.root.rglob("*")):
            name = path.relative_to(self.root).as_posix()
            # NFS gives a file that is deleted while it is open a name of its own.
            hidden = path.name == MARK or path.name.startswith(".nfs")
            if not hidden and not name.endswith(_LEFT_OUT) and path.is_file() and not path.is_symlink():
                yield name

    def _send(self, name: str) -> bool:
        """Copy a file; returns whether it was there."""
        path = self.root / name
        try:
            with path.open("rb") as file:
                database = file.read(len(_SQLITE)) == _SQLITE
            if not database:
                self._upload(path, name)
                return True
            with tempfile.TemporaryDirectory() as folder:
                whole = Path(folder) / "database"
                copy_database(path, whole)
                self._upload(whole, name)
        except FileNotFoundError:
            return False
        return True

    def _upload(self, path: Path, name: str) -> None:
        owner = {"ExpectedBucketOwner": self._where["ExpectedBucketOwner"]}
        self.s3.upload_file(str(path), self._where["Bucket"], self._key(name), ExtraArgs=owner)

    def _fetch(self, name: str) -> None:
        from botocore.exceptions import ClientError

        path = self.root / name
        if not path.resolve().is_relative_to(self.root.resolve()):
            raise ValueError(f"{name!r} lies outside the folder")
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"{path.name}.part")
        owner = {"ExpectedBucketOwner": self._where["ExpectedBucketOwner"]}
        try:
            self.s3.download_file(self._where["Bucket"], self._key(name), str(part), ExtraArgs=owner)
        except ClientError as error:
            if error.response["Error"]["Code"] != "404":
                raise
            # Somebody deleted it there; the next time forgets it here too.
            print(f"not in the copy any more: {name}", file=sys.stderr)
            return
        os.utime(part, ns=(self.index[name][1],) * 2)
        part.replace(path)

    def _key(self, name: str) -> str:
        return f"{self.folder}/{name}" if name == INDEX else f"{self.folder}/files/{name}"

    def _each(self, do: Callable[[str], object], names: list[str]) -> None:
        failed: list[str] = []

        def one(name: str) -> None:
            # One file that fails keeps no other from its copy.
            try:
                do(name)
            except Exception as error:
                failed.append(f"{name} ({error})")

        with ThreadPoolExecutor(_THREADS) as pool:
            list(pool.map(one, names))
        if failed:
            raise MirrorError(f"{len(failed)} of {len(names)} files were not copied, among them {failed[0]}")


def copy_database(source: Path, target: Path) -> None:
    """Copy an SQLite database as it is between two transactions, while others write to it."""
    with (
        closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True, timeout=60)) as reading,
        closing(sqlite3.connect(target)) as writing,
    ):
        reading.backup(writing)


def _signature(path: Path) -> Signature | None:
    """Return a file's size and time of change, those of a database's last transactions included."""
    parts = [p.stat() for p in (path, path.with_name(f"{path.name}-wal")) if p.exists()]
    return [sum(p.st_size for p in parts), max(p.st_mtime_ns for p in parts)] if parts else None


def open_mirror(config: dict[str, Any], root: Path) -> Mirror:
    """Return the mirror of a cluster.

    Raises:
        MirrorError: this machine may not use its bucket.
    """
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    region = config["provider"]["region"]
    settings = Config(retries={"mode": "standard", "max_attempts": 5}, max_pool_connections=2 * _THREADS)
    try:
        account = boto3.client("sts", region_name=region, config=settings).get_caller_identity()["Account"]
        s3 = boto3.client("s3", region_name=region, config=settings)
        mirror = Mirror(root, s3, f"gisearch-{account}-{region}", config["cluster_name"], account)
        mirror.open()
    except (BotoCoreError, ClientError) as error:
        raise MirrorError(
            f"this machine may not use S3 ({error}); expected a role with access to it."
        ) from None
    return mirror


def loop(mirror: Mirror, seconds: float) -> None:
    """Copy what changed every so often, and once more when told to end."""
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    last = False
    while True:
        try:
            if copied := mirror.save():
                print(f"{copied} files copied", flush=True)
        except Exception as error:
            # The network or S3 may be away for a while.
            print(f"not copied, tried again in {seconds:g} s: {error}", file=sys.stderr, flush=True)
        if last:
            return
        last = ended.wait(seconds)


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["restore", "save", "loop"])
    parser.add_argument("config", type=Path)
    parser.add_argument("--root", type=Path, default=Path("/shared"), help="the folder (default: /shared)")
    parser.add_argument("--every", type=float, default=300.0, metavar="SECONDS", help="default: 300")
    given = parser.parse_args()
    try:
        mirror = open_mirror(json.loads(given.config.read_text()), given.root)
        if given.what == "loop":
            loop(mirror, given.every)
        else:
            count = mirror.restore() if given.what == "restore" else mirror.save()
            print(f"{count} files {'restored' if given.what == 'restore' else 'copied'}")
    except MirrorError as refused:
        sys.exit(f"error: {refused}")


if __name__ == "__main__":
    main()
