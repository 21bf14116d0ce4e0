"""Kuzmin et al., "Exploring whole-genome duplicate gene retention with complex genetic interaction analysis".

Science 2020, 368:eaaz5667, Table S1. The layout is that of Kuzmin et al. 2018 with a title line above the
header and "Double/triple mutant fitness" for "Combined mutant fitness". The release is a spreadsheet: save
its sheet as tab-separated text first.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from gisearch.data.sources.kuzmin2018 import LABELS, ORDER
from gisearch.data.sources.named_genotypes import NamedGenotypes
from gisearch.data.sources.strains import StrainTable, read_strains


def read_kuzmin2020(path: str | Path, *, duplicates: Literal["error", "mean"] = "mean") -> NamedGenotypes:
    """Read double and triple mutants with their scores; labels as in ``read_kuzmin2018``.

    Args:
        path: Table S1 as tab- or comma-separated text, gzip or not.
        duplicates: what to do with a gene set that is measured more than once.

    Raises:
        DataError: missing file or column, a spreadsheet, a strain ID without a gene, a score that is no
            number.
    """
    layout = StrainTable("Table S1 of Kuzmin et al. 2020", LABELS, order=ORDER)
    return read_strains(path, layout, duplicates=duplicates)
