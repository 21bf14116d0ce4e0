from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from gisearch.config import build
from gisearch.data.genotypes import Genotypes
from gisearch.data.splits import PARTS, Split, SplitConfig, split_genotypes
from gisearch.errors import ConfigError, DataError

NUM_GENES = 60


def draw_genotypes(num_single: int = 40, num_double: int = 700, num_triple: int = 600) -> Genotypes:
    rng = np.random.default_rng(0)
    table: set[tuple[int, ...]] = set()
    for size, number in ((1, num_single), (2, num_double), (3, num_triple)):
        wanted = len(table) + number
        while len(table) < wanted:
            table.add(tuple(sorted(rng.choice(NUM_GENES, size, replace=False).tolist())))
    return Genotypes.build(sorted(table), {}, num_genes=NUM_GENES)


@pytest.fixture(scope="module")
def genotypes() -> Genotypes:
    return draw_genotypes()


def fractions(split: Split) -> npt.NDArray[np.float64]:
    sizes = np.array([len(split.part(name)) for name in PARTS])
    return sizes / sizes.sum()


def genes_of_part(split: Split, genotypes: Genotypes, name: str) -> set[int]:
    return {int(gene) for row in split.part(name) for gene in genotypes.genes_of(int(row))}


def test_random_split_has_the_asked_fractions_and_every_row_once(genotypes: Genotypes) -> None:
    rows = np.arange(100, len(genotypes))
    split = split_genotypes(genotypes, rows, SplitConfig(val=0.2, test=0.1), 0)
    np.testing.assert_allclose(fractions(split), [0.7, 0.2, 0.1], atol=0.002)
    together = np.concatenate([split.part(name) for name in PARTS])
    np.testing.assert_array_equal(np.sort(together), rows)
    assert split.dropped == 0
    assert split.train.dtype == np.int64


def test_random_split_stratifies_a_rare_class(genotypes: Genotypes) -> None:
    rows = np.arange(len(genotypes))
    label = np.zeros(len(rows))
    label[[3, 500, 900, 901]] = 1
    split = split_genotypes(genotypes, rows, SplitConfig(val=0.1, test=0.1), 0, stratify=label)
    assert [int(label[split.part(name)].sum()) for name in PARTS] == [2, 1, 1]


def test_split_depends_on_the_seed_alone(genotypes: Genotypes) -> None:
    rows = np.arange(len(genotypes))
    for strategy in ("random", "unseen_genes"):
        config = build(SplitConfig, {"strategy": strategy})
        digests = [split_genotypes(genotypes, rows, config, seed).digest() for seed in (0, 0, 1)]
        assert digests[0] == digests[1] != digests[2]


def test_digest_tells_the_parts_apart(genotypes: Genotypes) -> None:
    split = split_genotypes(genotypes, np.arange(len(genotypes)), SplitConfig(), 0)
    assert replace(split, val=split.test, test=split.val).digest() != split.digest()


def test_unseen_counts_genes_without_a_training_genotype() -> None:
    genotypes = Genotypes.build([[0], [0, 1], [1, 2], [2, 3], [3, 4], [0, 3, 4]], {}, num_genes=5)
    split = split_genotypes(genotypes, [0, 1, 2], SplitConfig(), 0)
    train = set(genotypes.genes_of(int(split.train[0])).tolist())
    expected = [len(set(genotypes.genes_of(i).tolist()) - train) for i in range(len(genotypes))]
    np.testing.assert_array_equal(split.unseen, expected)
    assert split.unseen.dtype == np.int8
    assert split.unseen[4] == 2


@pytest.mark.parametrize("unseen", [1, 2, 3, "all"])
def test_unseen_genes_keeps_its_promise(genotypes: Genotypes, unseen: int | str) -> None:
    config = build(SplitConfig, {"strategy": "unseen_genes", "unseen": unseen})
    rows = np.arange(len(genotypes))
    split = split_genotypes(genotypes, rows, config, 0)
    seen = genes_of_part(split, genotypes, "train")
    for name in ("val", "test"):
        for row in split.part(name):
            genes = set(genotypes.genes_of(int(row)).tolist())
            assert len(genes - seen) == (len(genes) if unseen == "all" else unseen)
            assert split.unseen[row] == len(genes - seen)
    held_out = [genes_of_part(split, genotypes, name) - seen for name in ("val", "test")]
    assert not held_out[0] & held_out[1]
    assert len(rows) == split.dropped + sum(len(split.part(name)) for name in PARTS)
    np.testing.assert_allclose(fractions(split), [0.7, 0.15, 0.15], atol=0.06)


def test_one_unseen_gene_drops_few_genotypes(genotypes: Genotypes) -> None:
    config = SplitConfig(strategy="unseen_genes", val=0.1, test=0.1)
    split = split_genotypes(genotypes, np.arange(len(genotypes)), config, 3)
    assert split.dropped < 0.08 * len(genotypes)


def test_unseen_genes_puts_both_classes_in_every_part(genotypes: Genotypes) -> None:
    rows = np.arange(len(genotypes))
    label = np.random.default_rng(1).random(len(rows)) < 0.05
    config = SplitConfig(strategy="unseen_genes", unseen="all")
    split = split_genotypes(genotypes, rows, config, 0, stratify=label)
    for name in PARTS:
        assert 0 < label[split.part(name)].sum() < len(split.part(name))


