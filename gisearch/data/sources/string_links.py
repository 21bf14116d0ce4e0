"""STRING ``protein.links.detailed``: one network per evidence channel.

Format: space separated, ``protein1 protein2`` as ``<taxon>.<systematic name>`` (``4932.YAL001C``), then
one column per channel with scores from 0 to 1000 (Szklarczyk et al., Nucleic Acids Research 2023,
https://string-db.org). Both directions of a pair are listed.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from gisearch.data.sources.named_edges import NamedEdges, check_named, encode
from gisearch.data.sources.tables import open_table
from gisearch.errors import DataError

# The six that DANGO uses (Zhang et al. 2020); `cooccurence` is STRING's own spelling.
CHANNELS = ("neighborhood", "fusion", "cooccurence", "coexpression", "experimental", "database")
_SCALE = 1000.0


def read_string_links(
    path: str | Path, name: str, *, channels: Sequence[str] = CHANNELS, min_score: float | None = None
) -> list[NamedEdges]:
    """Read one undirected network per channel, called ``<name>_<channel>``.

    Args:
        path: ``4932.protein.links.detailed.v*.txt``, gzip or not.
        name: what the networks' names begin with.
        channels: the channels to read.
        min_score: lowest score to keep, on STRING's scale of 0 to 1000; a zero is never an edge.

    Raises:
        DataError: missing file or channel, or a score that is no number from 0 to 1000.
    """
    table = open_table(path, "a STRING protein.links.detailed table", (("protein1",), ("protein2",)))
    ends = (table.require("protein1"), table.require("protein2"))
    columns = [table.require(channel) for channel in channels]
    frame = table.read(ends, columns)
    vocabulary, pairs = encode(frame[ends[0]], frame[ends[1]])
    check_named(pairs, table, frame, ends)
    networks = []
    for channel, column in zip(channels, columns, strict=True):
        raw = frame[column].to_numpy(dtype=np.float64)
        outside = np.flatnonzero(~((raw >= 0) & (raw <= _SCALE)))
        if len(outside):
            line = table.line(int(frame.index[outside[0]]))
            raise DataError(
                f"{table.path}, line {line}, column {column!r}: expected a score from 0 to 1000, "
                f"got {raw[outside[0]]:g}."
            )
        keep = (raw > 0) & (raw >= (min_score or 0.0))
        weak = int(((raw > 0) & ~keep).sum())
        networks.append(
            NamedEdges(
                f"{name}_{channel}",
                table.path,
                vocabulary,
                pairs[keep],
                (raw[keep] / _SCALE).astype(np.float32),
                notes=(f"network {name}_{channel}: {weak:,} rows left out with a score below {min_score:g}",)
                if weak and min_score
                else (),
            )
        )
    return networks
