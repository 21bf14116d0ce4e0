import gzip
import re
from pathlib import Path

import pytest

from gisearch.data.gene_names import GeneNames
from gisearch.data.sources.string_links import CHANNELS, read_string_links
from gisearch.errors import DataError

NAMES = GeneNames(("YAL001C", "YAL002W", "YAL003W"))
HEADER = (
    "protein1 protein2 neighborhood fusion cooccurence coexpression experimental database textmining "
    "combined_score"
)
# As STRING lists them: every pair in both directions.
ROWS = """4932.YAL001C 4932.YAL002W 0 0 0 62 181 0 0 196
4932.YAL002W 4932.YAL001C 0 0 0 62 181 0 0 196
4932.YAL001C 4932.YAL003W 900 0 0 0 0 0 120 905
4932.YAL003W 4932.YAL001C 900 0 0 0 0 0 120 905
4932.YAL001C 4932.YFL056C 0 0 0 100 0 0 0 100
4932.YFL056C 4932.YAL001C 0 0 0 100 0 0 0 100
"""


@pytest.fixture
def links(tmp_path: Path) -> Path:
    path = tmp_path / "4932.protein.links.detailed.v11.0.txt.gz"
    path.write_bytes(gzip.compress(f"{HEADER}\n{ROWS}".encode()))
    return path


def test_one_network_per_channel(links: Path) -> None:
    networks = {n.name: n.resolve(NAMES) for n in read_string_links(links, "string11_0")}
    assert list(networks) == [f"string11_0_{channel}" for channel in CHANNELS]
    assert {name: n.network.num_edges for name, n in networks.items()} == {
        "string11_0_neighborhood": 2,
        "string11_0_fusion": 0,
        "string11_0_cooccurence": 0,
        "string11_0_coexpression": 2,
        "string11_0_experimental": 2,
        "string11_0_database": 0,
    }
    coexpression = networks["string11_0_coexpression"]
    assert coexpression.network.edges.tolist() == [[1, 0], [0, 1]]
    assert coexpression.network.scores is not None
    assert coexpression.network.scores.tolist() == pytest.approx([0.062, 0.062])
    assert coexpression.unresolved == {"YFL056C": 2}
    assert not coexpression.network.directed


def test_threshold_and_choice_of_channels(links: Path) -> None:
    (network,) = read_string_links(links, "s", channels=["coexpression"], min_score=100)
    assert network.resolve(NAMES).network.num_edges == 0
    assert network.notes == ("network s_coexpression: 2 rows left out with a score below 100",)


def test_an_unknown_channel_gives_the_nearest(links: Path) -> None:
    message = "no column 'cooccurrence'; found the columns 'protein1'"
    with pytest.raises(DataError, match=re.escape(message)) as error:
        read_string_links(links, "s", channels=["cooccurrence"])
    assert str(error.value).endswith("Did you mean 'cooccurence'?")


def test_a_table_without_channels(tmp_path: Path) -> None:
    path = tmp_path / "4932.protein.links.v11.0.txt"
    path.write_text("protein1 protein2 combined_score\n4932.YAL001C 4932.YAL002W 196\n")
    with pytest.raises(DataError, match="no column 'neighborhood'"):
        read_string_links(path, "s")


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("1001", "line 2, column 'fusion': expected a score from 0 to 1000, got 1001"),
        ("x", "line 2, column 'fusion': expected a number, got 'x'"),
        ("", "line 2, column 'fusion': expected a score from 0 to 1000, got nan"),
    ],
)
def test_bad_scores(tmp_path: Path, cell: str, message: str) -> None:
    path = tmp_path / "links.txt"
    path.write_text(f"{HEADER}\n4932.YAL001C 4932.YAL002W 0 {cell} 0 0 0 0 0 0\n")
    with pytest.raises(DataError, match=message):
        read_string_links(path, "s")
