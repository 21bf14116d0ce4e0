"""Configuration of the composite loss, without PyTorch, which only computing it needs."""

from __future__ import annotations

from pydantic import Field
from pydantic.dataclasses import dataclass

from gisearch.config import STRICT


@dataclass(frozen=True, kw_only=True, config=STRICT)
class CompositeLossConfig:
    """What is added to each label's error; a weight of 0 computes nothing.

    Attributes:
        distribution: weight of the squared Wasserstein-2 distance between predictions and labels of a batch.
        contrast: weight of the supervised contrastive regression on the embeddings that a head reads.
        cell: weight of the mean squared distance between z_w - z_i and the pooled deleted genes.
        temperature: of the contrast, in units of embedding distance.
    """

    distribution: float = Field(default=0.1, ge=0.0)
    contrast: float = Field(default=0.1, ge=0.0)
    cell: float = Field(default=0.01, ge=0.0)
    temperature: float = Field(default=2.0, gt=0.0)
