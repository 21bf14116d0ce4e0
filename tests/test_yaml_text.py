"""YAML that people write: numbers are those of version 1.2, everything else is text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from gisearch.errors import ConfigError
from gisearch.search.yaml_lines import read_yaml
from gisearch.yaml_text import Loader, dump, refuse_old_numbers


def read(text: str) -> Any:
    return yaml.load(text, Loader=Loader)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("12:00", "12:00"),
        ("1:30", "1:30"),
        ("010", 10),
        ("-010", -10),
        ("0o10", 8),
        ("0x1F", 31),
        ("1_000", "1_000"),
        ("0b11", "0b11"),
        ("1e-4", 1e-4),
        ("1E2", 100.0),
        (".5", 0.5),
        ("1.", 1.0),
        ("2026-03-01", "2026-03-01"),
        ("yes", "yes"),
        ("off", "off"),
        ("True", True),
        ("false", False),
        ("~", None),
        ("", None),
        ("null", None),
        ("'1'", "1"),
    ],
)
def test_plain_values(text: str, value: Any) -> None:
    found = read(text)
    assert found == value
    assert type(found) is type(value)


@given(
    st.recursive(
        st.one_of(
            st.text(st.sampled_from("0123456789:._-+eEobxyYnNtTfF~ '\"[{#"), max_size=8),
            st.integers(),
            st.floats(allow_nan=False),
            st.booleans(),
            st.none(),
        ),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab1e", max_size=3), inner),
        max_leaves=8,
    )
)
def test_what_is_written_is_read_back_by_both_versions(document: Any) -> None:
    assert read(dump(document)) == document
    assert yaml.safe_load(dump(document)) == document


@pytest.mark.parametrize("value", ["!!set {a, b}", "!!binary aGk=", "!!timestamp 2026-03-01", "!x 1"])
def test_other_kinds_of_value_are_refused_with_their_line(value: str, tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(f"a: 1\nb: {value}\n")
    with pytest.raises(
        ConfigError, match=r"x\.yaml, line 2: not valid YAML: could not determine a constructor"
    ):
        read_yaml(path)


@pytest.mark.parametrize("text", ["a: &x [*x]", "a: " + "[" * 3000 + "]" * 3000, "a: !!int 1:30"])
def test_what_cannot_be_read_is_one_sentence(text: str, tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"x\.yaml"):
        read_yaml(path)


@pytest.mark.parametrize("value", ["12:00", "1:30", "010", "-007", "0b11", "1:30:00.5"])
def test_a_preset_with_a_number_of_the_old_kind(value: str, tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(f"a: 10\nb: [0.5, {value}]\n")
    with pytest.raises(ConfigError) as error:
        refuse_old_numbers(path)
    assert str(error.value) == (
        f"{path}, line 2: {value} is another number to some readers of YAML; expected a number in decimal "
        f"digits, or text in quotes: '{value}'."
    )
    path.write_text(f"a: '{value}'\nb: [1e-4, 0, 0.5, 2026-03-01, 24, -1.5]\n")
    refuse_old_numbers(path)


def test_shipped_presets_mean_the_same_to_everybody() -> None:
    from gisearch.resources import resource_folder

    files = [
        p for name in ("conf", "search_spaces", "clusters") for p in resource_folder(name).rglob("*.yaml")
    ]
    assert files
    for path in files:
        refuse_old_numbers(path)
