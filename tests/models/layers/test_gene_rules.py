"""Gene rules of a whole batch, against the metabolism's own evaluation of one genotype."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gisearch.data.cell_graph import CellGraph
from gisearch.data.dataset import Dataset
from gisearch.data.metabolism import Metabolism
from gisearch.models.batch import GenotypeBatch
from gisearch.models.layers.gene_rules import GeneRules, LostNodes, deleted_genes

NUM_GENES = 7
alternatives = st.lists(st.lists(st.integers(0, NUM_GENES - 1), min_size=1, max_size=3), max_size=3)
genotypes = st.lists(st.sets(st.integers(0, NUM_GENES - 1), min_size=1, max_size=3), min_size=1, max_size=6)


def metabolism_of(rules: list[list[list[int]]]) -> Metabolism:
    """Build reactions whose rules are these alternatives of complexes; none where there is no alternative."""
    complexes = [genes for rule in rules for genes in rule]
    return Metabolism(
        reactions=tuple(f"r{i}" for i in range(len(rules))),
        metabolites=("m0",),
        incidence=np.stack([np.zeros(len(rules), dtype=np.int64), np.arange(len(rules))]),
        stoichiometry=np.ones(len(rules), dtype=np.float32),
        complex_reaction=np.array([r for r, rule in enumerate(rules) for _ in rule], dtype=np.int64),
        complex_genes=np.array([gene for genes in complexes for gene in genes], dtype=np.int64),
        complex_offsets=np.cumsum([0, *map(len, complexes)]).astype(np.int64),
    )


def batch_of(deleted: list[list[int]]) -> GenotypeBatch:
    return GenotypeBatch.from_table(np.array([genes + [-1] * (3 - len(genes)) for genes in deleted]))


def assert_as_numpy(metabolism: Metabolism, num_genes: int, deleted: list[list[int]]) -> int:
    lost = GeneRules(metabolism, num_genes).disabled(deleted_genes(batch_of(deleted)))
    kept = lost.kept(len(metabolism.reactions))
    assert kept.shape == (len(deleted), len(metabolism.reactions))
    for row, genes in zip(kept, deleted, strict=True):
        assert (~row).nonzero().flatten().tolist() == metabolism.disabled_reactions(genes).tolist()
    assert len(lost.node) == int((~kept).sum()), "every pair once"
    return len(lost.node)


@settings(deadline=None, max_examples=200)
@given(st.lists(alternatives, min_size=1, max_size=5), genotypes)
def test_random_rules(rules: list[list[list[int]]], deleted: list[set[int]]) -> None:
    assert_as_numpy(metabolism_of(rules), NUM_GENES, [sorted(genes) for genes in deleted])


def test_a_complex_that_names_a_gene_twice_is_broken_once() -> None:
    metabolism = metabolism_of([[[0, 0], [1]], [[0, 0]]])
    assert_as_numpy(metabolism, NUM_GENES, [[0], [1], [0, 1]])


def test_the_demo_cell(tiny_dataset: Dataset) -> None:
    cell, genotypes = tiny_dataset.cell, tiny_dataset.genotypes
    deleted = [[int(g) for g in row if g >= 0] for row in genotypes.padded()]
    assert cell.metabolism is not None
    assert assert_as_numpy(cell.metabolism, cell.num_genes, deleted) > 10


def test_yeast_gem(make_dataset: Callable[..., Dataset], yeast_root: object) -> None:
    cell = make_dataset(
        "data=yeast", f"data.root={yeast_root}", "data.metabolism=true", "data.target=fitness"
    ).cell
    assert cell.metabolism is not None
    rng = np.random.default_rng(0)
    metabolic = np.unique(cell.metabolism.complex_genes)
    singles = [[int(gene)] for gene in metabolic]
    # Isozymes: genes of one reaction together.
    reaction = np.repeat(cell.metabolism.complex_reaction, np.diff(cell.metabolism.complex_offsets))
    together = [
        np.unique(cell.metabolism.complex_genes[reaction == r])[:3].tolist()
        for r in rng.choice(np.unique(reaction), 300, replace=False)
    ]
    triples = [rng.choice(metabolic, 3, replace=False).tolist() for _ in range(300)]
    assert assert_as_numpy(cell.metabolism, cell.num_genes, singles + together + triples) > 1000


def test_kept_is_the_complement() -> None:
    lost = LostNodes(torch.tensor([0, 2, 2]), torch.tensor([1, 0, 3]), 3)
    assert lost.kept(4).tolist() == [
        [True, False, True, True],
        [True, True, True, True],
        [False, True, True, False],
    ]


@pytest.mark.parametrize("rules", [[[]], [[], []]])
def test_a_metabolism_without_rules_disables_nothing(rules: list[list[list[int]]]) -> None:
    assert assert_as_numpy(metabolism_of(rules), NUM_GENES, [[0], [1, 2]]) == 0


def test_the_tiny_cell_tests_both_and_or(tiny_cell: CellGraph) -> None:
    assert tiny_cell.metabolism is not None
    counts = np.bincount(tiny_cell.metabolism.complex_reaction)
    assert counts.max() > 1
    assert np.diff(tiny_cell.metabolism.complex_offsets).max() > 1
