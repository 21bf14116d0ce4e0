"""The kernel between genes: a weighted sum of what they are, where they stand, and how they interact.

Shapes: N genes, m genes of training, r genes asked for.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gisearch.data.cell_graph import CellGraph
from gisearch.models.config.kernel import KernelConfig, ProfileKernelsConfig
from gisearch.models.kernels.features import FeatureKernel
from gisearch.models.kernels.genotype_sets import GenotypeSets
from gisearch.models.kernels.networks import NetworkKernel
from gisearch.models.kernels.profiles import InteractionProfiles, profile_values

_TINY = 1e-12


@dataclass(frozen=True)
class Similarity:
    """How alike genes are by what does not depend on labels.

    Attributes:
        total: the weighted sum of identity, networks and features, float64 [r, c].
        neighbours: B, a mean of identity and networks, float64 [r, c].
    """

    total: Tensor
    neighbours: Tensor


class GeneSimilarity:
    """Kernels between genes by identity, networks and features; the same for any labels."""

    def __init__(self, cell: CellGraph, config: KernelConfig) -> None:
        spread, steps = config.networks.spread, config.networks.steps
        features = config.features
        self.identity, self.own = config.identity, config.networks.own
        self.networks = [
            (weight, NetworkKernel(cell.networks[name], cell.num_genes, spread, steps))
            for name, weight in config.network_weights(cell).items()
        ]
        self.features = [
            (weight, FeatureKernel(cell.features[name], features.shape, features.bandwidth))
            for name, weight in config.feature_weights(cell).items()
        ]

    def to(self, device: torch.device) -> GeneSimilarity:
        """Move to a device."""
        for _, network in self.networks:
            network.to(device)
        for _, table in self.features:
            table.to(device)
        return self

    def between(self, rows: Tensor, columns: Tensor) -> Similarity:
        """Return how alike genes are, [r, c], of int64 [r] and [c]."""
        same = (rows.unsqueeze(1) == columns).double()
        by_network = torch.zeros_like(same)
        for weight, network in self.networks:
            by_network += weight * network.between(rows, columns)
        total = self.identity * same + by_network
        for weight, feature in self.features:
            total += weight * feature.between(rows, columns)
        weights = sum(weight for weight, _ in self.networks)
        if not weights:
            return Similarity(total, same)
        return Similarity(total, self.own * same + (1.0 - self.own) / weights * by_network)


class GeneKernel:
    """The whole kernel between genes, for the labels of one training part.

    Attributes:
        square: among the m genes of training, float64 [m, m].
    """

    def __init__(
        self,
        among: Similarity,
        training: GenotypeSets,
        labels: Tensor,
        config: ProfileKernelsConfig,
        *,
        binary: bool,
    ) -> None:
        """Compute the profiles' kernels.

        Args:
            among: how alike the m genes of training are otherwise.
            training: genotypes whose genes are 0..m - 1.
            labels: float64 [n].
            config: the kinds of profiles and their weights.
            binary: whether labels are 0 and 1.
        """
        self._among = among
        self._profiles = torch.zeros_like(among.total)
        # By weight, those whose kernel is spread over the networks.
        self._spreading: list[tuple[float, Tensor]] = []
        for kind, weights in config.kinds().items():
            values = profile_values(labels, kind, config, binary=binary)
            profiles = InteractionProfiles(training, values, len(among.total), config)
            plain = profiles.kernel()
            self._profiles += weights.plain * plain
            if weights.smoothed:
                self._profiles += weights.smoothed * profiles.kernel(among.neighbours)
            if weights.neighbours:
                self._spreading.append((weights.neighbours, plain))
        self.square = among.total + self._profiles + self._spread(among.neighbours, among.neighbours)

    def extend(self, similarity: Similarity, places: Tensor) -> Tensor:
        """Return the kernel between r genes and those of training, float64 [r, m].

        Args:
            similarity: how alike they are otherwise, [r, m].
            places: the genes' places among those of training, int64 [r], -1 where they are not among them.
        """
        known = (places >= 0).unsqueeze(1)
        profiles = torch.where(known, self._profiles[places.clamp_min(0)], 0.0)
        return similarity.total + profiles + self._spread(similarity.neighbours, self._among.neighbours)

    def among(self, similarity: Similarity, to_training: Tensor, places: Tensor) -> Tensor:
        """Return the kernel among r genes, float64 [r, r].

        Args:
            similarity: how alike they are otherwise, [r, r].
            to_training: B between them and the genes of training, float64 [r, m].
            places: the genes' places among those of training, int64 [r], -1 where they are not among them.
        """
        known = (places >= 0).unsqueeze(1) & (places >= 0)
        at = places.clamp_min(0)
        profiles = torch.where(known, self._profiles[at][:, at], 0.0)
        return similarity.total + profiles + self._spread(to_training, to_training)

    def _spread(self, rows: Tensor, columns: Tensor) -> Tensor:
        """Return the neighbours' profiles, weighted B K B of unit diagonals, [r, c], of B [r, m], [c, m]."""
        total = rows.new_zeros(len(rows), len(columns))
        for weight, plain in self._spreading:
            left = rows @ plain
            right = left if columns is rows else columns @ plain
            norms = [
                (b * product).sum(1).clamp_min(_TINY).rsqrt()
                for b, product in ((rows, left), (columns, right))
            ]
            total += weight * (left @ columns.T) * norms[0].unsqueeze(1) * norms[1]
        return total
