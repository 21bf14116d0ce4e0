"""The folder of a sweep that runs: made or taken up again, and held."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gisearch.config import to_plain
from gisearch.data.dataset import Dataset
from gisearch.errors import ConfigError, DataError, GisearchError
from gisearch.search.folders import SPACE_FILE, TRIALS_FOLDER, numbered_folder, read_facts, write_facts
from gisearch.search.lock import locked
from gisearch.search.plan import SweepPlan
from gisearch.tracking.provenance import collect_provenance
from gisearch.training.objective import Objective


@contextmanager
def sweep_folder(
    plan: SweepPlan, folder: Path | None, dataset: Dataset, objective: Objective
) -> Iterator[Path]:
    """Make the sweep's folder, or check that an existing one can be continued; hold it meanwhile.

    A new folder is removed again where the sweep cannot start.
    """
    resumed = folder is not None
    if folder is None:
        folder = numbered_folder(plan.config.results.dir, plan.config.name)
        _write_facts(folder, plan, dataset, objective)
    else:
        facts = read_facts(folder)
        if facts["data"] != dataset.digest():
            raise DataError(
                f"the data has changed since {folder} was started; a sweep compares on equal data."
            )
        if facts["metric"] != objective.metric:
            raise ConfigError(
                f"objective.metric: {folder} was started with {facts['metric']!r}, got {objective.metric!r}; "
                "a resumed sweep keeps its objectives."
            )
    with locked(folder):
        if resumed:
            # What was changed when it was resumed holds the next time too.
            write_facts(folder, {**read_facts(folder), "overrides": list(plan.overrides)})
        try:
            yield folder
        except GisearchError:
            if not resumed and not (folder / TRIALS_FOLDER).exists():
                shutil.rmtree(folder)
            raise


def _write_facts(folder: Path, plan: SweepPlan, dataset: Dataset, objective: Objective) -> None:
    """Write what a later command needs to know of the sweep, and what continuing it needs."""
    ceiling = None if dataset.noise_ceiling is None else dataset.noise_ceiling.get("val")
    facts = {
        "name": folder.name,
        "question": plan.question,
        "metric": objective.metric,
        "mode": objective.mode,
        "target": dataset.target.name,
        "noise_ceiling": None if ceiling is None else float(ceiling),
        "data": dataset.digest(),
        "left_out": list(dataset.report.warnings()),
        "overrides": list(plan.overrides),
        "max_epochs": plan.max_epochs,
        "space": [p.path for p in plan.space.parameters],
        "tracking": to_plain(plan.config.tracking),
        "started_in": str(Path.cwd()),
        "provenance": collect_provenance(),
    }
    shutil.copyfile(plan.source, folder / SPACE_FILE)
    write_facts(folder, facts)
