"""Every model by its name. Adding a model: write its file, name its configuration here."""

from __future__ import annotations

from typing import TypeAlias

from gisearch.models.base import BaseModelConfig
from gisearch.models.gene_interaction_dango import GeneInteractionDangoConfig

ModelConfig: TypeAlias = GeneInteractionDangoConfig

MODELS: dict[str, type[BaseModelConfig]] = {"dango_gi": GeneInteractionDangoConfig}
