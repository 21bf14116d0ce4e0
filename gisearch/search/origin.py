"""A sweep that goes on in another working directory: what its relative paths meant where it was started."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from gisearch.data.config import started_in
from gisearch.search.plan import SweepPlan
from gisearch.tracking.config import started_in as store_started_in


def found_again(plan: SweepPlan, facts: Mapping[str, Any]) -> SweepPlan:
    """Return a plan whose data and tracking file are found where the sweep was started, if not here.

    Args:
        plan: the plan of a sweep that goes on.
        facts: what the sweep noted about itself at its start.
    """
    given = facts.get("started_in")
    if given is None or Path(given) == Path.cwd():
        return plan
    folder = Path(given)
    data = started_in(plan.config.data, folder)
    config = replace(plan.config, data=data, tracking=store_started_in(plan.config.tracking, folder))
    experiments = {name: replace(one, data=data) for name, one in plan.experiments.items()}
    return replace(plan, config=config, experiments=experiments)
