"""A sum of decision trees as tensors, so that it is saved, moved and evaluated like any other model.

Shapes: B genotypes, F features, T trees of at most M nodes; node 0 is a tree's root.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

# No feature is as large; a threshold at infinity parts what is missing from all that is not.
_ABOVE_ALL = 1e30
_COLUMNS = ("feature", "threshold", "left", "right", "missing_left", "value")
# Pairs of genotype and tree that are followed at a time, which bounds the memory.
_BLOCK = 2**22


class TreeEnsemble(nn.Module):
    """The sum of an offset and the values of the leaves that a genotype's features lead to.

    A leaf is its own left and right child, and what follows a tree's last node is a leaf too. The number of
    trees is that of the state that was loaded last, or that :meth:`replace` was given.

    Attributes:
        offset: [1].
        feature: float64 [T, M], the feature that a node asks for.
        threshold: float64 [T, M]; up to it leads left.
        left: float64 [T, M], the node on the left.
        right: float64 [T, M], the node on the right.
        missing_left: float64 [T, M], 1 where a missing feature leads left.
        value: float64 [T, M], what a leaf adds to the score.
    """

    offset: nn.Parameter
    feature: nn.Parameter
    threshold: nn.Parameter
    left: nn.Parameter
    right: nn.Parameter
    missing_left: nn.Parameter
    value: nn.Parameter

    def __init__(self, max_nodes: int) -> None:
        super().__init__()
        self.max_nodes = max_nodes
        self._set("offset", torch.zeros(1, dtype=torch.float64))
        for name in _COLUMNS:
            self._set(name, torch.zeros(0, max_nodes, dtype=torch.float64))

    def __len__(self) -> int:
        return len(self.value)

    def _set(self, name: str, values: Tensor) -> None:
        # A parameter, as all that a model has learnt is; without gradient, which a tree does not have.
        setattr(self, name, nn.Parameter(values, requires_grad=False))

    def replace(self, offset: float, trees: Sequence[np.ndarray[Any, Any]]) -> None:
        """Take the trees of scikit-learn's histogram gradient boosting.

        Args:
            offset: added to every score.
            trees: per tree its records, with the fields that scikit-learn gives them.
        """
        columns = {name: torch.zeros(len(trees), self.max_nodes, dtype=torch.float64) for name in _COLUMNS}
        columns["left"] += torch.arange(self.max_nodes)
        columns["right"] += torch.arange(self.max_nodes)
        for i, nodes in enumerate(trees):
            inner = np.flatnonzero(nodes["is_leaf"] == 0)
            leaf = np.flatnonzero(nodes["is_leaf"])
            fields = {
                "feature": nodes["feature_idx"],
                "threshold": np.clip(nodes["num_threshold"], -_ABOVE_ALL, _ABOVE_ALL),
                "left": nodes["left"],
                "right": nodes["right"],
                "missing_left": nodes["missing_go_to_left"],
            }
            for name, values in fields.items():
                columns[name][i, inner] = torch.from_numpy(values[inner].astype(np.float64))
            columns["value"][i, leaf] = torch.from_numpy(nodes["value"][leaf])
        device = self.offset.device
        self._set("offset", torch.tensor([offset], dtype=torch.float64, device=device))
        for name, column in columns.items():
            self._set(name, column.to(device))

    def num_leaves(self) -> int:
        """Return the number of leaves of all trees."""
        own = torch.arange(self.max_nodes, device=self.left.device)
        inner = int((self.left != own).sum())
        # Every inner node makes one leaf more of the tree's first.
        return inner + len(self)

    def forward(self, x: Tensor) -> Tensor:
        """Return the score of every row, float64 [B].

        Args:
            x: features, float64 [B, F]; NaN where missing.
        """
        if not len(self) or not len(x):
            return self.offset.expand(len(x))
        size = max(1, _BLOCK // len(self))
        return self.offset + torch.cat([self._leaves(rows).sum(1) for rows in x.split(size)])

    def _leaves(self, x: Tensor) -> Tensor:
        """Follow every row through every tree: the values of the leaves, [B, T]."""
        root = torch.arange(len(self), device=x.device) * self.max_nodes
        # A damaged number leads to the root; whoever watches the parameters has reported it.
        last = self.max_nodes - 1
        left = self.left.nan_to_num(0.0).clamp(0, last).long().flatten()
        right = self.right.nan_to_num(0.0).clamp(0, last).long().flatten()
        feature = self.feature.nan_to_num(0.0).clamp(0, x.shape[1] - 1).long().flatten()
        threshold, missing_left = self.threshold.flatten(), self.missing_left.flatten() > 0.5
        node = root.expand(len(x), -1)
        # A path has fewer steps than there are nodes.
        for _ in range(self.max_nodes):
            asked = x.gather(1, feature[node])
            goes_left = torch.where(asked.isnan(), missing_left[node], asked <= threshold[node])
            following = root + torch.where(goes_left, left[node], right[node])
            if torch.equal(following, node):
                break
            node = following
        return self.value.flatten()[node]

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *args: Any) -> None:
        for name in _COLUMNS:
            loaded = state_dict.get(f"{prefix}{name}")
            if loaded is not None and loaded.shape[1:] == getattr(self, name).shape[1:]:
                self._set(name, torch.empty_like(loaded, device=self.offset.device))
        super()._load_from_state_dict(state_dict, prefix, *args)
