"""What is derived from labels, against the formulas, and never from a label that must not be read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from gisearch.data.cell_graph import CellGraph
from gisearch.data.dataset import Dataset, Target
from gisearch.data.derived.config import DerivedConfig
from gisearch.data.derived.derive import DerivedCells, derive, derive_cells, outline
from gisearch.data.derived.evidence import Evidence
from gisearch.data.derived.folds import assign_folds
from gisearch.data.derived.smoothing import Smoothing
from gisearch.data.genotypes import Genotypes
from gisearch.data.splits import Split
from gisearch.errors import DataError

Config = Callable[..., DerivedConfig]

TARGET, BINARY = Target("score", "regression"), Target("sick", "binary")
EVERYTHING: dict[str, Any] = {
    "negative": True,
    "positive": True,
    "triples": True,
    "threshold": 0.0,
    "profile.similarity": "both",
    "profile.top_k": 3,
    "profile_features": 6,
    "smooth_features": True,
    "folds": 4,
}
# Two single deletions, 47 pairs and a triple.
ROWS = np.array([*range(49), 52])


def pairs_of(cell: CellGraph, name: str) -> set[tuple[int, int]]:
    return {(int(a), int(b)) for a, b in cell.networks[name].edges.T if a < b}


def expected(genotypes: Genotypes, rows: npt.NDArray[np.int64], keep: Any) -> set[tuple[int, int]]:
    found = set()
    for row in rows:
        genes, value = genotypes.genes_of(row), float(genotypes.labels["score"][row])
        if len(genes) == 2 and keep(value):
            found.add((int(genes[0]), int(genes[1])))
    return found


def test_pairs_are_signed_by_the_classes_of_a_binary_label(
    cell: CellGraph, genotypes: Genotypes, config: Config
) -> None:
    derived = derive(cell, genotypes, ROWS, BINARY, config({"negative": True, "positive": True}))
    assert list(derived.networks) == ["ring", "star", "derived_negative", "derived_positive"]
    assert pairs_of(derived, "derived_positive") == expected(genotypes, ROWS, lambda v: v < 0)
    assert pairs_of(derived, "derived_negative") == expected(genotypes, ROWS, lambda v: v >= 0)
    assert derived.networks["derived_positive"].scores is None


def test_pairs_are_signed_by_deviations_of_a_measured_label(
    cell: CellGraph, genotypes: Genotypes, config: Config
) -> None:
    changes = {"negative": True, "positive": True, "threshold": 0.8}
    derived = derive(cell, genotypes, ROWS, TARGET, config(changes))
    values = np.array([genotypes.labels["score"][r] for r in ROWS if genotypes.order[r] == 2])
    mean, std = values.mean(), values.std()
    assert pairs_of(derived, "derived_positive") == expected(genotypes, ROWS, lambda v: v - mean >= 0.8 * std)
    assert pairs_of(derived, "derived_negative") == expected(genotypes, ROWS, lambda v: mean - v >= 0.8 * std)
    scores = derived.networks["derived_positive"].scores
    assert scores is not None
    assert scores.max() == 1.0
    least = values[values - mean >= 0.8 * std].min() - mean
    assert scores.min() == pytest.approx(least / (values.max() - mean), rel=1e-5)


def dense_closeness(cell: CellGraph, names: list[str], steps: int) -> npt.NDArray[np.float64]:
    """B over all genes, as signal by signal matrices say."""
    size = cell.num_genes
    total = np.eye(size)
    for name in names:
        adjacency = np.zeros((size, size))
        source, target = cell.networks[name].edges
        adjacency[source, target] = adjacency[target, source] = 1
        degree = np.maximum(adjacency.sum(1), 1)
        step = 0.5 * np.eye(size) + 0.5 * adjacency / np.sqrt(np.outer(degree, degree))
        walk = np.linalg.matrix_power(step, steps)
        kernel = walk @ walk.T
        total += kernel / np.sqrt(np.outer(np.diag(kernel), np.diag(kernel)))
    return total / (len(names) + 1)


def dense_profiles(genotypes: Genotypes, rows: npt.NDArray[np.int64], size: int) -> npt.NDArray[np.float64]:
    evidence = Evidence.of(genotypes, rows, "score")
    matrix = np.zeros((size, size))
    for (a, b), value in zip(evidence.pairs.T, evidence.labels, strict=True):
        matrix[a, b] = matrix[b, a] = value - evidence.labels.mean()
    return matrix


def test_triples_that_stand_out_link_their_pairs(
    cell: CellGraph, genotypes: Genotypes, config: Config
) -> None:
    first, second = 52, 53
    sick = genotypes.labels["sick"]
    standing_out = [row for row in (first, second) if sick[row] == 1.0]
    wanted = {(0, 1), (0, 2), (1, 2)} if first in standing_out else set()
    wanted |= {(3, 4), (3, 5), (4, 5)} if second in standing_out else set()
    derived = derive(cell, genotypes, np.append(ROWS, second), BINARY, config({"triples": True}))
    assert pairs_of(derived, "derived_triples") == wanted
    # A measured one stands out on either side of the mean: of two, both do.
    derived = derive(
        cell, genotypes, np.append(ROWS, second), TARGET, config({"triples": True, "threshold": 0.5})
    )
    assert len(pairs_of(derived, "derived_triples")) == 6


def test_triples_of_no_part_count_where_the_training_part_knows_their_genes(
    cell: CellGraph, genotypes: Genotypes, config: Config
) -> None:
    sick = genotypes.labels["sick"].copy()
    sick[52:] = 1.0
    labelled = replace(genotypes, labels={**genotypes.labels, "sick": sick})
    seen = np.zeros(len(genotypes), dtype=np.int8)
    for unseen, wanted in ((0, {(0, 1), (0, 2), (1, 2)}), (1, set())):
        split = Split(ROWS[:45], ROWS[45:46], ROWS[46:47], np.where(np.arange(len(seen)) == 52, unseen, seen))
        dataset = Dataset(cell, labelled, split, TARGET)
        dataset = replace(dataset, split=replace(split, val=np.array([49]), test=np.array([53])))
        options = config({"triples": True, "label": "sick"})
        for derived in (derive_cells(dataset, options).whole, *derive_cells(dataset, options).folds):
            # The test part's triple, 3 4 5, is never read.
            assert pairs_of(derived, "derived_triples") == wanted


@pytest.mark.parametrize("smoothing", [None, ["ring"]])
def test_profile_networks_link_the_nearest_by_the_formula(
    cell: CellGraph, genotypes: Genotypes, config: Config, smoothing: list[str] | None
) -> None:
    changes = {
        "profile.similarity": "both",
        "profile.top_k": 3,
        "profile.min_similarity": 0.2,
        "profile.smoothing_networks": smoothing,
        "profile.steps": 2,
    }
    derived = derive(cell, genotypes, ROWS, TARGET, config(changes))
    profiles = dense_profiles(genotypes, ROWS, cell.num_genes)
    closeness = dense_closeness(cell, smoothing or ["ring", "star"], 2)
    for name, product in (
        ("derived_profile", profiles @ profiles.T),
        ("derived_smoothed_profile", profiles @ closeness @ profiles.T),
    ):
        similarity = product / np.sqrt(np.outer(np.diag(product), np.diag(product)))
        np.fill_diagonal(similarity, -1)
        links = {
            (min(a, int(b)), max(a, int(b))): similarity[a, b]
            for a in range(cell.num_genes)
            for b in np.argsort(-similarity[a])[:3]
            if similarity[a, b] >= 0.2
        }
        assert pairs_of(derived, name) == set(links), name
        network = derived.networks[name]
        assert network.scores is not None
        for (a, b), score in zip(network.edges.T.tolist(), network.scores, strict=True):
            assert score == pytest.approx(links[min(a, b), max(a, b)], abs=1e-5)


def test_products_of_profile_features_are_similarities(
    cell: CellGraph, genotypes: Genotypes, config: Config
) -> None:
    width = 1024
    for smooth in (False, True):
        changes = {"profile_features": width, "smooth_features": smooth}
        table = derive(cell, genotypes, ROWS, TARGET, config(changes)).features["derived_profile_features"]
        profiles = dense_profiles(genotypes, ROWS, cell.num_genes)
        closeness = dense_closeness(cell, ["ring", "star"], 4) if smooth else np.eye(cell.num_genes)
        product = profiles @ closeness @ profiles.T
        similarity = product / np.sqrt(np.outer(np.diag(product), np.diag(product)))
        assert table.known.all()
        # The error of a random projection to 1,024 numbers is about 1 / 32.
        np.testing.assert_allclose(table.values @ table.values.T, similarity, atol=0.15)


def test_genes_without_pairs_have_no_profile(cell: CellGraph, genotypes: Genotypes, config: Config) -> None:
    rows = np.array([r for r in range(len(genotypes)) if 0 not in genotypes.genes_of(r)])
    derived = derive(cell, genotypes, rows, TARGET, config(EVERYTHING))
    for name in derived.networks:
        assert name in cell.networks or not (derived.networks[name].edges == 0).any(), name
    table = derived.features["derived_profile_features"]
    assert not table.known[0]
    assert not table.values[0].any()


def test_smoothing_reads_no_label(cell: CellGraph) -> None:
    noise = np.random.default_rng(0).standard_normal((3, cell.num_genes, 4))
    genes = np.arange(2, 9)
    smoothing = Smoothing.of(list(cell.networks.values()), genes, 3, noise)
    expected = dense_closeness(cell, ["ring", "star"], 3)[np.ix_(genes, genes)]
    np.testing.assert_allclose(smoothing.closeness, expected, atol=1e-12)


def dataset_of(cell: CellGraph, genotypes: Genotypes, target: Target = TARGET) -> Dataset:
    unseen = np.zeros(len(genotypes), dtype=np.int8)
    split = Split(train=ROWS, val=np.array([49, 53]), test=np.array([50]), unseen=unseen)
    return Dataset(cell, genotypes, split, target)


def with_label(genotypes: Genotypes, row: int, name: str, value: float) -> Genotypes:
    values = genotypes.labels[name].copy()
    values[row] = value
    return replace(genotypes, labels={**genotypes.labels, name: values})


def same(one: CellGraph, other: CellGraph) -> bool:
    return one.digest() == other.digest()


def test_a_label_reaches_all_folds_but_its_own(cell: CellGraph, genotypes: Genotypes, config: Config) -> None:
    """The proof of own-label exclusion: bit for bit, whatever the label becomes."""
    before = derive_cells(dataset_of(cell, genotypes), config(EVERYTHING))
    for position in (5, 17, 40):
        row = int(ROWS[position])
        for value in (-5.0, 5.0):
            changed = dataset_of(cell, with_label(genotypes, row, "score", value))
            after = derive_cells(changed, config(EVERYTHING))
            assert (after.fold == before.fold).all()
            own = before.fold[position]
            equal = [same(a, b) for a, b in zip(before.folds, after.folds, strict=True)]
            assert equal == [fold == own for fold in range(4)]
            assert not same(before.whole, after.whole)


def test_a_fold_is_derived_from_all_other_training_genotypes(
    cell: CellGraph, genotypes: Genotypes, config: Config
) -> None:
    cells: DerivedCells = derive_cells(dataset_of(cell, genotypes), config({"positive": True, "folds": 4}))
    for fold, derived in enumerate(cells.folds):
        rows = ROWS[cells.fold != fold]
        alone = derive(cell, genotypes, rows, TARGET, config({"positive": True, "folds": 4}))
        assert same(derived, alone)


def test_labels_of_other_parts_are_never_read(cell: CellGraph, genotypes: Genotypes, config: Config) -> None:
    before = derive_cells(dataset_of(cell, genotypes), config(EVERYTHING))
    for row in (49, 50, 53):
        changed = dataset_of(cell, with_label(genotypes, row, "score", 9.0))
        after = derive_cells(changed, config(EVERYTHING))
        assert same(after.whole, before.whole)
        assert all(map(same, after.folds, before.folds))


def test_the_shape_of_a_network_is_its_own_and_nothing_else_moves(
    cell: CellGraph, genotypes: Genotypes, config: Config
) -> None:
    cells = derive_cells(dataset_of(cell, genotypes), config(EVERYTHING))
    planned = outline(cell, config(EVERYTHING))
    for derived in (cells.whole, *cells.folds):
        assert list(derived.networks) == list(planned.networks)
        assert list(derived.features) == list(planned.features)
        assert derived.features["derived_profile_features"].width == 6
        # Not copied for every fold.
        assert derived.networks["ring"] is cell.networks["ring"]


def test_folds_have_equal_sizes_and_shares_of_pairs_and_do_not_know_labels(
    genotypes: Genotypes, config: Config
) -> None:
    folds = assign_folds(genotypes, ROWS, "sick", config())
    counts = np.bincount(folds)
    assert counts.max() - counts.min() <= 1
    pairs = np.bincount(folds[genotypes.order[ROWS] == 2])
    assert pairs.max() - pairs.min() <= 1
    flipped = with_label(genotypes, int(ROWS[9]), "sick", 1.0 - float(genotypes.labels["sick"][ROWS[9]]))
    assert (assign_folds(flipped, ROWS, "sick", config()) == folds).all()
    assert (assign_folds(genotypes, ROWS, "sick", config({"seed": 1})) != folds).any()


def test_equal_labels_derive_nothing_and_no_error(
    cell: CellGraph, genotypes: Genotypes, config: Config
) -> None:
    flat = replace(genotypes, labels={"score": np.full(len(genotypes), 0.3, dtype=np.float32)})
    derived = derive(cell, flat, ROWS, TARGET, config(EVERYTHING))
    for name in set(derived.networks) - set(cell.networks):
        assert derived.networks[name].num_edges == 0, name
    assert not derived.features["derived_profile_features"].known.any()


@pytest.mark.parametrize(
    ("changes", "rows", "message"),
    [
        (
            {"label": "scor"},
            ROWS,
            r"'scor' is not measured in this data \(it has: score, sick\). Did you mean 'score'\?",
        ),
        ({"label": "other"}, ROWS, r"derived.label: 'other' is not measured"),
        (
            {},
            ROWS[:12],
            r"only 10 double deletions of the training part have the label 'score'; expected at least 20",
        ),
        ({"folds": 60}, ROWS, r"derived.folds: 60 folds of 50 training genotypes; expected at most as many"),
        (
            {"profile.similarity": "smoothed", "profile.smoothing_networks": ["rin"]},
            ROWS,
            r"derived.profile.smoothing_networks: the data has no network 'rin' .* Did you mean 'ring'\?",
        ),
    ],
)
def test_what_cannot_be_derived_is_said_in_one_sentence(
    cell: CellGraph,
    genotypes: Genotypes,
    config: Config,
    changes: dict[str, Any],
    rows: npt.NDArray[np.int64],
    message: str,
) -> None:
    with pytest.raises(DataError, match=message):
        derive(cell, genotypes, rows, TARGET, config({"positive": True, **changes}))


def test_the_name_of_a_derived_network_is_taken(
    cell: CellGraph, genotypes: Genotypes, config: Config
) -> None:
    derived = derive(cell, genotypes, ROWS, TARGET, config({"positive": True}))
    with pytest.raises(DataError, match="the data has something called 'derived_positive' already"):
        derive(derived, genotypes, ROWS, TARGET, config({"positive": True}))


def test_a_derived_network_that_is_not_asked_for_says_what_to_set(cell: CellGraph) -> None:
    with pytest.raises(
        DataError, match=r"no network 'derived_profile' .* set derived.profile.similarity=raw"
    ):
        cell.select(["derived_profile"])
    with pytest.raises(DataError, match=r"set derived.profile_features=32\."):
        cell.select_features(["derived_profile_features"])
