"""Generate the demo cell: structure, networks, metabolism, genotypes, and what would be measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import erfc

import numpy as np
import numpy.typing as npt

from gisearch.data.cell_graph import CellGraph
from gisearch.data.genotypes import Genotypes
from gisearch.data.synthetic.config import DemoCellConfig
from gisearch.data.synthetic.deletions import draw_deletions
from gisearch.data.synthetic.features import build_features
from gisearch.data.synthetic.mechanism import build_mechanism
from gisearch.data.synthetic.metabolism import build_metabolism
from gisearch.data.synthetic.networks import build_networks
from gisearch.data.synthetic.structure import Structure, build_structure, gene_names
from gisearch.errors import DataError, nearest_name
from gisearch.seeding import child_generator

STRONG_NEGATIVE = -0.08  # the threshold of Kuzmin et al., Science 360, 2018


@dataclass(frozen=True)
class DemoCell:
    """A generated cell with its answers.

    Attributes:
        cell: genes, networks, metabolism and perhaps gene features.
        genotypes: B genotypes with the measured labels ``fitness``, ``gene_interaction`` (epsilon of
            doubles, tau of triples, NaN for singles), their ``_std``, ``gene_interaction_p``, and the
            binary ``strong_negative`` (measured ``gene_interaction`` below -0.08).
        true_labels: float32 [B], ``fitness`` and ``gene_interaction`` without noise.
        structure: modules, complexes and hubs, which no model is given.
    """

    cell: CellGraph
    genotypes: Genotypes
    true_labels: Mapping[str, npt.NDArray[np.float32]]
    structure: Structure

    def noise_ceiling(self, label: str, rows: npt.ArrayLike) -> float:
        """Return the best attainable Pearson correlation with the measured label.

        It is the correlation of the noise-free with the measured values, over the genotypes ``rows``
        that have the label.

        Raises:
            DataError: the label has no noise-free values, or fewer than two different ones in ``rows``.
        """
        if label not in self.true_labels:
            raise DataError(
                f"the demo cell knows no noise ceiling of {label!r} "
                f"(it does of: {', '.join(self.true_labels)})."
                f"{nearest_name(label, self.true_labels)}"
            )
        index = np.asarray(rows, dtype=np.int64)
        true = self.true_labels[label][index].astype(np.float64)
        measured = self.genotypes.labels[label][index].astype(np.float64)
        known = ~np.isnan(true)
        if known.sum() < 2 or true[known].std() == 0 or measured[known].std() == 0:
            raise DataError(
                f"noise ceiling of {label!r}: expected at least two genotypes with different values, "
                f"got {int(known.sum())} genotypes with the label."
            )
        return float(np.corrcoef(true[known], measured[known])[0, 1])


def generate_demo_cell(config: DemoCellConfig) -> DemoCell:
    """Generate a demo cell: the same configuration gives the same cell in any process."""
    structure = build_structure(config)
    metabolism = build_metabolism(config, structure)
    networks, features = build_networks(config, structure), build_features(config, structure)
    cell = CellGraph(gene_names(config), networks, metabolism, features)
    table = draw_deletions(config, structure, metabolism)
    fitness, interaction = build_mechanism(config, structure, metabolism, table).fitness(table)
    rng = child_generator(config.seed, "demo_cell", "noise")
    # Some measurements are better than others; the root mean square is noise_sd.
    spread = 0.3
    std = config.noise_sd * np.exp(spread * rng.standard_normal(len(table)) - spread**2)
    error = std * rng.standard_normal(len(table))
    measured = interaction + error
    with np.errstate(divide="ignore", invalid="ignore"):
        z = np.abs(measured) / std
    p_value = np.array([erfc(value / np.sqrt(2)) for value in z.tolist()])
    scored = ~np.isnan(interaction)
    labels = {
        "fitness": fitness + error,
        "fitness_std": std,
        "gene_interaction": measured,
        "gene_interaction_std": np.where(scored, std, np.nan),
        "gene_interaction_p": np.where(scored, p_value, np.nan),
        "strong_negative": np.where(scored, measured < STRONG_NEGATIVE, np.nan),
    }
    genotypes = Genotypes.build(
        table, labels, binary=frozenset({"strong_negative"}), num_genes=config.num_genes
    )
    true = {"fitness": fitness.astype(np.float32), "gene_interaction": interaction.astype(np.float32)}
    return DemoCell(cell=cell, genotypes=genotypes, true_labels=true, structure=structure)
