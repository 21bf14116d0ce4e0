"""What similar genes' labels tell of a pair: looked up, it is what is computed by hand."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
import torch

from gisearch.data.cell_graph import CellGraph, Network
from gisearch.data.derived.names import NEGATIVE, POSITIVE
from gisearch.data.gene_names import GeneNames
from gisearch.models.batch import GenotypeBatch
from gisearch.models.layers.evidence import PairEvidence

GENES, IN_PAIRS = 14, 12
Floats = npt.NDArray[np.float64]


def pairs_of(seed: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return pairs among the first genes, of high and of low labels."""
    every = np.stack(np.triu_indices(IN_PAIRS, 1))
    drawn = every[:, np.random.default_rng(seed).permutation(every.shape[1])]
    return drawn[:, :15], drawn[:, 15:40]


def cell_of(high: npt.ArrayLike, low: npt.ArrayLike) -> CellGraph:
    chain = np.stack([np.arange(GENES - 1), np.arange(1, GENES)])
    networks = [
        Network.from_pairs(name, pairs, directed=False, num_genes=GENES)
        for name, pairs in (("chain", chain), (NEGATIVE, low), (POSITIVE, high))
    ]
    names = GeneNames(tuple(f"g{i}" for i in range(GENES)))
    return CellGraph(names, {network.name: network for network in networks})


@pytest.fixture
def cell() -> CellGraph:
    return cell_of(*pairs_of(0))


def evidence_of(cell: CellGraph) -> PairEvidence:
    return PairEvidence(cell, [cell.networks["chain"]])


def batch_of(*genotypes: list[int]) -> GenotypeBatch:
    width = max(len(genotype) for genotype in genotypes)
    return GenotypeBatch.from_table(np.array([g + [-1] * (width - len(g)) for g in genotypes]))


def unit(kernel: Floats) -> Floats:
    return np.asarray(kernel / np.sqrt(np.outer(np.diag(kernel), np.diag(kernel))))


class Plain:
    """The same numbers gene by gene, without a table."""

    def __init__(self, cell: CellGraph) -> None:
        self.label: dict[tuple[int, int], float] = {}
        for name, value in ((POSITIVE, 1.0), (NEGATIVE, -1.0)):
            self.label |= {(int(a), int(b)): value for a, b in cell.networks[name].edges.T}
        self.mean = sum(self.label.values()) / len(self.label)
        self.partners = {g: {b for a, b in self.label if a == g} for g in range(IN_PAIRS)}
        rows = np.zeros((IN_PAIRS, IN_PAIRS))
        for (a, b), value in self.label.items():
            rows[a, b] = value / len(self.partners[b]) ** 0.25
        profile = unit(rows @ rows.T)
        link = np.eye(IN_PAIRS)
        ends = {0, IN_PAIRS - 1}  # within the genes that have pairs
        for a in range(IN_PAIRS - 1):
            share = math.prod(1 if g in ends else 2 for g in (a, a + 1))
            link[a, a + 1] = link[a + 1, a] = 1 / math.sqrt(share)
        self.alike = [profile, unit(link @ profile @ link.T)]

    def of_gene(self, gene: int) -> list[float]:
        own = [self.label[gene, p] - self.mean for p in self.partners[gene]]
        return [sum(own) / (len(own) + 3), math.log1p(len(own))]

    def voted(self, a: int, b: int) -> list[float]:
        """What genes like a have with b."""
        found = []
        for alike in self.alike:
            voters = [c for c in self.partners[b] if c != a]
            weight = [max(alike[a, c], 0) ** 2 for c in voters]
            sums = sum(w * (self.label[c, b] - self.mean) for w, c in zip(weight, voters, strict=True))
            found += [sums / (sum(weight) + 0.02), math.log1p(sum(weight))]
        return found

    def of_pair(self, a: int, b: int) -> Floats:
        mine, yours = np.array(self.of_gene(a)), np.array(self.of_gene(b))
        ahead = np.sign(mine[1] - yours[1])
        by_a, by_b = np.array(self.voted(a, b)), np.array(self.voted(b, a))
        common = self.partners[a] & self.partners[b]
        agreement = sum(self.label[a, c] * self.label[b, c] for c in common) / (len(common) + 3)
        mutual = [*(alike[a, b] for alike in self.alike), agreement]
        parts = [(mine - yours) * ahead, (by_a + by_b) / 2, (by_a - by_b) * ahead, mutual]
        return np.concatenate(parts)

    def standardised(self, pairs: list[tuple[int, int]]) -> Floats:
        """Numbers of pairs, those of genes first, in standard deviations over the labelled pairs."""

        def both(a: int, b: int) -> Floats:
            return np.concatenate([self.of_gene(a), self.of_pair(a, b)])

        known = np.array([both(a, b) for a, b in self.label])
        mean, std = known.mean(0), known.std(0)
        genes = np.array([(np.array(self.of_gene(a)) + self.of_gene(b)) / 2 for a, b in pairs])
        rows = np.concatenate([genes, [self.of_pair(a, b) for a, b in pairs]], axis=1)
        return np.asarray((rows - mean) / std)


