"""Which genotypes of the demo cell are measured."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from gisearch.data.metabolism import Metabolism
from gisearch.data.synthetic.config import DemoCellConfig
from gisearch.data.synthetic.structure import Structure
from gisearch.seeding import child_generator

Table = npt.NDArray[np.int64]


def draw_deletions(config: DemoCellConfig, structure: Structure, metabolism: Metabolism) -> Table:
    """Draw distinct single, double and triple deletions, in this order.

    Most genotypes are random; a configured fraction takes two genes of one complex or one reaction, where
    screens look and random draws hardly ever fall.

    Returns:
        int64 [B, 3], ascending genes, padded with -1.
    """
    rng = child_generator(config.seed, "demo_cell", "deletions")
    single = rng.permutation(config.num_genes)[: config.num_single]
    screened = rng.permutation(config.num_genes)[: config.num_screened]
    related = _related_pairs(structure, metabolism, screened)
    double = _draw(config.num_double, 2, related, screened, config.related, rng)
    triple = _draw(config.num_triple, 3, related, screened, config.related, rng)
    table = np.full((len(single) + len(double) + len(triple), 3), -1, dtype=np.int64)
    table[: len(single), 0] = np.sort(single)
    table[len(single) : len(single) + len(double), :2] = double
    table[len(single) + len(double) :] = triple
    return table


def _related_pairs(structure: Structure, metabolism: Metabolism, screened: Table) -> Table:
    """Return the pairs of screened genes in one complex or one reaction, int64 [n, 2]."""
    enzymes = metabolism.gene_reaction
    groups = [np.flatnonzero(structure.complex_of == i) for i in range(structure.complex_of.max() + 1)]
    groups += [enzymes[0][enzymes[1] == reaction] for reaction in np.unique(enzymes[1])]
    groups = [np.intersect1d(group, screened) for group in groups]
    pairs = [group[np.stack(np.triu_indices(len(group), 1), axis=1)] for group in groups]
    return np.unique(np.concatenate([*pairs, np.empty((0, 2), dtype=np.int64)]), axis=0)


def _draw(
    number: int, size: int, related: Table, screened: Table, share: float, rng: np.random.Generator
) -> Table:
    num_related = int(share * number)
    if size == 2:  # not all of them: some are left to be predicted
        num_related = min(num_related, len(related) // 2)
    table = np.empty((0, size), dtype=np.int64)
    if len(related):
        chosen = related[rng.choice(len(related), num_related, replace=size > 2)]
        further = screened[rng.integers(len(screened), size=(num_related, size - 2))]
        table = _distinct(np.concatenate([chosen, further], axis=1))
    while len(table) < number:
        drawn = screened[rng.integers(len(screened), size=(2 * (number - len(table)) + 16, size))]
        table = _distinct(np.concatenate([table, drawn]))[:number]
    return table


def _distinct(table: Table) -> Table:
    """Return sorted rows without repeated genes or repeated rows, in order of first appearance."""
    table = np.sort(table, axis=1)
    table = table[(table[:, 1:] != table[:, :-1]).all(1)]
    return table[np.sort(np.unique(table, axis=0, return_index=True)[1])]
