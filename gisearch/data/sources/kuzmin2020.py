"""Kuzmin et al., "Exploring whole-genome duplicate gene retention with complex genetic interaction analysis".

Science 2020, 368:eaaz5667, Table S1. The layout is that of Kuzmin et al. 2018 with a title line above the
header and "Double/triple mutant fitness" for "Combined mutant fitness". The release is a spreadsheet: save
its sheet as tab-separated text first.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from gisearch.data.sources.kuzmin2018 import read_kuzmin2018
from gisearch.data.sources.named_genotypes import NamedGenotypes


def read_kuzmin2020(path: str | Path, *, duplicates: Literal["error", "mean"] = "mean") -> NamedGenotypes:
    """Read double and triple mutants with their scores; labels as in ``read_kuzmin2018``.

    Args:
        path: Table S1 as tab- or comma-separated text, gzip or not.
        duplicates: what to do with a gene set that is measured more than once.

    Raises:
        DataError: missing file or column, a spreadsheet, a strain ID without a gene, a score that is no
            number.
    """
    return read_kuzmin2018(path, duplicates=duplicates, what="Table S1 of Kuzmin et al. 2020")
