"""Costanzo et al., "A global genetic interaction network maps a wiring diagram", Science 2016, 353:aaf1420.

Data file S1: SGA_NxN, SGA_ExE, SGA_ExN_NxE and SGA_DAmP, one row per query strain, array strain and
temperature. Query strains are deletions (``sn``), temperature-sensitive alleles (``tsq``), DAmP alleles
(``damp``) and suppressors (``S``); array strains are deletions (``dma``) and temperature-sensitive alleles
(``tsa``).
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from gisearch.data.sources.named_genotypes import NamedGenotypes
from gisearch.data.sources.strains import StrainTable, read_strains

_LABELS = {
    "gene_interaction": (
        "Genetic interaction score (\u03b5)",
        "Genetic interaction score",
        "Genetic interaction score (epsilon)",
    ),
    "gene_interaction_p": ("P-value", "p value"),
    "fitness": ("Double mutant fitness",),
    "fitness_std": ("Double mutant fitness standard deviation",),
}
_STRAIN_LABELS = {
    "fitness": ("Single mutant fitness (26\u00b0)", "Single mutant fitness (26)"),
    "fitness_std": ("Single mutant fitness (26\u00b0) stddev", "Single mutant fitness (26) stddev"),
}


def read_costanzo2016(path: str | Path, *, duplicates: Literal["error", "mean"] = "mean") -> NamedGenotypes:
    """Read double mutants with their scores.

    Labels: ``gene_interaction`` is epsilon, ``gene_interaction_p`` its p-value, ``fitness`` the double
    mutant's fitness (wild type = 1), ``fitness_std`` its standard deviation. Alleles and temperatures of one
    pair of genes are one genotype. A row with *ho* is a single mutant: its fitness is one, its score none.

    Args:
        path: one of the four SGA tables, compressed or not.
        duplicates: what to do with a pair that is measured more than once, in this table or in others.

    Raises:
        DataError: missing file or column, a strain ID without a gene, a score that is no number.
    """
    layout = StrainTable("an SGA table of Costanzo et al. 2016", _LABELS)
    return read_strains(path, layout, duplicates=duplicates)


def read_costanzo2016_strains(
    path: str | Path, *, duplicates: Literal["error", "mean"] = "mean"
) -> NamedGenotypes:
    """Read the single mutants of the strain table with ``fitness`` and ``fitness_std``.

    Fitness is that at 26 degrees, at which all kinds of strains were measured; for deletions the release
    gives the same at 30 degrees.

    Args:
        path: the sheet of ``strain_ids_and_single_mutant_fitness.xlsx``, saved as text.
        duplicates: what to do with a gene of which several strains were measured.

    Raises:
        DataError: missing file or column, a strain ID without a gene, a fitness that is no number.
    """
    layout = StrainTable(
        "the strain table of Costanzo et al. 2016", _STRAIN_LABELS, strains=(("Strain ID",),)
    )
    return read_strains(path, layout, duplicates=duplicates)
