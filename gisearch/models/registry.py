"""Every model by its name. Adding a model: write its file, name its configuration here."""

from __future__ import annotations

from gisearch.models.gene_interaction_dango import GeneInteractionDangoConfig

# With a second model this becomes Annotated[First | Second, Field(discriminator="name")].
ModelConfig = GeneInteractionDangoConfig

MODELS: dict[str, type[ModelConfig]] = {"dango_gi": GeneInteractionDangoConfig}
