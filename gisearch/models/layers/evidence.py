"""What the training labels tell of gene pairs by similar genes, looked up in tables: no learning needed.

Guilt by association (Oliver 2000, Nature 403: 601) with the interactions themselves as what is associated:
genes with interaction profiles like a's (Costanzo et al. 2010, Science 327: 425) vote on a pair {a, b} by
what they have with b, and those like b by what they have with a. The labels come from the cell graph's
derived networks alone, so that a genotype's own is among them only where those know it.

Shapes: N genes, m of them in the signed networks, B genotypes, K deletions each at most, P = K(K-1)/2 pairs.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from gisearch.data.cell_graph import CellGraph, Network
from gisearch.data.derived.names import NEGATIVE, POSITIVE
from gisearch.models.batch import GenotypeBatch

# Labelled pairs that a gene's mean label, a vote and an agreement are drawn towards nothing by.
_PRIOR_PAIRS, _PRIOR_VOTE = 3.0, 0.02
# A partner of many genes says less about each: labels count by (partner's pairs) ** -_RARITY in a profile.
_RARITY = 0.25
# Standard deviations beyond which a number counts no more.
_LIMIT = 5.0
# Sums come in no fixed order, and equal numbers must be equal.
_DECIMALS = 6


class PairEvidence(nn.Module):
    """Numbers that describe genotypes by the signed networks, [B, F], whatever the order of their genes.

    Of each gene: the mean label of its pairs, and how many it has; the mean over a genotype's genes. Of each
    pair, averaged over a genotype's: the difference between its genes in these two; by each of two
    similarities (of profiles, and of profiles spread along networks) the votes of similar genes, how much
    stands behind them and the similarity itself; how far the labels of common partners agree.
    What genes like a say of b and the reverse are told apart by which gene has more pairs: they are given as
    mean and difference, the latter 0 where both have as many. A gene without labelled pairs, and a pair with
    such a gene, count as average, 0. All is standardised by the labelled pairs.

    Attributes:
        width: F.
    """

    place: Tensor
    of_genes: Tensor
    directed: Tensor
    mutual: Tensor
    mean: Tensor
    std: Tensor

    def __init__(self, cell: CellGraph, networks: Sequence[Network]) -> None:
        """Count what the cell graph's signed networks hold.

        Args:
            cell: has ``derived_positive`` or ``derived_negative``, or both.
            networks: those along which profiles spread.
        """
        super().__init__()
        signed = [cell.networks[name] for name in (POSITIVE, NEGATIVE) if name in cell.networks]
        genes = np.unique(np.concatenate([network.edges.ravel() for network in signed]))
        # A table needs a place at least; without edges nothing is known of its gene.
        genes = genes if len(genes) else np.zeros(1, dtype=np.int64)
        place = torch.full((cell.num_genes,), -1, dtype=torch.int64)
        place[torch.from_numpy(genes)] = torch.arange(len(genes))
        labels, known = _labels(signed, place, len(genes))
        has_pair = known.any(1)
        place[torch.from_numpy(genes)] = torch.where(has_pair, torch.arange(len(genes)), -1)
        links = [_normalised(network, place, len(genes)) for network in networks]
        of_genes, directed, mutual = _tables(labels, known, links)
        # Not persistent: the cell graph is data, not a parameter of the model.
        self.register_buffer("place", place, persistent=False)
        self.register_buffer("of_genes", of_genes, persistent=False)
        self.register_buffer("directed", directed, persistent=False)
        self.register_buffer("mutual", mutual, persistent=False)
        self._standardise(known)
        self.width = len(self.mean)

    def _standardise(self, known: Tensor) -> None:
        """Measure every number on the labelled pairs."""
        a, b = known.nonzero().T
        rows = torch.cat([self.of_genes[:, a], self._of_pairs(a, b)]).double()
        rows = rows if rows.shape[1] else rows.new_zeros(len(rows), 1)
        std = rows.std(1, correction=0).round(decimals=_DECIMALS)
        # What is the same for all pairs tells nothing.
        scale = torch.where(std > 1e-5, std, torch.inf)
        self.register_buffer("mean", rows.mean(1).round(decimals=_DECIMALS).float(), persistent=False)
        self.register_buffer("std", scale.float(), persistent=False)

    def forward(self, batch: GenotypeBatch) -> Tensor:
        """Return the numbers of B genotypes, [B, F]."""
        place = self.place[batch.deleted]
        known = batch.present & (place >= 0)
        place = place.clamp_min(0)
        of_genes = self._scaled(self.of_genes[:, place], slice(0, len(self.of_genes)))
        width = place.shape[1]
        first, second = torch.triu_indices(width, width, 1, device=place.device)
        of_pairs = self._scaled(
            self._of_pairs(place[:, first], place[:, second]), slice(len(self.of_genes), None)
        )
        of_pairs = _average(of_pairs, known[:, first] & known[:, second])
        return torch.cat([_average(of_genes, known), of_pairs], dim=1)

    def _scaled(self, values: Tensor, rows: slice) -> Tensor:
        """Return numbers [f, B, ...] in standard deviations from the mean."""
        shape = (-1, *[1] * (values.ndim - 1))
        scaled = (values - self.mean[rows].view(shape)) / self.std[rows].view(shape)
        return scaled.clamp(-_LIMIT, _LIMIT)

    def _of_pairs(self, a: Tensor, b: Tensor) -> Tensor:
        """Return the numbers of pairs of places, [f, ...]."""
        ahead = torch.sign(self.of_genes[1, a] - self.of_genes[1, b])
        exact = self.of_genes.dtype
        by_a, by_b = self.directed[:, a, b].to(exact), self.directed[:, b, a].to(exact)
        between = (self.of_genes[:, a] - self.of_genes[:, b]) * ahead
        return torch.cat([between, (by_a + by_b) / 2, (by_a - by_b) * ahead, self.mutual[:, a, b].to(exact)])


def _average(values: Tensor, exists: Tensor) -> Tensor:
    """Return the mean of [f, B, n] over what exists, bool [B, n], as [B, f]; 0 where nothing does."""
    total = torch.where(exists, values, 0.0).sum(-1)
    return (total / exists.sum(-1).clamp_min(1)).T


def _labels(signed: Sequence[Network], place: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Return the pairs' labels, 1 or -1 or less of a measured one, and which there are, float64 [m, m]."""
    labels, known = torch.zeros(2, size, size, dtype=torch.float64)
    for network in signed:
        sign = 1.0 if network.name == POSITIVE else -1.0
        labels += sign * _adjacency(network, place, size)
        known[tuple(place[torch.from_numpy(network.edges)])] = 1.0
    return labels, known


