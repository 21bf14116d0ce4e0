"""What a screening found, as a table for people: names, scores, and what was known before."""

from __future__ import annotations

import csv
from typing import TextIO

import numpy as np

from gisearch.data.dataset import Dataset
from gisearch.training.screening import Screen, Screened

ENDS = ("top", "bottom")


def write_screened(
    found: tuple[Screened, Screened],
    screen: Screen,
    dataset: Dataset,
    file: TextIO,
    *,
    delimiter: str,
    measured: bool,
) -> None:
    """Write the highest and the lowest candidates, one row each.

    The columns: ``end`` (``top`` or ``bottom``), ``rank`` from 1 at either end, ``gene1`` ... as people call
    them, ``systematic1`` ..., ``score``, ``std`` where the model has one, and ``unseen``: how many of the
    genes occur in no training genotype.

    Args:
        found: the highest and the lowest.
        screen: what was asked.
        dataset: what the model was trained on.
        file: where to write.
        delimiter: between columns.
        measured: add ``measured``, the target's measured value, empty where the genotype was not measured.
    """
    names, order = dataset.cell.names, screen.candidates.order
    trained_on = np.unique(dataset.genotypes.subset(dataset.split.train).genes)
    header = ["end", "rank"]
    header += [f"{kind}{i}" for kind in ("gene", "systematic") for i in range(1, order + 1)]
    header += ["score"] + ["std"] * (found[0].std is not None) + ["unseen"] + ["measured"] * measured
    known: dict[int, float] = {}
    if measured:
        rows, ranks = screen.candidates.find(dataset.genotypes)
        values = dataset.genotypes.labels[dataset.target.name][rows]
        known = dict(zip(ranks.tolist(), values.tolist(), strict=True))
    writer = csv.writer(file, delimiter=delimiter, lineterminator="\n")
    writer.writerow(header)
    for end, half in zip(ENDS, found, strict=True):
        unseen = (~np.isin(half.genes, trained_on)).sum(1)
        for i, genes in enumerate(half.genes.tolist()):
            row = [end, str(i + 1), *map(names.label, genes), *(names.systematic[gene] for gene in genes)]
            row.append(f"{half.scores[i]:.6g}")
            if half.std is not None:
                row.append(f"{half.std[i]:.6g}")
            row.append(str(unseen[i]))
            if measured:
                value = known.get(int(half.ranks[i]))
                row.append("" if value is None else f"{value:.6g}")
            writer.writerow(row)
