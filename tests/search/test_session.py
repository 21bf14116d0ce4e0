"""When worker processes import what trials train with before there is a trial."""

from __future__ import annotations

from pathlib import Path

import pytest

from gisearch.search import session
from gisearch.search.cluster import WorkerNeeds
from gisearch.search.plan import plan_sweep
from gisearch.search.session import imports_ahead

SPACE = """
base: [model=dango_gi, data=demo_tiny]
space:
  optimizer.lr: {float: [1.0e-3, 1.0e-2]}
"""


@pytest.mark.parametrize(
    ("cores", "overrides", "pays"),
    [
        (2, [], True),
        (64, ["search.trials=100"], True),
        (64, ["search.trials=16"], False),
        (4, ["search.concurrency=1"], False),
        (4, ["search.concurrency=2"], False),
        (4, ["search.concurrency=3"], True),
        (2, ["trainer.workers=2"], False),
        (2, ["search.cpus_per_worker=4"], False),
        (8, ["search.gpus_per_worker=1"], False),
    ],
)
def test_it_pays_where_most_of_them_train(
    cores: int, overrides: list[str], pays: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "allowed_processors", lambda: cores)
    (tmp_path / "space.yaml").write_text(SPACE)
    plan = plan_sweep(tmp_path / "space.yaml", overrides)
    needs = WorkerNeeds.of(plan.config.search, plan.config.trainer.workers)
    assert bool(imports_ahead(plan, needs)) is pays
