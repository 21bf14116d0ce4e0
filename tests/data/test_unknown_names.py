import pytest

from gisearch.data.unknown_names import examples, gene_of_date, hint

KNOWN = {"OCT1", "SEP7"}


@pytest.mark.parametrize(
    "cell", ["1-Oct", "01-Oct", "Oct-01", "1-OCT", "44105", "2020-10-01", "2020-10-01 00:00:00", "1 October"]
)
def test_what_a_spreadsheet_makes_of_oct1(cell: str) -> None:
    assert gene_of_date(cell) == "OCT1"
    assert hint([cell], KNOWN.__contains__).endswith(
        "is OCT1 as a spreadsheet's date: format such columns as text)"
    )


@pytest.mark.parametrize("cell", ["YAL001C", "1-Abc", "2020-13-01", "SEP7", "850001", ""])
def test_what_is_no_date(cell: str) -> None:
    assert gene_of_date(cell) is None


def test_only_a_date_of_a_known_gene_is_hinted_at() -> None:
    assert hint(["1-Dec"], KNOWN.__contains__) == ""
    assert "OCT1" in hint(["NEW1", "1-Oct"], KNOWN.__contains__)


def test_other_identifiers_are_named() -> None:
    assert "looks like an Entrez number" in hint(["850001"], KNOWN.__contains__)
    assert "looks like a strain" in hint(["YAL001C_dma12"], KNOWN.__contains__)
    assert "looks like a strain" in hint(["YAL015C+YDL227C_tm461"], KNOWN.__contains__)
    assert hint(["YAL001\u0421"], KNOWN.__contains__) == (
        " ('YAL001\\u0421' holds a character that is no plain letter, digit or hyphen)"
    )
    assert hint(["NEW1"], KNOWN.__contains__) == ""


def test_three_names_are_shown_and_what_cannot_be_seen_is_escaped() -> None:
    assert examples(["A", "B\u0421", "C", "D"]) == "'A', 'B\\u0421', 'C'"
