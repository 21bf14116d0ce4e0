import os
import time
from pathlib import Path

import numpy as np
import pytest

from gisearch.data import cache
from gisearch.data.cell_graph import CellGraph, Network
from gisearch.data.dataset import LoadReport
from gisearch.data.gene_features import GeneFeatures
from gisearch.data.gene_names import GeneNames
from gisearch.data.genotypes import Genotypes
from gisearch.data.synthetic import DemoCellConfig, generate_demo_cell
from gisearch.errors import DataError

REPORT = LoadReport(sources=("a file",), unresolved={"network x": {"NEW1": 3}}, notes=("a note",))


@pytest.fixture(autouse=True)
def cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GISEARCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def demo() -> tuple[CellGraph, Genotypes]:
    generated = generate_demo_cell(DemoCellConfig(size="tiny"))
    return generated.cell, generated.genotypes


def test_a_cell_survives_the_round_trip(tmp_path: Path) -> None:
    cell, genotypes = demo()
    assert cell.metabolism is not None
    path = tmp_path / "cell.npz"
    cache.save_cell(path, cell, genotypes, REPORT)
    again, measured, report = cache.load_cell(path)
    assert again.digest() == cell.digest()
    assert measured.digest() == genotypes.digest()
    assert measured.binary == genotypes.binary
    assert again.names == cell.names
    assert [n.directed for n in again.networks.values()] == [n.directed for n in cell.networks.values()]
    assert report == REPORT
    assert [entry.name for entry in tmp_path.iterdir()] == ["cell.npz"]


def test_aliases_and_a_cell_without_metabolism(tmp_path: Path) -> None:
    names = GeneNames(("A", "B"), ("x", ""), {"alias": ("A",), "both": ("A", "B")})
    cell = CellGraph(names, {"net": Network.from_pairs("net", [[0], [1]], directed=True, num_genes=2)})
    genotypes = Genotypes.build([[0]], {"fitness": [0.5]}, num_genes=2)
    cache.save_cell(tmp_path / "c.npz", cell, genotypes, LoadReport())
    again = cache.load_cell(tmp_path / "c.npz")[0]
    assert again.metabolism is None
    assert again.names.resolve(["ALIAS", "both", "X"]).indices.tolist() == [0, -1, 0]


def test_gene_features_survive_the_round_trip(tmp_path: Path) -> None:
    bare, genotypes = demo()
    known = np.arange(bare.num_genes) % 3 > 0
    cell = bare.with_features(
        GeneFeatures.standardised("index", np.arange(bare.num_genes)[:, None], known),
        GeneFeatures.standardised("two", np.eye(bare.num_genes)[:, :2]),
    )
    cache.save_cell(tmp_path / "cell.npz", cell, genotypes, REPORT)
    again = cache.load_cell(tmp_path / "cell.npz")[0]
    assert again.digest() == cell.digest()
    assert list(again.features) == ["index", "two"]
    assert again.features["index"].known.tolist() == known.tolist()


def test_the_file_holds_no_pickle(tmp_path: Path) -> None:
    cell, genotypes = demo()
    cache.save_cell(tmp_path / "cell.npz", cell, genotypes, REPORT)
    with np.load(tmp_path / "cell.npz", allow_pickle=False) as archive:
        assert all(archive[name].dtype != object for name in archive.files)


def test_store_and_recall() -> None:
    cell, genotypes = demo()
    assert cache.recall("key") is None
    assert cache.store("key", cell, genotypes, REPORT)
    known = cache.recall("key")
    assert known is not None
    assert known[0].digest() == cell.digest()


def test_a_damaged_file_is_not_recalled() -> None:
    cell, genotypes = demo()
    cache.store("key", cell, genotypes, REPORT)
    path = cache.cached_path("key")
    path.write_bytes(path.read_bytes()[:1000])
    assert cache.recall("key") is None
    with pytest.raises(DataError, match=r"key\.npz: not a readable cell file .*; build it again"):
        cache.load_cell(path)


def test_a_file_of_another_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cell, genotypes = demo()
    cache.save_cell(tmp_path / "cell.npz", cell, genotypes, REPORT)
    monkeypatch.setattr(cache, "FORMAT", cache.FORMAT + 1)
    with pytest.raises(DataError, match="written by another version of gisearch; build it again"):
        cache.load_cell(tmp_path / "cell.npz")


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"cell\.npz: no such file; expected a cell written by 'gisearch data build'"
    ):
        cache.load_cell(tmp_path / "cell.npz")


def test_not_being_able_to_write_is_no_error_for_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GISEARCH_CACHE", str(tmp_path / "file" / "below"))
    assert cache.store("key", *demo(), REPORT) is False
    assert cache.recall("key") is None


def test_not_being_able_to_write_a_chosen_file_is_one(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cell\.npz: cannot be written \(No such file or directory\)"):
        cache.save_cell(tmp_path / "nowhere" / "cell.npz", *demo(), REPORT)


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "cell.npz"
    cache.save_cell(path, *demo(), REPORT)
    before = path.read_bytes()

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(DataError, match="No space left on device"):
        cache.save_cell(path, *demo(), REPORT)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["cell.npz"]


def test_the_key_follows_files_and_settings(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text("one")
    key = cache.cache_key([path], {"min_score": 1})
    assert cache.cache_key([path], {"min_score": 1}) == key
    assert cache.cache_key([path], {"min_score": 2}) != key
    os.utime(path, ns=(1, 1))
    touched = cache.cache_key([path], {"min_score": 1})
    assert touched != key
    path.write_text("three")
    os.utime(path, ns=(1, 1))
    assert cache.cache_key([path], {"min_score": 1}) != touched


def test_old_files_are_forgotten(cache_folder: Path) -> None:
    cell, genotypes = demo()
    for i in range(15):
        cache.store(f"key{i}", cell, genotypes, REPORT)
        os.utime(cache.cached_path(f"key{i}"), (time.time() - 100 + i,) * 2)
    left = {path.stem for path in (cache_folder / "cells").iterdir()}
    assert len(left) == 12
    assert "key14" in left
    assert "key0" not in left


def test_the_cache_folder_defaults_to_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GISEARCH_CACHE")
    assert cache.cache_folder().name == "gisearch"
