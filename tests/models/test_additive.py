"""What is particular to AdditiveEffects: effects add up, and nothing else happens."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gisearch.data.cell_graph import CellGraph
from gisearch.data.dataset import Target
from gisearch.models.batch import GenotypeBatch
from gisearch.models.config.additive import AdditiveEffectsConfig
from gisearch.training.config import OptimizerConfig

TARGET = Target("gene_interaction", "regression")


def test_the_score_of_a_set_is_the_sum_of_its_genes(tiny_cell: CellGraph) -> None:
    torch.manual_seed(0)
    model = AdditiveEffectsConfig().build(tiny_cell, TARGET)
    torch.nn.init.constant_(model.effects.bias, 0.5)
    batch = GenotypeBatch.from_table(np.array([[3, 8, 21], [3, -1, -1], [-1, 8, -1], [-1, -1, 21]]))
    together, *single = (model(batch).score - 0.5).tolist()
    assert together == pytest.approx(sum(single), abs=1e-7)
    assert len({round(value, 6) for value in single}) == 3


def test_finds_the_effects_that_there_are(tiny_cell: CellGraph) -> None:
    """With the optimiser's defaults, as a trial trains it."""
    torch.manual_seed(0)
    random = np.random.default_rng(0)
    effects = torch.from_numpy(random.normal(size=tiny_cell.num_genes).astype(np.float32))
    table = np.stack([random.choice(tiny_cell.num_genes, 2, replace=False) for _ in range(2000)])
    values = effects[torch.from_numpy(table)].sum(1)
    model = AdditiveEffectsConfig().build(tiny_cell, TARGET)
    batch = GenotypeBatch.from_table(table)
    optimizer, schedule = OptimizerConfig(lr=3e-2).build(model, 300)
    for _ in range(300):
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(model(batch).score, values).backward()
        optimizer.step()
        schedule.step()
    found = model.effects.effect.detach().squeeze(1)
    assert torch.corrcoef(torch.stack([found, effects]))[0, 1] > 0.999


def test_weight_decay_shrinks_the_effects(tiny_cell: CellGraph) -> None:
    model = AdditiveEffectsConfig().build(tiny_cell, TARGET)
    optimizer, _ = OptimizerConfig().build(model, 10)
    decayed, others = (group["params"] for group in optimizer.param_groups)
    assert [p.shape for p in decayed] == [(tiny_cell.num_genes, 1)]
    assert [p.shape for p in others] == [(1,)]
