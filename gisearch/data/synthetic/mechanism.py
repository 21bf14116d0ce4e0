"""The planted mechanism: what deleting one, two or three genes does, without noise.

Fitness follows the multiplicative null model; interactions are what it leaves over. With f_i the fitness
of a single deletion (Mani et al., PNAS 105, 2008; Kuzmin et al., Science 360, 2018):

    epsilon_ij = f_ij - f_i f_j
    tau_ijk = f_ijk - f_i f_j f_k - epsilon_ij f_k - epsilon_ik f_j - epsilon_jk f_i

Shapes: N genes, K modules, B genotypes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import numpy.typing as npt

from gisearch.data.metabolism import Metabolism
from gisearch.data.synthetic.config import DemoCellConfig
from gisearch.data.synthetic.metabolism import metabolic_fitness, reaction_costs
from gisearch.data.synthetic.structure import Structure
from gisearch.seeding import child_generator

Array = npt.NDArray[np.float64]
Table = npt.NDArray[np.int64]

# Scores saturate here: a strain cannot lose more fitness than it has, and gains less than it loses.
_LOWEST, _HIGHEST = 0.4, 0.25


@dataclass(frozen=True)
class Mechanism:
    """Scores of pairs and triples of genes.

    Attributes:
        base_fitness: float64 [N], single-deletion fitness without metabolism.
        factors: float64 [N, r], every gene's latent processes, scaled by its dosage.
        pair_sign: float64 [r], whether two genes of a process aggravate or relieve each other.
        triple_sign: float64 [r], the same for three.
        complex_of: int64 [N], every gene's complex, -1 for none.
        complex_score: float64 [C], the score of two genes of one complex.
        metabolism: decides which reactions a genotype disables.
        costs: float64 [R], fraction of fitness that the loss of a reaction costs.
        pair_scale: fitness per unit of pair score.
        triple_scale: fitness per unit of the pairs' and of the genuine three-way part of a triple.
    """

    base_fitness: Array
    factors: Array
    pair_sign: Array
    triple_sign: Array
    complex_of: npt.NDArray[np.int64]
    complex_score: Array
    metabolism: Metabolism
    costs: Array
    pair_scale: float = 1.0
    triple_scale: tuple[float, float] = (1.0, 1.0)

    def fitness(self, table: Table) -> tuple[Array, Array]:
        """Return fitness and interaction of every genotype.

        Args:
            table: int64 [B, 3], deleted genes, padded with -1.

        Returns:
            Fitness, float64 [B], relative to the wild type; and epsilon or tau, float64 [B], NaN for
            single deletions.
        """
        order = (table >= 0).sum(1)
        fitness, interaction = np.empty(len(table)), np.full(len(table), np.nan)
        for size, compute in ((1, self._single), (2, self._double), (3, self._triple)):
            rows = np.flatnonzero(order == size)
            if len(rows):
                fitness[rows], interaction[rows] = compute(table[rows, :size])
        return fitness, interaction

    def _single(self, table: Table) -> tuple[Array, Array]:
        fitness = self.base_fitness[table[:, 0]] * metabolic_fitness(self.metabolism, self.costs, table)
        return fitness, np.full(len(table), np.nan)

    def _double(self, table: Table) -> tuple[Array, Array]:
        expected = self._single(table[:, :1])[0] * self._single(table[:, 1:])[0]
        fitness = np.maximum(0.0, self._without_latent(table) + _bounded(self.pair_scale * self.pairs(table)))
        return fitness, fitness - expected

    def _triple(self, table: Table) -> tuple[Array, Array]:
        single = [self._single(table[:, i : i + 1])[0] for i in range(3)]
        expected = single[0] * single[1] * single[2]
        latent = np.zeros(len(table))
        for i, j in combinations(range(3), 2):
            pair = table[:, [i, j]]
            other = single[3 - i - j]
            expected += self._double(pair)[1] * other
            latent += _bounded(self.pair_scale * self.pairs(pair)) * other
        own = self.triple_scale[0] * self.pairs_of_triple(table) + self.triple_scale[1] * self.triples(table)
        fitness = np.maximum(0.0, self._without_latent(table) + latent + _bounded(own))
        return fitness, fitness - expected

    def _without_latent(self, table: Table) -> Array:
        product: Array = self.base_fitness[table].prod(1)
        return product * metabolic_fitness(self.metabolism, self.costs, table)

    def pairs(self, table: Table) -> Array:
        """Return the unscaled score of two genes each, float64 [B]."""
        i, j = table[:, 0], table[:, 1]
        same = (self.complex_of[i] >= 0) & (self.complex_of[i] == self.complex_of[j])
        within = np.where(same, self.complex_score[self.complex_of[i]], 0.0)
        return (self.factors[i] * self.factors[j]) @ self.pair_sign + within

    def pairs_of_triple(self, table: Table) -> Array:
        """Return the unscaled part of a triple's score that its pairs carry, float64 [B]."""
        return sum(
            (self.pairs(table[:, list(pair)]) for pair in combinations(range(3), 2)), np.zeros(len(table))
        )

    def triples(self, table: Table) -> Array:
        """Return the unscaled genuine three-way score, float64 [B]."""
        product: Array = self.factors[table].prod(1)
        return product @ self.triple_sign


