"""Which rows deletions change: exactly those that a walk over the edges reaches."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gisearch.data.cell_graph import Network
from gisearch.models.batch import GenotypeBatch
from gisearch.models.layers.changes import ChangePlanner, LayerChanges
from gisearch.models.layers.incidence import Incidence
from gisearch.models.layers.neighbours import Neighbours

NUM_GENES = 25
BATCH = GenotypeBatch.from_table(np.array([[0, 7, -1], [3, -1, -1], [3, 4, 24], [24, -1, -1], [5, 5, 6]]))


@pytest.fixture(scope="module")
def networks() -> list[Network]:
    """Sparse enough for three hops not to reach everything; gene 24 has no edge."""
    random = np.random.default_rng(2)
    return [
        Network.from_pairs(str(i), random.integers(0, 24, (2, 14)), directed=bool(i), num_genes=NUM_GENES)
        for i in range(2)
    ]


def deleted(row: int) -> set[int]:
    return set(BATCH.deleted[row][BATCH.present[row]].tolist())


def walk(networks: list[Network], row: int, layers: int) -> set[int]:
    """Genes of one genotype that some path of changes reaches within a number of layers."""
    changed: set[int] = set()
    for _ in range(layers):
        edges = [(int(s), int(t)) for network in networks for s, t in network.edges.T]
        reached = {t for s, t in edges if s in changed | deleted(row)}
        changed = (changed | reached) - deleted(row)
    return changed


def plan(networks: list[Network], layers: int, *, summed: bool = True) -> list[LayerChanges]:
    needs = ("joint", "own", "sources", "kept_degree", "attention")
    planner = ChangePlanner(Neighbours(networks, NUM_GENES), needs, summed=summed, residual=True)  # type: ignore[arg-type]
    return planner.plan(BATCH, layers)


def test_changes_are_what_a_walk_reaches(networks: list[Network]) -> None:
    layers = plan(networks, 3)
    for number, layer in enumerate(layers, start=1):
        found = {(int(b), int(n)) for b, n in zip(layer.genotype, layer.gene, strict=True)}
        assert found == {(b, n) for b in range(len(BATCH)) for n in walk(networks, b, number)}
        assert (layer.genotype.diff() >= 0).all(), "sorted by genotype, as pooling expects"
    sizes = [len(layer.gene) for layer in layers]
    assert 0 < sizes[0] < sizes[1] < sizes[2] < len(BATCH) * NUM_GENES


def dense(incidence: Incidence, columns: int) -> torch.Tensor:
    """The matrix, read by rows; its transpose must say the same."""
    rows, by_row = len(incidence.by_row.offsets) - 1, torch.eye(columns)
    matrix = incidence.sum(by_row)
    row = torch.repeat_interleave(torch.arange(columns), incidence.by_column.offsets.diff())
    transposed = torch.zeros(columns, rows).index_put(
        (row, incidence.by_column.index), torch.tensor(1.0), True
    )
    assert torch.equal(matrix, transposed.T)
    return matrix


def test_sources_are_the_neighbours_that_changed_or_are_gone(networks: list[Network]) -> None:
    first, second = plan(networks, 2)
    number, changed = len(second.source_gene), len(first.gene)
    lost = number - changed
    assert lost == sum(len(deleted(b)) for b in range(len(BATCH)))
    for network, rows in zip(networks, second.networks, strict=True):
        assert rows.sources is not None
        assert rows.kept_degree is not None
        matrix = dense(rows.sources, NUM_GENES + number)
        assert torch.equal(matrix[:, :NUM_GENES].argmax(1), rows.gene)
        assert torch.equal(matrix[:, :NUM_GENES].sum(1), torch.ones(len(rows.gene)))
        for i, gene in enumerate(rows.gene.tolist()):
            into = {int(s) for s, t in network.edges.T if t == gene}
            columns = matrix[i, NUM_GENES:].nonzero().flatten()
            assert set(second.source_gene[columns].tolist()) <= into
            gone = int((columns >= changed).sum())
            assert int(rows.kept_degree[i]) == len(into) - gone


def test_combining_reads_every_network_of_every_row_once(networks: list[Network]) -> None:
    for summed in (True, False):
        (layer,) = plan(networks, 1, summed=summed)
        total = len(networks) * NUM_GENES + sum(len(n.gene) for n in layer.networks)
        matrix = dense(layer.combine, total)
        count = len(layer.gene)
        assert matrix.shape[0] == (count if summed else len(networks) * count)
        assert set(matrix.sum(1).tolist()) == {len(networks) if summed else 1}
        # Every changed row of every network is used by one row.
        assert torch.equal(matrix[:, len(networks) * NUM_GENES :].sum(0), torch.ones(total - 2 * NUM_GENES))


def test_a_gene_without_edges_changes_nothing(networks: list[Network]) -> None:
    (layer,) = plan(networks, 1)
    assert (layer.genotype != 3).all()
