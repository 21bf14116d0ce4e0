"""What the data lacks shows before a sweep starts, for every model that its space can produce."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from gisearch.errors import DataError
from gisearch.search import session, sweep
from gisearch.search.plan import SweepPlan

MODELS = """
base: [data=demo_tiny, model=additive]
space:
  model.name: [additive, dango_gi]
  model.encoder.networks: [[physical], [regulation, physical]]
baselines:
  - {model.name: additive}
"""


ONE = """
base: [data=demo_tiny]
space:
  model.encoder.networks: [[physical], [regulation]]
baselines:
  - {model.encoder.networks: [physical]}
"""


@pytest.mark.parametrize(
    ("text", "start"),
    [
        (MODELS, "model=dango_gi: the data has no network 'regulation' (it has: "),
        (ONE, "the data has no network 'regulation' (it has: "),
    ],
)
def test_a_network_that_only_one_option_needs(
    text: str,
    start: str,
    plan: Callable[..., SweepPlan],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def starts_ray() -> None:
        raise AssertionError("Ray was started")

    monkeypatch.setattr(session, "ray_session", starts_ray)
    monkeypatch.chdir(tmp_path)
    made = plan(text)
    with pytest.raises(DataError) as error:
        sweep.run_sweep(made, console=Console(quiet=True))
    assert str(error.value).startswith(start)
    assert not (tmp_path / "results").exists()
    assert not (tmp_path / "mlflow.db").exists()
