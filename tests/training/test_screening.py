from __future__ import annotations

import csv
import io
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch

from gisearch.composition import parse_overrides
from gisearch.config import assign, build
from gisearch.data.candidates import Candidates
from gisearch.data.dataset import Dataset
from gisearch.errors import NonFiniteError
from gisearch.models.batch import GenotypeBatch
from gisearch.training import screening
from gisearch.training.config import ExperimentConfig
from gisearch.training.experiment import TrainedModel, build_model
from gisearch.training.screening import Extremes, Highest, Screen, decide, screen_here
from gisearch.training.screening_table import write_screened
from gisearch.training.target import TargetScale

Make = Callable[..., TrainedModel]


@pytest.fixture
def make_trained(tiny_dataset: Dataset) -> Make:
    """A model with first weights and a scale, as if it had been trained."""

    def make(model: str, scale: TargetScale | None = None) -> TrainedModel:
        overrides = ["data.source=demo", f"model.name={model}", "trainer.device=cpu"]
        values = assign({}, parse_overrides(overrides))
        config = build(ExperimentConfig, values)
        scale = scale or TargetScale("regression", 0.25, 2.0)
        return TrainedModel(config, build_model(config, tiny_dataset).eval(), scale)

    return make


class TestHighest:
    def test_ties_go_to_the_lowest_rank_in_whatever_order_they_come(self) -> None:
        parts = [([1.0, 5.0, 3.0], [10, 11, 12]), ([3.0, 3.0], [2, 20]), ([5.0, 0.0], [1, 0])]
        for order in ((0, 1, 2), (2, 1, 0), (1, 2, 0)):
            highest = Highest(3)
            for i in order:
                scores, ranks = parts[i]
                highest.add(np.array(scores, np.float32), np.array(ranks))
            assert highest.ranks.tolist() == [1, 11, 2]
            assert highest.scores.tolist() == [5.0, 5.0, 3.0]

    def test_both_ends_of_fewer_than_are_wanted(self) -> None:
        extremes = Extremes(10)
        extremes.add(np.array([0.5, -1.0], np.float32), np.array([7, 3]))
        assert extremes.top.ranks.tolist() == [7, 3]
        assert extremes.bottom.ranks.tolist() == [3, 7]


