"""The shipped files are found, and what is not there is refused with the nearest name."""

from __future__ import annotations

from pathlib import Path

import pytest

from gisearch import resources
from gisearch.errors import ConfigError
from gisearch.resources import find_search_space, resource_folder


def test_the_shipped_folders_are_there() -> None:
    assert (resource_folder("conf") / "config.yaml").is_file()
    assert (resource_folder("search_spaces") / "dango_gi.yaml").is_file()


def test_a_wheel_carries_its_own_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "gisearch"
    (package / "_resources" / "conf").mkdir(parents=True)
    monkeypatch.setattr(resources, "_PACKAGE", package)
    assert resource_folder("conf") == package / "_resources" / "conf"
    assert resource_folder("search_spaces") == tmp_path / "search_spaces"


@pytest.mark.parametrize("given", ["dango_gi", "dango_gi.yaml", "search_spaces/dango_gi.yaml"])
def test_a_shipped_space_is_found_from_anywhere(
    given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_search_space(given).read_text().startswith("#")


def test_a_file_of_ones_own_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    own = Path("dango_gi.yaml")
    own.write_text("name: mine")
    assert find_search_space("dango_gi.yaml") == own


@pytest.mark.parametrize("given", ["dango_g", "search_spaces/dngo_gi.yaml", "elsewhere/dango_gi.yaml"])
def test_a_missing_space_is_an_error(given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    message = (
        rf"^no search-space file '{given}'; shipped with gisearch: .*dango_gi.* Did you mean 'dango_gi.*'\?$"
    )
    with pytest.raises(ConfigError, match=message):
        find_search_space(given)


def test_a_folder_is_no_search_space(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no search-space file"):
        find_search_space(str(tmp_path))