def test_pairs_have_what_is_counted_gene_by_gene(cell: CellGraph) -> None:
    pairs = [(a, b) for a in range(IN_PAIRS) for b in range(a)]
    found = evidence_of(cell)(batch_of(*[[a, b] for a, b in pairs])).double().numpy()
    np.testing.assert_allclose(found, Plain(cell).standardised(pairs).clip(-5, 5), atol=6e-3)


def test_a_triple_has_the_mean_of_its_genes_and_of_its_pairs(cell: CellGraph) -> None:
    evidence = evidence_of(cell)
    triple, *pairs = evidence(batch_of([2, 5, 9], [2, 5], [2, 9], [5, 9]))
    torch.testing.assert_close(triple, torch.stack(pairs).mean(0))


def test_a_single_deletion_has_its_gene_s_numbers_alone(cell: CellGraph) -> None:
    evidence = evidence_of(cell)
    alone, padded = evidence(batch_of([4])), evidence(batch_of([4], [4, 7]))[:1]
    assert torch.equal(alone, padded)
    assert alone[0, :2].abs().min() > 0
    assert not alone[0, 2:].any()


def test_the_order_of_genes_does_not_matter(cell: CellGraph) -> None:
    evidence = evidence_of(cell)
    torch.testing.assert_close(evidence(batch_of([2, 5, 9])), evidence(batch_of([9, 2, 5])))


def test_unknown_genes_count_as_average(cell: CellGraph) -> None:
    evidence = evidence_of(cell)
    assert not evidence(batch_of([12, 13])).any()
    torch.testing.assert_close(evidence(batch_of([3, 13])), evidence(batch_of([3, -1])))


@pytest.mark.parametrize("pairs", [np.zeros((2, 0), dtype=np.int64), np.array([[0], [1]])])
def test_few_pairs_or_none_are_no_evidence(pairs: npt.NDArray[np.int64]) -> None:
    empty = np.zeros((2, 0), dtype=np.int64)
    found = evidence_of(cell_of(pairs, empty))(batch_of([0, 1], [2, 3]))
    assert torch.isfinite(found).all()
    assert not found.any()


def test_one_sign_is_enough() -> None:
    high, _ = pairs_of(1)
    cell = cell_of(high, np.zeros((2, 0), dtype=np.int64))
    found = evidence_of(cell)(batch_of([0, 1], [2, 3]))
    assert torch.isfinite(found).all()
    assert found.any()


def test_measured_labels_count_by_their_size(cell: CellGraph) -> None:
    network = cell.networks[POSITIVE]
    scores = np.linspace(0.1, 1.0, network.num_edges)
    weighted = Network.from_pairs(POSITIVE, network.edges, scores, directed=False, num_genes=GENES)
    batch = batch_of([0, 1], [2, 3])
    assert not torch.equal(evidence_of(cell.with_networks(weighted))(batch), evidence_of(cell)(batch))
