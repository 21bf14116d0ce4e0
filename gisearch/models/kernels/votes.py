"""What the training part says of genotypes, in numbers that trees can read.

A pair {a, b} is described from both sides: by what genes like a have with b, and genes like b with a. That is
guilt by association (Oliver 2000, Nature 403: 601), with the interactions themselves as what is associated.

Shapes: n training genotypes over m genes, r genes asked for, B genotypes, P pairs in them.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gisearch.models.kernels.genotype_sets import GenotypeSets
from gisearch.models.kernels.machine import KernelMachine

# Pairs that a gene's mean label is drawn towards all of them by, and the similarity that a vote's is.
_PRIOR_PAIRS, _PRIOR_VOTE = 3.0, 0.02

NAMES = (
    *("score", "pairs_high", "pairs_low", "mean_high", "mean_low"),
    *(
        f"{side}_{what}_{by}"
        for by in ("all", "given")
        for side in ("to", "from")
        for what in ("vote", "weight")
    ),
    *("alike", "common", "agreement"),
)
_GENE_COLUMNS = 5


@dataclass(frozen=True)
class _Tables:
    """Votes of genes like a on pairs with b, for the genes that were asked for.

    Attributes:
        row: int64 [N], a gene's row; -1 where it was not asked for.
        votes: what is voted by each similarity, mean and weight in turn, float64 [4, r, m].
        alike: the kernel between genes, 1 on average of a gene with itself, float64 [r, m].
    """

    row: Tensor
    votes: Tensor
    alike: Tensor


class PairVotes:
    """Describes genotypes by a kernel model's score and by the votes of similar genes.

    ``high`` is the gene of a pair with more training pairs. Similarities are the whole kernel between genes
    (``all``) and what of it depends on no label (``given``), squared. What is about pairs is the mean over
    those of a genotype, NaN for a single deletion.
    """

    def __init__(self, machine: KernelMachine, dual: Tensor) -> None:
        """Count what the training part holds.

        Args:
            machine: the kernels of the training part.
            dual: its solution, float64 [n].
        """
        self._machine, self._dual = machine, dual
        training, size = machine.training, len(machine.kernel.square)
        row, a, b = training.pairs
        flat = torch.cat([a * size + b, b * size + a])

        def table(values: Tensor) -> Tensor:
            filled = values.new_zeros(size * size).index_add_(0, flat, torch.cat([values, values]))
            return filled.view(size, size)

        self._labels, self._known = table(machine.centred[row]), table(torch.ones_like(machine.centred[row]))
        self._pairs = self._known.sum(0)
        self._means = self._labels.sum(0) / (self._pairs + _PRIOR_PAIRS)
        self._common, self._agreement = self._known @ self._known, self._labels @ self._labels
        self._tables: _Tables | None = None

    def of(self, genes: Tensor) -> Tensor:
        """Return the numbers called :data:`NAMES` of genotypes, float64 [B, F].

        Args:
            genes: genes of the cell, int64 [B, K], -1 for none.
        """
        score = self._machine.predict(self._dual, genes)
        places = torch.where(genes >= 0, self._machine.places[genes.clamp_min(0)], -1)
        columns = [score.unsqueeze(1), self._of_genes(genes, places)]
        sets = GenotypeSets.of(genes)
        row, a, b = sets.pairs
        if not len(row):
            nothing = score.new_full((len(genes), len(NAMES) - _GENE_COLUMNS), torch.nan)
            return torch.cat([*columns, nothing], dim=1)
        described = self._of_pairs(a, b)
        known = (~described.isnan()).to(described)
        shape = len(genes), described.shape[1]
        total = described.new_zeros(shape).index_add_(0, row, described.nan_to_num())
        return torch.cat([*columns, total / known.new_zeros(shape).index_add_(0, row, known)], dim=1)

    def _of_genes(self, genes: Tensor, places: Tensor) -> Tensor:
        """Return the most and fewest training pairs of a genotype's genes, and such genes' means, [B, 4]."""
        inside = places.clamp_min(0)
        pairs = torch.where(places >= 0, self._pairs[inside], 0.0)
        means = torch.where(places >= 0, self._means[inside], 0.0)
        present = genes >= 0
        most = pairs.masked_fill(~present, -torch.inf).amax(1, keepdim=True)
        least = pairs.masked_fill(~present, torch.inf).amin(1, keepdim=True)
        chosen = [present & (pairs == extreme) for extreme in (most, least)]
        # Genes with as many pairs share the place.
        mean = [torch.where(at, means, 0.0).sum(1, keepdim=True) / at.sum(1, keepdim=True) for at in chosen]
        return torch.cat([most, least, *mean], dim=1)

    def _of_pairs(self, a: Tensor, b: Tensor) -> Tensor:
        """Return what is known of pairs of genes of the cell, float64 [P, F']."""
        tables = self._prepared(torch.cat([a, b]).unique())
        at_a, at_b = self._machine.places[a], self._machine.places[b]
        by_a = self._votes(tables, tables.row[a], at_b)
        by_b = self._votes(tables, tables.row[b], at_a)
        pairs = [torch.where(at >= 0, self._pairs[at.clamp_min(0)], 0.0) for at in (at_a, at_b)]
        ahead, behind = (pairs[0] > pairs[1]).unsqueeze(1), (pairs[0] < pairs[1]).unsqueeze(1)
        both = (by_a + by_b) / 2.0
        of_high = torch.where(ahead, by_a, torch.where(behind, by_b, both))
        of_low = torch.where(ahead, by_b, torch.where(behind, by_a, both))
        count = of_high.shape[1] // 2
        alike = torch.where(
            at_b >= 0,
            tables.alike[tables.row[a], at_b.clamp_min(0)],
            tables.alike[tables.row[b], at_a.clamp_min(0)],
        ).masked_fill((at_a < 0) & (at_b < 0), torch.nan)
        trained = (at_a >= 0) & (at_b >= 0)
        paths = [
            torch.where(trained, matrix[at_a.clamp_min(0), at_b.clamp_min(0)], 0.0)
            for matrix in (self._common, self._agreement)
        ]
        voted = [of_high[:, :count], of_low[:, :count], of_high[:, count:], of_low[:, count:]]
        return torch.cat([*voted, torch.stack([alike, *paths], dim=1)], dim=1)

    def _votes(self, tables: _Tables, row: Tensor, place: Tensor) -> Tensor:
        """Return the votes of genes like one on pairs with another, [P, 4]; 0 on genes without pairs."""
        return torch.where(place >= 0, tables.votes[:, row, place.clamp_min(0)], 0.0).T

    def _prepared(self, asked: Tensor) -> _Tables:
        """Return tables with a row for every gene that is asked for; they are kept for the next time."""
        tables = self._tables
        if tables is not None and bool((tables.row[asked] >= 0).all()):
            return tables
        if tables is not None:
            asked = torch.cat([asked, (tables.row >= 0).nonzero().squeeze(1)]).unique()
        machine = self._machine
        whole, given = machine.alike(asked)
        scale = machine.kernel.square.diagonal().mean()
        row = torch.full_like(machine.places, -1)
        row[asked] = torch.arange(len(asked), device=asked.device)
        # A gene does not vote on its own pairs: their labels are what is known of it already.
        place = machine.places[asked]
        own = (place >= 0).nonzero().squeeze(1)
        votes = list[Tensor]()
        for kernel in (whole, given):
            weight = (kernel / scale).clamp_min(0.0).square()
            weight[own, place[own]] = 0.0
            known = weight @ self._known
            votes += [(weight @ self._labels) / (known + _PRIOR_VOTE), known]
        self._tables = _Tables(row, torch.stack(votes), whole / scale)
        return self._tables
