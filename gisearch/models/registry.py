"""Every model by its name. Adding a model: write its file and its configuration's, name that here."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import Field

from gisearch.models.config.additive import AdditiveEffectsConfig
from gisearch.models.config.base import BaseModelConfig
from gisearch.models.config.bilinear import BilinearEmbeddingConfig
from gisearch.models.config.boosted_trees import BoostedTreesConfig
from gisearch.models.config.dango import DangoConfig
from gisearch.models.config.gene_interaction_dango import GeneInteractionDangoConfig
from gisearch.models.config.gene_interaction_diff import GeneInteractionDiffConfig
from gisearch.models.config.hetero_cell import HeteroCellConfig
from gisearch.models.config.hetero_cell_bipartite import HeteroCellBipartiteConfig
from gisearch.models.config.interaction_diffusion import InteractionDiffusionConfig
from gisearch.models.config.kernel import PairwiseKernelConfig
from gisearch.models.config.matrix_completion import MatrixCompletionConfig
from gisearch.models.config.stacked_trees import StackedTreesConfig

ModelConfig: TypeAlias = Annotated[
    GeneInteractionDangoConfig
    | DangoConfig
    | AdditiveEffectsConfig
    | BilinearEmbeddingConfig
    | BoostedTreesConfig
    | MatrixCompletionConfig
    | InteractionDiffusionConfig
    | PairwiseKernelConfig
    | StackedTreesConfig
    | HeteroCellConfig
    | HeteroCellBipartiteConfig
    | GeneInteractionDiffConfig,
    Field(discriminator="name"),
]

MODELS: dict[str, type[BaseModelConfig]] = {
    "dango_gi": GeneInteractionDangoConfig,
    "dango": DangoConfig,
    "additive": AdditiveEffectsConfig,
    "bilinear": BilinearEmbeddingConfig,
    "boosted_trees": BoostedTreesConfig,
    "matrix_completion": MatrixCompletionConfig,
    "interaction_diffusion": InteractionDiffusionConfig,
    "kernel": PairwiseKernelConfig,
    "stacked_trees": StackedTreesConfig,
    "hetero_cell": HeteroCellConfig,
    "hetero_cell_bipartite": HeteroCellBipartiteConfig,
    "diffusion": GeneInteractionDiffConfig,
}
