"""The demo cell's metabolism, and what the loss of its reactions costs.

Shapes: N genes, R reactions, M metabolites, B genotypes.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from gisearch.data.metabolism import Metabolism
from gisearch.data.synthetic.config import DemoCellConfig
from gisearch.data.synthetic.structure import Structure
from gisearch.seeding import child_generator

_RULES = np.array(["none", "single", "isozymes", "complex"])
_RULE_SHARE = (0.3, 0.25, 0.3, 0.15)


def build_metabolism(config: DemoCellConfig, structure: Structure) -> Metabolism:
    """Draw reactions: pathways of a module's enzymes, currency metabolites, and gene rules.

    A rule is empty, one gene, isozymes (``or``), or a complex (``and``), as in yeast-GEM; a reaction's
    genes belong to one module.
    """
    rng = child_generator(config.seed, "demo_cell", "metabolism")
    incidence, stoichiometry = _stoichiometry(config.num_reactions, config.num_metabolites, rng)
    rules = rng.choice(_RULES, size=config.num_reactions, p=_RULE_SHARE)
    complexes: list[npt.NDArray[np.int64]] = []
    owner: list[int] = []
    members = [rng.permutation(np.flatnonzero(structure.module == k)) for k in range(config.num_modules)]
    position = np.zeros(config.num_modules, dtype=np.int64)
    for reaction in np.flatnonzero(rules != "none"):
        module = int(rng.integers(config.num_modules))
        size = 1 if rules[reaction] == "single" else int(rng.choice([2, 3], p=[0.8, 0.2]))
        # Going round the module's genes gives most enzymes few reactions.
        genes = np.take(members[module], position[module] + np.arange(size), mode="wrap")
        position[module] += size
        alternatives = [genes] if rules[reaction] == "complex" else [genes[i : i + 1] for i in range(size)]
        complexes += alternatives
        owner += [int(reaction)] * len(alternatives)
    return Metabolism(
        reactions=tuple(f"r_{i + 1:04d}" for i in range(config.num_reactions)),
        metabolites=tuple(f"s_{i + 1:04d}" for i in range(config.num_metabolites)),
        incidence=incidence,
        stoichiometry=stoichiometry,
        complex_reaction=np.array(owner, dtype=np.int64),
        complex_genes=np.concatenate([*complexes, np.empty(0, dtype=np.int64)]),
        complex_offsets=np.concatenate([[0], np.cumsum([len(genes) for genes in complexes])]).astype(
            np.int64
        ),
    )


def _stoichiometry(
    num_reactions: int, num_metabolites: int, rng: np.random.Generator
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """Every reaction turns a metabolite into the next of its pathway, with up to three further ones."""
    reaction = np.arange(num_reactions)
    substrate = rng.integers(num_metabolites, size=num_reactions)
    product = (substrate + 1 + rng.integers(3, size=num_reactions)) % num_metabolites
    popularity = 1 / np.arange(1, num_metabolites + 1)  # a few currency metabolites are everywhere
    further = rng.choice(num_metabolites, size=(num_reactions, 3), p=popularity / popularity.sum())
    table = np.column_stack([substrate, product, further])
    sign = np.where(rng.random(table.shape) < 0.5, -1.0, 1.0) * rng.choice(
        [1.0, 2.0], table.shape, p=[0.9, 0.1]
    )
    sign[:, 0], sign[:, 1] = -1.0, 1.0
    keep = np.ones(table.shape, dtype=bool)
    for column in range(1, table.shape[1]):
        keep[:, column] = (table[:, :column] != table[:, column : column + 1]).all(1)
    keep[:, 2:] &= rng.random((num_reactions, 3)) < 0.8
    row = np.broadcast_to(reaction[:, None], table.shape)
    return np.stack([table[keep], row[keep]]), sign[keep].astype(np.float32)


def reaction_costs(config: DemoCellConfig) -> npt.NDArray[np.float64]:
    """Return the fraction of fitness that each reaction's loss costs, float64 [R]; most cost little."""
    rng = child_generator(config.seed, "demo_cell", "reaction_costs")
    costly = rng.random(config.num_reactions) < 0.4
    return np.where(costly, rng.uniform(0.1, 0.3, config.num_reactions), 0.01)


def metabolic_fitness(
    metabolism: Metabolism, costs: npt.NDArray[np.float64], table: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """Return the fitness left by the reactions that each genotype disables.

    Args:
        metabolism: the metabolism; its rules decide what is disabled.
        costs: float64 [R], the fraction of fitness that a disabled reaction costs.
        table: int64 [B, k], deleted genes, padded with -1.

    Returns:
        float64 [B], the product of ``1 - cost`` over the disabled reactions.
    """
    num_complexes, num_reactions = len(metabolism.complex_reaction), len(metabolism.reactions)
    complex_of_entry = np.repeat(np.arange(num_complexes), np.diff(metabolism.complex_offsets))
    by_gene = np.argsort(metabolism.complex_genes, kind="stable")
    num_genes = max(int(table.max()), int(metabolism.complex_genes.max(initial=0))) + 1
    degree = np.bincount(metabolism.complex_genes, minlength=num_genes)
    start = np.concatenate([[0], np.cumsum(degree)])
    genotype, column = np.nonzero(table >= 0)
    gene = table[genotype, column]
    count = degree[gene]
    # Every (genotype, enzyme complex) pair in which a deleted gene breaks the complex.
    within = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    broken = complex_of_entry[by_gene[np.repeat(start[gene], count) + within]]
    pairs = np.unique(np.repeat(genotype, count) * max(1, num_complexes) + broken)
    row, broken = pairs // max(1, num_complexes), pairs % max(1, num_complexes)
    hit, losses = np.unique(row * num_reactions + metabolism.complex_reaction[broken], return_counts=True)
    alternatives = np.bincount(metabolism.complex_reaction, minlength=num_reactions)
    disabled = hit[losses == alternatives[hit % num_reactions]]
    log_fitness = np.bincount(
        disabled // num_reactions, weights=np.log1p(-costs[disabled % num_reactions]), minlength=len(table)
    )
    return np.exp(log_fitness)
