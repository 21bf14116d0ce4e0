"""Gene rules for a whole batch: which reactions the deleted genes disable."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from gisearch.data.metabolism import Metabolism
from gisearch.models.batch import GenotypeBatch


@dataclass(frozen=True)
class LostNodes:
    """Nodes of one type that genotypes lack, as pairs.

    Attributes:
        genotype: int64 [n].
        node: int64 [n].
        num_genotypes: B.
    """

    genotype: Tensor
    node: Tensor
    num_genotypes: int

    def kept(self, num_nodes: int) -> Tensor:
        """Return which of the nodes each genotype keeps, bool [B, num_nodes]."""
        kept = torch.ones(self.num_genotypes, num_nodes, dtype=torch.bool, device=self.node.device)
        kept[self.genotype, self.node] = False
        return kept


def deleted_genes(batch: GenotypeBatch) -> LostNodes:
    """Return the deleted genes of a batch as pairs."""
    genotype, column = batch.present.nonzero(as_tuple=True)
    return LostNodes(genotype, batch.deleted[genotype, column], len(batch))


class GeneRules(nn.Module):
    """Disables reactions by their gene rules, in time that follows the deleted genes and not R.

    A reaction with a rule is disabled when each of its enzyme complexes lacks a gene, as in
    :meth:`gisearch.data.metabolism.Metabolism.disabled_reactions`.
    """

    gene_offsets: Tensor
    gene_complexes: Tensor
    complex_reaction: Tensor
    num_complexes: Tensor

    def __init__(self, metabolism: Metabolism, num_genes: int) -> None:
        super().__init__()
        owner = np.repeat(np.arange(len(metabolism.complex_reaction)), np.diff(metabolism.complex_offsets))
        genes, complexes = np.unique(np.stack([metabolism.complex_genes, owner]), axis=1)
        counts = np.bincount(genes, minlength=num_genes)
        for name, array in (
            ("gene_offsets", np.concatenate([[0], np.cumsum(counts)])),
            ("gene_complexes", complexes),
            ("complex_reaction", metabolism.complex_reaction),
            ("num_complexes", np.bincount(metabolism.complex_reaction, minlength=len(metabolism.reactions))),
        ):
            self.register_buffer(name, torch.tensor(array, dtype=torch.int64), persistent=False)

    def disabled(self, genes: LostNodes) -> LostNodes:
        """Return the reactions that cannot run without ``genes``."""
        start = self.gene_offsets[genes.node]
        counts = self.gene_offsets[genes.node + 1] - start
        pair = torch.repeat_interleave(counts)
        within = torch.arange(len(pair), device=pair.device) - (counts.cumsum(0) - counts)[pair]
        complexes = self.gene_complexes[start[pair] + within]
        # A complex that lacks two genes is broken once.
        broken = torch.stack([genes.genotype[pair], complexes]).unique(dim=1)
        reactions = torch.stack([broken[0], self.complex_reaction[broken[1]]])
        (genotype, reaction), number = reactions.unique(dim=1, return_counts=True)
        stopped = number == self.num_complexes[reaction]
        return LostNodes(genotype[stopped], reaction[stopped], genes.num_genotypes)
