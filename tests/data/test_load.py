import dataclasses
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gisearch.config import build
from gisearch.data import cache
from gisearch.data.config import DataConfig, DemoData, TablesData
from gisearch.data.dataset import Dataset
from gisearch.data.load import load_dataset, load_tables
from gisearch.data.synthetic import DemoCellConfig
from gisearch.errors import ConfigError, DataError

UNUSED = "network physical: columns not used: n_complexes"
GENES = [f"YAL{i:03d}W" for i in range(12)]


@pytest.fixture(autouse=True)
def cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GISEARCH_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def yeast(tmp_path: Path) -> Path:
    """Write a yeast folder: 12 genes, a ring of regulation, doubles of both classes, negative triples."""
    root = tmp_path / "yeast"
    root.mkdir()
    rows = [f"{gene}\tG{i}" for i, gene in enumerate(GENES)]
    (root / "genes.tsv").write_text("\n".join(["systematic_name\tstandard_name", *rows]) + "\n")
    ring = [f"{GENES[i]}\t{GENES[(i + 1) % 11]}" for i in range(11)]
    (root / "yeastract_regulatory.tsv").write_text(
        "\n".join(["regulator\ttarget", *ring, "Q0010\tG1"]) + "\n"
    )
    (root / "complexportal_physical.tsv").write_text("gene1\tgene2\tn_complexes\nG0\tG1\t2\n")
    (root / "string9_1_fusion.tsv").write_text("gene1\tgene2\tscore\nG0\tG2\t0.4\n")
    pairs = [(i, j) for i in range(11) for j in range(i)]
    doubles = [f"{GENES[i]}\t{GENES[j]}\t\t2\t{(i + j) % 2}" for i, j in pairs]
    triples = [f"G{i}\tG{i + 1}\tG{i + 2}\t3\t1" for i in range(8)]
    header = "gene1\tgene2\tgene3\torder\tstrong_negative"
    (root / "kuzmin2018_significant.tsv").write_text("\n".join([header, *doubles, *triples]) + "\n")
    singles = [f"{gene}\t0.{i:02d}" for i, gene in enumerate(GENES)]
    (root / "costanzo2016_smf.tsv").write_text("\n".join(["gene\tfitness", *singles]) + "\n")
    return root


def load(**values: Any) -> Dataset:
    return load_dataset(build(DataConfig, values, "data"))  # type: ignore[arg-type]


def test_yeast_joins_networks_and_genotypes(yeast: Path) -> None:
    data = load(source="yeast", root=str(yeast))
    assert {name: n.num_edges for name, n in data.cell.networks.items()} == {
        "regulatory": 11,
        "physical": 2,
        "string9_1_fusion": 2,
    }
    assert data.cell.networks["regulatory"].directed
    assert data.genotypes.order.tolist().count(1) == 12
    assert (data.target.name, data.target.kind) == ("strong_negative", "binary")
    assert data.report.unresolved == {"network regulatory": {"Q0010": 1}}
    assert data.noise_ceiling is None


def test_a_binary_target_is_learned_from_orders_with_both_classes(yeast: Path) -> None:
    data = load(source="yeast", root=str(yeast))
    used = np.concatenate([data.split.train, data.split.val, data.split.test])
    assert set(data.genotypes.order[used].tolist()) == {2}
    assert data.report.notes == (
        UNUSED,
        "target strong_negative: genotypes of order 2 only, because all 8 of order 3 belong to one class; "
        "set data.orders to change that",
    )
    both = load(source="yeast", root=str(yeast), orders=[2, 3])
    used = np.concatenate([both.split.train, both.split.val, both.split.test])
    assert len(used) == 55 + 8
    assert both.report.notes == (UNUSED,)


def test_single_mutant_fitness_is_a_regression_target(yeast: Path) -> None:
    data = load(source="yeast", root=str(yeast), target="fitness")
    assert data.target.kind == "regression"
    assert sum(len(data.split.part(part)) for part in ("train", "val", "test")) == 12


def test_genes_in_no_network_are_counted_and_named(yeast: Path) -> None:
    data = load(source="yeast", root=str(yeast), target="fitness")
    note = "gene in no network: 1 genes of 1 labelled genotypes are in no network (YAL011W)"
    assert data.report.notes == (UNUSED, note)
    with pytest.raises(
        DataError, match=re.escape(f"{note}; add a network that holds them or set data.isolated")
    ):
        load(source="yeast", root=str(yeast), target="fitness", isolated_genes="error")
    assert load(source="yeast", root=str(yeast), isolated_genes="error").genotypes is not None


