"""From the cell to what each genotype's deletions change in it, on genes and reactions.

Shapes: N genes, R reactions, M metabolites, B genotypes, K deletions per genotype, h width.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn

from gisearch.data.metabolism import Metabolism
from gisearch.models.batch import GenotypeBatch
from gisearch.models.hetero.config import HeteroPerturbationName
from gisearch.models.hetero.encoder import HeteroEncoder, HeteroNodes
from gisearch.models.hetero.pooling import NodePooling
from gisearch.models.layers.gene_rules import GeneRules, LostNodes, deleted_genes
from gisearch.models.layers.stages import StageMonitor

_Change = Callable[[LostNodes, LostNodes], Tensor]


@dataclass(frozen=True)
class HeteroCells:
    """The wild type and the genotypes of one batch.

    Attributes:
        wild_type: z_w, [1, h]: pooled genes plus pooled reactions.
        change: z_w - z_i, each node type's share times its number of nodes, [B, h].
        deleted: wild-type embeddings of the deleted genes, [B, K, h]; arbitrary where none is present.
        present: which deleted genes there are, bool [B, K].
    """

    wild_type: Tensor
    change: Tensor
    deleted: Tensor
    present: Tensor

    @property
    def mutant(self) -> Tensor:
        """z_i with its distance from z_w magnified to the scale of single nodes, [B, h].

        z_i itself differs between genotypes in the fourth digit, which no head could learn from.
        """
        return self.wild_type - self.change


class PooledPerturbation(nn.Module):
    """Pools genes and reactions, wild type and mutants, by one of two encodings of deletions.

    ``index`` encodes the wild type once and pools without the deleted genes and without the reactions that
    their loss disables. ``masked`` encodes B literal copies of the graph without these nodes and all their
    edges: B times the work.
    """

    def __init__(
        self, metabolism: Metabolism, num_genes: int, width: int, name: HeteroPerturbationName
    ) -> None:
        super().__init__()
        self.masked = name == "masked"
        self.rules = GeneRules(metabolism, num_genes)
        self.genes = NodePooling(width)
        self.reactions = NodePooling(width)

    def forward(self, encoder: HeteroEncoder, batch: GenotypeBatch, monitor: StageMonitor) -> HeteroCells:
        """Encode the wild type, and what every genotype of ``batch`` changes."""
        return self.prepare(encoder, monitor)(batch)

    def prepare(
        self, encoder: HeteroEncoder, monitor: StageMonitor
    ) -> Callable[[GenotypeBatch], HeteroCells]:
        """Encode the wild type; return what says of any number of batches what :meth:`forward` says."""
        nodes = encoder(encoder.cell.wild_type(), 1, monitor)
        wild_type = self.genes(nodes.genes) + self.reactions(nodes.reactions)
        monitor.watch("pooling", wild_type)
        change_of = self._masked if self.masked else self._index
        change = change_of(encoder, nodes, monitor)

        def read(batch: GenotypeBatch) -> HeteroCells:
            genes = deleted_genes(batch)
            return HeteroCells(
                wild_type=wild_type,
                change=monitor.watch("pooling", change(genes, self.rules.disabled(genes))),
                deleted=nodes.genes[batch.deleted],
                present=batch.present,
            )

        return read

    def _index(self, encoder: HeteroEncoder, nodes: HeteroNodes, monitor: StageMonitor) -> _Change:
        weighed_genes = self.genes.weigh(nodes.genes)
        weighed_reactions = self.reactions.weigh(nodes.reactions)

        def change(genes: LostNodes, reactions: LostNodes) -> Tensor:
            of_genes = self.genes.change_of(weighed_genes, genes)
            return of_genes + self.reactions.change_of(weighed_reactions, reactions)

        return change

    def _masked(self, encoder: HeteroEncoder, nodes: HeteroNodes, monitor: StageMonitor) -> _Change:
        def change(genes: LostNodes, reactions: LostNodes) -> Tensor:
            size = genes.num_genotypes
            genes_kept = genes.kept(len(nodes.genes))
            reactions_kept = reactions.kept(len(nodes.reactions))
            copies = encoder(encoder.cell.copies(genes_kept, reactions_kept), size, monitor)
            copied = copies.genes.unflatten(0, (size, -1))
            of_genes = self.genes.change_of_copies(nodes.genes, copied, genes_kept)
            copied = copies.reactions.unflatten(0, (size, -1))
            return of_genes + self.reactions.change_of_copies(nodes.reactions, copied, reactions_kept)

        return change
