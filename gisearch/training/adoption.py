"""Taking over another run's training state, as the members of a population do."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gisearch.config import build
from gisearch.errors import CheckpointError
from gisearch.files import write_whole
from gisearch.training.checkpoint import BEST, LAST, CheckpointStore
from gisearch.training.config import ExperimentConfig
from gisearch.training.objective import Objective

_log = logging.getLogger(__name__)

ADOPTED_FILE = "adopted.json"


@dataclass(frozen=True)
class Adoption:
    """Whose state a run takes over.

    Attributes:
        source: the folder of the other run, which may be training at the same time.
        leg: how often this run has taken over a state, this time included.
    """

    source: Path
    leg: int

    @classmethod
    def of(cls, job: Mapping[str, Any]) -> Adoption | None:
        """Return what a trial's job says: ``adopt``, a folder or None, and ``leg``."""
        return None if job["adopt"] is None else cls(Path(job["adopt"]), int(job["leg"]))

    def is_due(self, folder: Path) -> bool:
        """Whether the run in ``folder`` has yet to take the state over; afterwards it continues its own."""
        try:
            done = json.loads((folder / ADOPTED_FILE).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return True
        return int(done["leg"]) < self.leg

    def carry_out(self, folder: Path, config: Mapping[str, Any], objective: Objective) -> None:
        """Put the other run's state into ``folder``, to be continued with this run's configuration.

        Weights, optimiser, schedule and epoch are the other's; seconds are this run's. The better of both
        best models stays, with the configuration that reached it. Where the other's state cannot be read,
        the run goes on from its own, or, if that is of another model, from the beginning. All of it can be
        repeated: the new state appears in one piece.

        Args:
            folder: the run's folder.
            config: the run's configuration from now on, as plain values.
            objective: decides which best model is better.

        Raises:
            GisearchError: the folder cannot be written.
        """
        own, other = CheckpointStore(folder), CheckpointStore(self.source)
        before, state = own.load_last(), other.load_last()
        if state is None or not _fits(state, config):
            _log.warning(
                "%s holds no state to take over; the run in %s goes on with its own.", other.folder, folder
            )
            # Its own is of this run already: history and best model stay as they are.
            state = before if before is not None and _fits(before, config) else None
        else:
            # The last one before the best one: what trains on meanwhile has a newer best one, not an older.
            best = _better(_load_best(own), _load_best(other), objective)
            if best is not None and best[0] == "other":
                own.save(BEST, best[1])
            state["progress"] = _progress(state, before, None if best is None else best[1])
        if state is None:
            own.remove()
            return
        own.save(LAST, {**state, "config": dict(config)})
        # It is of another configuration: a damaged state is not to fall back to it.
        (folder / f"{LAST}.previous").unlink(missing_ok=True)

    def note(self, folder: Path) -> None:
        """Note in ``folder`` that the state has been taken over.

        Raises:
            GisearchError: the folder cannot be written.
        """
        write_whole(folder / ADOPTED_FILE, json.dumps({"leg": self.leg, "from": self.source.name}))


def _fits(state: Mapping[str, Any], config: Mapping[str, Any]) -> bool:
    """Whether a state's weights are those of the configuration's model, on networks derived alike."""
    theirs, own = (build(ExperimentConfig, values) for values in (state["config"], config))
    return (theirs.model, theirs.derived) == (own.model, own.derived)


def _load_best(store: CheckpointStore) -> dict[str, Any] | None:
    try:
        return store.load(BEST)
    except CheckpointError:
        return None


def _better(
    own: dict[str, Any] | None, other: dict[str, Any] | None, objective: Objective
) -> tuple[str, dict[str, Any]] | None:
    """Return the better of two best models and whose it is; this run's own, if they are equal."""
    if other is not None and (
        own is None or objective.better(other["progress"]["best_value"], own["progress"]["best_value"])
    ):
        return "other", other
    return None if own is None else ("own", own)


def _progress(
    state: Mapping[str, Any], before: Mapping[str, Any] | None, best: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Return where the run stands now. Its history begins here: the other's epochs are not its own."""
    reached = None if best is None else best["progress"]
    value, epoch = (None, 0) if reached is None else (reached["best_value"], reached["best_epoch"])
    return {
        **state["progress"],
        "seconds": 0.0 if before is None else before["progress"]["seconds"],
        "best_value": value,
        "best_epoch": epoch,
        "inherited": None if reached is None else (value, epoch),
        "history": [],
    }