def test_networks_can_be_chosen(yeast: Path) -> None:
    data = load(source="yeast", root=str(yeast), networks=["string9_1_fusion", "regulatory"])
    assert list(data.cell.networks) == ["string9_1_fusion", "regulatory"]


def test_a_relative_root_starts_at_the_working_directory(
    yeast: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(yeast.parent)
    assert load(source="yeast", root="yeast").cell.num_genes == 12


def test_the_seed_of_the_split_changes_the_split_only(yeast: Path) -> None:
    one, two = (load(source="yeast", root=str(yeast), seed=seed) for seed in (0, 1))
    assert one.cell.digest() == two.cell.digest()
    assert one.split.digest() != two.split.digest()
    assert one.split.digest() == load(source="yeast", root=str(yeast)).split.digest()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"target": "fitnes"},
            "data.target: 'fitnes' is not measured in this data (it has: strong_negative, fitness)",
        ),
        (
            {"target": "fitness", "orders": [2, 3]},
            "data.orders: no genotype of order 2, 3 measures 'fitness'; those",
        ),
        (
            {"networks": ["phisical"]},
            "holds no network 'phisical' (it holds: regulatory, physical, string9_1_fusion",
        ),
        ({"metabolism": True}, "data.metabolism: the folder"),
        ({"orders": [3]}, "data.split: only 0 genotypes have the label 0; expected at least 3"),
    ],
)
def test_impossible_wishes(yeast: Path, values: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=re.escape(message)):
        load(source="yeast", root=str(yeast), **values)


