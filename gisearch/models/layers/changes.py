"""Which rows a batch of deletions changes, layer by layer: plain integer work, no features.

Row (n, b) is gene n in genotype b. After a layer it differs from the wild type's row n only if n itself
differed before, or a neighbour did, or a neighbour is deleted: next to the deleted genes after one layer,
within two hops after two. Everything a layer needs to recompute just those rows is one object per network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from gisearch.models.batch import GenotypeBatch
from gisearch.models.layers.incidence import Incidence, Sums
from gisearch.models.layers.neighbours import Neighbours

Need: TypeAlias = Literal["joint", "own", "sources", "kept_degree", "attention"]
Ints: TypeAlias = npt.NDArray[np.int64]


@dataclass(frozen=True)
class AttentionRows:
    """The incoming edges of T changed rows, from a table of the N wild-type rows and the C changed ones.

    Attributes:
        source: int64 [E], the table's row at the start of every edge, sorted by target.
        target: int64 [E], which of the T rows every edge enters.
        offsets: int64 [T + 1], where each target starts.
        own: int64 [T], the table's row of every target itself.
    """

    source: Tensor
    target: Tensor
    offsets: Tensor
    own: Tensor


@dataclass(frozen=True)
class NetworkChanges:
    """The T rows whose output in one network changes. What a convolution has not asked for is None.

    S source rows are the C rows that changed before, then the deleted ones.

    Attributes:
        gene: int64 [T], the gene of every row.
        joint: [T, N + S + C]: the wild type's row, the sources that changed, and the row itself if it did.
        own: [T, N + C]: the wild type's row, and the row itself if it changed.
        sources: [T, N + S]: the wild type's row, and the sources that changed.
        kept_degree: float32 [T, 1], the number of neighbours that are left.
        attention: all incoming edges that are left.
    """

    gene: Tensor
    joint: Incidence | None = None
    own: Incidence | None = None
    sources: Incidence | None = None
    kept_degree: Tensor | None = None
    attention: AttentionRows | None = None


@dataclass(frozen=True)
class LayerChanges:
    """One layer: from C changed rows to R changed rows.

    Attributes:
        source_gene: int64 [S], the gene of every source row, the C changed ones first.
        networks: per network, what changes in it.
        gene: int64 [R], the gene of every row that changes in any network, sorted by genotype.
        genotype: int64 [R], its genotype.
        combine: from the G * N wild-type rows and all networks' changed rows to the R rows: summed over
            networks, [R, G * N + T], or one network after the other, [G * R, G * N + T].
        residual: [R, N + C]: the row's own input, changed or not; None where nobody asks for it.
    """

    source_gene: Tensor
    networks: tuple[NetworkChanges, ...]
    gene: Tensor
    genotype: Tensor
    combine: Incidence
    residual: Incidence | None


class ChangePlanner:
    """Plans batches on one set of networks.

    Args:
        neighbours: G networks over N genes.
        needs: what the convolution asks for.
        summed: whether networks are summed, rather than handed over one by one.
        residual: whether a layer adds its input to its output.
    """

    def __init__(
        self, neighbours: Neighbours, needs: Sequence[Need], *, summed: bool, residual: bool
    ) -> None:
        self.num_genes, self.num_networks = neighbours.num_genes, neighbours.num_networks
        self.needs, self.summed, self.residual = frozenset(needs), summed, residual
        source, offsets = neighbours.source.cpu().numpy(), neighbours.offsets.cpu().numpy()
        self._incoming = [
            _Adjacency.slice(source, offsets[g * self.num_genes : (g + 1) * self.num_genes + 1])
            for g in range(self.num_networks)
        ]
        self._outgoing = [adjacency.transposed() for adjacency in self._incoming]

    def plan(self, batch: GenotypeBatch, num_layers: int) -> list[LayerChanges]:
        """Return the changes of every layer for B genotypes, on the batch's device."""
        device, size = batch.deleted.device, len(batch)
        present = batch.present.cpu().numpy()
        genotype, column = np.nonzero(present)
        # The same gene twice in a genotype is one deletion.
        lost = np.unique(genotype * self.num_genes + batch.deleted.cpu().numpy()[genotype, column])
        is_lost = np.zeros(size * self.num_genes, dtype=bool)
        is_lost[lost] = True
        changed: Ints = np.empty(0, dtype=np.int64)
        layers = []
        for _ in range(num_layers):
            layer, changed = self._layer(changed, lost, is_lost, device)
            layers.append(layer)
        return layers

    def _layer(
        self, changed: Ints, lost: Ints, is_lost: npt.NDArray[np.bool_], device: torch.device
    ) -> tuple[LayerChanges, Ints]:
        sources = np.concatenate([changed, lost])
        gene, base = sources % self.num_genes, sources - sources % self.num_genes
        is_changed = np.zeros(len(is_lost), dtype=bool)
        affected, entries = [], []
        for outgoing in self._outgoing:
            edge_source, target = outgoing.expand(gene)
            row = base[edge_source] + target
            kept = ~is_lost[row]
            edge_source, row = edge_source[kept], row[kept]
            here = np.zeros(len(is_lost), dtype=bool)
            here[row] = True
            here[changed] = True
            is_changed |= here
            affected.append(np.flatnonzero(here))
            entries.append((edge_source, row))
        after = np.flatnonzero(is_changed)
        networks, slots, start = [], [], self.num_networks * self.num_genes
        for g, (rows, (edge_source, row)) in enumerate(zip(affected, entries, strict=True)):
            where = _positions(rows, len(is_lost))
            networks.append(
                self._network(g, rows, edge_source, where[row], where, changed, len(lost), is_lost, device)
            )
            slot = where[after]
            slots.append(np.where(slot >= 0, slot + start, after % self.num_genes + g * self.num_genes))
            start += len(rows)
        table = np.stack(slots, axis=1 if self.summed else 0)
        combine = _incidence(len(slots) if self.summed else 1, table.ravel(), start, device)
        residual = None
        if self.residual:
            before = _positions(changed, len(is_lost))[after]
            own = np.where(before >= 0, before + self.num_genes, after % self.num_genes)
            residual = _incidence(1, own, self.num_genes + len(changed), device)
        layer = LayerChanges(
            source_gene=torch.from_numpy(gene).to(device),
            networks=tuple(networks),
            gene=torch.from_numpy(after % self.num_genes).to(device),
            genotype=torch.from_numpy(after // self.num_genes).to(device),
            combine=combine,
            residual=residual,
        )
        return layer, after

    def _network(
        self,
        g: int,
        rows: Ints,
        edge_source: Ints,
        edge_target: Ints,
        where: Ints,
        changed: Ints,
        num_lost: int,
        is_lost: npt.NDArray[np.bool_],
        device: torch.device,
    ) -> NetworkChanges:
        num_genes, num_changed, num_rows = self.num_genes, len(changed), len(rows)
        num_sources, gene = num_changed + num_lost, rows % num_genes
        every, own = np.arange(num_rows), where[changed]
        found: dict[str, Any] = {}
        if "joint" in self.needs:
            found["joint"] = _incidence(
                np.concatenate([every, edge_target, own]),
                np.concatenate(
                    [gene, edge_source + num_genes, np.arange(num_changed) + num_genes + num_sources]
                ),
                num_genes + num_sources + num_changed,
                device,
                num_rows,
            )
        if "own" in self.needs:
            found["own"] = _incidence(
                np.concatenate([every, own]),
                np.concatenate([gene, np.arange(num_changed) + num_genes]),
                num_genes + num_changed,
                device,
                num_rows,
            )
        if "sources" in self.needs:
            found["sources"] = _incidence(
                np.concatenate([every, edge_target]),
                np.concatenate([gene, edge_source + num_genes]),
                num_genes + num_sources,
                device,
                num_rows,
            )
        if "kept_degree" in self.needs:
            from_lost = edge_target[edge_source >= num_changed]
            degree = self._incoming[g].degree[gene] - np.bincount(from_lost, minlength=num_rows)
            found["kept_degree"] = torch.from_numpy(degree).to(device, torch.float32).unsqueeze(1)
        if "attention" in self.needs:
            found["attention"] = self._attention(g, rows, changed, is_lost, device)
        return NetworkChanges(gene=torch.from_numpy(gene).to(device), **found)

    def _attention(
        self, g: int, rows: Ints, changed: Ints, is_lost: npt.NDArray[np.bool_], device: torch.device
    ) -> AttentionRows:
        gene = rows % self.num_genes
        base = rows - gene
        target, source = self._incoming[g].expand(gene)
        row = base[target] + source
        kept = ~is_lost[row]
        target, source, row = target[kept], source[kept], row[kept]
        before = _positions(changed, len(is_lost))
        table = np.where(before[row] >= 0, before[row] + self.num_genes, source)
        own = np.where(before[rows] >= 0, before[rows] + self.num_genes, gene)
        offsets = np.concatenate([[0], np.cumsum(np.bincount(target, minlength=len(rows)))])
        tensors = (torch.from_numpy(array).to(device) for array in (table, target, offsets, own))
        return AttentionRows(*tensors)


@dataclass(frozen=True)
class _Adjacency:
    """Neighbours per gene: ``index[offsets[n] : offsets[n + 1]]``."""

    index: Ints
    offsets: Ints

    @classmethod
    def slice(cls, index: Ints, offsets: Ints) -> _Adjacency:
        return cls(index[offsets[0] : offsets[-1]], offsets - offsets[0])

    @property
    def degree(self) -> Ints:
        return np.diff(self.offsets)

    def transposed(self) -> _Adjacency:
        order = np.argsort(self.index, kind="stable")
        ends = np.cumsum(np.bincount(self.index, minlength=len(self.degree)))
        return _Adjacency(np.repeat(np.arange(len(self.degree)), self.degree)[order], np.append(0, ends))

    def expand(self, genes: Ints) -> tuple[Ints, Ints]:
        """Return every neighbour of every gene: the position in ``genes``, and the neighbour."""
        degree = self.degree[genes]
        position = np.repeat(np.arange(len(genes)), degree)
        first = np.cumsum(degree) - degree
        return position, self.index[np.arange(len(position)) + (self.offsets[genes] - first)[position]]


def _positions(rows: Ints, size: int) -> Ints:
    """Return where each of ``size`` possible rows stands in ``rows``; -1 where it does not."""
    positions = np.full(size, -1, dtype=np.int64)
    positions[rows] = np.arange(len(rows))
    return positions


def _incidence(
    row: Ints | int, column: Ints, num_columns: int, device: torch.device, num_rows: int | None = None
) -> Incidence:
    """Build from the columns of the ones, and their rows, or how many there are in every row, in order."""
    from scipy.sparse import csr_array

    if isinstance(row, int):
        offsets = np.arange(0, len(column) + 1, row)
    else:
        # Transposing is a counting sort; np.argsort takes ten times as long.
        order = csr_array(
            (np.empty(len(row), np.int8), row, np.arange(len(row) + 1)), (len(row), num_rows)
        ).tocsc()
        column, offsets = column[order.indices], order.indptr
    shape = (len(offsets) - 1, num_columns)
    by_row = csr_array((np.empty(len(column), np.int8), column, offsets), shape)
    by_column = by_row.tocsc()

    def sums(matrix: Any) -> Sums:
        return Sums(torch.from_numpy(matrix.indices).to(device), torch.from_numpy(matrix.indptr).to(device))

    return Incidence(sums(by_row), sums(by_column))
