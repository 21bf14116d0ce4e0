"""The posterior variance of a genotype, from the training genotypes that are most like it.

The exact one needs a solution for every genotype. Given c neighbours alone it needs a c x c system, and is
never smaller than the exact one, which it becomes as c reaches n: nearest-neighbour Gaussian processes
(Vecchia 1988, J R Stat Soc B 50: 297; Datta et al. 2016, J Am Stat Assoc 111: 800).

Shapes: B genotypes over r genes, n training genotypes over m genes, c neighbours.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gisearch.models.kernels.anova import AnovaKernel
from gisearch.models.kernels.genotype_sets import GenotypeSets

# Numbers that are held at a time, which bounds the memory.
_BLOCK = 2**24


def posterior_variance(
    kernel: AnovaKernel,
    square: Tensor,
    table: Tensor,
    prior: Tensor,
    genotypes: GenotypeSets,
    *,
    ridge: float,
    neighbours: int,
) -> Tensor:
    """Return the variance that the training labels leave, without noise, float64 [B].

    Args:
        kernel: between genotypes and those of training.
        square: the kernel among the genes of training, float64 [m, m].
        table: between the genotypes' genes and those, float64 [r, m].
        prior: k(G, G) of the genotypes, float64 [B].
        genotypes: B genotypes, whose genes are rows of ``table``.
        ridge: the variance of the noise.
        neighbours: training genotypes that count, c.
    """
    training = kernel.training
    count, width = min(neighbours, len(training)), training.genes.shape[1] * genotypes.genes.shape[1]
    size = max(1, _BLOCK // max(len(training) * width, count**2 * training.genes.shape[1] ** 2))
    found = []
    for rows in torch.arange(len(genotypes), device=table.device).split(size):
        some = genotypes.genes[rows].unsqueeze(1)
        alike, which = kernel.at(table, some, training.genes.unsqueeze(0)).topk(count)
        near = training.genes[which]
        among = kernel.at(square, near.unsqueeze(2), near.unsqueeze(1))
        among.diagonal(dim1=1, dim2=2).add_(ridge)
        explained = torch.linalg.solve_triangular(
            torch.linalg.cholesky(among), alike.unsqueeze(-1), upper=False
        )
        found.append(prior[rows] - explained.square().sum((1, 2)))
    return torch.cat(found).clamp_min(0.0) if found else prior
