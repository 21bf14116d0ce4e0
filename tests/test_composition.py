"""Hydra composition: later overrides win, and what is unknown is named with its nearest neighbour."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from pydantic import Field
from pydantic.dataclasses import dataclass

from gisearch.composition import MISSING, compose, defaults_of, group_options, parse_overrides, quoted_value
from gisearch.config import STRICT, build, to_plain
from gisearch.data.config import DataConfig, compose_data, data_nodes
from gisearch.data.synthetic import DemoCellConfig
from gisearch.errors import ConfigError


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Inner:
    width: int = 3


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Config:
    root: str
    inner: Inner = Field(default_factory=Inner)


PRIMARY = {"defaults": [{"data": "demo"}, "_self_"], "seed": 0}


def composed(*overrides: str) -> dict[str, Any]:
    return compose(overrides, data_nodes(), PRIMARY)


def error(*overrides: str) -> str:
    with pytest.raises(ConfigError) as caught:
        composed(*overrides)
    return str(caught.value)


def test_composes_a_preset_with_defaults_and_overrides() -> None:
    values = composed("data=demo_tiny", "data.split.val=0.25", "seed=3")
    assert values["seed"] == 3
    assert values["data"]["source"] == "demo"
    assert values["data"]["cell"]["num_genes"] == 40
    assert values["data"]["split"]["val"] == 0.25
    assert values["data"]["split"]["test"] == composed()["data"]["split"]["test"]


def test_the_tiny_preset_is_the_tiny_size() -> None:
    config = compose_data(["data=demo_tiny"])
    assert config.cell == DemoCellConfig(size="tiny")  # type: ignore[union-attr]


def test_a_later_override_wins_for_groups_and_for_values() -> None:
    assert composed("data=yeast", "data=demo")["data"]["source"] == "demo"
    assert composed("data=demo", "data=yeast")["data"]["source"] == "yeast"
    assert composed("seed=1", "seed=2")["seed"] == 2
    assert composed("data.seed=4", "data=yeast", "data.seed=5")["data"]["seed"] == 5


def test_compositions_do_not_leak_into_each_other() -> None:
    composed("data=yeast", "data.root=somewhere")
    assert composed()["data"]["source"] == "demo"
    assert compose(["b.x=1"], {}, {"b": {"x": 0}}) == {"b": {"x": 1}}


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["data=yest"],
            "data=yest: unknown option; expected one of demo, demo_tiny, tables, yeast. "
            "Did you mean 'yeast'?",
        ),
        (
            ["data=yeast/x"],
            "data=yeast/x: unknown option; expected one of demo, demo_tiny, tables, yeast. "
            "Did you mean 'yeast'?",
        ),
        (["dat=demo"], "unknown key 'dat' on the command line. Did you mean 'data'?"),
        (["sed=1"], "unknown key 'sed' on the command line. Did you mean 'seed'?"),
        (
            ["data.split.strategi=random"],
            "unknown key 'data.split.strategi' on the command line. Did you mean 'strategy'?",
        ),
        (
            ["dta.split.val=0.1"],
            "unknown key 'dta.split.val' on the command line. Did you mean 'data.split.val'?",
        ),
        # The keys are those of the option that is chosen, wherever on the line.
        (
            ["data.rot=x", "data=yeast"],
            "unknown key 'data.rot' on the command line. Did you mean 'root'?",
        ),
        (
            ["data.seed"],
            "cannot read 'data.seed': expected key=value, such as model.hidden_dim=32 or data=demo.",
        ),
        (
            ["data.orders=[1,"],
            "cannot read 'data.orders=[1,': expected key=value, such as model.hidden_dim=32 or data=demo.",
        ),
    ],
)
def test_what_is_wrong_is_named_with_the_nearest_name(overrides: Sequence[str], message: str) -> None:
    assert error(*overrides) == message


@pytest.mark.parametrize("overrides", [["seed=1,2"], ["seed=${nothing}"], ["data=3"], ["=3"], [""]])
def test_whatever_hydra_refuses_is_one_sentence(overrides: Sequence[str]) -> None:
    message = error(*overrides)
    assert message.startswith(("cannot compose the configuration: ", "cannot read '"))
    assert "\n" not in message


def test_a_missing_required_value_is_named() -> None:
    with pytest.raises(ConfigError, match=r"^data\.root: a folder is required that holds "):
        compose_data(["data=yeast"])
    assert compose_data(["data=yeast", "data.root=tables"]).root == "tables"  # type: ignore[union-attr]


def test_a_required_field_without_a_default_is_left_out() -> None:
    assert defaults_of(Config) == {"root": MISSING, "inner": {"width": 3}}
    primary = {"defaults": ["_self_"], "section": defaults_of(Config)}
    values = compose([], {}, primary)
    assert values == {"section": {"inner": {"width": 3}}}
    with pytest.raises(ConfigError, match=r"^section\.root: a value is required\.$"):
        build(Config, values["section"], "section")
    assert compose(["section.root=here"], {}, primary)["section"]["root"] == "here"


def test_every_shipped_preset_of_a_source_without_files_builds() -> None:
    for name in group_options("data", data_nodes()):
        overrides = [f"data={name}", *(["data.root=x"] if name == "yeast" else [])]
        values = composed(*overrides)["data"]
        adapter: Any = DataConfig
        assert build(adapter, values, "data").source == values["source"]


def test_overrides_as_values() -> None:
    given = ["a.b=1", "c=[x,2]", "d={e: 0.5}", "f=null", "g='two words'", "h=true", "i=1e-3"]
    assert parse_overrides(given) == {
        "a.b": 1,
        "c": ["x", 2],
        "d": {"e": 0.5},
        "f": None,
        "g": "two words",
        "h": True,
        "i": 0.001,
    }
    with pytest.raises(ConfigError, match=r"^cannot read 'a': expected key=value"):
        parse_overrides(["a"])
    for several in ("a=1,2", "a=range(1,3)"):
        with pytest.raises(ConfigError, match=r"several values; expected one, or a list in brackets\."):
            parse_overrides([several])


@pytest.mark.parametrize(
    "text", ["/x/run=3", "a b", "it's", "a\\b", "a\\'b", "a\\", "x[1]{", "1e3", "null", "$HOME"]
)
def test_text_in_quotes_stays_what_it_is(text: str) -> None:
    assert parse_overrides([f"results.dir={quoted_value(text)}"]) == {"results.dir": text}


def test_a_value_that_needs_quotes_is_shown_with_them() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_overrides(["results.dir=/x/run=3"])
    assert str(caught.value) == (
        "cannot read 'results.dir=/x/run=3': expected a value with quotes of its own, as in "
        """'results.dir='"'"'/x/run=3'"'"''."""
    )


class TestOwnPresets:
    @pytest.fixture(autouse=True)
    def folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """A working folder with presets of its own, and those of another project that uses Hydra."""
        monkeypatch.chdir(tmp_path)
        for name, text in {
            "data/mine_only.yaml": "defaults: [demo_tiny, _self_]\nseed: 7\n",
            "data/demo.yaml": "defaults: [demo_defaults, _self_]\nsource: demo\nseed: 8\n",
            "data/broken.yaml": "seed: [\n",
            "data/clock.yaml": "defaults: [demo_defaults, _self_]\nseed: 010\n",
            "cluster/ours.yaml": "defaults: [slurm_defaults, _self_]\nnodes: 3\n",
            "cluster/slurm.yaml": "defaults: [slurm_defaults, _self_]\nnodes: 5\n",
            "model/wide.yaml": "defaults: [dango_gi_defaults, _self_]\nname: dango_gi\nhidden_dim: 48\n",
            "config.yaml": "trainer: theirs\n",
            "trainer/default.yaml": "theirs: 1\n",
        }.items():
            path = tmp_path / "conf" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path / "conf"

    def test_data(self) -> None:
        assert compose_data(["data=mine_only"]).seed == 7
        assert compose_data(["data=mine_only", "data.seed=9"]).seed == 9
        assert "mine_only" in group_options("data", {})

    def test_the_working_folder_comes_first(self) -> None:
        assert compose_data(["data=demo"]).seed == 8
        assert compose_data([]).seed == 8
        assert compose_data(["data=demo_tiny"]).seed == 0

    def test_clusters(self) -> None:
        from gisearch.launch.config import SlurmCluster, compose_cluster

        assert compose_cluster(SlurmCluster, ["cluster=ours"]).nodes == 3
        assert compose_cluster(SlurmCluster, []).nodes == 5

    def test_models_and_another_projects_groups(self) -> None:
        from gisearch.search.composing import compose_experiment

        experiment, _ = compose_experiment(["model=wide", "data=demo_tiny"])
        assert experiment.model.name == "dango_gi"
        assert to_plain(experiment.model)["hidden_dim"] == 48

    def test_one_that_cannot_be_read(self, folder: Path) -> None:
        with pytest.raises(ConfigError, match=r"conf/data/broken\.yaml: cannot be read: "):
            compose_data(["data=broken"])
        with pytest.raises(ConfigError, match=r"conf/data/clock\.yaml, line 2: 010 is another number"):
            compose_data(["data=clock"])
