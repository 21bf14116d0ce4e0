"""A sweep in MLflow: one parent run, one child run per trial, written by the driver alone."""

from __future__ import annotations

import dataclasses
import re
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from gisearch.errors import TrackingError
from gisearch.tracking.dataset_inputs import describe_parts
from gisearch.tracking.operations import (
    Operation,
    Runs,
    RunWriter,
    artifact,
    clean_params,
    clean_tags,
    encode_metrics,
    kept_path,
)
from gisearch.tracking.parent_run import create_parent, origin_tags, reopen_parent
from gisearch.tracking.records import (
    RUN_STATUS,
    DatasetRecord,
    Scalar,
    SweepStatus,
    TrackingReport,
    TrialEnd,
    TrialStart,
)
from gisearch.tracking.redact import redact_text, redact_yaml
from gisearch.tracking.registration import Winner
from gisearch.tracking.saved_view import save_view, view_address, with_links
from gisearch.tracking.spool import SPOOL_NAME, Spool, read_spool
from gisearch.tracking.store import NOTE_TAG, STATUS_TAG, Store
from gisearch.tracking.store_check import short_reason
from gisearch.tracking.writer import BackgroundWriter

_NOTE_LIMIT = 5000
# The best epoch's value has a name of its own, so that a curve ends with what was measured last.
_CURVE = re.compile(r"^(train|val)/")


