"""Configuration of :class:`gisearch.models.kernel.PairwiseKernel`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from gisearch.config import STRICT
from gisearch.data.cell_graph import CellGraph
from gisearch.data.dataset import Target
from gisearch.errors import DataError
from gisearch.models.config.base import BaseModelConfig

if TYPE_CHECKING:
    from gisearch.models.kernel import PairwiseKernel

Weight = Annotated[float, Field(ge=0.0)]
_SIGNED = {"plain": 0.25, "smoothed": 0.25, "neighbours": 0.2}


@dataclass(frozen=True, kw_only=True, config=STRICT)
class NetworkKernelsConfig:
    """Kernels between genes by the networks, one for each.

    Attributes:
        weight: how much each network counts that ``weights`` does not name.
        weights: how much single networks count, by name; 0 leaves one out.
        spread: how much of a step over the network leaves the gene.
        steps: steps over the network.
        own: the gene's own share in B, a mean of identity and networks that compares genes' profiles.
    """

    weight: float = Field(default=0.1, ge=0.0)
    weights: dict[str, Weight] = Field(default_factory=dict)
    spread: float = Field(default=0.5, gt=0.0, le=1.0)
    steps: int = Field(default=4, ge=1, le=64)
    own: float = Field(default=0.33, ge=0.0, le=1.0)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ProfileWeightsConfig:
    """How much the kernels of one kind of profile Y count, each of a unit diagonal.

    Attributes:
        plain: Y Y^T, which tells partners apart by name.
        smoothed: Y B Y^T, where partners are alike by the networks, B.
        neighbours: B Y Y^T B, the profiles of a gene's neighbours; also for genes without a profile.
    """

    plain: float = Field(default=0.0, ge=0.0)
    smoothed: float = Field(default=0.0, ge=0.0)
    neighbours: float = Field(default=0.0, ge=0.0)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ProfileKernelsConfig:
    """Kernels between genes by their pairs in the training part.

    Attributes:
        signed: of labels less ``centring``.
        positive: of their positive part alone.
        design: of which pairs there are, without labels.
        centring: what is taken from labels: 1 their mean, 0 nothing, or 0.5 where they are 0 and 1, so that
            these become opposites; between, a mean of both.
        partner_power: a partner with d pairs counts d^-power: who is paired with everybody says less.
        shrinkage: how many measurements must agree before two genes are half as alike as they look.
        triples: how much a triple counts for each of its pairs, of which a pair itself counts 1.
    """

    signed: ProfileWeightsConfig = Field(default_factory=lambda: ProfileWeightsConfig(**_SIGNED))
    positive: ProfileWeightsConfig = Field(default_factory=ProfileWeightsConfig)
    design: ProfileWeightsConfig = Field(default_factory=lambda: ProfileWeightsConfig(plain=0.2))
    centring: float = Field(default=0.0, ge=0.0, le=1.0)
    partner_power: float = Field(default=0.25, ge=0.0, le=2.0)
    shrinkage: float = Field(default=0.0, ge=0.0)
    triples: float = Field(default=0.0, ge=0.0)

    def kinds(self) -> dict[str, ProfileWeightsConfig]:
        """Return the kinds of which a kernel has a weight, by name."""
        kinds = {"signed": self.signed, "positive": self.positive, "design": self.design}
        return {name: w for name, w in kinds.items() if w.plain or w.smoothed or w.neighbours}


@dataclass(frozen=True, kw_only=True, config=STRICT)
class FeatureKernelsConfig:
    """Kernels between genes by the tables of gene features, one for each.

    Attributes:
        weight: how much each table counts that ``weights`` does not name.
        weights: how much single tables count, by name; 0 leaves one out.
        shape: ``gaussian`` of the distance, or ``linear``, the cosine.
        bandwidth: of the gaussian, in standard deviations of one feature.
    """

    weight: float = Field(default=0.1, ge=0.0)
    weights: dict[str, Weight] = Field(default_factory=dict)
    shape: Literal["gaussian", "linear"] = "gaussian"
    bandwidth: float = Field(default=1.0, gt=0.0)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class OrdersConfig:
    """How much the kernel between genotypes makes of their genes, pairs and triples.

    Attributes:
        first: of single genes.
        second: of pairs.
        third: of triples.
    """

    first: float = Field(default=0.03, ge=0.0)
    second: float = Field(default=1.0, ge=0.0)
    third: float = Field(default=1.0, ge=0.0)

    def __post_init__(self) -> None:
        if not self.first + self.second + self.third:
            raise ValueError("first, second and third are all 0; expected one at least above 0")


@dataclass(frozen=True, kw_only=True, config=STRICT)
class KernelConfig:
    """The kernels between genes and genotypes, and the linear system that they make.

    Attributes:
        identity: how much it counts that two genes are the same one.
        networks: genes by the networks.
        profile: genes by their interactions in the training part.
        features: genes by tables of features.
        orders: genotypes by their genes, pairs and triples.
        ridge: added to the kernel's diagonal: the variance of the noise.
        tolerance: of the residual, relative to the labels, at which conjugate gradients have converged.
    """

    identity: float = Field(default=0.15, ge=0.0)
    networks: NetworkKernelsConfig = Field(default_factory=NetworkKernelsConfig)
    profile: ProfileKernelsConfig = Field(default_factory=ProfileKernelsConfig)
    features: FeatureKernelsConfig = Field(default_factory=FeatureKernelsConfig)
    orders: OrdersConfig = Field(default_factory=OrdersConfig)
    ridge: float = Field(default=0.6, gt=0.0)
    tolerance: float = Field(default=1e-4, gt=0.0, lt=1.0)

    def check_genes(self, cell: CellGraph, where: str) -> None:
        """Raise DataError where a named table is not there, or nothing tells genes apart.

        Args:
            cell: the cell graph.
            where: the key of this configuration, for messages.
        """
        cell.select(self.networks.weights)
        cell.select_features(self.features.weights)
        weights = (self.identity, *self.network_weights(cell).values(), *self.feature_weights(cell).values())
        if not any(weights) and not self.profile.kinds():
            raise DataError(
                f"no kernel between genes has a weight: {where}.identity and {where}.profile are 0, and the "
                f"data has no network or features with one (networks: {', '.join(cell.networks) or 'none'}; "
                f"features: {', '.join(cell.features) or 'none'}); expected one at least above 0."
            )

    def network_weights(self, cell: CellGraph) -> dict[str, float]:
        """Return the weights of the networks that count, by name."""
        return _positive(cell.networks, self.networks.weights, self.networks.weight)

    def feature_weights(self, cell: CellGraph) -> dict[str, float]:
        """Return the weights of the tables of features that count, by name."""
        return _positive(cell.features, self.features.weights, self.features.weight)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class PairwiseKernelConfig(KernelConfig, BaseModelConfig):
    """Configuration of :class:`PairwiseKernel`.

    Attributes:
        name: tells the models apart.
        iterations: steps of conjugate gradients in every epoch, until they have converged.
        calibration_folds: parts of the training split that are predicted from the others, to learn how scores
            become probabilities, or labels; 0 takes the scores as they are.
        std_neighbours: training genotypes that a standard deviation is computed from; 0 gives none.
    """

    name: Literal["kernel"] = "kernel"
    iterations: int = Field(default=10, ge=1)
    calibration_folds: int = Field(default=3, ge=0, le=20)
    std_neighbours: int = Field(default=0, ge=0, le=2048)

    def __post_init__(self) -> None:
        if self.calibration_folds == 1:
            raise ValueError("calibration_folds is 1; expected 0 for none, or at least 2 parts")

    def check(self, cell: CellGraph, target: Target) -> None:
        """Raise DataError where a named network or table is not there, or nothing tells genes apart."""
        self.check_genes(cell, "model")

    def build(self, cell: CellGraph, target: Target) -> PairwiseKernel:
        """Build the model on a cell graph, without training genotypes.

        Raises:
            DataError: a named network or table is not there, or nothing tells genes apart.
        """
        from gisearch.models.kernel import PairwiseKernel

        self.check(cell, target)
        return PairwiseKernel(cell, target, self)


def _positive(names: Mapping[str, object], weights: Mapping[str, float], default: float) -> dict[str, float]:
    found = {name: weights.get(name, default) for name in names}
    return {name: weight for name, weight in found.items() if weight}
