"""HeteroCellBipartite: metabolism as a bipartite graph, DANGO's predictor, and a move between two losses.

Fitness is read from what a genotype lost, z_w - z_i; the interaction from attention among its deleted
genes. Training moves from the one to the other.
"""

from __future__ import annotations

from gisearch.data.cell_graph import CellGraph
from gisearch.data.dataset import Target
from gisearch.models.config.hetero_cell_bipartite import HeteroCellBipartiteConfig
from gisearch.models.hetero.model import FITNESS, HeteroModel, Readout, Readouts
from gisearch.models.hetero.perturbation import HeteroCells
from gisearch.models.layers.config import HyperSAGNNConfig
from gisearch.models.layers.hypersagnn import HyperSAGNN
from gisearch.models.targets import Targets


class HeteroCellBipartite(HeteroModel):
    """Predicts fitness from z_p and interactions by attention among the deleted genes.

    Attributes:
        alpha: the weight of the interaction's loss, that of fitness being 1 - alpha.
    """

    def __init__(self, cell: CellGraph, target: Target, config: HeteroCellBipartiteConfig) -> None:
        super().__init__(cell, target, config, "bipartite")
        predictor = config.interaction_predictor
        self.transition_epochs = config.transition_epochs
        self.alpha = 1.0
        self.interaction_head = HyperSAGNN(
            config.hidden_dim,
            HyperSAGNNConfig(
                num_attention_layers=1, num_heads=predictor.num_heads, dropout=predictor.dropout
            ),
        )
        self.initialise()

    def start_epoch(self, epoch: int) -> None:
        """Set alpha: 0 in the first epoch, 1 after ``transition_epochs`` of them, linear between."""
        self.alpha = min(1.0, (epoch - 1) / self.transition_epochs) if self.transition_epochs else 1.0

    def read(self, cells: HeteroCells) -> Readouts:
        """Let the fitness head read what changed and the predictor the deleted genes."""
        present = cells.present.unsqueeze(-1)
        perturbed = (cells.deleted * present).sum(1) / present.sum(1)
        return Readouts(
            fitness=Readout(self.fitness_head(cells.change).squeeze(-1), cells.change),
            interaction=Readout(self.interaction_head(cells.deleted, cells.present), perturbed),
            cells=cells,
        )

    def label_weights(self, targets: Targets) -> dict[str, float]:
        """Return alpha for the interaction and 1 - alpha for fitness, where there is a move between them.

        There is none where fitness is the target, which must be learnt to the end, nor in a batch that
        does not measure fitness, which would teach nothing at first.
        """
        if self.predicts_fitness or FITNESS not in targets.values:
            return {}
        if not bool(targets.values[FITNESS].isfinite().any()):
            return {}
        return {self.interaction_label: self.alpha, FITNESS: 1.0 - self.alpha}
