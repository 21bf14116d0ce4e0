"""Trees as tensors give what scikit-learn gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from gisearch.models.layers import tree_ensemble
from gisearch.models.layers.tree_ensemble import TreeEnsemble

NODES = 2 * 16 - 1


def grown(trees: int = 30, leaves: int = 16) -> tuple[Any, np.ndarray[Any, Any]]:
    """A regressor on data with missing values, and with a column that is only sometimes there."""
    from sklearn.ensemble import HistGradientBoostingRegressor

    random = np.random.default_rng(0)
    x = random.normal(size=(400, 5))
    x[random.random(x.shape) < 0.2] = np.nan
    x[:, 4] = np.where(random.random(400) < 0.5, 1.0, np.nan)
    y = np.nan_to_num(x[:, 0]) * 2 + np.isnan(x[:, 4]) + random.normal(size=400) * 0.1
    booster = HistGradientBoostingRegressor(
        max_iter=trees, max_leaf_nodes=leaves, early_stopping=False, random_state=0
    )
    return booster.fit(x, y), x


def ensemble(booster: Any, nodes: int = NODES) -> TreeEnsemble:
    made = TreeEnsemble(nodes)
    made.replace(float(booster._baseline_prediction.item()), [p.nodes for (p,) in booster._predictors])
    return made


@pytest.mark.parametrize("block", [2**22, 1])
def test_equals_scikit_learn(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree_ensemble, "_BLOCK", block)
    booster, x = grown()
    made = ensemble(booster)
    expected = torch.from_numpy(booster.predict(x))
    torch.testing.assert_close(made(torch.from_numpy(x)), expected, rtol=0, atol=1e-12)
    other = np.random.default_rng(1).normal(size=(100, 5)) * 10
    torch.testing.assert_close(
        made(torch.from_numpy(other)), torch.from_numpy(booster.predict(other)), rtol=0, atol=1e-12
    )
    assert torch.isfinite(made.threshold).all(), "what parts missing from not missing is finite too"


def test_a_part_of_the_trees() -> None:
    booster, x = grown()
    made, rows = ensemble(booster), torch.from_numpy(x)
    fewer = TreeEnsemble(NODES)
    fewer.replace(made.offset.item(), [p.nodes for (p,) in booster._predictors[:12]])
    torch.testing.assert_close(fewer(rows) + made(rows, first=12), made(rows))
    assert not made(rows, first=30).any()


def test_the_state_brings_its_number_of_trees() -> None:
    booster, x = grown()
    made, rows = ensemble(booster), torch.from_numpy(x)
    loaded = TreeEnsemble(NODES)
    loaded.load_state_dict(made.state_dict())
    assert len(loaded) == 30
    assert torch.equal(loaded(rows), made(rows))
    loaded.load_state_dict(TreeEnsemble(NODES).state_dict())
    assert len(loaded) == 0
    assert not loaded(rows).any()
    with pytest.raises(RuntimeError, match="size mismatch"):
        TreeEnsemble(NODES + 2).load_state_dict(made.state_dict())


def test_leaves_are_counted() -> None:
    booster, _ = grown()
    assert ensemble(booster).num_leaves() == sum(p.get_n_leaf_nodes() for (p,) in booster._predictors)
    assert TreeEnsemble(NODES).num_leaves() == 0
