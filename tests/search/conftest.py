"""Sweeps planned from a file's text."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from gisearch.errors import ConfigError
from gisearch.search.plan import SweepPlan, plan_sweep

Planner = Callable[..., SweepPlan]


@pytest.fixture
def plan(tmp_path: Path) -> Planner:
    """Plan a sweep from a file's text."""

    def make(text: str, *overrides: str) -> SweepPlan:
        path = tmp_path / "space.yaml"
        path.write_text(text)
        return plan_sweep(path, overrides)

    return make


@pytest.fixture
def message(tmp_path: Path, plan: Planner) -> Callable[..., str]:
    """What is wrong with a file, its folder left out."""

    def find(text: str, *overrides: str) -> str:
        with pytest.raises(ConfigError) as error:
            plan(text, *overrides)
        return str(error.value).replace(f"{tmp_path}/", "")

    return find
