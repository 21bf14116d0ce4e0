"""All networks of the cell as one sparse operator: neighbour sums without edge-sized temporaries."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from gisearch.data.cell_graph import Network
from gisearch.models.layers.incidence import Incidence, Pieces, Sums


class Neighbours(nn.Module):
    """The incoming edges of G networks over N genes, stacked as G * N rows.

    Attributes:
        source: int64 [E], the source gene of every edge, sorted by network, then target.
        offsets: int64 [G * N + 1], where each (network, target) row starts in ``source``.
        row: int64 [E], the (network, target) row of every edge.
        reverse_row: int64 [E], the rows, sorted by source gene.
        reverse_offsets: int64 [N + 1], where each source gene starts in ``reverse_row``.
        piece_offsets, row_pieces: the rows cut into :class:`Pieces`; None where none is long.
        reverse_piece_offsets, reverse_row_pieces: the same of the source genes.
    """

    source: Tensor
    offsets: Tensor
    row: Tensor
    reverse_row: Tensor
    reverse_offsets: Tensor
    piece_offsets: Tensor | None
    row_pieces: Tensor | None
    reverse_piece_offsets: Tensor | None
    reverse_row_pieces: Tensor | None

    def __init__(self, networks: Sequence[Network], num_genes: int) -> None:
        super().__init__()
        edges = [torch.tensor(network.edges) for network in networks]
        source = torch.cat([edge[0] for edge in edges])
        row = torch.cat([edge[1] + i * num_genes for i, edge in enumerate(edges)])
        self._set(source, row, len(networks), num_genes)

    @classmethod
    def from_rows(cls, source: Tensor, row: Tensor, num_networks: int, num_genes: int) -> Neighbours:
        """Build from the source gene and the (network, target) row of every edge, sorted by row."""
        built = cls.__new__(cls)
        nn.Module.__init__(built)
        built._set(source, row, num_networks, num_genes)
        return built

    def _set(self, source: Tensor, row: Tensor, num_networks: int, num_genes: int) -> None:
        self.num_networks, self.num_genes = num_networks, num_genes
        by_source = torch.argsort(source, stable=True)
        # Not persistent: the cell graph is data, not a parameter of the model.
        offsets = offsets_of(row, num_networks * num_genes)
        reverse_offsets = offsets_of(source[by_source], num_genes)
        pieces, reverse_pieces = Pieces.of(offsets), Pieces.of(reverse_offsets)
        for name, tensor in (
            ("source", source),
            ("offsets", offsets),
            ("row", row),
            ("reverse_row", row[by_source]),
            ("reverse_offsets", reverse_offsets),
            ("piece_offsets", None if pieces is None else pieces.offsets),
            ("row_pieces", None if pieces is None else pieces.rows),
            ("reverse_piece_offsets", None if reverse_pieces is None else reverse_pieces.offsets),
            ("reverse_row_pieces", None if reverse_pieces is None else reverse_pieces.rows),
        ):
            self.register_buffer(name, tensor, persistent=False)

    @property
    def incidence(self) -> Incidence:
        """All networks as one matrix, [G * N, N]; on a GPU with long sums cut into pieces."""
        pieces = reverse_pieces = None
        if self.source.device.type != "cpu":
            pieces = _pieces(self.piece_offsets, self.row_pieces)
            reverse_pieces = _pieces(self.reverse_piece_offsets, self.reverse_row_pieces)
        return Incidence(
            Sums(self.source, self.offsets, pieces),
            Sums(self.reverse_row, self.reverse_offsets, reverse_pieces),
        )

    def sum(self, x: Tensor) -> Tensor:
        """Sum the features of each gene's neighbours in every network: [N, h] to [G, N, h]."""
        return self.incidence.sum(x).view(self.num_networks, self.num_genes, -1)

    def sum_with_own(self, x: Tensor, own: Tensor) -> Tensor:
        """Sum the features of each gene's neighbours and ``own`` times its own: [N, h] to [G, N, h].

        Args:
            x: [N, h].
            own: a factor per network, [G, 1, 1].
        """
        return self.incidence.sum_with_own(x, own)

    def mean(self, x: Tensor) -> Tensor:
        """Average the features of each gene's neighbours in every network: [N, h] to [G, N, h].

        A gene without neighbours gets zeros.
        """
        return self.sum(x) / self.degree

    @property
    def degree(self) -> Tensor:
        """The number of neighbours, but at least one, int64 [G, N, 1]."""
        return (self.offsets[1:] - self.offsets[:-1]).clamp_min(1).view(self.num_networks, self.num_genes, 1)


def offsets_of(rows: Tensor, num_rows: int) -> Tensor:
    """Return where each row starts in the sorted ``rows``, int64 [num_rows + 1]."""
    counts = torch.bincount(rows, minlength=num_rows)
    return torch.cat([counts.new_zeros(1), counts.cumsum(0)])


def _pieces(offsets: Tensor | None, rows: Tensor | None) -> Pieces | None:
    return None if offsets is None or rows is None else Pieces(offsets, rows)
