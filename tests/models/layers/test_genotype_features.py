"""Features of genotypes, against the plainest way of counting them."""

from __future__ import annotations

import dataclasses
import math
from itertools import combinations
from typing import Any

import numpy as np
import pytest
import torch

from gisearch.data.cell_graph import CellGraph
from gisearch.data.dataset import Dataset
from gisearch.data.gene_features import GeneFeatures
from gisearch.models.batch import GenotypeBatch
from gisearch.models.layers import genotype_features
from gisearch.models.layers.feature_summaries import WIDEST, FeatureSummaries
from gisearch.models.layers.genotype_features import GenotypeFeatures


def plainly(cell: CellGraph, genes: list[int]) -> dict[str, float]:
    """Count with sets."""
    found: dict[str, float] = {"deletions": len(genes)}
    for name, network in cell.networks.items():
        near: dict[int, set[int]] = {gene: set() for gene in range(cell.num_genes)}
        for a, b in network.edges.T.tolist():
            near[a].add(b)
            near[b].add(a)
        degrees = [len(near[gene]) for gene in genes]
        pairs = list(combinations(genes, 2))
        common = [len(near[a] & near[b]) for a, b in pairs]
        jaccard = [len(near[a] & near[b]) / max(len(near[a] | near[b]), 1) for a, b in pairs]
        values: dict[str, float] = {
            "degree_min": min(degrees),
            "degree_mean": sum(degrees) / len(degrees),
            "degree_max": max(degrees),
            "edges": sum(b in near[a] for a, b in pairs),
        }
        for what, numbers in (("common", common), ("jaccard", jaccard)):
            values[f"{what}_max"] = max(numbers, default=math.nan)
            values[f"{what}_mean"] = sum(numbers) / len(numbers) if numbers else math.nan
        found |= {f"{what}.{name}": value for what, value in values.items()}
    if cell.metabolism is not None:
        found["disabled_reactions"] = len(cell.metabolism.disabled_reactions(genes))
    return found


@pytest.mark.parametrize("block", [2**22, 1])
def test_equal_counting_with_sets(block: int, tiny_dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(genotype_features, "_BLOCK", block)
    cell = tiny_dataset.cell
    features = GenotypeFeatures(cell, cell.select(None))
    rows = np.arange(0, len(tiny_dataset.genotypes), 3)
    found = features(GenotypeBatch.from_genotypes(tiny_dataset.genotypes.subset(rows)))
    expected = [plainly(cell, tiny_dataset.genotypes.genes_of(row).tolist()) for row in rows]
    assert features.names == list(expected[0])
    table = torch.tensor([list(one.values()) for one in expected], dtype=torch.float64)
    torch.testing.assert_close(found, table, rtol=1e-12, atol=0, equal_nan=True)
    assert table[:, -1].max() > 0, "some genotype disables a reaction"
    assert (table.nan_to_num(0.0).std(0) > 0).all(), "every feature varies"


def test_a_cell_of_more_genes_than_a_word_has_bits(make_dataset: Any) -> None:
    cell = make_dataset("data=demo_tiny", "data.cell.num_genes=150").cell
    features = GenotypeFeatures(cell, cell.select(["physical"]))
    for genes in ([3, 63, 64], [127, 128, 149], [62, 63, 65]):
        found = features(GenotypeBatch.from_table(np.array([genes])))[0].tolist()
        expected = plainly(cell, genes)
        assert found == pytest.approx([expected[name] for name in features.names])


def test_a_batch_of_single_deletions_has_no_pairs(tiny_cell: CellGraph) -> None:
    features = GenotypeFeatures(tiny_cell, tiny_cell.select(["physical"]))
    found = dict(
        zip(features.names, features(GenotypeBatch.from_table(np.array([[5]])))[0].tolist(), strict=True)
    )
    assert found["edges.physical"] == 0
    assert math.isnan(found["common_max.physical"])


def test_gene_features_are_summed_up_over_genes_and_pairs(tiny_cell: CellGraph) -> None:
    values = np.zeros((tiny_cell.num_genes, 2), np.float32)
    values[:4] = [[1, 5], [-2, 7], [4, 0], [0, 0]]
    table = GeneFeatures("codons", values, np.arange(tiny_cell.num_genes) < 3)
    features = GenotypeFeatures(dataclasses.replace(tiny_cell, metabolism=None), (), (table,))
    assert features.names[1:4] == ["min.codons.1", "min.codons.2", "mean.codons.1"]
    found = features(GenotypeBatch.from_table(np.array([[0, 1, 2], [0, 1, 3], [2, -1, -1], [3, -1, -1]])))
    by_name = [dict(zip(features.names, row, strict=True)) for row in found.tolist()]
    triple, one_missing, single, unknown = by_name
    assert (triple["min.codons.1"], triple["max.codons.1"]) == (-2, 4)
    assert triple["mean.codons.2"] == 4
    assert triple["product.codons.1"] == pytest.approx((-2 + 4 - 8) / 3)
    assert triple["distance.codons.1"] == pytest.approx((3 + 3 + 6) / 3)
    assert (one_missing["mean.codons.1"], one_missing["product.codons.2"]) == (-0.5, 35)
    assert single["max.codons.1"] == 4
    assert math.isnan(single["product.codons.1"])
    assert all(math.isnan(value) for name, value in unknown.items() if "codons" in name)


def test_wide_gene_features_are_reduced_to_principal_components(tiny_cell: CellGraph) -> None:
    rng = np.random.default_rng(0)
    signal = rng.standard_normal((tiny_cell.num_genes, 2)) * [3, 1]
    wide = signal @ np.linalg.qr(rng.standard_normal((80, 2)))[0].T
    known = np.arange(tiny_cell.num_genes) != 7
    table = GeneFeatures("esm", np.where(known[:, None], wide, 0).astype(np.float32), known)
    summaries = FeatureSummaries((table,))
    assert len(summaries.names) == 5 * WIDEST
    first = summaries.values[known, 0].numpy()
    assert abs(np.corrcoef(first, signal[known, 0])[0, 1]) > 0.95
    assert summaries.values[known, 2:].abs().max() < 1e-5, "two directions hold everything"
    assert not summaries.known[7].any()


def test_without_networks_and_metabolism_only_the_number_of_deletions_is_left(tiny_cell: CellGraph) -> None:
    bare = dataclasses.replace(tiny_cell, networks={}, metabolism=None)
    features = GenotypeFeatures(bare, bare.select(None))
    assert features.names == ["deletions"]
    assert features(GenotypeBatch.from_table(np.array([[5, -1], [5, 6]]))).tolist() == [[1.0], [2.0]]
