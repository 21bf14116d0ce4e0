"""Attentional pooling of the cell, wild type and mutant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from gisearch.models.layers.mlp import mlp
from gisearch.models.layers.product import Linear, product

# Of a gate's logit; its exponential is still a finite float32.
_LARGEST_RISE = 80.0


@dataclass(frozen=True)
class PooledCell:
    """The pooled wild type and what each mutant changes in it.

    Attributes:
        wild_type: z_w, [1, h].
        difference: z_p = z_w - z_i, [B, h].
    """

    wild_type: Tensor
    difference: Tensor

    @property
    def mutant(self) -> Tensor:
        """z_i, [B, h]: pooled over the kept genes only."""
        return self.wild_type - self.difference


@dataclass(frozen=True)
class ChangedGenes:
    """Embeddings of kept genes that differ from the wild type's.

    Attributes:
        embeddings: [R, h].
        gene: int64 [R].
        genotype: int64 [R], ascending.
    """

    embeddings: Tensor
    gene: Tensor
    genotype: Tensor


class AttentionalPooling(nn.Module):
    """A softmax gate over kept genes times transformed features.

    The transform is linear, so it is applied to what was pooled instead of to every gene.
    Source: the global attention of Li et al. 2016, arXiv 1511.05493.

    Args:
        width: h.
        bias: whether the transform has one; z_w - z_i does not depend on it.
    """

    def __init__(self, width: int, *, bias: bool = True) -> None:
        super().__init__()
        self.gate = mlp([width, width // 2, 1])
        self.transform = Linear(width, width, bias=bias)

    def wild_type(self, genes: Tensor) -> Tensor:
        """Pool all genes: [N, h] to [1, h]."""
        weights = torch.softmax(self.gate(genes).squeeze(-1), dim=0)
        pooled: Tensor = self.transform(weights.unsqueeze(0) @ genes)
        return pooled

    def masked(self, genes: Tensor, copies: Tensor, kept: Tensor) -> PooledCell:
        """Pool B cells, each over its kept genes, as the definition says.

        Args:
            genes: wild-type gene embeddings, [N, h].
            copies: gene embeddings of every cell, [B, N, h].
            kept: which genes it has, bool [B, N].
        """
        wild = torch.softmax(self.gate(genes), dim=0) * genes
        logits = self.gate(copies).squeeze(-1).masked_fill(~kept, -torch.inf)
        mutants = torch.softmax(logits, dim=1).unsqueeze(-1) * copies
        # Gene by gene: the difference of the sums would be little more than their rounding.
        difference = (wild - mutants).sum(1)
        return PooledCell(
            self.transform(wild.sum(0, keepdim=True)),
            product(difference, self.transform.weight),
        )

    def forward(
        self, genes: Tensor, deleted: Tensor, present: Tensor, changed: ChangedGenes | None = None
    ) -> PooledCell:
        """Pool the wild type, and every mutant over the genes it keeps.

        With gate weights a_n of the wild type (summing to one), leaving out the set P gives
        z_i = (z_w - sum a_p x_p) / (1 - sum a_p) and z_w - z_i = sum a_p (x_p - z_i): O(|P|) per genotype,
        and without subtracting two nearly equal vectors. Where kept genes changed, to x'_r with weights
        a'_r on the same scale, the second becomes
        z_w - z_i = sum_p a_p (x_p - z_i) + sum_r (a_r x_r - a'_r x'_r) - z_i sum_r (a_r - a'_r).

        The sums over kept genes are corrected from those over all but the K heaviest genes, which are then
        added where they are kept. So what is subtracted never exceeds what remains, and the result is
        accurate even where P holds nearly all the weight.

        Args:
            genes: wild-type gene embeddings, [N, h].
            deleted: deleted genes, int64 [B, K]; any valid index where there is none.
            present: which entries of ``deleted`` count, bool [B, K].
            changed: kept genes whose embeddings differ from the wild type's; None where none does.
        """
        logits = self.gate(genes).squeeze(-1)
        weights = torch.softmax(logits, dim=0)
        heavy = weights.topk(min(deleted.shape[1], len(weights))).indices
        light = weights.index_fill(0, heavy, 0.0)
        is_lost = (present.unsqueeze(2) & (deleted.unsqueeze(2) == heavy)).any(1)
        is_changed = torch.zeros_like(is_lost)
        # Together, since every reading of all genes costs their gradient a pass of its own.
        wild_type, kept_sum = torch.stack([weights, light]) @ genes
        deleted_genes, heavy_genes = genes[torch.cat([deleted.flatten(), heavy])].split(
            [deleted.numel(), len(heavy)]
        )
        deleted_genes = deleted_genes.view(*deleted.shape, -1)
        kept = light.sum()
        moved = moved_sum = None
        if changed is not None and len(changed.gene):
            is_heavy = (changed.gene.unsqueeze(1) == heavy).to(torch.uint8)
            is_changed = is_changed.to(torch.uint8).index_add(0, changed.genotype, is_heavy) > 0
            moved, moved_sum = self._changes(genes, logits, weights, light, changed, len(deleted))
            kept, kept_sum = kept - moved, kept_sum - moved_sum
        heavy_kept = torch.where(is_lost | is_changed, 0.0, weights[heavy])
        light_lost = torch.where(present, light[deleted], 0.0)
        kept = kept + heavy_kept.sum(1) - light_lost.sum(1)
        kept_sum = kept_sum + heavy_kept @ heavy_genes
        kept_sum = kept_sum - (light_lost.unsqueeze(-1) * deleted_genes).sum(1)
        # A cell without any weight left has no mutant; the bound keeps it finite.
        mutant = kept_sum / kept.clamp_min(torch.finfo(kept.dtype).tiny).unsqueeze(-1)
        lost = torch.where(present, weights[deleted], 0.0).unsqueeze(-1)
        difference = (lost * (deleted_genes - mutant.unsqueeze(1))).sum(1)
        if moved is not None and moved_sum is not None:
            heavy_moved = torch.where(is_changed, weights[heavy], 0.0)
            difference = difference + (moved_sum + heavy_moved @ heavy_genes)
            difference = difference - (moved + heavy_moved.sum(1)).unsqueeze(-1) * mutant
        # The transform's bias is in z_w and in z_i.
        return PooledCell(self.transform(wild_type.unsqueeze(0)), product(difference, self.transform.weight))

    def _changes(
        self,
        genes: Tensor,
        logits: Tensor,
        weights: Tensor,
        light: Tensor,
        changed: ChangedGenes,
        batch: int,
    ) -> tuple[Tensor, Tensor]:
        """Return sum_r (a_r - a'_r), [B], and sum_r (a_r x_r - a'_r x'_r), [B, h].

        The a_r of the heaviest genes are left out: with them, little might remain of large sums.
        """
        rise = self.gate(changed.embeddings).squeeze(-1) - logits.index_select(0, changed.gene)
        after = weights.index_select(0, changed.gene) * rise.clamp_max(_LARGEST_RISE).exp()
        before = light.index_select(0, changed.gene)
        moved = before.new_zeros(batch).index_add(0, changed.genotype, before - after)
        moved_sum: Tensor = _ChangeSum.apply(  # type: ignore[no-untyped-call]
            genes, changed.embeddings, before, after, changed.gene, changed.genotype, batch
        )
        return moved, moved_sum


class _ChangeSum(torch.autograd.Function):
    """Sum a_r x_r - a'_r x'_r per genotype. Row by row, so that nearly equal sums are never subtracted."""

    @staticmethod
    def forward(
        ctx: Any,
        genes: Tensor,
        changed: Tensor,
        before: Tensor,
        after: Tensor,
        gene: Tensor,
        genotype: Tensor,
        batch: int,
    ) -> Tensor:
        ctx.save_for_backward(genes, changed, before, after, gene, genotype)
        rows = genes.index_select(0, gene).mul_(before.unsqueeze(1))
        rows.addcmul_(changed, after.unsqueeze(1), value=-1)
        return _sum_by_genotype(rows, genotype, batch)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        genes, changed, before, after, gene, genotype = ctx.saved_tensors
        grad = grad_outputs[0].contiguous()
        rows = grad.index_select(0, genotype)
        # Products of all genotypes with all genes: far less than the changed rows.
        shape = (len(grad), len(genes))
        at = genotype * shape[1] + gene
        grad_before = (grad @ genes.T).flatten().index_select(0, at)
        weights = before.new_zeros(shape[0] * shape[1]).index_add_(0, at, before)
        grad_after = -(rows * changed).sum(1)
        grad_changed = rows.mul_(-after.unsqueeze(1))
        return weights.view(shape).T @ grad, grad_changed, grad_before, grad_after, None, None, None


def _sum_by_genotype(rows: Tensor, genotype: Tensor, batch: int) -> Tensor:
    counts = torch.bincount(genotype, minlength=batch)
    offsets = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
    every = torch.arange(len(rows), device=rows.device)
    return nn.functional.embedding_bag(every, rows, offsets, mode="sum", include_last_offset=True)
