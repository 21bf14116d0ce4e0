"""Interaction profiles: what a gene's genotypes were measured to be, by partner.

Two genes whose interactions with the rest of the genome look alike work in one pathway (Tong et al. 2004,
Science 303: 808; Costanzo et al. 2010, Science 327: 425).

Shapes: n training genotypes, m genes of training.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gisearch.models.config.kernel import ProfileKernelsConfig
from gisearch.models.kernels.genotype_sets import GenotypeSets

_TINY = 1e-12


class InteractionProfiles:
    """One kind of profile, a symmetric matrix Y over pairs of genes, and the kernels of its rows.

    Attributes:
        matrix: Y, float64 [m, m]; 0 where no genotype was measured.
    """

    def __init__(
        self, training: GenotypeSets, values: Tensor, num_genes: int, config: ProfileKernelsConfig
    ) -> None:
        """Collect what genotypes say of their pairs.

        Args:
            training: genotypes whose genes are 0..m - 1.
            values: one a genotype, float64 [n].
            num_genes: m.
            config: what triples and partners count.
        """
        row, a, b = training.pairs
        weight = torch.where(training.order[row] == 2, 1.0, config.triples).to(values)
        flat = torch.cat([a * num_genes + b, b * num_genes + a])

        def collected(what: Tensor) -> Tensor:
            total = values.new_zeros(num_genes * num_genes)
            return total.index_add_(0, flat, torch.cat([what, what])).view(num_genes, num_genes)

        count = collected(weight)
        # The mean of what was measured for the pair; less where only triples say it.
        self.matrix = collected(weight * values[row]) / count.clamp_min(1.0)
        self.matrix *= (count > 0).sum(0).clamp_min(1).to(values) ** -config.partner_power
        self._prior = config.shrinkage * self.matrix.square().sum() / (count > 0).sum().clamp_min(1)

    def kernel(self, partners: Tensor | None = None) -> Tensor:
        """Return the profiles' kernel with a unit diagonal, float64 [m, m].

        Args:
            partners: how alike partners are, positive semidefinite, float64 [m, m]; None tells all apart.
        """
        matrix = self.matrix
        kernel = matrix @ matrix.T if partners is None else matrix @ partners @ matrix.T
        kernel = (kernel + kernel.T) / 2.0
        norm = (kernel.diagonal() + self._prior).clamp_min(_TINY).sqrt()
        # The diagonal only grows by this: the kernel stays positive semidefinite.
        return (kernel / norm / norm.unsqueeze(1)).fill_diagonal_(1.0)


def profile_values(labels: Tensor, kind: str, config: ProfileKernelsConfig, *, binary: bool) -> Tensor:
    """Return what each genotype says of its pairs in one kind of profile, float64 [n].

    Args:
        labels: float64 [n].
        kind: ``signed``, ``positive`` or ``design``.
        config: how labels are centred.
        binary: whether labels are 0 and 1.
    """
    if kind == "design":
        return torch.ones_like(labels)
    neutral = 0.5 if binary else 0.0
    signed = labels - config.centring * labels.mean() - (1.0 - config.centring) * neutral
    return signed.clamp_min(0.0) if kind == "positive" else signed
