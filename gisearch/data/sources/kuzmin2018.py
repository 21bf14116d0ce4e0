"""Kuzmin et al., "Systematic analysis of complex genetic interactions", Science 2018, 360:eaao1729, Data S1.

One row per query strain (two deletions, or one and the neutral *ho*) and array strain (one deletion).
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from gisearch.data.sources.named_genotypes import NamedGenotypes
from gisearch.data.sources.strains import StrainTable, read_strains

LABELS = {
    "gene_interaction": (
        "Adjusted genetic interaction score (epsilon or tau)",
        "Adjusted genetic interaction score",
    ),
    "gene_interaction_p": ("P-value", "p value"),
    "fitness": ("Combined mutant fitness", "Double/triple mutant fitness"),
    "fitness_std": (
        "Combined mutant fitness standard deviation",
        "Double/triple mutant fitness standard deviation",
    ),
}
ORDER = "Combined mutant type"


def read_kuzmin2018(path: str | Path, *, duplicates: Literal["error", "mean"] = "mean") -> NamedGenotypes:
    """Read double and triple mutants with their scores.

    Labels: ``gene_interaction`` is the adjusted score (epsilon for double, tau for triple mutants),
    ``gene_interaction_p`` its p-value, ``fitness`` the combined mutant's fitness (wild type = 1),
    ``fitness_std`` its standard deviation.

    Args:
        path: ``aao1729_data_s1.tsv``, compressed or not.
        duplicates: what to do with a gene set that is measured more than once.

    Raises:
        DataError: missing file or column, a strain ID without a gene, a score that is no number.
    """
    layout = StrainTable("Data S1 of Kuzmin et al. 2018", LABELS, order=ORDER)
    return read_strains(path, layout, duplicates=duplicates)
