"""BioGRID TAB 3.0: physical or genetic interactions of one organism.

Format: https://wiki.thebiogrid.org/doku.php/biogrid_tab_version_3.0 (Oughtred et al., Protein Science 2021).
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np

from gisearch.data.sources.named_edges import NamedEdges, encode
from gisearch.data.sources.tables import open_table
from gisearch.errors import DataError

# Saccharomyces cerevisiae S288C in the NCBI taxonomy.
ORGANISM = 559292


def read_biogrid(
    path: str | Path, name: str, *, interaction: Literal["physical", "genetic"], organism: int = ORGANISM
) -> NamedEdges:
    """Read one undirected network of interactions between genes of ``organism``.

    A gene goes by its systematic name, or by its official symbol where BioGRID has none.

    Args:
        path: a ``.tab3.txt`` file, plain, gzip or zip.
        name: the name to give the network.
        interaction: which Experimental System Type to keep.
        organism: NCBI taxonomy identifier that both interactors must have.

    Raises:
        DataError: missing file or column, or no interaction of that type and organism.
    """
    systematic = ("Systematic Name Interactor A", "Systematic Name Interactor B")
    table = open_table(path, "a BioGRID TAB 3.0 table", [(column,) for column in systematic])
    names = [table.require(column) for column in systematic]
    symbols = [table.require(f"Official Symbol Interactor {side}") for side in "AB"]
    kind = table.require("Experimental System Type")
    organisms = [
        table.require(f"Organism ID Interactor {side}", f"Organism Interactor {side}") for side in "AB"
    ]
    frame = table.read([*names, *symbols, kind, *organisms])
    ours = np.logical_and.reduce([frame[column].astype(str) == str(organism) for column in organisms])
    wanted = (frame[kind].astype(str).str.lower() == interaction).to_numpy()
    if not (ours & wanted).any():
        found = ", ".join(sorted(set(frame[organisms[0]].astype(str)))[:5])
        raise DataError(
            f"{table.path}: no {interaction} interaction of organism {organism}; "
            f"the file's organisms are {found}."
        )
    frame = frame[ours & wanted]
    vocabulary, codes = encode(*(frame[column] for column in (*names, *symbols)))
    pairs = np.where(codes[:, :2] < 0, codes[:, 2:], codes[:, :2])
    others = int(wanted.sum() - (ours & wanted).sum())
    notes = (
        [f"network {name}: {others:,} rows left out for another organism than {organism}"] if others else []
    )
    if interaction == "genetic":
        notes.append(
            f"network {name}: genetic interactions of BioGRID may hold the very screens that are predicted; "
            "a score measured with this network may be too good"
        )
    return NamedEdges(name, table.path, vocabulary, pairs, notes=tuple(notes))
