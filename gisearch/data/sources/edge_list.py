"""Generic edge lists: any table with two columns of gene names and perhaps a score."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gisearch.data.sources.gene_columns import FIRST_GENE, SECOND_GENE
from gisearch.data.sources.named_edges import NamedEdges, check_named, encode
from gisearch.data.sources.tables import open_table
from gisearch.errors import DataError

_REGULATOR = ("regulator", "transcription_factor", "tf")
_PAIRS: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = (
    (_REGULATOR, ("target", "target_gene", "gene", "regulated_gene")),
    (FIRST_GENE, SECOND_GENE),
    (("source", "from"), ("target", "to")),
    (("protein1", "protein_a"), ("protein2", "protein_b")),
    (("interactor_a", "node1"), ("interactor_b", "node2")),
)
_SCORES = ("score", "weight", "confidence")


def read_edge_list(
    path: str | Path,
    name: str,
    *,
    directed: bool | None = None,
    source_column: str | None = None,
    target_column: str | None = None,
    score_column: str | None = None,
    min_score: float | None = None,
    score_scale: float = 1.0,
    has_header: bool = True,
) -> NamedEdges:
    """Read a network from a TSV or CSV table, gzip or not.

    Args:
        path: the file.
        name: the name to give the network.
        directed: whether rows are directed; by default only where the header speaks of a regulator or
            transcription factor.
        source_column: the first gene; found from the header by default.
        target_column: the second gene; found from the header by default.
        score_column: the score; by default ``score``, ``weight`` or ``confidence`` where there is one.
        min_score: rows with a lower score, on the file's own scale, are left out.
        score_scale: scores are divided by this; they must end up in [0, 1]. A zero is no edge.
        has_header: False for a table without a header, whose columns go by ``"1"``, ``"2"``, ...

    Raises:
        DataError: missing file or column, a row without a name, a score that is no number or out of range.
    """
    header = [
        [source_column] if source_column else [name for source, _ in _PAIRS for name in source],
        [target_column] if target_column else [name for _, target in _PAIRS for name in target],
    ]
    table = open_table(path, f"the edge list of network {name!r}", header, has_header=has_header)
    if has_header:
        table.check_header()
    pair = next((p for p in _PAIRS if table.find(*p[0]) and table.find(*p[1])), None)
    if not has_header:
        pair = (("1",), ("2",))
    if pair is None and not (source_column and target_column):
        found = ", ".join(repr(column) for column in table.columns[:16])
        raise DataError(
            f"{table.path}: no two columns of gene names; expected for example 'gene1' and 'gene2', or "
            f"'regulator' and 'target', found the columns {found}: name them with "
            "columns: [first, second], or set header: false for a file without a header."
        )
    accepted = pair or ((), ())
    source = table.require(*([source_column] if source_column else accepted[0]))
    target = table.require(*([target_column] if target_column else accepted[1]))
    score = table.require(score_column) if score_column else table.find(*_SCORES)
    if score is None and min_score is not None:
        table.require(*_SCORES)
    frame = table.read([source, target], [score] if score else [])
    vocabulary, pairs = encode(frame[source], frame[target])
    check_named(pairs, table, frame, (source, target))
    if directed is None:
        directed = source == table.find(*_REGULATOR)
    if score is None:
        # A score under another name would be missed.
        unused = [column for column in table.columns if column and column not in (source, target)]
        notes = (f"network {name}: columns not used: {', '.join(unused)}",) if unused else ()
        return NamedEdges(name, table.path, vocabulary, pairs, directed=directed, notes=notes)

    raw = frame[score].to_numpy(dtype=np.float64)
    outside = ~((raw >= 0) & (raw <= score_scale))
    if outside.any():
        row = int(np.flatnonzero(outside)[0])
        got = "nothing" if np.isnan(raw[row]) else f"{raw[row]:g}"
        scale = "" if np.isnan(raw[row]) else "; set score_scale to the largest possible score"
        raise DataError(
            f"{table.path}, line {table.line(int(frame.index[row]))}, column {score!r}: expected a score "
            f"from 0 to {score_scale:g}, got {got}{scale}."
        )
    keep = (raw > 0) & (raw >= (min_score or 0.0))
    dropped = int(len(keep) - keep.sum())
    limit = f"below {min_score:g}" if min_score else "of zero"
    return NamedEdges(
        name,
        table.path,
        vocabulary,
        pairs[keep],
        (raw[keep] / score_scale).astype(np.float32),
        directed,
        (f"network {name}: {dropped:,} rows left out with a score {limit}",) if dropped else (),
    )
