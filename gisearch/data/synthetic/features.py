"""Generated gene features: what a measurement of every gene might tell of its module and its dosage.

Shapes: N genes, K modules, F features.
"""

from __future__ import annotations

import numpy as np

from gisearch.data.gene_features import GeneFeatures
from gisearch.data.synthetic.config import DemoCellConfig
from gisearch.data.synthetic.structure import Structure
from gisearch.seeding import child_generator

MODULES = "modules"


def build_features(config: DemoCellConfig, structure: Structure) -> dict[str, GeneFeatures]:
    """Draw the table ``modules``, or none where its width is 0.

    A gene's row is its module's code, F normal numbers, with the log of its dosage as the first of them, and
    noise on all. Some genes have no row.
    """
    width = config.feature_width
    if not width:
        return {}
    rng = child_generator(config.seed, "demo_cell", "features")
    code = rng.standard_normal((int(structure.module.max()) + 1, width))
    values = code[structure.module]
    height = np.log(structure.dosage)
    values[:, 0] = (height - height.mean()) / max(float(height.std()), 1e-9)
    values += config.feature_noise * rng.standard_normal(values.shape)
    missing = rng.permutation(config.num_genes)[: round(config.feature_missing * config.num_genes)]
    known = np.ones(config.num_genes, dtype=bool)
    known[missing] = False
    return {MODULES: GeneFeatures.standardised(MODULES, values, known)}
