"""What is derived from the training labels, and how."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from gisearch.config import STRICT
from gisearch.data.derived.names import (
    NEGATIVE,
    POSITIVE,
    PROFILE,
    PROFILE_FEATURES,
    SMOOTHED_PROFILE,
    TRIPLES,
)

SimilarityName = Literal["none", "raw", "smoothed", "both"]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ProfileConfig:
    """Networks of genes whose interactions with all other genes look alike.

    Attributes:
        similarity: ``raw`` compares profiles partner by partner, ``smoothed`` counts partners that are close
            in the networks as well; ``both`` makes two networks.
        top_k: every gene is linked to so many most similar ones.
        min_similarity: similarity, of at most 1, below which genes are not linked.
        smoothing_networks: the networks that partners are close in; None takes all that the data has.
        steps: steps of the diffusion that says how close.
    """

    similarity: SimilarityName = "none"
    top_k: int = Field(default=20, ge=1, le=1000)
    min_similarity: float = Field(default=0.0, ge=0.0, lt=1.0)
    smoothing_networks: Annotated[list[str], Field(min_length=1)] | None = None
    steps: int = Field(default=4, ge=1, le=16)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class DerivedConfig:
    """Networks and features derived from the labels of pairs in the training part; by default none.

    Attributes:
        negative: a network of the pairs whose label is low: 0 of a binary label.
        positive: a network of the pairs whose label is high: 1 of a binary label.
        triples: a network of the pairs within triple deletions whose label is 1, or far from the mean: of
            those that train, and of those that no part of the split holds.
        threshold: of a measured label, how many standard deviations from the mean are low or high.
        profile: networks of genes with similar profiles.
        profile_features: width of a table of features that hold every gene's profile; 0 makes none.
        smooth_features: the features are of profiles smoothed as ``profile`` says.
        label: the label that it all comes from; None is the one that the model learns.
        folds: parts of the training genotypes, each of which trains on what the others derive.
        seed: draws the folds and the features' projection.
    """

    negative: bool = False
    positive: bool = False
    triples: bool = False
    threshold: float = Field(default=1.0, ge=0.0, le=10.0)
    profile: ProfileConfig = Field(default_factory=ProfileConfig)
    profile_features: int = Field(default=0, ge=0, le=1024)
    smooth_features: bool = False
    label: str | None = None
    folds: int = Field(default=5, ge=2, le=100)
    seed: int = Field(default=0, ge=0)

    @property
    def networks(self) -> tuple[str, ...]:
        """The names of the networks that are asked for, in their order."""
        similarity = self.profile.similarity
        asked = {
            NEGATIVE: self.negative,
            POSITIVE: self.positive,
            TRIPLES: self.triples,
            PROFILE: similarity in ("raw", "both"),
            SMOOTHED_PROFILE: similarity in ("smoothed", "both"),
        }
        return tuple(name for name, wanted in asked.items() if wanted)

    @property
    def features(self) -> tuple[str, ...]:
        """The names of the tables of features that are asked for."""
        return (PROFILE_FEATURES,) if self.profile_features else ()

    @property
    def is_off(self) -> bool:
        """Whether nothing is asked for."""
        return not self.networks and not self.features

    @property
    def smooths(self) -> bool:
        """Whether anything is smoothed by networks."""
        return SMOOTHED_PROFILE in self.networks or (self.smooth_features and self.profile_features > 0)
