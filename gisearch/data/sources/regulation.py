"""Regulation: SGD's regulation tables and YEASTRACT's documented associations.

SGD (Engel et al., Genetics 2022) lists regulator and target by standard and systematic name.
YEASTRACT (Teixeira et al., Nucleic Acids Research 2023) offers a two-column table and a matrix with one
row per transcription factor and one column per gene, both separated by semicolons.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np

from gisearch.data.sources.cells import plain_cell
from gisearch.data.sources.named_edges import NamedEdges, check_named, encode
from gisearch.data.sources.tables import Table, open_table
from gisearch.errors import DataError

_SYSTEMATIC = (
    ("regulator_systematic_name", "regulator_systematic", "regulator_feature_name"),
    ("target_systematic_name", "target_systematic", "target_feature_name", "gene_systematic_name"),
)
_STANDARD = (
    ("regulator", "regulator_standard_name", "regulator_name", "transcription_factor", "tf"),
    (
        "target",
        "target_standard_name",
        "target_name",
        "target_gene",
        "gene_standard_name",
        "gene",
        "orf",
        "target_orf",
        "regulated_gene",
    ),
)
# Abf1p, or Yer130cp of a gene without a standard name.
_PROTEIN = re.compile(r"([A-Z][a-z]{2}\d+|Y[a-p][lr]\d{3}[wc](?:-[a-z])?)p", re.IGNORECASE)
# So much more often must proteins stand in one column than in the other to be the regulators.
_CLEARLY = 4


def read_regulation(path: str | Path, name: str) -> NamedEdges:
    """Read a directed network from regulator to target; the layout is found from the file.

    A protein name of a regulator (``Abf1p``) is read as its gene's (``ABF1``). The header tells which column
    regulates, else the names do: YEASTRACT writes regulators as proteins, and has an export with the targets
    first. Where neither tells, or they contradict each other, a note says so.

    Raises:
        DataError: missing file, or a layout that is none of the three.
    """
    what = "a regulation table of SGD or YEASTRACT"
    either = [(*a, *b) for a, b in zip(_SYSTEMATIC, _STANDARD, strict=True)]
    table = open_table(path, what, either)
    if all(table.find(*accepted) for accepted in either):
        edges = _read_pairs(table, name)
    elif len(table.columns) == 2:
        edges = _read_headerless(open_table(path, what, has_header=False), name)
    elif table.separator == ";" or _has_flags(table):
        edges = _read_matrix(table, name)
    else:
        table.require(*_STANDARD[0])
        table.require(*_STANDARD[1])
    return edges


def _read_pairs(table: Table, name: str) -> NamedEdges:
    first, second = [], []
    for systematic, standard in zip(_SYSTEMATIC, _STANDARD, strict=True):
        columns = [c for c in (table.find(*systematic), table.find(*standard)) if c]
        first.append(columns[0])
        second.append(columns[-1])
    edges, proteins = _pairs_of_columns(table, name, first, second)
    if proteins[1] > _CLEARLY * max(proteins[0], 1):
        doubt = (
            f"network {name}: the header of {table.path.name} calls {second[1]!r} the target, but "
            f"{proteins[1]:,} of its names are proteins, as regulators are written, and {proteins[0]:,} of "
            f"{first[0]!r}"
        )
        return replace(edges, notes=(doubt,))
    return edges


def _read_headerless(table: Table, name: str) -> NamedEdges:
    """Read two columns without a header; proteins regulate."""
    edges, proteins = _pairs_of_columns(table, name, ["1", "2"], ["1", "2"])
    if proteins[1] > _CLEARLY * proteins[0]:
        note = f"network {name}: the second column of {table.path.name} names proteins: it regulates"
        return replace(edges, pairs=edges.pairs[:, ::-1].copy(), notes=(note,))
    if proteins[0] <= _CLEARLY * proteins[1]:
        sizes = [len(np.unique(column)) for column in edges.pairs.T]
        more = "; it has more different names than the second, which regulators rarely have"
        note = (
            f"network {name}: neither a header nor the names of {table.path.name} tell which column "
            f"regulates; the first was taken ({sizes[0]:,} regulators, {sizes[1]:,} targets)"
            f"{more if sizes[0] > sizes[1] else ''}; a header 'regulator', 'target' would tell"
        )
        return replace(edges, notes=(note,))
    return edges


def _pairs_of_columns(
    table: Table, name: str, first: list[str], second: list[str]
) -> tuple[NamedEdges, list[int]]:
    """Read pairs from the ``first`` columns, or the ``second`` where a cell of those is empty.

    Returns:
        The edges, and how many different proteins the sources and the targets name.
    """
    frame = table.read(list(dict.fromkeys([*first, *second])))
    vocabulary, codes = encode(*(frame[column] for column in (*first, *second)))
    pairs = np.where(codes[:, :2] < 0, codes[:, 2:], codes[:, :2])
    check_named(pairs, table, frame, first)
    is_protein = np.array([_PROTEIN.fullmatch(text) is not None for text in vocabulary], dtype=bool)
    # A file may name a regulator as a protein beside the gene: both columns of a side count.
    every = [np.unique(codes[:, side::2]) for side in (0, 1)]
    proteins = [int(is_protein[used[used >= 0]].sum()) for used in every]
    return NamedEdges(name, table.path, _genes_of_proteins(vocabulary), pairs, directed=True), proteins


def _has_flags(table: Table) -> bool:
    """Return whether the first row after the header holds a name and then only 0 and 1."""
    _, cells = next(table.rows(), (0, ()))
    return len(cells) > 2 and {plain_cell(cell) for cell in cells[1:]} <= {"0", "1"}


def _read_matrix(table: Table, name: str) -> NamedEdges:
    targets: tuple[str, ...] = table.columns
    regulators: list[str] = []
    present: list[np.ndarray[tuple[int], np.dtype[np.int64]]] = []
    for number, row in table.rows():
        regulator, *cells = map(plain_cell, row)
        # The header may or may not have a cell above the regulators.
        if not regulators and len(cells) == len(targets) - 1:
            targets = targets[1:]
        if len(cells) != len(targets) or not set(cells) <= {"0", "1"}:
            raise DataError(
                f"{table.path}, line {number}: expected a regulator and {len(targets)} cells of 0 or 1, "
                "or a table with the columns 'regulator' and 'target'."
            )
        regulators.append(regulator)
        present.append(np.flatnonzero(np.array(cells) == "1"))
    rows = np.repeat(np.arange(len(regulators)), [len(p) for p in present])
    columns = np.concatenate(present) if present else np.empty(0, dtype=np.int64)
    pairs = np.stack([rows, columns + len(regulators)], axis=1).astype(np.int64)
    vocabulary = _genes_of_proteins((*regulators, *targets))
    return NamedEdges(name, table.path, vocabulary, pairs, directed=True)


def _genes_of_proteins(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(match[1].upper() if (match := _PROTEIN.fullmatch(name)) else name for name in names)
