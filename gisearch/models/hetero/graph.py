"""The heterogeneous cell graph as tensors, and copies of it without deleted genes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from gisearch.data.cell_graph import Network
from gisearch.data.metabolism import Metabolism


@dataclass(frozen=True)
class Edges:
    """Directed edges from nodes of one type to nodes of another, or of the same.

    Attributes:
        source: int64 [E].
        target: int64 [E].
        weight: float [E], or None where edges carry nothing.
    """

    source: Tensor
    target: Tensor
    weight: Tensor | None = None

    def reversed(self) -> Edges:
        """Return the edges with source and target exchanged."""
        return Edges(self.target, self.source, self.weight)

    def copies(self, source_kept: Tensor, target_kept: Tensor) -> Edges:
        """Return one copy of the edges per genotype, those between kept nodes only.

        Node n of genotype b's copy is node b * (number of nodes of its type) + n.

        Args:
            source_kept: which source nodes each genotype keeps, bool [B, sources].
            target_kept: which target nodes each genotype keeps, bool [B, targets].
        """
        kept = source_kept[:, self.source] & target_kept[:, self.target]
        copy, edge = kept.nonzero(as_tuple=True)
        return Edges(
            self.source[edge] + copy * source_kept.shape[1],
            self.target[edge] + copy * target_kept.shape[1],
            None if self.weight is None else self.weight[edge],
        )


@dataclass(frozen=True)
class HeteroGraph:
    """One cell, or B copies of it side by side.

    Attributes:
        networks: gene to gene, one per network.
        catalysis: gene to the reactions whose gene rule names it.
        stoichiometry: metabolite to reaction, weighted by normalised signed stoichiometry.
        num_genes: gene nodes, over all copies.
    """

    networks: tuple[Edges, ...]
    catalysis: Edges
    stoichiometry: Edges
    num_genes: int

    def gene_degrees(self) -> Tensor:
        """Return log(1 + degree) of every gene: in and out per network, and reactions; [num_genes, 2 G + 1].

        What attention, a weighted mean over neighbours, cannot see.
        """
        ends = [end for network in self.networks for end in (network.target, network.source)]
        counts = [torch.bincount(end, minlength=self.num_genes) for end in (*ends, self.catalysis.source)]
        return torch.stack(counts, dim=-1).to(torch.float32).log1p()


class CellTensors(nn.Module):
    """The cell graph in buffers that are no part of the state, because it is data."""

    network_edges: Tensor
    catalysis: Tensor
    incidence: Tensor
    stoichiometry: Tensor

    def __init__(self, networks: Sequence[Network], metabolism: Metabolism, num_genes: int) -> None:
        super().__init__()
        self.num_genes = num_genes
        self.num_reactions = len(metabolism.reactions)
        self.num_metabolites = len(metabolism.metabolites)
        self.sizes = [network.num_edges for network in networks]
        edges = np.concatenate([network.edges for network in networks], axis=1)
        for name, array in (
            ("network_edges", torch.tensor(edges)),
            ("catalysis", torch.tensor(metabolism.gene_reaction)),
            ("incidence", torch.tensor(metabolism.incidence)),
            ("stoichiometry", torch.tensor(normalised_stoichiometry(metabolism))),
        ):
            self.register_buffer(name, array, persistent=False)

    def wild_type(self) -> HeteroGraph:
        """Return the intact cell."""
        return HeteroGraph(
            networks=tuple(Edges(e[0], e[1]) for e in self.network_edges.split(self.sizes, dim=1)),
            catalysis=Edges(self.catalysis[0], self.catalysis[1]),
            stoichiometry=Edges(self.incidence[0], self.incidence[1], self.stoichiometry),
            num_genes=self.num_genes,
        )

    def copies(self, genes_kept: Tensor, reactions_kept: Tensor) -> HeteroGraph:
        """Return one copy of the cell per genotype, without what it lost and every edge that touches it.

        The lost nodes stay as nodes without edges, so that all copies have the same size.

        Args:
            genes_kept: bool [B, N].
            reactions_kept: bool [B, R].
        """
        cell = self.wild_type()
        metabolites_kept = genes_kept.new_ones(len(genes_kept), self.num_metabolites)
        return HeteroGraph(
            networks=tuple(network.copies(genes_kept, genes_kept) for network in cell.networks),
            catalysis=cell.catalysis.copies(genes_kept, reactions_kept),
            stoichiometry=cell.stoichiometry.copies(metabolites_kept, reactions_kept),
            num_genes=genes_kept.numel(),
        )


def normalised_stoichiometry(metabolism: Metabolism) -> npt.NDArray[np.float32]:
    """Return the signed weight of every incidence, float32 [K].

    sign(s) log2(1 + |s| / median of the reaction's |s|): 1 for the usual coefficient of a reaction, whose
    scale is arbitrary, and moderate for those of a biomass reaction, which span seven orders of magnitude.
    """
    reaction, size = metabolism.incidence[1], np.abs(metabolism.stoichiometry)
    order = np.lexsort((size, reaction))
    counts = np.bincount(reaction, minlength=len(metabolism.reactions))
    first = np.cumsum(counts) - counts
    used = counts > 0
    median = np.ones(len(counts))
    low, high = (first + (counts - 1) // 2)[used], (first + counts // 2)[used]
    median[used] = (size[order][low] + size[order][high]) / 2
    weight = np.sign(metabolism.stoichiometry) * np.log2(1 + size / median[reaction])
    return np.asarray(weight, dtype=np.float32)
