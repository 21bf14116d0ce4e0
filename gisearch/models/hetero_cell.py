"""HeteroCell: fitness and interaction from genes, reactions and metabolites, which form a hypergraph.

Gene networks, gene-protein-reaction rules and signed stoichiometry are one heterogeneous graph. Fitness is
read from the pooled cell without what a genotype lost, the interaction from the deleted genes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gisearch.data.cell_graph import CellGraph
from gisearch.data.dataset import Target
from gisearch.models.config.hetero_cell import HeteroCellConfig
from gisearch.models.hetero.attention import at_least_single
from gisearch.models.hetero.model import HeteroModel, Readout, Readouts, head
from gisearch.models.hetero.perturbation import HeteroCells
from gisearch.models.layers.mlp import mlp
from gisearch.models.layers.product import Linear


class DeletedGenesPooling(nn.Module):
    """Attentional pooling of a genotype's deleted genes: a softmax gate times transformed embeddings."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gate = mlp([width, width // 2, 1])
        self.transform = Linear(width, width)

    def forward(self, cells: HeteroCells) -> Tensor:
        """Return the pooled perturbed representation, [B, h]."""
        logits = at_least_single(self.gate(cells.deleted).squeeze(-1))
        logits = logits.masked_fill(~cells.present, torch.finfo(logits.dtype).min)
        pooled: Tensor = (torch.softmax(logits, dim=1).unsqueeze(-1) * self.transform(cells.deleted)).sum(1)
        return pooled


class CopiesPooling(nn.Module):
    """Attentional pooling of one copy of z_w per deleted gene: equal copies, so their softmax is a mean."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.transform = Linear(width, width)

    def forward(self, cells: HeteroCells) -> Tensor:
        """Return the pooled perturbed representation, [B, h]: the same for all genotypes."""
        pooled: Tensor = self.transform(cells.wild_type).expand(len(cells.present), -1)
        return pooled


class HeteroCell(HeteroModel):
    """Predicts fitness from z_i and interactions from the pooled perturbed representation."""

    def __init__(self, cell: CellGraph, target: Target, config: HeteroCellConfig) -> None:
        super().__init__(cell, target, config, "hypergraph")
        width = config.hidden_dim
        literal = config.perturbed == "literal"
        self.perturbed = CopiesPooling(width) if literal else DeletedGenesPooling(width)
        self.interaction_head = head(config.interaction_head, width)
        self.initialise()

    def read(self, cells: HeteroCells) -> Readouts:
        """Let the fitness head read the mutant and the interaction head the deleted genes."""
        mutant, perturbed = cells.mutant, self.perturbed(cells)
        return Readouts(
            fitness=Readout(self.fitness_head(mutant).squeeze(-1), mutant),
            interaction=Readout(self.interaction_head(perturbed).squeeze(-1), perturbed),
            cells=cells,
        )
