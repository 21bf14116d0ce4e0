"""Features that the data itself gives, against plain definitions; nothing of validation or test enters."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from gisearch.data.builtin_features import degrees, laplacian, single_mutant_fitness
from gisearch.data.cell_graph import CellGraph, Network
from gisearch.data.dataset import Dataset
from gisearch.data.gene_names import GeneNames
from gisearch.errors import DataError

MakeDataset = Callable[..., Dataset]


def cell(pairs: Any, num_genes: int, *more: Network) -> CellGraph:
    names = GeneNames(tuple(f"G{i}" for i in range(num_genes)))
    network = Network.from_pairs("links", np.array(pairs).T, directed=False, num_genes=num_genes)
    return CellGraph(names, {n.name: n for n in (network, *more)})


def test_degrees_are_counted_by_network_and_direction() -> None:
    directed = Network.from_pairs("tf", [[0, 0, 1], [1, 2, 2]], directed=True, num_genes=4)
    table = degrees(cell([(0, 1), (1, 2)], 4, directed))
    expected = np.log1p([[1, 2, 0], [2, 1, 1], [1, 0, 2], [0, 0, 0]])
    assert table.values == pytest.approx((expected - expected.mean(0)) / expected.std(0), abs=1e-6)
    assert table.known.all()


def test_laplacian_vectors_of_a_ring_are_waves() -> None:
    ring = cell([(i, (i + 1) % 12) for i in range(12)], 14)
    table = laplacian(ring, 2)
    assert table.known.tolist() == [True] * 12 + [False] * 2
    x, y = table.values[:12].T
    assert x**2 + y**2 == pytest.approx(np.full(12, 2.0), abs=1e-3)
    assert x @ y == pytest.approx(0, abs=1e-2)


def test_laplacian_vectors_are_those_of_the_normalised_laplacian(make_dataset: MakeDataset) -> None:
    """By the sparse solver, as all larger networks: 500 genes."""
    demo = make_dataset("data=demo", "data.cell.num_double=200", "data.cell.num_triple=0").cell
    linked = np.zeros((demo.num_genes,) * 2)
    for network in demo.networks.values():
        linked[tuple(network.edges)] = linked[tuple(network.edges[::-1])] = 1
    table = laplacian(demo, 5)
    part = linked[np.ix_(table.known, table.known)]
    degree = part.sum(0)
    values, vectors = np.linalg.eigh(np.eye(len(part)) - part / np.sqrt(np.outer(degree, degree)))
    assert values[0] == pytest.approx(0, abs=1e-9)
    rows = vectors[:, 1:6] / np.linalg.norm(vectors[:, 1:6], axis=1, keepdims=True)
    for i in range(5):
        found = table.values[table.known, i]
        assert abs(np.corrcoef(found, rows[:, i])[0, 1]) == pytest.approx(1, abs=1e-4)
    assert laplacian(demo, 5).digest() == table.digest()


@pytest.fixture(scope="module")
def fitness_data(make_dataset: MakeDataset) -> Dataset:
    return make_dataset("data=demo_tiny", "data.target=fitness")


def changed(dataset: Dataset, rows: np.ndarray[Any, Any]) -> Dataset:
    """The same data with other values of fitness in some rows."""
    labels = dict(dataset.genotypes.labels)
    labels["fitness"] = labels["fitness"].copy()
    labels["fitness"][rows] = np.random.default_rng(0).permutation(labels["fitness"][rows]) + 1
    return dataclasses.replace(dataset, genotypes=dataclasses.replace(dataset.genotypes, labels=labels))


def smf(data: Dataset) -> Any:
    return single_mutant_fitness(data.cell, data.genotypes, data.split, data.target.name)


def test_single_mutant_fitness_is_that_of_training_where_it_is_the_target(fitness_data: Dataset) -> None:
    table, genotypes, split = smf(fitness_data), fitness_data.genotypes, fitness_data.split
    singles = np.flatnonzero(genotypes.order == 1)
    train = np.intersect1d(singles, split.train)
    genes = genotypes.genes[genotypes.offsets[train]]
    assert np.flatnonzero(table.known).tolist() == sorted(genes.tolist())
    assert len(train) < len(singles), "some single deletions validate or test"
    assert np.corrcoef(table.values[genes, 0], genotypes.labels["fitness"][train])[0, 1] > 0.9999


def test_validation_and_test_labels_change_no_bit_of_it(fitness_data: Dataset) -> None:
    split = fitness_data.split
    held_out = np.concatenate([split.val, split.test])
    assert smf(changed(fitness_data, held_out)).digest() == smf(fitness_data).digest()
    # The test could tell.
    assert smf(changed(fitness_data, split.train)).digest() != smf(fitness_data).digest()


def test_of_another_target_every_single_deletion_counts(tiny_dataset: Dataset) -> None:
    """Single deletions measure no interaction, so that they are in no part of the split."""
    genotypes = tiny_dataset.genotypes
    assert smf(tiny_dataset).known.sum() == (genotypes.order == 1).sum()


def test_builtin_features_are_chosen_by_the_configuration(make_dataset: MakeDataset) -> None:
    chosen = "data.builtin_features=[laplacian,degrees,single_mutant_fitness]"
    data = make_dataset("data=demo_tiny", chosen, "data.laplacian_vectors=3")
    assert {name: table.width for name, table in data.cell.features.items()} == {
        "laplacian": 3,
        "degrees": 4,
        "single_mutant_fitness": 1,
    }
    assert any(
        note.startswith("features single_mutant_fitness: 1 numbers for 30 of 40 genes, for")
        for note in data.report.notes
    )


def test_what_the_data_must_have(make_dataset: MakeDataset, tiny_dataset: Dataset) -> None:
    bare = CellGraph(GeneNames(("A", "B")))
    for derive in (degrees, lambda one: laplacian(one, 1)):
        with pytest.raises(DataError, match="needs a network with edges; the data has none"):
            derive(bare)
    with pytest.raises(DataError, match="largest component has 3 genes; expected at most 2"):
        laplacian(cell([(0, 1), (1, 2)], 4), 3)
    genotypes = tiny_dataset.genotypes
    doubles = dataclasses.replace(
        tiny_dataset.genotypes, labels={**genotypes.labels, "fitness": np.full(len(genotypes), np.nan)}
    )
    with pytest.raises(DataError, match="needs single deletions with the label 'fitness'"):
        single_mutant_fitness(tiny_dataset.cell, doubles, tiny_dataset.split, "gene_interaction")
