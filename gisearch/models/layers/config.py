"""Configurations of the layers, without PyTorch, which only building them needs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from gisearch.config import STRICT
from gisearch.data.cell_graph import CellGraph, Network
from gisearch.data.derived.names import NEGATIVE, POSITIVE, SWITCHES
from gisearch.data.gene_features import GeneFeatures
from gisearch.errors import DataError, nearest_name

ActivationName = Literal["relu", "gelu", "silu"]


NormName = Literal["layer", "none"]


AggregationName = Literal["sum", "mean", "cross_attention", "pairwise_interaction"]


ConvolutionName = Literal["gin", "gatv2", "sage", "lightgcn"]


PerturbationName = Literal["index", "masked", "exact"]


InputsName = Literal["embedding", "features", "both"]


# The channels whose zero entries fell by more than 1 % from STRING v9.1 to v11.0: what looks like no edge
# is often one that is not known yet.
UNCERTAIN_CHANNELS = ("neighborhood", "coexpression", "experimental")


@dataclass(frozen=True, kw_only=True, config=STRICT)
class GeneInputsConfig:
    """What a model knows of genes before it looks at networks.

    Attributes:
        inputs: a learnt ``embedding`` per gene, a linear map of the data's gene ``features``, or ``both``
            added up. An embedding says nothing of a gene that no training genotype deletes.
        features: the tables of gene features to use, by name; None takes all that the data has.
    """

    inputs: InputsName = "embedding"
    features: Annotated[list[str], Field(min_length=1)] | None = None

    def check_inputs(self, cell: CellGraph) -> tuple[GeneFeatures, ...]:
        """Return the tables of gene features to read, none where embeddings alone are wanted.

        Raises:
            DataError: the cell graph has no gene features, or lacks a table that the configuration names.
        """
        if self.inputs == "embedding":
            return ()
        if not cell.features:
            raise DataError(
                f"inputs={self.inputs} asks for gene features, and the data has none; expected some from "
                "data.features or data.builtin_features, or inputs=embedding."
            )
        return cell.select_features(self.features)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class EncoderConfig(GeneInputsConfig):
    """How wild-type genes are encoded.

    Attributes:
        inputs: see :class:`GeneInputsConfig`.
        features: see there.
        networks: the gene networks to use, by name; None takes all that the data has.
        convolution: the graph convolution of every network; ``lightgcn`` has no weights, norm or
            activation of its own.
        num_layers: rounds of message passing.
        num_heads: attention heads of ``gatv2`` and of ``cross_attention``; must divide the hidden width.
        gin_mlp_layers: layers of each GIN's MLP.
        graph_aggregation: how the networks' embeddings of a gene become one, after every layer.
        bottleneck: width inside ``pairwise_interaction``.
        residual: add each layer's output, times a learnt gain, to its input, from the raw embeddings on.
        norm: norm after every convolution and on the final embeddings.
        activation: activation after every norm.
        dropout: dropout after every activation.
    """

    networks: Annotated[list[str], Field(min_length=1)] | None = None
    convolution: ConvolutionName = "gin"
    num_layers: int = Field(default=2, ge=1, le=8)
    num_heads: int = Field(default=4, ge=1, le=64)
    gin_mlp_layers: int = Field(default=2, ge=1, le=4)
    graph_aggregation: AggregationName = "mean"
    bottleneck: int = Field(default=16, ge=1, le=1024)
    residual: bool = False
    norm: NormName = "layer"
    activation: ActivationName = "relu"
    dropout: float = Field(default=0.1, ge=0.0, lt=1.0)

    def check(self, cell: CellGraph) -> tuple[Network, ...]:
        """Return the networks to encode with.

        Raises:
            DataError: the cell graph has no network, or lacks one that the configuration names; or the same
                of gene features.
        """
        self.check_inputs(cell)
        return cell.require(self.networks)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class HyperSAGNNConfig:
    """Self-attention among the deleted genes.

    Attributes:
        num_attention_layers: self-attention layers among the deleted genes.
        num_heads: attention heads; must divide the hidden width.
        dropout: dropout on the deleted genes' embeddings; high rates keep a model with few genotypes per
            gene from learning each pair by heart.
    """

    num_attention_layers: int = Field(default=2, ge=1, le=8)
    num_heads: int = Field(default=4, ge=1, le=64)
    dropout: float = Field(default=0.0, ge=0.0, lt=1.0)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class LocalPredictorConfig(HyperSAGNNConfig):
    """The local pathway, which scores the deleted genes by their own embeddings.

    Attributes:
        enabled: False leaves the local predictor and the gate out of the model altogether.
        scorer: ``hypersagnn``, or ``bilinear`` scores of gene pairs, which has no attention layers.
    """

    enabled: bool = True
    scorer: Literal["hypersagnn", "bilinear"] = "hypersagnn"


@dataclass(frozen=True, kw_only=True, config=STRICT)
class EvidencePredictorConfig:
    """The evidence pathway, which scores pairs by what similar genes' training labels tell of them.

    It reads the networks ``derived_positive`` and ``derived_negative``.

    Attributes:
        enabled: False leaves the pathway out of the model altogether.
        networks: networks along which interaction profiles spread; None takes all that the data has, but the
            signed ones.
        hidden_dim: width of the hidden layers of its MLP.
        num_layers: linear layers of the MLP.
        dropout: dropout on the numbers that the MLP reads, and between its layers.
    """

    enabled: bool = False
    networks: Annotated[list[str], Field(min_length=1)] | None = None
    hidden_dim: int = Field(default=64, ge=1, le=4096)
    num_layers: int = Field(default=2, ge=1, le=6)
    dropout: float = Field(default=0.2, ge=0.0, lt=1.0)

    def check(self, cell: CellGraph) -> tuple[Network, ...]:
        """Return the networks along which profiles spread.

        Raises:
            DataError: the cell graph has no signed network, or lacks one that the configuration names.
        """
        signed = (POSITIVE, NEGATIVE)
        if not any(name in cell.networks for name in signed):
            raise DataError(
                "model.evidence_predictor.enabled: the data has no signed network of training labels; "
                f"expected {' and '.join(SWITCHES[name] for name in signed)}."
            )
        try:
            chosen = cell.select(self.networks)
        except DataError as error:
            raise DataError(f"model.evidence_predictor.networks: {error}") from None
        return tuple(network for network in chosen if network.name not in signed)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ReconstructionConfig:
    """How much the zero entries of each network count, relative to its edges.

    Attributes:
        lambdas: the weight by network, for networks that the two keys below do not suit. A STRING channel
            stands for the networks that end with it: ``fusion`` for ``string9_1_fusion``.
        uncertain_lambda: the weight in STRING's neighborhood, coexpression and experimental channels.
        default_lambda: the weight in every other network.
    """

    lambdas: dict[str, Annotated[float, Field(ge=0.0, le=1.0)]] = Field(default_factory=dict)
    uncertain_lambda: float = Field(default=0.1, ge=0.0, le=1.0)
    default_lambda: float = Field(default=1.0, ge=0.0, le=1.0)

    def check(self, names: Sequence[str]) -> tuple[float, ...]:
        """Return the weight of the zero entries of every network, by its name.

        Raises:
            DataError: ``lambdas`` names a network that is not among ``names``.
        """
        for key in self.lambdas:
            if not any(_is_called(name, key) for name in names):
                channels = [name.rpartition("_")[2] for name in names]
                raise DataError(
                    f"model.reconstruction.lambdas: the model has no network {key!r} "
                    f"(it has: {', '.join(names)}).{nearest_name(key, [*names, *channels])}"
                )
        return tuple(self._lambda(name) for name in names)

    def _lambda(self, name: str) -> float:
        if name in self.lambdas:
            return self.lambdas[name]
        for key, value in self.lambdas.items():
            if _is_called(name, key):
                return value
        if any(_is_called(name, channel) for channel in UNCERTAIN_CHANNELS):
            return self.uncertain_lambda
        return self.default_lambda


def _is_called(name: str, key: str) -> bool:
    return name == key or name.endswith(f"_{key}")


def require_heads_divide(width: int, key: str, heads: int) -> None:
    """Raise ValueError, naming ``key``, where attention heads do not divide the width."""
    if width % heads:
        fitting = [d for d in range(1, min(width, 64) + 1) if width % d == 0]
        raise ValueError(f"{key}: {heads} heads do not divide hidden_dim {width}; expected one of {fitting}.")
