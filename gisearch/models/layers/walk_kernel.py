"""Walks along interactions: kernels between genes that sum over walks of odd or of even length.

Shapes: B genotypes, K deletions each at most, P = K(K-1)/2 pairs, N genes, R of them in the graph, S kernels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass as plain_dataclass
from typing import Any

import torch
from torch import Tensor, nn

from gisearch.models.batch import GenotypeBatch

# Numbers of pairs' products held at a time, which bounds the memory.
_BLOCK = 2**22


class WalkKernel(nn.Module):
    """S kernels between genes, all with the same eigenvectors: k_s(i, j) = sum_r v_ir strength_sr v_jr.

    R is that of the state that was loaded last, or that :meth:`replace` was given.

    Attributes:
        vector: float32 [N, R]; zeros for a gene that no walk reaches.
        strength: float32 [S, R].
    """

    vector: nn.Parameter
    strength: nn.Parameter

    def __init__(self, num_genes: int, num_kernels: int) -> None:
        super().__init__()
        self.replace(torch.zeros(num_genes, 0), torch.zeros(num_kernels, 0))

    def replace(self, vector: Tensor, strength: Tensor) -> None:
        """Take eigenvectors [N, R] and their strengths [S, R]."""
        # Parameters, as all that a model has learnt is; without gradient, which is not how they are found.
        self.vector = nn.Parameter(vector, requires_grad=False)
        self.strength = nn.Parameter(strength, requires_grad=False)

    def forward(self, batch: GenotypeBatch) -> Tensor:
        """Return the kernels' means over the pairs of every genotype, [B, S]; 0 for a single deletion."""
        pairs = max(1, batch.deleted.shape[1] * (batch.deleted.shape[1] - 1) // 2)
        size = max(1, _BLOCK // (pairs * max(1, self.vector.shape[1])))
        blocks = [self._block(batch[slice(i, i + size)]) for i in range(0, len(batch), size)]
        return torch.cat(blocks) if blocks else self.strength.new_empty(0, len(self.strength))

    def _block(self, batch: GenotypeBatch) -> Tensor:
        first, second, both = pairs_of(batch)
        products = self.vector[first] * self.vector[second]
        products = torch.where(both.unsqueeze(-1), products, 0.0).sum(1)
        return products @ self.strength.T / both.sum(1, keepdim=True).clamp_min(1)

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *args: Any) -> None:
        vector, strength = (state_dict.get(f"{prefix}{name}") for name in ("vector", "strength"))
        if vector is not None and strength is not None and vector.shape[1:] == strength.shape[1:]:
            # The columns alone may differ: for other genes or kernels PyTorch says what does not fit.
            rank = vector.shape[1]
            genes, kernels = len(self.vector), len(self.strength)
            self.replace(self.vector.new_zeros(genes, rank), self.strength.new_zeros(kernels, rank))
        super()._load_from_state_dict(state_dict, prefix, *args)


def pairs_of(batch: GenotypeBatch) -> tuple[Tensor, Tensor, Tensor]:
    """Return the two genes of every pair, int64 [B, P] each, and which pairs exist, bool [B, P]."""
    number = batch.deleted.shape[1]
    first, second = torch.triu_indices(number, number, 1, device=batch.deleted.device)
    both = batch.present[:, first] & batch.present[:, second]
    return batch.deleted[:, first], batch.deleted[:, second], both


@plain_dataclass(frozen=True)
class InteractionGraph:
    """The eigenvectors of a normalised graph of interactions.

    Attributes:
        genes: int64 [R], the genes with an edge.
        vectors: float64 [R, R], an eigenvector per column.
        values: float64 [R], the eigenvalues, in [-1, 1].
    """

    genes: Tensor
    vectors: Tensor
    values: Tensor


def eigenvectors(batch: GenotypeBatch, weights: Tensor, num_genes: int) -> InteractionGraph:
    """Return the eigenvectors of the graph of interactions.

    The entry a_ij of its adjacency is the mean weight of the genotypes that lack both genes; normalised,
    a_ij / sqrt(d_i d_j) with d_i = sum_j |a_ij|.

    Args:
        batch: the genotypes, B of them.
        weights: float64 [B], what each says of its pairs.
        num_genes: N.
    """
    first, second, both = pairs_of(batch)
    weight = weights.unsqueeze(1).expand_as(both)[both]
    total, count = torch.zeros(2, num_genes * num_genes, dtype=torch.float64)
    for cell in (first * num_genes + second, second * num_genes + first):
        total.index_add_(0, cell[both], weight)
        count.index_add_(0, cell[both], torch.ones_like(weight))
    adjacency = (total / count.clamp_min(1)).view(num_genes, num_genes)
    degree = adjacency.abs().sum(1)
    genes = (degree > 0).nonzero().squeeze(1)
    root = degree[genes].rsqrt()
    values, vectors = torch.linalg.eigh(adjacency[genes][:, genes] * root.unsqueeze(1) * root)
    return InteractionGraph(genes, vectors, values)


def walk_strengths(values: Tensor, beta: float, kernels: Sequence[str], longest: int | None) -> Tensor:
    """Return every kernel's function of the eigenvalues, [S, R], the largest possible one scaled to 1.

    A walk of length k counts beta^k / k!: all odd lengths are sinh(beta x), all even ones cosh(beta x), and
    the walk of length 0 from a gene to itself is an even one.

    Args:
        values: eigenvalues in [-1, 1], [R].
        beta: the strength of diffusion.
        kernels: ``odd`` or ``even`` for each of the S kernels.
        longest: the longest walks that count; None counts all.
    """
    # At 1, beyond which no eigenvalue is, every kernel is largest.
    x = beta * torch.cat([values, values.new_ones(1)])
    rows = []
    for kernel in kernels:
        if longest is None:
            row = torch.sinh(x) if kernel == "odd" else torch.cosh(x)
        else:
            row = torch.zeros_like(x)
            term = torch.ones_like(x)
            for length in range(longest + 1):
                row = row + term if (length % 2 == 1) == (kernel == "odd") else row
                term = term * x / (length + 1)
        rows.append(row[:-1] / row[-1])
    return torch.stack(rows)
