"""Whatever stands in a file, a reader reads it or says in one sentence what is wrong with it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gisearch.data.candidates import read_genes
from gisearch.data.gene_names import GeneNames
from gisearch.data.queries import read_queries
from gisearch.data.sources.costanzo2010 import read_costanzo2010
from gisearch.data.sources.edge_list import read_edge_list
from gisearch.data.sources.genotype_table import read_genotype_table
from gisearch.data.sources.named_genotypes import resolve_genotypes
from gisearch.data.sources.regulation import read_regulation
from gisearch.data.sources.sgd_names import read_gene_names
from gisearch.errors import GisearchError

NAMES = GeneNames(("YAL001C", "YAL002W", "YAL003W"), ("TFC3", "VPS8", "EFB1"))
HEADERS = [
    ("gene1", "gene2", "gene3", "fitness"),
    ("gene", "fitness", "lethal"),
    ("regulator", "target"),
    ("systematic_name", "standard_name", "aliases"),
    ("YAL001C", "TFC3", "YAL002W", "VPS8", "0.1", "0.1", "0.5"),
]
ODD = [
    "",
    "NA",
    "0",
    "1",
    "0.5",
    "-1e3",
    "inf",
    "True",
    "1-Oct",
    "Abf1p",
    "4932.YAL002W",
    "YDL227C_sn1",
    "x y",
]
ODDER = ['"', '"x', '""', 'a"b', "a\nb", "\r", "\t", ",", ";", "#", "\x00", "\u200b", "\ufeff", "é"]
READERS: dict[str, Callable[[Path], Any]] = {
    "genotypes": lambda path: resolve_genotypes([read_genotype_table(path, duplicates="mean")], NAMES),
    "edges": lambda path: read_edge_list(path, "net").resolve(NAMES),
    "edges without a header": lambda path: read_edge_list(path, "net", has_header=False).resolve(NAMES),
    "regulation": lambda path: read_regulation(path, "net").resolve(NAMES),
    "strains": lambda path: resolve_genotypes([read_costanzo2010(path)], NAMES),
    "names": read_gene_names,
    "queries": lambda path: read_queries(path, NAMES),
    "list": lambda path: read_genes(path, NAMES),
}


@st.composite
def tables(draw: st.DrawFn) -> bytes:
    """A table of some separator and line end, most of whose cells are names."""
    header, separator = draw(st.sampled_from(HEADERS)), draw(st.sampled_from("\t,; "))
    good = st.sampled_from(["YAL001C", "TFC3", "YAL002W", "EFB1", "0.25"])
    cell = st.one_of(good, good, good, st.sampled_from(ODD), st.sampled_from(ODDER))
    row = st.lists(cell, min_size=len(header) - 1, max_size=len(header) + 1)
    rows = draw(
        st.lists(st.one_of(st.lists(good, min_size=len(header), max_size=len(header)), row), max_size=5)
    )
    text = draw(st.sampled_from(["\n", "\r\n", "\r"])).join(separator.join(r) for r in (header, *rows))
    return text.encode(draw(st.sampled_from(["utf-8", "utf-8", "utf-8-sig", "utf-16", "latin-1"])), "replace")


@pytest.mark.parametrize("reader", READERS)
@settings(max_examples=60, deadline=None, derandomize=True)
@given(content=tables())
def test_no_table_is_a_traceback(reader: str, content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.txt"
        path.write_bytes(content)
        with suppress(GisearchError):
            READERS[reader](path)
