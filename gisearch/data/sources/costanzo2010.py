"""Costanzo et al., "The genetic landscape of a cell", Science 2010, 327:425, and the fitness it stands on.

``sgadata_costanzo2009_rawdata`` and its cut-off files have no header; their tab-separated columns are query
ORF, query name, array ORF, array name, epsilon, its standard deviation, P, then (raw data alone) fitness and
standard deviation of query, array and double mutant. Single-mutant fitness is that of Baryshnikova et al.,
Nature Methods 2010, 7:1017: identifier, fitness, bootstrap standard error. An ORF may end in an allele, as in
``YAL001C_tsq12`` or ``YAL003W_damp``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from gisearch.data.sources.named_genotypes import NamedGenotypes
from gisearch.data.sources.strains import StrainTable, read_strains

_INTERACTIONS = StrainTable(
    "a table of Costanzo et al. 2010",
    {
        "gene_interaction": ("5",),
        "gene_interaction_std": ("6",),
        "gene_interaction_p": ("7",),
        "fitness": ("12",),
        "fitness_std": ("13",),
    },
    strains=(("1",), ("3",)),
    has_header=False,
)
_FITNESS = StrainTable(
    "the single-mutant fitness of Baryshnikova et al. 2010",
    {"fitness": ("2",), "fitness_std": ("3",)},
    strains=(("1",),),
    has_header=False,
)


def read_costanzo2010(path: str | Path, *, duplicates: Literal["error", "mean"] = "mean") -> NamedGenotypes:
    """Read double mutants with ``gene_interaction`` (epsilon), ``_std`` and ``_p``; raw data also fitness.

    Args:
        path: the raw data or one of the cut-off files, compressed or not.
        duplicates: what to do with a pair that is measured more than once.

    Raises:
        DataError: missing file or column, an ORF that is none, a score that is no number.
    """
    return read_strains(path, _INTERACTIONS, duplicates=duplicates)


def read_baryshnikova2010(
    path: str | Path, *, duplicates: Literal["error", "mean"] = "mean"
) -> NamedGenotypes:
    """Read single mutants with ``fitness`` (wild type = 1) and ``fitness_std``, its bootstrap standard error.

    Args:
        path: the table, compressed or not.
        duplicates: what to do with a gene of which several alleles were measured.

    Raises:
        DataError: missing file or column, an identifier that is none, a fitness that is no number.
    """
    return read_strains(path, _FITNESS, duplicates=duplicates)