def _bounded(score: Array) -> Array:
    bound = np.where(score < 0, _LOWEST, _HIGHEST)
    return bound * np.tanh(score / bound)


def build_mechanism(
    config: DemoCellConfig, structure: Structure, metabolism: Metabolism, table: Table
) -> Mechanism:
    """Draw the mechanism and scale it so that the scores of ``table`` spread as configured."""
    rng = child_generator(config.seed, "demo_cell", "mechanism")
    num_modules, num_genes = config.num_modules, config.num_genes
    process = rng.standard_normal((num_modules, config.rank))
    process *= rng.random(process.shape) < 0.7
    # Without its mean over genes, a factor gives a single gene no effect of its own on the scores.
    mass = np.bincount(structure.module, weights=structure.dosage, minlength=num_modules) / num_genes
    process -= mass @ process
    process /= np.maximum(np.sqrt(mass @ process**2), 1e-9)  # a factor may have left out every module
    process[:, 0] += config.additive
    sign = np.where(np.arange(config.rank) % 2 == 0, -1.0, 1.0)
    importance = (structure.dosage - structure.dosage.min()) * np.exp(0.4 * rng.standard_normal(num_genes))
    num_complexes = int(structure.complex_of.max()) + 1
    mechanism = Mechanism(
        base_fitness=np.clip(1.02 - 0.1 * importance, 0.4, 1.05),
        factors=structure.dosage[:, None] * process[structure.module],
        pair_sign=sign,
        triple_sign=rng.permutation(sign),
        complex_of=structure.complex_of,
        complex_score=np.sqrt(config.rank) * rng.choice([-0.8, 0.6], size=max(1, num_complexes)),
        metabolism=metabolism,
        costs=reaction_costs(config),
    )
    order = (table >= 0).sum(1)
    doubles, triples = table[order == 2][:, :2], table[order == 3]
    pair_scale = config.interaction_sd / _spread(mechanism.pairs(doubles))
    parts = mechanism.pairs_of_triple(triples), mechanism.triples(triples)
    weight = [
        np.sqrt(1 - config.three_way) / _spread(parts[0]),
        np.sqrt(config.three_way) / _spread(parts[1]),
    ]
    scale = config.interaction_sd / _spread(weight[0] * parts[0] + weight[1] * parts[1])
    triple_scale = float(scale * weight[0]), float(scale * weight[1])
    return replace(mechanism, pair_scale=pair_scale, triple_scale=triple_scale)


def _spread(values: Array) -> float:
    return float(values.std()) if len(values) > 1 and values.std() > 0 else 1.0