def _tables(labels: Tensor, known: Tensor, links: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Return numbers of genes, [2, m]; of pairs in one direction, [4, m, m]; and of pairs, [3, m, m]."""
    pairs = known.sum(1)
    mean = labels.sum() / known.sum().clamp_min(1)
    centred = (labels - mean) * known
    of_genes = torch.stack([centred.sum(1) / (pairs + _PRIOR_PAIRS), torch.log1p(pairs)])
    weighted = labels * pairs.clamp_min(1).pow(-_RARITY)
    profile = _unit(weighted @ weighted.T)
    spread = torch.eye(len(labels)).double() + sum(links, torch.zeros_like(labels))
    alike = [profile, _unit(spread @ profile @ spread.T)]
    directed = list[Tensor]()
    for similarity in alike:
        # A gene does not vote on its own pairs: their labels are what is known of it already.
        weight = similarity.clamp_min(0).square().fill_diagonal_(0)
        behind = weight @ known
        directed += [(weight @ centred) / (behind + _PRIOR_VOTE), torch.log1p(behind)]
    agreement = (labels @ labels) / (known @ known + _PRIOR_PAIRS)
    # Every fold holds its own: three digits do, in half the memory.
    by_pair = torch.stack(directed).half(), torch.stack([*alike, agreement]).half()
    return of_genes.round(decimals=_DECIMALS).float(), *by_pair


def _unit(kernel: Tensor) -> Tensor:
    """Scale to a unit diagonal; a gene that is like itself in nothing is like none."""
    length = kernel.diagonal().clamp_min(0).sqrt()
    scale = torch.where(length > 1e-4, 1 / length.clamp_min(1e-4), 0.0)
    return kernel * scale.unsqueeze(1) * scale


def _adjacency(network: Network, place: Tensor, size: int) -> Tensor:
    """Return a network among m genes, its scores where it has any, symmetric float64 [m, m]."""
    source, target = place[torch.from_numpy(network.edges)]
    inside = (source >= 0) & (target >= 0)
    scores = np.ones(len(inside)) if network.scores is None else network.scores
    matrix = torch.zeros(size, size, dtype=torch.float64)
    matrix[source[inside], target[inside]] = torch.from_numpy(scores).double()[inside]
    return torch.maximum(matrix, matrix.T)


def _normalised(network: Network, place: Tensor, size: int) -> Tensor:
    """Return D^-1/2 A D^-1/2 of a network among m genes, float64 [m, m]."""
    matrix = _adjacency(network, place, size)
    scale = matrix.sum(1).clamp_min(torch.finfo(matrix.dtype).tiny).rsqrt()
    scale = torch.where(matrix.any(1), scale, 0.0)
    return matrix * scale.unsqueeze(1) * scale