@pytest.mark.parametrize("order", [2, 3])
@pytest.mark.parametrize("model", ["dango_gi", "diffusion"])
def test_the_extremes_are_those_of_scoring_everything(
    model: str, order: int, make_trained: Make, tiny_dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every slice is small, so that many of them meet in several threads."""
    monkeypatch.setattr(screening, "SLICE", 50)
    trained, genes = make_trained(model), range(3, 15) if order == 3 else range(25)
    candidates = Candidates(genes, order)
    candidates.omit(tiny_dataset.genotypes)
    assert candidates.num_omitted > 0
    screen = Screen(trained, candidates, 5)
    told: list[int] = []
    top, bottom = decide(screen, screen_here(screen, 3, told.append))
    assert told == sorted(told)
    assert told[-1] == candidates.total

    measured = {tuple(g) for g in map(tiny_dataset.genotypes.genes_of, range(len(tiny_dataset.genotypes)))}
    rest = [c for c in combinations(genes, order) if c not in {tuple(map(int, m)) for m in measured}]
    scores, std = trained.predict(GenotypeBatch.complete(torch.tensor(rest)))
    best = np.lexsort((np.arange(len(rest)), -scores.numpy()))
    assert [tuple(g) for g in top.genes.tolist()] == [rest[i] for i in best[:5]]
    assert [tuple(g) for g in bottom.genes.tolist()] == [rest[i] for i in best[::-1][:5]]
    np.testing.assert_allclose(top.scores, scores[best[:5].copy()], rtol=1e-5, atol=1e-6)
    assert (top.std is None) == (std is None)
    if std is not None and top.std is not None:
        np.testing.assert_allclose(top.std, std[best[:5].copy()], rtol=1e-4, atol=1e-6)


def test_probabilities_that_are_one_do_not_tie(make_trained: Make) -> None:
    trained = make_trained("additive", TargetScale("binary"))
    with torch.no_grad():
        trained.model.get_parameter("effects.effect").copy_(torch.arange(40.0).unsqueeze(1) + 50)
    screen = Screen(trained, Candidates(range(10), 2), 3)
    top, bottom = decide(screen, screen_here(screen, 1))
    assert top.scores.tolist() == bottom.scores.tolist() == [1.0, 1.0, 1.0]
    assert top.genes.tolist() == [[8, 9], [7, 9], [6, 9]]
    assert bottom.genes.tolist() == [[0, 1], [0, 2], [0, 3]]


def test_equal_scores_are_ordered_by_genotype(make_trained: Make) -> None:
    trained = make_trained("additive")
    with torch.no_grad():
        trained.model.get_parameter("effects.effect").zero_()
    screen = Screen(trained, Candidates(range(10), 2), 2)
    top, bottom = decide(screen, screen_here(screen, 2))
    assert top.genes.tolist() == bottom.genes.tolist() == [[0, 1], [0, 2]]


def test_a_bad_score_is_an_error_that_names_the_stage(make_trained: Make) -> None:
    trained = make_trained("bilinear")
    with torch.no_grad():
        trained.model.get_parameter("pairs.vector")[7] = torch.nan
    with pytest.raises(NonFiniteError, match=r"stage 'pairs' produced NaN"):
        screen_here(Screen(trained, Candidates(range(10), 2), 2), 2)


def test_an_interruption_ends_the_slices_that_are_being_scored(make_trained: Make) -> None:
    screen = Screen(make_trained("additive"), Candidates(range(2000), 3), 2)

    def interrupt(done: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        screen_here(Screen(make_trained("additive"), Candidates(range(40), 3), 2), 2, interrupt)
    screen.stop()
    assert len(screen.score(range(100)).top.ranks) == 0


def test_the_table_says_what_was_measured_and_what_was_never_seen(
    make_trained: Make, tiny_dataset: Dataset
) -> None:
    genotypes, names = tiny_dataset.genotypes, tiny_dataset.cell.names
    trained_on = set(genotypes.subset(tiny_dataset.split.train).genes.tolist())
    screen = Screen(make_trained("additive"), Candidates(range(40), 2), 780)
    file = io.StringIO()
    found = decide(screen, screen_here(screen, 1))
    write_screened(found, screen, tiny_dataset, file, delimiter="\t", measured=True)
    rows = list(csv.DictReader(file.getvalue().splitlines(), delimiter="\t"))
    assert list(rows[0]) == [
        *("end", "rank", "gene1", "gene2", "systematic1", "systematic2", "score", "unseen", "measured")
    ]
    assert [row["end"] for row in rows] == ["top"] * 780 + ["bottom"] * 780
    assert [int(row["rank"]) for row in rows] == [*range(1, 781)] * 2
    expected = {
        tuple(genotypes.genes_of(i).tolist()): genotypes.labels["gene_interaction"][i]
        for i in np.flatnonzero(genotypes.order == 2)
    }
    for row in rows[:780]:
        pair = (names.index_of(row["gene1"]), names.index_of(row["systematic2"]))
        assert int(row["unseen"]) == sum(gene not in trained_on for gene in pair)
        value = expected.pop(pair, None)
        assert row["measured"] == ("" if value is None else f"{value:.6g}")
    assert not expected, "every measured pair is there"


def test_a_screen_travels_to_other_processes(make_trained: Make, tmp_path: Path) -> None:
    import pickle

    screen = Screen(make_trained("dango_gi"), Candidates(range(20), 2), 4)
    expected = screen.score(range(190))
    other: Screen = pickle.loads(pickle.dumps(screen))
    found = other.score(range(190))
    assert np.array_equal(found.top.scores, expected.top.scores)
    assert np.array_equal(found.bottom.ranks, expected.bottom.ranks)