def test_large_tables_are_searched_on_a_sample() -> None:
    rng = np.random.default_rng(0)
    table = np.unique(np.sort(rng.integers(2_000, size=(40_000, 2)), axis=1), axis=0)
    table = table[table[:, 0] != table[:, 1]]
    genotypes = Genotypes.build(table, {}, num_genes=2_000)
    split = split_genotypes(genotypes, np.arange(len(table)), SplitConfig(strategy="unseen_genes"), 0)
    np.testing.assert_allclose(fractions(split), [0.7, 0.15, 0.15], atol=0.02)


def test_leakage_of_a_gene_set_is_found() -> None:
    # Built directly: the validating constructor would have merged the repeated genotype.
    genotypes = Genotypes(genes=np.array([0, 1, 0, 1, 2]), offsets=np.array([0, 2, 4, 5]))
    split = Split(
        train=np.array([0]), val=np.array([1]), test=np.array([2]), unseen=np.zeros(3, dtype=np.int8)
    )
    with pytest.raises(
        DataError, match="row 1 of the val part deletes the same genes as one of the train part"
    ):
        split.check_leakage(genotypes)
    with pytest.raises(DataError, match=r"row 1 of the test part .* of the val part"):
        replace(split, train=np.array([2]), val=np.array([0]), test=np.array([1])).check_leakage(genotypes)


def test_broken_promise_is_found(genotypes: Genotypes) -> None:
    config = SplitConfig(strategy="unseen_genes", unseen=2)
    split = split_genotypes(genotypes, np.arange(len(genotypes)), config, 0)
    split.check_leakage(genotypes)
    spoilt = replace(split, train=np.append(split.train, split.val[-1]), val=split.val[:-1])
    with pytest.raises(
        DataError, match=r"row \d+ of the (val|test) part has [01] genes unseen .* promises 2"
    ):
        spoilt.check_leakage(genotypes)


def test_held_out_gene_shared_by_val_and_test_is_found() -> None:
    genotypes = Genotypes.build([[0, 1], [0, 2], [1, 2]], {}, num_genes=3)
    split = Split(
        train=np.array([0]),
        val=np.array([1]),
        test=np.array([2]),
        unseen=np.array([0, 1, 1], dtype=np.int8),
        promise=1,
    )
    with pytest.raises(DataError, match="gene 2 is unseen in training but in both the val and the test part"):
        split.check_leakage(genotypes)


def test_unknown_part(genotypes: Genotypes) -> None:
    split = split_genotypes(genotypes, np.arange(len(genotypes)), SplitConfig(), 0)
    with pytest.raises(DataError, match="unknown part 'valid' of a split; expected one of train, val, test"):
        split.part("valid")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"val": 0.5, "test": 0.5},
            r"val \+ test must be below 1, to leave training genotypes; got 0.5 \+ 0.5",
        ),
        ({"val": 0.0}, "data.split.val: expected greater than 0, got 0.0"),
        ({"strategy": "unseen_gene"}, "Did you mean 'unseen_genes'"),
        ({"unseen": 4}, r"data.split.unseen: expected 1, 2, 3 or 'all', got 4"),
        ({"tset": 0.2}, "unknown key 'tset' in data.split. Did you mean 'test'"),
    ],
)
def test_bad_configuration(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build(SplitConfig, values, "data.split")


def test_too_few_genotypes_say_what_to_change() -> None:
    genotypes = Genotypes.build([[0], [1], [2], [3]], {}, num_genes=4)
    with pytest.raises(DataError, match="2 labelled genotypes cannot fill train, val and test"):
        split_genotypes(genotypes, [0, 1], SplitConfig(), 0)
    with pytest.raises(DataError, match="only 1 genotypes have the label 1; expected at least 3"):
        split_genotypes(genotypes, range(4), SplitConfig(), 0, stratify=[0, 0, 0, 1])
    with pytest.raises(DataError, match="expected 4 stratification labels, got 2"):
        split_genotypes(genotypes, range(4), SplitConfig(), 0, stratify=[0, 1])


def test_more_unseen_genes_than_deletions() -> None:
    genotypes = draw_genotypes(num_triple=0)
    config = SplitConfig(strategy="unseen_genes", unseen=3)
    with pytest.raises(
        DataError, match=r"data.split.unseen: 3 genes .* at most 2; expected 2 or less, or 'all'"
    ):
        split_genotypes(genotypes, np.arange(len(genotypes)), config, 0)


def test_impossible_hold_out_says_what_to_change() -> None:
    # Every genotype holds gene 0: whoever holds it out has nothing left to train on.
    genotypes = Genotypes.build([[0, i] for i in range(1, 6)], {}, num_genes=6)
    config = SplitConfig(strategy="unseen_genes", unseen="all")
    with pytest.raises(DataError, match=r"the \w+ part is empty\): raise data.split.val .*strategy=random"):
        split_genotypes(genotypes, np.arange(5), config, 0)