def test_a_missing_root_gives_the_nearest_folder(yeast: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(yeast.parent)
    with pytest.raises(
        DataError, match=r"data.root: no folder 'yaest' \(looked in .*genes\.tsv.*mean 'yeast'\?"
    ):
        load(source="yeast", root="yaest")


@pytest.mark.parametrize(
    ("gone", "message"),
    [
        (["genes.tsv"], "holds no genes.tsv; expected genes.tsv, a genotype table"),
        (
            ["kuzmin2018_significant.tsv", "costanzo2016_smf.tsv"],
            "holds no kuzmin2018_significant.tsv.gz or costanzo",
        ),
        (
            ["yeastract_regulatory.tsv", "complexportal_physical.tsv", "string9_1_fusion.tsv"],
            "holds no network",
        ),
    ],
)
def test_a_root_without_a_needed_table(yeast: Path, gone: list[str], message: str) -> None:
    for name in gone:
        (yeast / name).unlink()
    with pytest.raises(DataError, match=re.escape(message)):
        load(source="yeast", root=str(yeast))


def test_the_second_load_comes_from_the_cache(yeast: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = load(source="yeast", root=str(yeast))

    def refuse(*_: object) -> None:
        raise AssertionError("read again")

    monkeypatch.setattr("gisearch.data.sources.assemble.assemble", refuse)
    second = load(source="yeast", root=str(yeast), seed=3)
    assert second.cell.digest() == first.cell.digest()
    assert second.genotypes.digest() == first.genotypes.digest()
    assert second.report == first.report
    with pytest.raises(AssertionError, match="read again"):
        load(source="yeast", root=str(yeast), networks=["physical"])


def test_a_changed_file_is_read_again(yeast: Path) -> None:
    assert load(source="yeast", root=str(yeast)).cell.networks["physical"].num_edges == 2
    (yeast / "complexportal_physical.tsv").write_text("gene1\tgene2\nG0\tG1\nG3\tG4\n")
    assert load(source="yeast", root=str(yeast)).cell.networks["physical"].num_edges == 4


def test_an_unwritable_cache_is_no_error(yeast: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GISEARCH_CACHE", str(yeast / "genes.tsv"))
    assert load(source="yeast", root=str(yeast)).cell.num_genes == 12


def test_tables_of_any_format(yeast: Path) -> None:
    (yeast / "links.txt").write_text(
        "protein1 protein2 neighborhood fusion cooccurence coexpression experimental database\n"
        f"4932.{GENES[0]} 4932.{GENES[1]} 0 200 0 0 900 0\n"
    )
    data = load(
        source="tables",
        genes=str(yeast / "genes.tsv"),
        networks={
            "ring": {"path": str(yeast / "yeastract_regulatory.tsv"), "format": "regulation"},
            "string": {
                "path": str(yeast / "links.txt"),
                "format": "string",
                "channels": ["fusion", "experimental"],
            },
        },
        genotypes={
            "screen": {"path": str(yeast / "kuzmin2018_significant.tsv")},
            "single": {"path": str(yeast / "costanzo2016_smf.tsv")},
        },
        target="fitness",
    )
    assert {n: net.num_edges for n, net in data.cell.networks.items()} == {
        "ring": 11,
        "string_fusion": 2,
        "string_experimental": 2,
    }
    assert data.genotypes.binary == {"strong_negative"}


def test_without_a_gene_table_every_name_is_a_gene(tmp_path: Path) -> None:
    (tmp_path / "net.tsv").write_text("gene1\tgene2\nb\ta\nB\tc\n")
    rows = [f"{a},{b},{i / 10}" for i, (a, b) in enumerate([("A", "b"), ("a", "c"), ("b", "c"), ("a", "d")])]
    (tmp_path / "screen.csv").write_text("\n".join(["gene1,gene2,gene_interaction", *rows]) + "\n")
    data = load(
        source="tables",
        networks={"net": {"path": str(tmp_path / "net.tsv")}},
        genotypes={"screen": {"path": str(tmp_path / "screen.csv")}},
    )
    assert [name.lower() for name in data.cell.names.systematic] == ["a", "b", "c", "d"]
    assert data.report.sources[0] == "genes: 4 different names in the files, without a table of gene names"
    assert data.report.unresolved == {}


@pytest.mark.parametrize("key", ["networks", "genotypes"])
def test_tables_need_networks_and_genotypes(yeast: Path, key: str) -> None:
    files = {
        "networks": {"net": {"path": str(yeast / "complexportal_physical.tsv")}},
        "genotypes": {"screen": {"path": str(yeast / "costanzo2016_smf.tsv")}},
    }
    del files[key]
    with pytest.raises(DataError, match=f"data.{key}: at least one file is required"):
        load(source="tables", target="fitness", **files)


def test_a_missing_file_is_reported_by_its_reader(yeast: Path) -> None:
    files = {"net": {"path": str(yeast / "complexportal_phisical.tsv")}}
    screen = {"screen": {"path": str(yeast / "costanzo2016_smf.tsv")}}
    with pytest.raises(
        DataError, match=r"no such file; expected the edge list.*'complexportal_physical.tsv'\?"
    ):
        load(source="tables", target="fitness", networks=files, genotypes=screen)


def test_two_networks_of_one_name(yeast: Path) -> None:
    links = yeast / "links.txt"
    links.write_text("protein1 protein2 fusion\n4932.A 4932.B 200\n")
    shutil.copy(links, yeast / "more.txt")
    with pytest.raises(DataError, match="two networks are called 's_fusion'; rename one"):
        load(
            source="tables",
            target="fitness",
            networks={
                "s": {"path": str(links), "format": "string", "channels": ["fusion"]},
                "s_fusion": {"path": str(yeast / "complexportal_physical.tsv")},
            },
            genotypes={"screen": {"path": str(yeast / "costanzo2016_smf.tsv")}},
        )


def test_tables_can_bypass_the_cache(yeast: Path, tmp_path: Path) -> None:
    config = build(
        TablesData,
        {
            "genes": str(yeast / "genes.tsv"),
            "networks": {"net": {"path": str(yeast / "complexportal_physical.tsv")}},
            "genotypes": {"screen": {"path": str(yeast / "costanzo2016_smf.tsv")}},
        },
    )
    load_tables(config, use_cache=False)
    assert not (cache.cache_folder() / "cells").exists()


def screened(yeast: Path, network: str, genes: str | None = "genes.tsv", **values: Any) -> Dataset:
    """Load the folder's double deletions with another network."""
    (yeast / "net.csv").write_text(network)
    return load(
        source="tables",
        genes=genes and str(yeast / genes),
        networks={"net": {"path": str(yeast / "net.csv")}},
        genotypes={"screen": {"path": str(yeast / "kuzmin2018_significant.tsv")}},
        target="strong_negative",
        **values,
    )


ENTREZ = "gene1,gene2\n850001,860001\n850002,860002\n"


def test_a_network_in_other_identifiers_is_an_error(yeast: Path) -> None:
    message = (
        "2 of 2 rows of network net (100.0 %) were left out: their names are not among the genes of "
        f"{yeast / 'genes.tsv'}, such as '850001', '850002', '860001' ('850001' looks like an Entrez "
        "number: map such columns to gene names first); expected at most 50% (data.max_unknown) to be left "
        "out; data.max_unknown=1 lifts this."
    )
    for _ in range(2):  # once read, once recalled
        with pytest.raises(DataError, match=re.escape(message)):
            screened(yeast, ENTREZ)
        assert screened(yeast, ENTREZ, max_unknown=1.0).cell.networks["net"].num_edges == 0


def test_a_network_that_shares_no_gene_with_the_screen_is_an_error_without_a_table_of_genes(
    yeast: Path,
) -> None:
    screen = yeast / "kuzmin2018_significant.tsv"
    screen.write_text("\n".join(line for line in screen.read_text().splitlines() if "\tG" not in line) + "\n")
    message = (
        "network net: none of its 4 genes (850001, 850002, 860001, ...) is deleted in any genotype (YAL000W,"
    )
    with pytest.raises(DataError, match=re.escape(message)):
        screened(yeast, ENTREZ, genes=None)
    assert screened(yeast, ENTREZ, genes=None, max_unknown=1.0).cell.networks["net"].num_edges == 4


def test_a_table_of_genes_that_lacks_most_of_a_screen_is_an_error(yeast: Path) -> None:
    (yeast / "few.tsv").write_text("\n".join(["systematic_name", *GENES[:5]]) + "\n")
    network = f"gene1,gene2\n{GENES[0]},{GENES[1]}\n"
    with pytest.raises(DataError, match=r"53 of 63 rows of kuzmin2018_significant\.tsv \(84\.1 %\)"):
        screened(yeast, network, genes="few.tsv")
    report = screened(yeast, network, genes="few.tsv", max_unknown=0.9).report
    assert report.warnings()[0] == (
        "left out for unknown genes such as 'G0', 'G1', 'G2': 53 of 63 rows of "
        "kuzmin2018_significant.tsv (84.1 %)"
    )


def test_what_was_left_out_is_recalled_from_the_cache(yeast: Path) -> None:
    network = f"gene1,gene2\n{GENES[0]},{GENES[1]}\n{GENES[0]},Q0010\n{GENES[1]},{GENES[2]}\n"
    first, second = (screened(yeast, network).report for _ in range(2))
    assert first == second
    assert first.warnings()[0] == (
        "left out for unknown genes such as 'Q0010': 1 of 3 rows of network net (33.3 %)"
    )


@pytest.mark.parametrize("genes", ["genes.tsv", None])
def test_prefixes_of_string_are_known_in_an_edge_list(yeast: Path, genes: str | None) -> None:
    network = f"gene1,gene2\n4932.{GENES[0]},4932.{GENES[1]}\n"
    data = screened(yeast, network, genes=genes)
    assert data.cell.networks["net"].num_edges == 2
    assert set(data.cell.networks["net"].edges.ravel()) <= set(data.genotypes.genes)


def test_the_demo_knows_its_noise_ceiling() -> None:
    data = load_dataset(DemoData(cell=DemoCellConfig(size="tiny")))
    assert data.target.name == "gene_interaction"
    assert data.noise_ceiling is not None
    assert set(data.noise_ceiling) == {"train", "val", "test"}
    assert all(0.3 < ceiling < 1 for ceiling in data.noise_ceiling.values())
    assert load_dataset(DemoData(cell=DemoCellConfig(size="tiny"))).digest() == data.digest()


def test_a_demo_label_without_a_known_truth_has_no_ceiling() -> None:
    data = load_dataset(DemoData(cell=DemoCellConfig(size="tiny"), target="strong_negative"))
    assert data.target.kind == "binary"
    assert data.noise_ceiling is None
    used = np.concatenate([data.split.train, data.split.val, data.split.test])
    assert set(data.genotypes.order[used].tolist()) == {2, 3}


class TestFeatures:
    """Gene features of every source: resolved, counted, cached, in the digest."""

    @pytest.fixture
    def codons(self, tmp_path: Path) -> str:
        path = tmp_path / "codons.tsv"
        rows = [f"G{i}\t{i % 3}\t{i * i}" for i in range(9)]
        path.write_text("\n".join(["gene\tcai\tlength", *rows, "NEW1\t1\t1"]) + "\n")
        return str(path)

    def test_of_the_yeast_folder(self, yeast: Path, codons: str) -> None:
        values = {"features": {"codons": {"path": codons}}, "builtin_features": ["degrees"]}
        data = load(source="yeast", root=str(yeast), **values)
        assert {name: table.width for name, table in data.cell.features.items()} == {
            "codons": 2,
            "degrees": 4,
        }
        assert data.cell.features["codons"].known.tolist() == [True] * 9 + [False] * 3
        assert "features codons: 10 rows of codons.tsv; 1 with unknown genes left out" in data.report.sources
        assert data.report.unresolved["features codons"] == {"NEW1": 1}
        deleted = "of the 11 that labelled genotypes delete"
        assert data.report.notes[-2:] == (
            f"features codons: 2 numbers for 9 of 12 genes, for 9 {deleted}",
            f"features degrees: 4 numbers for 12 of 12 genes, for 11 {deleted}",
        )
        bare = load(source="yeast", root=str(yeast))
        assert bare.digest() != data.digest()
        assert not bare.cell.features

    def test_are_recalled_from_the_cache_and_read_again_when_they_change(
        self, yeast: Path, codons: str
    ) -> None:
        def digest(**options: Any) -> str:
            features = {"codons": {"path": codons, **options}}
            return load(source="yeast", root=str(yeast), features=features).cell.digest()

        first = digest()
        assert digest() == first
        assert digest(standardise=False) != first
        assert digest(columns=["cai"]) != first
        Path(codons).write_text("gene\tcai\tlength\nG0\t1\t2\nG1\t0\t1\n")
        assert digest() != first

    def test_of_tables_without_gene_names_add_no_gene(self, tmp_path: Path) -> None:
        (tmp_path / "net.csv").write_text("gene1,gene2\nA,B\nB,C\n")
        singles = [f"{gene},0.{i}" for i, gene in enumerate("ABC")]
        (tmp_path / "g.csv").write_text("\n".join(["gene1,fitness", *singles]) + "\n")
        np.savez(tmp_path / "f.npz", genes=np.array(["a", "c", "x"]), values=np.ones((3, 2)))
        data = load(
            source="tables",
            target="fitness",
            networks={"net": {"path": str(tmp_path / "net.csv")}},
            genotypes={"g": {"path": str(tmp_path / "g.csv")}},
            features={"f": {"path": str(tmp_path / "f.npz"), "standardise": False}},
        )
        assert data.cell.names.systematic == ("A", "B", "C")
        assert data.cell.features["f"].values.tolist() == [[1, 1], [0, 0], [1, 1]]
        assert data.report.unresolved == {"features f": {"X": 1}}

    def test_of_the_demo(self, tmp_path: Path) -> None:
        demo = DemoData(cell=DemoCellConfig(size="tiny", feature_width=3))
        names = load_dataset(demo).cell.names
        (tmp_path / "f.csv").write_text(f"gene,x\n{names.systematic[2]},1\n{names.label(5)},2\n")
        given = {"f": {"path": str(tmp_path / "f.csv")}}
        cell = {"size": "tiny", "feature_width": 3}
        data = load(source="demo", cell=cell, features=given)
        assert {name: int(t.known.sum()) for name, t in data.cell.features.items()} == {"modules": 36, "f": 2}
        with pytest.raises(DataError, match="the demo cell has a table 'modules' of its own"):
            load(source="demo", cell=cell, features={"modules": given["f"]})

    def test_generated_ones_leave_the_demo_as_it_is(self) -> None:
        bare, cell = (
            load_dataset(DemoData(cell=DemoCellConfig(size="tiny", feature_width=width))).cell
            for width in (0, 3)
        )
        assert not bare.features
        assert dataclasses.replace(cell, features={}).digest() == bare.digest() == "dfd8792d260fd034"
        again = load_dataset(DemoData(cell=DemoCellConfig(size="tiny", feature_width=3))).cell
        assert again.digest() == cell.digest()

    @pytest.mark.parametrize(
        ("values", "message"),
        [
            (
                {"features": {"degrees": {"path": "x"}}, "builtin_features": ["degrees"]},
                "two tables of gene features are called 'degrees'; rename or remove one.",
            ),
            ({"builtin_features": ["laplace"]}, "got 'laplace'. Did you mean 'laplacian'?"),
            ({"features": {"f": {"path": "x", "colums": ["a"]}}}, "unknown key 'colums'"),
            ({"features": {"f": {"path": "x", "format": "csv"}}}, "expected 'table', 'npz' or 'parquet'"),
        ],
    )
    def test_impossible_wishes(self, values: dict[str, Any], message: str) -> None:
        with pytest.raises(ConfigError, match=re.escape(message)):
            load(source="demo", **values)
