"""What a sweep over models shows."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from gisearch.search.plan import SweepPlan
from gisearch.search.presentation import leaderboard, print_plan, short_names
from gisearch.search.results import SweepResults, TrialRow


def shown(*lines: object, width: int = 80) -> str:
    console = Console(width=width, file=io.StringIO())
    for line in lines:
        console.print(line)
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return text


def test_a_name_is_called_by_what_it_names() -> None:
    paths = ["model.name", "model.schedule.name", "model.local_predictor.enabled", "optimizer.lr"]
    assert list(short_names(paths).values()) == ["model", "schedule", "local_predictor", "lr"]
    both = short_names(["a.part.name", "a.part.enabled", "b.rate", "c.rate"])
    assert list(both.values()) == ["name", "enabled", "b.rate", "c.rate"]


def test_the_leaderboard_has_the_model_in_a_narrow_terminal_too() -> None:
    params = {"model.name": "dango", **{f"model.key_{n}": n for n in range(8)}}
    rows = (
        TrialRow(0, 0.5, "finished", 3, 1.0, params),
        TrialRow(1, 0.4, "finished", 3, 1.0, {"model.name": "additive"}),
    )
    results = SweepResults("x", Path("x"), "val/pearson", "max", rows)
    first, details = leaderboard(results, 10, 80)
    assert [column.header for column in first.columns][-2:] == ["seconds", "model"]
    assert "additive" in shown(first)
    assert "key_7" in shown(details)
    (whole,) = leaderboard(results, 10, 250)
    assert len(whole.columns) == 6 + 9


def test_the_plan_shows_every_models_own_keys(plan: Callable[..., SweepPlan]) -> None:
    made = plan("base: [data=demo_tiny]\nspace:\n  model.name: [additive, bilinear]\n  model.rank: [3]\n")
    console = Console(width=120, file=io.StringIO())
    print_plan(made, console)
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    assert 'model.name is "bilinear"' in text
    assert "model:\n  inputs: embedding\n  features: null\n  name: additive\n" in text
    assert (
        "model:\n  inputs: embedding\n  features: null\n  name: bilinear\n  rank: 16\n  dropout: 0.2\n"
        in text
    )
