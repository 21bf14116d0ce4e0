"""A sweep that goes on in another working directory."""

from __future__ import annotations

from pathlib import Path

import pytest

from gisearch.data.config import TablesData, YeastData, compose_data
from gisearch.data.load import load_dataset
from gisearch.errors import DataError
from gisearch.search.origin import found_again
from gisearch.search.plan import plan_sweep

SPACE = """
base: [model=additive, data=yeast, data.root=tables]
space:
  optimizer.lr: {float: [1.0e-3, 1.0e-2]}
"""


@pytest.fixture
def began(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which a sweep was started; the test runs in another one."""
    began, here = tmp_path / "began", tmp_path / "here"
    (began / "tables").mkdir(parents=True)
    here.mkdir()
    monkeypatch.chdir(here)
    return began


def test_relative_data_is_found_where_the_sweep_was_started(began: Path) -> None:
    Path("space.yaml").write_text(SPACE)
    plan = plan_sweep(Path("space.yaml"))
    found = found_again(plan, {"started_in": str(began)})
    assert isinstance(found.config.data, YeastData)
    assert found.config.data.root == str(began / "tables")
    assert found.configure({"optimizer.lr": 0.002}).data == found.config.data
    assert found_again(plan, {}) == plan
    Path("tables").mkdir()
    assert found_again(plan, {"started_in": str(began)}) == plan


def test_every_file_of_ones_own_tables(began: Path) -> None:
    from gisearch.data.config import started_in

    for name in ("g.tsv", "n.tsv", "l.tsv", "m.yml", "f.tsv"):
        (began / name).touch()
    config = compose_data(
        [
            "data=tables",
            "data.genes=g.tsv",
            "+data.networks.n.path=n.tsv",
            "+data.genotypes.l.path=l.tsv",
            "data.metabolism=m.yml",
            "+data.features.f.path=f.tsv",
        ]
    )
    found = started_in(config, began)
    assert isinstance(found, TablesData)
    paths = [found.genes, found.networks["n"].path, found.genotypes["l"].path, found.metabolism]
    assert paths == [str(began / name) for name in ("g.tsv", "n.tsv", "l.tsv", "m.yml")]
    assert found.features["f"].path == str(began / "f.tsv")
    for other in (["data=demo"], ["data=yeast", "data.root=tables"]):
        config = compose_data([*other, "+data.features.f.path=f.tsv"])
        assert started_in(config, began).features == found.features


def test_what_is_found_nowhere_is_named_with_its_folder(began: Path) -> None:
    for given in (
        ["data=yeast", "data.root=nowhere"],
        ["data=demo_tiny", "+data.features.f.path=nowhere.tsv"],
    ):
        with pytest.raises(DataError) as error:
            load_dataset(compose_data(given))
        assert str(error.value).endswith(f" Relative paths start at {Path.cwd()}.")


def test_home_is_home(began: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(began))
    config = compose_data(["data=yeast", "data.root='~/tables'"])
    assert isinstance(config, YeastData)
    assert config.root == str(began / "tables")
    config = compose_data(["data=demo", "+data.features.f.path='~/f.tsv'"])
    assert config.features["f"].path == str(began / "f.tsv")
