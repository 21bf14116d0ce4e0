from typing import Any

import pytest

from gisearch.config import build, to_plain
from gisearch.data.config import (
    DataConfig,
    DemoData,
    GenotypeFile,
    NetworkFile,
    TablesData,
    YeastData,
    compose_data,
)
from gisearch.data.synthetic import DemoCellConfig
from gisearch.errors import ConfigError


def make(**values: Any) -> Any:
    return build(DataConfig, values, "data")  # type: ignore[arg-type]


def test_the_source_chooses_the_class() -> None:
    assert isinstance(make(source="demo"), DemoData)
    assert isinstance(make(source="yeast", root="x"), YeastData)
    assert isinstance(make(source="tables"), TablesData)


def test_defaults() -> None:
    assert make(source="demo").target == "gene_interaction"
    yeast = make(source="yeast", root="x")
    assert (yeast.target, yeast.networks, yeast.metabolism, yeast.orders) == (
        "strong_negative",
        None,
        False,
        None,
    )


def test_presets_are_the_defaults_of_their_class() -> None:
    assert compose_data(["data=demo"]) == compose_data([]) == DemoData()
    assert compose_data(["data=yeast", "data.root=x"]) == YeastData(root="x")
    assert compose_data(["data=tables"]) == TablesData()


def test_demo_tiny_is_tiny() -> None:
    assert compose_data(["data=demo_tiny"]) == DemoData(cell=DemoCellConfig(size="tiny"))


def test_files_can_be_added_on_the_command_line() -> None:
    config = compose_data(["data=tables", "+data.networks.mine={path: a.tsv, directed: true}", "data.seed=3"])
    assert config == TablesData(networks={"mine": NetworkFile(path="a.tsv", directed=True)}, seed=3)


def test_a_root_is_asked_for_before_anything_is_read() -> None:
    with pytest.raises(ConfigError, match=r"^data\.root: a folder is required that holds genes\.tsv"):
        compose_data(["data=yeast"])


def test_files_of_a_tables_source() -> None:
    config = make(
        source="tables",
        networks={
            "physical": {"path": "p.tsv"},
            "string": {"path": "s.txt", "format": "string", "min_score": 150.0},
        },
        genotypes={"screen": {"path": "g.csv", "labels": {"fitness": "smf"}}},
    )
    assert config.networks["physical"] == NetworkFile(path="p.tsv")
    assert config.networks["string"].format == "string"
    assert config.genotypes["screen"] == GenotypeFile(path="g.csv", labels={"fitness": "smf"})
    assert make(**to_plain(config)) == config


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"source": "yeasts"}, "data.source: unknown value 'yeasts'; expected one of demo, yeast, tables"),
        (
            {"source": "yeast"},
            "data.root: a folder is required that holds genes.tsv, a genotype table such as",
        ),
        ({"source": "yeast", "root": " "}, "data.root: a folder is required"),
        ({"source": "yeast", "root": "x", "rot": "y"}, "unknown key 'rot' in data. Did you mean 'root'?"),
        ({"source": "yeast", "root": "x", "metabolism": "yes"}, "data.metabolism: expected"),
        ({"source": "yeast", "root": "x", "isolated_genes": "kep"}, "Did you mean 'keep'?"),
        ({"source": "demo", "orders": [4]}, "data.orders.0: expected less than or equal to 3"),
        ({"source": "demo", "orders": []}, "data.orders"),
        ({"source": "demo", "seed": -1}, "data.seed: expected greater than or equal to 0"),
        ({"source": "demo", "split": {"val": 0.7, "test": 0.5}}, "val + test must be below 1"),
        (
            {"source": "demo", "split": {"strategy": "file"}},
            "data.split: strategy=file needs path=FILE, a table of genotypes with a column 'part'",
        ),
        ({"source": "demo", "split": {"strategy": "file", "path": " "}}, "strategy=file needs path=FILE"),
        (
            {"source": "demo", "split": {"path": "a.csv"}},
            "data.split: path means nothing for the strategy random; set strategy=file, or leave it out",
        ),
        ({"source": "demo", "split": {"strategy": "fil"}}, "Did you mean 'file'?"),
        ({"source": "demo", "labels": {"x": {}}}, "data.labels.x: expected at least one of score_below, "),
        ({"source": "demo", "labels": {"x": {"score_bellow": 1.0}}}, "Did you mean 'score_below'?"),
        ({"source": "demo", "labels": {"x": {"p_below": 5.0}}}, "data.labels.x.p_below: expected less than"),
        (
            {"source": "demo", "labels": {"x": {"p_below": 0.1, "zero_if": {"score": "fitness"}}}},
            "unknown key 'score' in data.labels.x.zero_if",
        ),
        (
            {
                "source": "demo",
                "labels": {"x": {"p_below": 0.5, "zero_if": {"p_above": 0.5, "p_below": 0.1}}},
            },
            "data.labels.x.zero_if: nothing is below 0.1 and above 0.5; expected p_below to be larger than",
        ),
        (
            {"source": "demo", "labels": {"x_p": {"p_below": 0.5}}},
            "data.labels: a label 'x_p' would be taken for the standard deviation or P of another; rename it",
        ),
        ({"source": "demo", "labels": {"": {"p_below": 0.5}}}, "expected a name for every label"),
        ({"source": "demo", "max_p": 1.5}, "data.max_p: expected less than 1"),
        (
            {
                "source": "demo",
                "target": "x",
                "max_p": 0.05,
                "labels": {"x": {"score_below": -0.1, "zero_if": {"p_above": 0.25}}},
            },
            "data: max_p=0.05 leaves out every genotype that labels.x.zero_if makes 0; leave max_p out",
        ),
    ],
)
def test_bad_values(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        make(**values)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (
            {"path": "x", "format": "biogrid"},
            "interaction is required for the format biogrid: physical or genetic",
        ),
        (
            {"path": "x", "channels": ["fusion"]},
            "channels means nothing for the format edge_list; leave it out",
        ),
        ({"path": "x", "format": "string", "directed": True}, "directed means nothing for the format string"),
        ({"path": "x", "format": "edge_lst"}, "Did you mean 'edge_list'?"),
        ({"path": "x", "columns": ["a"]}, "at least 2 items"),
        ({"path": "x", "score_scale": 0.0}, "greater than 0"),
        ({}, "a value is required"),
    ],
)
def test_bad_network_files(file: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        make(source="tables", networks={"net": file})
    assert message in str(error.value)


def test_bad_genotype_file() -> None:
    for file in ({"columns": ["1", "2"]}, {"labels": {"fitness": "3"}}, {}):
        with pytest.raises(ConfigError, match="header: false numbers the columns '1', '2'"):
            make(source="tables", genotypes={"k": {"path": "x", "header": False, **file}})
    with pytest.raises(ConfigError, match="labels means nothing for the format kuzmin2018; leave it out"):
        make(source="tables", genotypes={"k": {"path": "x", "format": "kuzmin2018", "labels": {}}})
