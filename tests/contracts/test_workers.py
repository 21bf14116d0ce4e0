"""Several processes train every model to the numbers of one."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

from gisearch.data.dataset import Dataset
from gisearch.models.registry import MODELS
from tests.contracts.processes import EPOCHS, train, worker

SIZE = 2
Case = tuple[str, dict[str, Any]]

DERIVED = {"derived.positive": True, "derived.threshold": 0.0, "derived.profile.similarity": "smoothed"}

CASES: list[Case] = [
    *((name, {}) for name in MODELS),
    # Parts of a batch, of which every process has as many.
    ("dango_gi", {"trainer.accumulate": 3}),
    # The last batch is one genotype, which two processes cannot share.
    ("dango_gi", {"trainer.batch_size": 167}),
    # A model per fold, of which every step leaves all but one out.
    ("dango_gi", {**DERIVED, "derived.folds": 3}),
    ("boosted_trees", {**DERIVED, "derived.folds": 3}),
    # Some weights have no gradient at all in the first epochs, and others in the last.
    ("dango", {"model.schedule.name": "pre_then_post", "model.schedule.transition_epochs": 1}),
    ("dango_gi", {"data.cell.feature_width": 4, "model.encoder.inputs": "both"}),
]


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> list[list[dict[str, Any]]]:
    """What each of two processes saw of every case."""
    folder = tmp_path_factory.mktemp("together")
    torch.multiprocessing.spawn(worker, (SIZE, CASES, str(folder)), nprocs=SIZE)
    return [pickle.loads((folder / f"seen{rank}.pickle").read_bytes()) for rank in range(SIZE)]


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=[f"{name}{changes or ''}" for name, changes in CASES])
def test_two_processes_train_to_the_numbers_of_one(
    case: Case, together: list[list[dict[str, Any]]], tmp_path: Path
) -> None:
    alone = train(case, tmp_path)
    first, second = (seen[CASES.index(case)] for seen in together)
    assert (first["group"], second["group"]) == ((0, SIZE), (1, SIZE))
    assert first["reported"] == alone["reported"] == list(range(1, EPOCHS + 1))
    assert second["reported"] == [], "only the first process reports"
    for seen in (first, second):
        assert seen["value"] == pytest.approx(alone["value"], abs=1e-4)
        assert seen["subgroups"] == pytest.approx(alone["subgroups"], abs=1e-4)
        assert len(seen["history"]) == EPOCHS
        for epoch, expected in zip(seen["history"], alone["history"], strict=True):
            assert epoch == pytest.approx(expected, abs=1e-4, rel=1e-4)
    # Scores, not weights: a bias before a softmax has no effect, and AdamW makes steps of its rounding.
    torch.testing.assert_close(first["scores"], alone["scores"], rtol=1e-4, atol=1e-4)


def test_a_last_batch_of_one_genotype_is_among_the_cases(tiny_dataset: Dataset) -> None:
    assert len(tiny_dataset.split.train) % 167 == 1
