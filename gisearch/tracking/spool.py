"""The spool: what the tracking store could not take, kept in the sweep's folder and uploaded later."""

from __future__ import annotations

import dataclasses
import json
import os
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gisearch.errors import TrackingError
from gisearch.tracking.config import TrackingConfig
from gisearch.tracking.operations import Operation, Runs, RunWriter
from gisearch.tracking.records import TrackingReport
from gisearch.tracking.store import open_store
from gisearch.tracking.store_check import is_permanent, short_reason

SPOOL_NAME = "tracking_spool.jsonl"


@dataclass(frozen=True)
class Stretch:
    """Neighbouring operations in the file.

    Attributes:
        start: the first byte.
        end: the byte after the last.
        count: how many operations.
        again: whether an earlier process may have written some of them to the store.
    """

    start: int
    end: int
    count: int
    again: bool = False


class Spool:
    """An append-only file of JSON lines: a header, operations, and marks of those settled.

    Args:
        path: the file; created by the first operation.
        parent_run_id: the sweep's parent run.
        experiment: the MLflow experiment's name.
        address: the store, without credentials.
    """

    def __init__(self, path: Path, parent_run_id: str, experiment: str, address: str) -> None:
        self.path = path
        self._header = {"spool": 1, "parent_run_id": parent_run_id, "experiment": experiment, "uri": address}
        self._lock = threading.Lock()

    def keep(self, operations: Iterable[Operation]) -> Stretch:
        """Append operations; return where they lie. Raises OSError where the file cannot be written."""
        rows = [{"operation": dataclasses.asdict(operation)} for operation in operations]
        start, end = self._append(rows)
        return Stretch(start, end, len(rows))

    def read(self, stretch: Stretch) -> list[Operation]:
        """Read operations back. Raises OSError where the file cannot be read."""
        with self.path.open("rb") as file:
            file.seek(stretch.start)
            lines = file.read(stretch.end - stretch.start).splitlines()
        return [Operation(**json.loads(line)["operation"]) for line in lines]

    def settle(self, operations: Iterable[Operation]) -> None:
        """Mark operations that the store took, or refused for good."""
        self._append([{"settled": operation.id} for operation in operations])

    def clear(self) -> None:
        """Empty the file down to its header, once every operation in it is settled."""
        with self._lock:
            if self.path.exists():
                fresh = self.path.with_name(f".{self.path.name}.{os.getpid()}")
                fresh.write_text(json.dumps(self._header) + "\n", encoding="utf-8")
                fresh.replace(self.path)

    def _append(self, rows: list[dict[str, Any]]) -> tuple[int, int]:
        """Append lines; return the bytes at which they start and end."""
        if not rows:
            return 0, 0
        text = "".join(json.dumps(row) + "\n" for row in rows).encode()
        with self._lock:
            before = self.path.stat().st_size if self.path.exists() else 0
            try:
                return self._write(text, new=before == 0)
            except OSError:
                # A full disk would leave half of it there, or a file without its header.
                if before:
                    os.truncate(self.path, before)
                else:
                    self.path.unlink(missing_ok=True)
                raise

    def _write(self, text: bytes, *, new: bool) -> tuple[int, int]:
        with self.path.open("a+b") as file:
            if new:
                file.write(json.dumps(self._header).encode() + b"\n")
            # A line torn by a crash must not swallow the next one.
            elif not _ends_with_newline(self.path):
                file.write(b"\n")
            start = file.tell()
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
            return start, file.tell()


def read_spool(path: Path) -> tuple[dict[str, Any], list[Operation]]:
    """Return a spool's header and its unsettled operations, in order.

    Raises:
        TrackingError: the file is missing or is no spool.
    """
    header: dict[str, Any] | None = None
    try:
        # Twice, so that the operations of a long sweep are not all held to drop nearly all of them.
        settled = {row["settled"] for row in _rows(path) if "settled" in row}
        pending: dict[str, Operation] = {}
        for row in _rows(path):
            if "spool" in row:
                header = row
            elif "operation" in row and row["operation"]["id"] not in settled:
                operation = Operation(**row["operation"])
                pending.setdefault(operation.id, operation)
    except OSError as error:
        raise TrackingError(f"{path}: the tracking spool cannot be read ({error.strerror}).") from None
    if header is None:
        raise TrackingError(f"{path} is no tracking spool: its first line should name the parent run.")
    return header, list(pending.values())


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        for line in file:
            try:
                row = json.loads(line)
            except json.JSONDecodeError:
                continue  # torn by a crash in mid-write: that operation was never acknowledged
            if isinstance(row, dict):
                yield row


def upload_spool(path: Path, config: TrackingConfig) -> TrackingReport:
    """Deliver what a spool still holds. Calling it again, or after a crash, does no harm.

    Args:
        path: the ``tracking_spool.jsonl`` of a sweep.
        config: names the store; it must be the one the sweep began in.

    Raises:
        TrackingError: the file is no spool, the store cannot be reached, or it does not hold the sweep.
    """
    header, operations = read_spool(path)
    store = open_store(config)
    if store is None:
        raise TrackingError("tracking.enabled is false: there is no store to upload the spool to.")
    parent = str(header["parent_run_id"])
    try:
        experiment_id = store.client.get_run(parent).info.experiment_id
    except Exception as error:
        raise TrackingError(
            f"{path}: the store {store.address} has no run {parent} ({short_reason(error)}); set "
            f"tracking.uri to the store that the sweep began in ({header['uri']})."
        ) from None
    store.experiment_id = experiment_id
    children = {number: run.info.run_id for number, run in store.children(parent).items()}
    spool = Spool(path, parent, str(header["experiment"]), str(header["uri"]))
    writer = RunWriter(store, Runs(parent, children), path.parent)
    delivered = 0
    rejected: list[str] = []
    for operation in operations:
        try:
            writer.apply([operation], again=True)
            delivered += 1
        except Exception as error:
            if not is_permanent(error):
                left = len(operations) - delivered - len(rejected)
                raise TrackingError(
                    f"{path}: the store {store.address} stopped taking writes ({short_reason(error)}); "
                    f"{delivered} were delivered, {left} are still in the spool: run the upload again."
                ) from None
            rejected.append(f"{operation.kind} of trial {operation.number}: {short_reason(error)}")
        spool.settle([operation])
    message = f"{delivered} tracking writes were uploaded to {store.address}."
    if rejected:
        message = f"{message[:-1]}; {len(rejected)} were refused, the first because {rejected[0]}."
    return TrackingReport(delivered, 0, tuple(rejected), path, message)


def _ends_with_newline(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"
