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

    def forward(self, x: Tensor, first: int = 0) -> Tensor:
        """Return the score of every row, float64 [B].

        Args:
            x: features, float64 [B, F]; NaN where missing.
            first: the tree to begin with; the offset belongs to tree 0.
        """
        score = x.new_zeros(len(x)) if first else self.offset.expand(len(x))
        if first >= len(self) or not len(x):
            return score
        tables = self._tables(first, x.shape[1])
        size = max(1, _BLOCK // (len(self) - first))
        return score + torch.cat([_follow(rows, *tables) for rows in x.split(size)])

    def _tables(self, first: int, num_features: int) -> tuple[Tensor, ...]:
        """Return what a node asks and where it leads, [2 T M] and [T M], nodes numbered through all trees."""
        trees = len(self) - first
        root = (torch.arange(trees, device=self.value.device) * self.max_nodes).unsqueeze(1)

        def whole(values: Tensor, last: int) -> Tensor:
            # A damaged number leads to the root; whoever watches the parameters has reported it.
            return values[first:].nan_to_num(0.0).clamp(0, last).long()

        # Right children first: a node's number plus the answer, 1 for left, is the place of its child.
        children = [whole(side, self.max_nodes - 1) + root for side in (self.right, self.left)]
        feature = whole(self.feature, num_features - 1).flatten()
        return (
            torch.stack(children, dim=-1).flatten(),
            feature,
            self.threshold[first:].flatten(),
            self.missing_left[first:].flatten() > 0.5,
            self.value[first:].flatten(),
            root.squeeze(1),
        )

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *args: Any) -> None:
        for name in _COLUMNS:
            loaded = state_dict.get(f"{prefix}{name}")
            if loaded is not None and loaded.shape[1:] == getattr(self, name).shape[1:]:
                self._set(name, torch.empty_like(loaded, device=self.offset.device))
        super()._load_from_state_dict(state_dict, prefix, *args)


def _follow(
    x: Tensor,
    children: Tensor,
    feature: Tensor,
    threshold: Tensor,
    missing_left: Tensor,
    value: Tensor,
    root: Tensor,
) -> Tensor:
    """Follow every row through every tree; return the sum of the leaves' values, [B]."""
    node = root.repeat(len(x))
    row = torch.arange(len(x), device=x.device).repeat_interleave(len(root))
    width, flat = x.shape[1], x.flatten()
    going = torch.arange(len(node), device=x.device)
    # Paths differ much in length: only those that have not ended are followed. None has more steps than
    # a tree has nodes.
    for _ in range(len(feature) // len(root)):
        here = node[going]
        asked = flat[row[going] * width + feature[here]]
        goes_left = torch.where(asked.isnan(), missing_left[here], asked <= threshold[here])
        following = children[2 * here + goes_left.long()]
        node[going] = following
        going = going[following != here]
        if not len(going):
            break
    return value[node].view(len(x), -1).sum(1)
