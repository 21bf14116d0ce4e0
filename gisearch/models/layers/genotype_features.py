"""Features of a genotype that need no learning: its genes in networks, metabolism and tables of features.

Shapes: B genotypes, K deletions each at most, P = K(K-1)/2 pairs, N genes, G networks, F features.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from gisearch.data.cell_graph import CellGraph, Network
from gisearch.data.gene_features import GeneFeatures
from gisearch.models.batch import GenotypeBatch
from gisearch.models.layers.feature_summaries import FeatureSummaries
from gisearch.models.layers.gene_rules import GeneRules, deleted_genes

_BITS = 64
# Words of neighbourhoods that are compared at a time, which bounds the memory.
_BLOCK = 2**22


class GenotypeFeatures(nn.Module):
    """Features of genotypes, float64 [B, F], whatever the order of their genes.

    The number of deletions, and per network: minimum, mean and maximum of the deleted genes' degrees; the
    edges among them; maximum and mean over pairs of the number of common neighbours and of its Jaccard
    index. A direction of edges does not count. Where there is metabolism, the number of reactions whose
    gene rule fails. Of gene features, see :class:`FeatureSummaries`. A single deletion has no pairs: what is
    about them is NaN.

    Attributes:
        names: what the features are, F of them.
    """

    neighbours: Tensor
    degree: Tensor

    def __init__(
        self, cell: CellGraph, networks: Sequence[Network], tables: Sequence[GeneFeatures] = ()
    ) -> None:
        super().__init__()
        rows = [_neighbour_bits(network, cell.num_genes) for network in networks]
        words = -(-cell.num_genes // _BITS)
        bits = np.stack(rows) if rows else np.zeros((0, cell.num_genes, words), dtype=np.int64)
        # Not persistent: the cell graph is data, not a parameter of the model.
        self.register_buffer("neighbours", torch.from_numpy(bits), persistent=False)
        self.register_buffer("degree", _popcount(self.neighbours).sum(-1).double(), persistent=False)
        ruled = cell.metabolism is not None and len(cell.metabolism.complex_reaction) > 0
        self.rules = GeneRules(cell.metabolism, cell.num_genes) if cell.metabolism and ruled else None
        what = ["degree_min", "degree_mean", "degree_max", "edges"]
        what += ["common_max", "common_mean", "jaccard_max", "jaccard_mean"]
        self.names = ["deletions", *(f"{one}.{network.name}" for network in networks for one in what)]
        self.names += ["disabled_reactions"] if self.rules is not None else []
        self.summaries = FeatureSummaries(tables) if tables else None
        self.names += self.summaries.names if self.summaries is not None else []

    def forward(self, batch: GenotypeBatch) -> Tensor:
        """Return the features of B genotypes, float64 [B, F]."""
        words = self.neighbours[:, 0].numel() + (0 if self.summaries is None else len(self.summaries.names))
        size = max(1, _BLOCK // max(1, batch.deleted.shape[1] ** 2 * words))
        blocks = [self._block(batch[slice(i, i + size)]) for i in range(0, len(batch), size)]
        return torch.cat(blocks) if blocks else self.degree.new_empty(0, len(self.names))

    def _block(self, batch: GenotypeBatch) -> Tensor:
        present = batch.present
        degree = self.degree[:, batch.deleted]
        low, mean, high = _summary(degree, present.expand_as(degree))
        edges, common, jaccard = self._pairs(batch)
        shared = [edges.sum(-1)]
        for value in (common, jaccard):
            _, average, most = _summary(value, self._both(batch).expand_as(value))
            shared += [most, average]
        per_network = torch.stack([low, mean, high, *shared], dim=-1)
        columns = [present.sum(1, keepdim=True).double(), per_network.transpose(0, 1).flatten(1)]
        if self.rules is not None:
            disabled = self.rules.disabled(deleted_genes(batch))
            number = torch.bincount(disabled.genotype, minlength=len(batch))
            columns.append(number.double().unsqueeze(1))
        if self.summaries is not None:
            columns.append(self.summaries(batch))
        return torch.cat(columns, dim=1)

    def _both(self, batch: GenotypeBatch) -> Tensor:
        """Return which pairs exist, bool [B, P]."""
        first, second = _pair_columns(batch)
        return batch.present[:, first] & batch.present[:, second]

    def _pairs(self, batch: GenotypeBatch) -> tuple[Tensor, Tensor, Tensor]:
        """Return whether pairs are linked, their common neighbours and Jaccard indices, [G, B, P] each."""
        first, second = _pair_columns(batch)
        a, b = batch.deleted[:, first], batch.deleted[:, second]
        word = self.neighbours[:, a, b // _BITS]
        linked = ((word >> (b % _BITS)) & 1) * self._both(batch)
        common = _popcount(self.neighbours[:, a] & self.neighbours[:, b]).sum(-1).double()
        together = self.degree[:, a] + self.degree[:, b] - common
        return linked.double(), common, common / together.clamp_min(1)


def _pair_columns(batch: GenotypeBatch) -> tuple[Tensor, Tensor]:
    number = batch.deleted.shape[1]
    first, second = torch.triu_indices(number, number, 1, device=batch.deleted.device)
    return first, second


def _summary(values: Tensor, exists: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return minimum, mean and maximum over the last axis; NaN where nothing exists."""
    # One more entry that does not exist, because an axis of none has no minimum.
    values, exists = nn.functional.pad(values, (0, 1)), nn.functional.pad(exists, (0, 1))
    empty = ~exists.any(-1)
    low = torch.where(exists, values, torch.inf).amin(-1).masked_fill(empty, torch.nan)
    high = torch.where(exists, values, -torch.inf).amax(-1).masked_fill(empty, torch.nan)
    mean = torch.where(exists, values, 0.0).sum(-1) / exists.sum(-1)
    return low, mean, high


def _neighbour_bits(network: Network, num_genes: int) -> npt.NDArray[np.int64]:
    """Return every gene's neighbours in either direction as bits, int64 [N, words]."""
    linked = np.zeros((num_genes, -(-num_genes // _BITS) * _BITS), dtype=bool)
    source, target = network.edges
    linked[source, target] = linked[target, source] = True
    return np.packbits(linked, axis=1, bitorder="little").view(np.int64)


def _popcount(words: Tensor) -> Tensor:
    """Return the number of set bits of every int64.

    Source: Warren, Hacker's Delight, 2nd edition, section 5-1.
    """
    pairs = words - ((words >> 1) & 0x5555555555555555)
    nibbles = (pairs & 0x3333333333333333) + ((pairs >> 2) & 0x3333333333333333)
    octets = (nibbles + (nibbles >> 4)) & 0x0F0F0F0F0F0F0F0F
    return (octets * 0x0101010101010101) >> 56