class SweepTracker:
    """Records one sweep. Without a store every method does nothing, so that callers need no condition.

    After :meth:`start`, no method waits for the store: writes are queued to one background thread,
    repeated while the store is away, and kept in ``tracking_spool.jsonl`` where it does not come back.

    Args:
        store: from :func:`gisearch.tracking.store.open_store`.
        directory: the sweep's folder, which gets the spool where one is needed.
        on_run: called on the writer's thread with (trial number, run id) once a trial's run is known.
    """

    def __init__(
        self, store: Store | None, directory: Path, on_run: Callable[[int, str], None] | None = None
    ) -> None:
        self._store = store
        self.directory = directory
        self._on_run = on_run
        self._runs: Runs | None = None
        self._writer: BackgroundWriter | None = None
        self._run_writer: RunWriter | None = None
        self._model: Operation | None = None
        self._trial_tags: dict[str, str] = {}
        self._datasets: list[dict[str, str]] = []
        self._open: set[int] = set()
        self._spool_path = directory / SPOOL_NAME

    def start(
        self,
        name: str,
        params: Mapping[str, Scalar],
        tags: Mapping[str, str],
        description_markdown: str,
        *,
        dataset: DatasetRecord | None = None,
        searched: Sequence[str] = (),
        mode: Literal["min", "max"] = "max",
        parent_run_id: str | None = None,
        children: Mapping[int, str] | None = None,
    ) -> None:
        """Create the parent run, or go on in that of an interrupted sweep.

        Args:
            name: the sweep's name.
            params: the sweep's own settings, flattened.
            tags: for example the provenance.
            description_markdown: shown above the run.
            dataset: the data behind the sweep.
            searched: the searched parameters, which become columns of :attr:`page`.
            mode: whether a higher or a lower objective is better.
            parent_run_id: the parent run to go on in.
            children: trial number to run id, as far as the caller knows them; the rest is looked up.

        Raises:
            TrackingError: the store fails, or holds no such parent run.
        """
        if self._store is None:
            return
        known: dict[int, str] = {}
        try:
            if parent_run_id is None:
                parent_run_id = create_parent(self._store, name, params, tags, dataset)
                note = self._note(parent_run_id, description_markdown)
                self._store.client.set_tag(parent_run_id, NOTE_TAG, note)
            else:
                known = reopen_parent(self._store, parent_run_id, tags)
            save_view(self._store, parent_run_id, searched, maximise=mode == "max")
        except TrackingError:
            raise
        except Exception as error:
            raise TrackingError(
                f"tracking: the sweep cannot be recorded in {self._store.address} ({short_reason(error)}); "
                f"set tracking.uri to another store, or set tracking.enabled=false."
            ) from None
        self._runs = Runs(parent_run_id, {**known, **(children or {})})
        self._trial_tags = clean_tags(origin_tags(tags))
        self._datasets = [] if dataset is None else describe_parts(dataset)
        self._run_writer = RunWriter(self._store, self._runs, self.directory)
        self._writer = BackgroundWriter(
            self._run_writer,
            Spool(self._spool_path, parent_run_id, self._store.experiment, self._store.address),
            backlog=read_spool(self._spool_path)[1] if self._spool_path.exists() else None,
            on_run=self._on_run,
        )

    def start_trial(self, trial: TrialStart) -> None:
        """Open a trial's run; the run of an earlier attempt at the same trial goes on."""
        self._open.add(trial.number)
        tags = dict(self._trial_tags)
        if trial.description:
            tags[NOTE_TAG] = _limit(redact_text(trial.description))
        self._submit(
            "start",
            trial.number,
            {
                "name": trial.name,
                "params": clean_params(trial.params),
                "tags": tags,
                "datasets": self._datasets,
            },
        )
        self._submit("text", trial.number, {"path": "config.yaml", "text": redact_yaml(trial.config_yaml)})

    def log_metrics(self, number: int | None, step: int, metrics: Mapping[str, float]) -> None:
        """Add points to a trial's curves, or to the sweep's own for ``number`` None.

        Args:
            number: the trial's number.
            step: the epoch (for the sweep: the number of trials done); an earlier step is not repeated.
            metrics: name to value, for example ``val/pearson``.
        """
        moment = time.time_ns() // 1_000_000
        values = [[key, value, step, moment] for key, value in encode_metrics(metrics).items()]
        if values:
            self._submit("metrics", number, {"values": values})

    def end_trial(self, end: TrialEnd) -> None:
        """Close a trial's run."""
        self._open.discard(end.number)
        reason = None if end.reason is None else redact_text(end.reason)
        tags = {
            STATUS_TAG: end.status,
            "gisearch.failure": reason if end.status == "failed" else None,
            "gisearch.reason": reason if end.status != "failed" else None,
            **end.tags,
        }
        summary = {_CURVE.sub(r"\1_best/", key): value for key, value in end.summary.items()}
        self._submit(
            "end",
            end.number,
            {"status": RUN_STATUS[end.status], "tags": clean_tags(tags), "summary": encode_metrics(summary)},
        )

    def register_model(self, number: int, package: Path, winner: Winner) -> None:
        """Have :meth:`finish` register the winner's model, unless it is registered already.

        Args:
            number: the winner's trial number.
            package: its folder, from :func:`gisearch.tracking.model_package.package_model`.
            winner: what to say about it.
        """
        payload = {
            "local": kept_path(package, self.directory),
            "winner": {
                **dataclasses.asdict(winner),
                "description": redact_text(winner.description),
                "params": clean_params(winner.params),
                "tags": clean_tags(winner.tags),
            },
        }
        self._model = Operation("model", number, payload)

    def finish(
        self,
        status: SweepStatus,
        summary: Mapping[str, float],
        artifacts: Mapping[str, Path],
        *,
        description_markdown: str | None = None,
        timeout: float = 60.0,
    ) -> TrackingReport:
        """Close the sweep's runs and wait for the queue.

        Args:
            status: how the sweep ended; trials still open are closed as interrupted.
            summary: single numbers of the sweep.
            artifacts: path below the parent run's artifacts (``best/config.yaml``) to local file.
            description_markdown: replaces the description given at the start.
            timeout: seconds without a delivery after which a store that hangs is given up; one that fails is
                sooner.

        Returns:
            What became of the writes; ``message`` says what to do where some are still to be uploaded.
        """
        if self._writer is None or self._store is None or self._run_writer is None:
            return TrackingReport()
        for number in sorted(self._open):
            self.end_trial(TrialEnd(number, "interrupted", "the sweep ended before this trial"))
        for path, local in artifacts.items():
            self._writer.submit(artifact(path, local, self.directory))
        tags: dict[str, str] = {STATUS_TAG: status}
        if description_markdown is not None:
            tags[NOTE_TAG] = self._note(self._run_writer.runs.parent, description_markdown)
        payload = {"status": RUN_STATUS[status], "tags": tags, "summary": encode_metrics(summary)}
        self._submit("end", None, payload)
        if self._model is not None:
            # Last: where there is no model registry, everything else has been written.
            self._writer.submit(self._model)
        kept = self._writer.close(timeout) + self._writer.set_aside
        message = ""
        if kept:
            message = (
                f"{kept} tracking writes could not be delivered to {self._store.address} and are kept in "
                f"{self._spool_path}; upload them with: python -m gisearch.tracking upload {self._spool_path}"
            )
        elif self._writer.rejected:
            message = (
                f"{self._store.address} refused {len(self._writer.rejected)} tracking writes, the first "
                f"because {self._writer.rejected[0]}."
            )
        return TrackingReport(
            delivered=self._writer.delivered,
            spooled=kept,
            rejected=tuple(self._writer.rejected),
            spool=self._spool_path if kept else None,
            message=message,
            model=self._run_writer.model,
        )

    @property
    def parent_run_id(self) -> str | None:
        """The parent run; None without tracking."""
        return None if self._runs is None else self._runs.parent

    @property
    def page(self) -> str | None:
        """The address that shows this sweep's trials, best first, once the UI runs."""
        if self._store is None or self._runs is None:
            return None
        return view_address(self._store, self._runs.parent)

    @property
    def run_ids(self) -> dict[int, str]:
        """The trials' runs known so far, by trial number."""
        return {} if self._runs is None else self._runs.children()

    def run_id(self, number: int) -> str | None:
        """Return a trial's run; None until the writer has created it."""
        return None if self._runs is None else self._runs.get(number)

    @property
    def pending(self) -> int:
        """Writes that are not delivered yet."""
        return 0 if self._writer is None else self._writer.pending

    def notice(self) -> str | None:
        """Return one sentence while the store is away, for the progress view; None otherwise."""
        outage = None if self._writer is None else self._writer.outage()
        if outage is None or self._store is None or self._writer is None:
            return None
        return (
            f"tracking: {self._store.address} has not answered for {outage[0]:.0f} s ({outage[1]}); "
            f"{self._writer.pending} writes wait, the sweep goes on"
        )

    def _note(self, parent_run_id: str, markdown: str) -> str:
        assert self._store is not None
        return _limit(with_links(self._store, parent_run_id, redact_text(markdown)))

    def _submit(self, kind: str, number: int | None, payload: dict[str, Any]) -> None:
        if self._writer is not None:
            self._writer.submit(Operation(kind, number, payload))


def _limit(note: str) -> str:
    if len(note) <= _NOTE_LIMIT:
        return note
    return f"{note[: _NOTE_LIMIT - 20].rsplit(chr(10), 1)[0]}\n\n…"
