"""What a kernel model has learnt, as tensors whose sizes are those of the training part.

Shapes: N genes, n training genotypes of K genes each at most.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

_LEARNT = ("genes", "labels", "dual", "residual", "direction")


class KernelState(nn.Module):
    """The training genotypes, their dual coefficients, and how scores become labels.

    Genes of training are counted by place, 0..m - 1, so that a gene's number occurs nowhere else than in
    ``place``. The sizes are those of the state that was loaded last, or that :meth:`replace` was given.

    Attributes:
        place: float64 [N], the gene's place among the m genes of training; -1 where it is not among them.
        genes: float64 [n, K], the genotypes' genes by place; -1 where there is none.
        labels: float64 [n], as they were given.
        dual: float64 [n], the solution so far.
        residual: float64 [n], what it leaves of the labels.
        direction: float64 [n], where conjugate gradients go next.
        calibration: float64 [3], slope and offset of scores, and the kernel's variance.
    """

    place: nn.Parameter
    genes: nn.Parameter
    labels: nn.Parameter
    dual: nn.Parameter
    residual: nn.Parameter
    direction: nn.Parameter
    calibration: nn.Parameter

    def __init__(self, num_genes: int) -> None:
        super().__init__()
        self._set("place", torch.full((num_genes,), -1.0, dtype=torch.float64))
        self._set("genes", torch.zeros(0, 1, dtype=torch.float64))
        for name in _LEARNT[1:]:
            self._set(name, torch.zeros(0, dtype=torch.float64))
        self._set("calibration", torch.tensor([1.0, 0.0, 1.0], dtype=torch.float64))

    def __len__(self) -> int:
        return len(self.dual)

    def _set(self, name: str, values: Tensor) -> None:
        # A parameter, as all that a model has learnt is; without gradient, which a solution does not need.
        setattr(self, name, nn.Parameter(values, requires_grad=False))

    def replace(self, **values: Tensor) -> None:
        """Take new values for some of the attributes, of any sizes."""
        for name, value in values.items():
            self._set(name, value.detach().clone().double())

    def gene_places(self) -> Tensor:
        """Return ``place`` as int64 [N]."""
        return self.place.nan_to_num(-1.0).round().long()

    def training_genes(self) -> Tensor:
        """Return the genes of training in the order of their places, int64 [m]."""
        places = self.gene_places()
        known = (places >= 0).nonzero().squeeze(1)
        return known[places[known].argsort(stable=True)]

    def genotypes(self) -> Tensor:
        """Return ``genes`` as int64 [n, K]."""
        return self.genes.nan_to_num(-1.0).round().long()

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *args: Any) -> None:
        for name in _LEARNT:
            loaded = state_dict.get(f"{prefix}{name}")
            if loaded is not None and loaded.ndim == getattr(self, name).ndim:
                self._set(name, torch.empty_like(loaded, device=self.place.device))
        super()._load_from_state_dict(state_dict, prefix, *args)


def training_places(genes: Tensor, num_genes: int) -> tuple[Tensor, Tensor]:
    """Count the genes of training genotypes by place.

    Args:
        genes: genes of the cell, int64 [n, K], -1 for none.
        num_genes: N.

    Returns:
        A gene's place, int64 [N], -1 where it is in no genotype; and the genotypes by place, int64 [n, K].
    """
    known = genes[genes >= 0].unique()
    place = torch.full((num_genes,), -1, dtype=torch.int64, device=genes.device)
    place[known] = torch.arange(len(known), device=genes.device)
    return place, torch.where(genes >= 0, place[genes.clamp_min(0)], -1)
