"""The kernels on one training part: the linear system, and what its solution says of other genotypes.

Shapes: N genes, n training genotypes over m genes, B genotypes.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from gisearch.models.config.kernel import KernelConfig
from gisearch.models.kernels.anova import AnovaKernel, DualFunction, OrderWeights
from gisearch.models.kernels.conjugate_gradients import ConjugateGradients
from gisearch.models.kernels.gene_kernel import GeneKernel, GeneSimilarity, Similarity
from gisearch.models.kernels.genotype_sets import GenotypeSets
from gisearch.models.kernels.state import KernelState
from gisearch.models.kernels.uncertainty import posterior_variance

# Steps after which a solution will do.
_STEPS = 200
# Numbers of a table over genes that is kept: a gigabyte.
_KEPT = 2**27


class KernelMachine:
    """Kernels, labels and the linear system of one training part.

    Attributes:
        training: its genotypes, whose genes are 0..m - 1.
        labels: float64 [n].
        means: the mean label by number of genes, float64; of all where no training genotype has as many.
        centred: labels less the mean of their order, float64 [n].
        among: how alike the genes of training are whatever the labels.
        kernel: between genes.
        anova: between genotypes.
    """

    def __init__(
        self,
        similarity: GeneSimilarity,
        places: Tensor,
        genes: Tensor,
        among: Similarity,
        training: GenotypeSets,
        labels: Tensor,
        config: KernelConfig,
        *,
        binary: bool,
    ) -> None:
        """Compute the kernels that depend on labels.

        Args:
            similarity: of genes, whatever the labels.
            places: int64 [N], a gene's place among those of training, -1 where it is not among them.
            genes: those of training in that order, int64 [m].
            among: their similarity.
            training: n genotypes of their places.
            labels: float64 [n].
            config: weights.
            binary: whether labels are 0 and 1.
        """
        self._similarity, self._places, self._genes = similarity, places, genes
        self._config, self._binary = config, binary
        self.among, self.training, self.labels = among, training, labels
        self.means = _means(labels, training.order)
        self.centred = labels - self.means[training.order.clamp_max(len(self.means) - 1)]
        self.kernel = GeneKernel(among, training, labels, config.profile, binary=binary)
        orders = config.orders
        self.anova = AnovaKernel(
            training, len(genes), OrderWeights(orders.first, orders.second, orders.third)
        )
        self._rows = torch.full_like(places, -1)
        self._rows[genes] = torch.arange(len(genes), device=genes.device)
        self._table = self.kernel.square

    @classmethod
    def on(
        cls,
        similarity: GeneSimilarity,
        places: Tensor,
        genes: Tensor,
        training: GenotypeSets,
        labels: Tensor,
        config: KernelConfig,
        *,
        binary: bool,
    ) -> KernelMachine:
        """Compute the kernels of a whole training part."""
        among = similarity.between(genes, genes)
        return cls(similarity, places, genes, among, training, labels, config, binary=binary)

    def part(self, rows: Tensor) -> KernelMachine:
        """Return the kernels on a part of the training genotypes: no other label enters them."""
        return KernelMachine(
            self._similarity,
            self._places,
            self._genes,
            self.among,
            self.training[rows],
            self.labels[rows],
            self._config,
            binary=self._binary,
        )

    def genes_of(self, rows: Tensor) -> Tensor:
        """Return the genes of training genotypes as the cell counts them, int64 [B, K], -1 for none."""
        places = self.training.genes[rows]
        return torch.where(places >= 0, self._genes[places.clamp_min(0)], -1)

    def system(self, ridge: float) -> Callable[[Tensor], Tensor]:
        """Return the product of (kernel + ridge) with a vector, float64 [n]."""
        square, training, anova = self.kernel.square, self.training, self.anova

        def product(dual: Tensor) -> Tensor:
            return anova.evaluate(anova.combine(dual), square, training) + ridge * dual

        return product

    def diagonal(self, ridge: float) -> Tensor:
        """Return the system's diagonal, float64 [n]."""
        return self.anova.diagonal(self.kernel.square, self.training) + ridge

    def predict(self, dual: Tensor, genes: Tensor) -> Tensor:
        """Return the scores of genotypes of any genes, float64 [B], of int64 [B, K], -1 for none."""
        asked = genes[genes >= 0].unique()
        table, rows = self._table_of(asked)
        local = torch.where(genes >= 0, rows[genes.clamp_min(0)], -1)
        return self._score(self.anova.combine(dual), table, GenotypeSets.of(local))

    def solve(self) -> Tensor:
        """Return the dual coefficients, float64 [n], after as many steps as it takes or will be taken."""
        diagonal = self.diagonal(self._config.ridge)
        solver = ConjugateGradients.start(self.centred, diagonal)
        solver.advance(
            self.system(self._config.ridge),
            diagonal,
            self.centred,
            steps=_STEPS,
            tolerance=self._config.tolerance,
        )
        return solver.solution

    def alike(self, asked: Tensor) -> tuple[Tensor, Tensor]:
        """Return how alike genes are to those of training, of int64 [r] genes of the cell.

        Returns:
            The whole kernel between genes, and what of it depends on no label; float64 [r, m] each.
        """
        places = self._places[asked]
        whole, given = self.kernel.square[places.clamp_min(0)], self.among.total[places.clamp_min(0)]
        new = (places < 0).nonzero().squeeze(1)
        if len(new):
            similarity = self._similarity.between(asked[new], self._genes)
            whole[new], given[new] = self.kernel.extend(similarity, places[new]), similarity.total
        return whole, given

    @property
    def places(self) -> Tensor:
        """A gene's place among those of training, int64 [N]; -1 where it is not among them."""
        return self._places

    def variance(self, genes: Tensor, neighbours: int) -> Tensor:
        """Return the posterior variance of genotypes, float64 [B], of int64 [B, K], -1 for none."""
        asked = genes[genes >= 0].unique()
        rows = torch.full_like(self._places, -1)
        rows[asked] = torch.arange(len(asked), device=asked.device)
        local = GenotypeSets.of(torch.where(genes >= 0, rows[genes.clamp_min(0)], -1))
        to_training = self._similarity.between(asked, self._genes)
        places = self._places[asked]
        own = self.kernel.among(self._similarity.between(asked, asked), to_training.neighbours, places)
        return posterior_variance(
            self.anova,
            self.kernel.square,
            self.kernel.extend(to_training, places),
            self.anova.diagonal(own, local),
            local,
            ridge=self._config.ridge,
            neighbours=neighbours,
        )

    def screen(self, dual: Tensor) -> Callable[[Tensor], Tensor]:
        """Return what scores complete genotypes of any genes, int64 [B, K], with one table for all."""
        every = torch.arange(len(self._places), device=self._places.device)
        function = self.anova.combine(dual)
        if len(every) * max(len(self._genes), len(every)) > _KEPT:
            return lambda deleted: self.predict(dual, deleted)
        table, rows = self._table_of(every)
        table = table[rows]
        ready = self.anova.tabulate(function, table)
        return lambda deleted: (
            ready(GenotypeSets.of(deleted)) + self.means[min(deleted.shape[1], len(self.means) - 1)]
        )

    def _score(self, function: DualFunction, table: Tensor, genotypes: GenotypeSets) -> Tensor:
        return self.anova.evaluate(function, table, genotypes) + self._mean(genotypes.order)

    def _mean(self, order: Tensor) -> Tensor:
        return self.means[order.clamp_max(len(self.means) - 1)]

    def _table_of(self, asked: Tensor) -> tuple[Tensor, Tensor]:
        """Return a table with rows for genes, [r, m], and a gene's row, int64 [N]; what is new is kept."""
        missing = asked[self._rows[asked] < 0]
        if not len(missing):
            return self._table, self._rows
        further = self.kernel.extend(self._similarity.between(missing, self._genes), self._places[missing])
        rows = self._rows.clone()
        table = torch.cat([self._table, further])
        rows[missing] = torch.arange(len(self._table), len(table), device=rows.device)
        if table.numel() <= _KEPT:
            self._table, self._rows = table, rows
        return table, rows


def _means(labels: Tensor, order: Tensor) -> Tensor:
    """Return the mean label by number of genes up to the largest there is, and that of all for others."""
    size = max(4, int(order.max()) + 1)
    count = torch.bincount(order, minlength=size)
    total = labels.new_zeros(size).index_add_(0, order, labels)
    return torch.where(count > 0, total / count.clamp_min(1), labels.mean())


def machine_on(
    similarity: GeneSimilarity, state: KernelState, config: KernelConfig, *, binary: bool
) -> KernelMachine:
    """Return the kernels on the training part that a model's state holds."""
    return KernelMachine.on(
        similarity.to(state.place.device),
        state.gene_places(),
        state.training_genes(),
        GenotypeSets.of(state.genotypes()),
        state.labels.double(),
        config,
        binary=binary,
    )
