from __future__ import annotations

import io

import numpy as np
import pytest
from rich.console import Console

from gisearch.composition import parse_overrides
from gisearch.config import assign, build
from gisearch.data.candidates import Candidates
from gisearch.data.dataset import Dataset
from gisearch.search import screening, screening_progress
from gisearch.search.screening import screen_on_cluster
from gisearch.search.screening_progress import ScreeningProgress
from gisearch.training.config import ExperimentConfig
from gisearch.training.experiment import TrainedModel, build_model
from gisearch.training.screening import Screen, decide, screen_here
from gisearch.training.target import TargetScale


@pytest.mark.ray
@pytest.mark.slow
def test_a_cluster_finds_what_one_machine_finds(
    tiny_dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = assign({}, parse_overrides(["data.source=demo", "model.name=dango_gi", "trainer.device=cpu"]))
    config = build(ExperimentConfig, values)
    trained = TrainedModel(config, build_model(config, tiny_dataset).eval(), TargetScale("regression"))
    candidates = Candidates(range(40), 3)
    candidates.omit(tiny_dataset.genotypes)
    screen = Screen(trained, candidates, 20)
    here = decide(screen, screen_here(screen, 1))
    # Several parcels, the last of them short.
    monkeypatch.setattr(screening, "SLICE", 3000)
    told: list[int] = []
    there = decide(screen, screen_on_cluster(screen, told.append))
    assert told[-1] == candidates.total == 9880
    for mine, others in zip(here, there, strict=True):
        assert mine.genes.tolist() == others.genes.tolist()
        np.testing.assert_allclose(mine.scores, others.scores, rtol=1e-6)


class TestProgress:
    def test_lines_now_and_then_where_there_is_no_terminal(self, monkeypatch: pytest.MonkeyPatch) -> None:
        clock = [100.0]
        monkeypatch.setattr(screening_progress.time, "monotonic", lambda: clock[0])
        out = io.StringIO()
        with ScreeningProgress(Console(file=out, width=200), 4_000_000) as progress:
            for seconds in (5.0, 10.0, 15.0, 20.0):
                clock[0] = 100 + seconds
                progress(int(seconds * 50_000))
        assert out.getvalue().splitlines() == [
            "500,000 of 4,000,000 candidates, 50,000 a second, 0:01:10 left",
            "1,000,000 of 4,000,000 candidates, 50,000 a second, 0:01:00 left",
        ]

    def test_a_bar_in_a_terminal(self) -> None:
        out = io.StringIO()
        with ScreeningProgress(Console(file=out, force_terminal=True, width=100), 10) as progress:
            progress(5)
            assert progress._bar is not None
            progress._bar.refresh()
        assert "50%" in out.getvalue()
        assert "a second" in out.getvalue()
