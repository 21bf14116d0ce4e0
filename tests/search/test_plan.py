from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console

from gisearch.config import flatten, to_plain
from gisearch.data.load import load_dataset
from gisearch.errors import ConfigError, DataError
from gisearch.resources import find_search_space, resource_folder
from gisearch.search.composing import compose_experiment, hydra_value
from gisearch.search.plan import SweepPlan, plan_sweep
from gisearch.search.presentation import print_plan
from gisearch.search.sweep import run_sweep
from gisearch.search.yaml_lines import read_yaml
from gisearch.training.cells import check_fit

Planner = Callable[..., SweepPlan]


def with_space(*lines: str) -> str:
    return "\n".join(
        ["base: [model=dango_gi, data=demo_tiny]", "space:", *(f"  {line}" for line in lines), ""]
    )


class TestShipped:
    @pytest.mark.parametrize("name", sorted(p.stem for p in resource_folder("search_spaces").glob("*.yaml")))
    def test_every_shipped_space_asks_a_question_of_the_demo_cell(self, name: str) -> None:
        path = find_search_space(name)
        plan, document = plan_sweep(path), yaml.safe_load(path.read_text())
        assert plan.config.name == document["name"] == name
        assert plan.question == document["question"].strip()
        assert plan.config.data.source == "demo"
        assert {p.path for p in plan.space.parameters} == set(document["space"])
        assert len(plan.baselines) == len(document["baselines"]) <= plan.config.search.trials
        for complete, given in zip(plan.baselines, document["baselines"], strict=True):
            assert complete.items() >= given.items()

    @pytest.mark.parametrize("split", ["random", "unseen_genes"])
    def test_the_strongest_space_takes_a_folder_of_tables(self, split: str) -> None:
        overrides = ["data=yeast", "data.root=x", f"data.split.strategy={split}"]
        plan = plan_sweep(find_search_space("strongest"), overrides)
        assert plan.notes == ()
        assert plan.max_epochs == 24

    def test_the_shipped_space(self) -> None:
        path = find_search_space("dango_gi")
        plan, document = plan_sweep(path), yaml.safe_load(path.read_text())
        assert plan.space.size() is None
        assert {p.path for p in plan.space.parameters} == set(document["space"])
        assert len(plan.baselines) == len(document["baselines"])
        own = flatten(to_plain(plan.config.experiment))
        for complete, given in zip(plan.baselines, document["baselines"], strict=True):
            assert complete.items() >= given.items()
            assert all(plan.space[key].domain for key in complete)
            assert all(value == own[key] for key, value in complete.items() if key not in given)
        assert plan.config.search.trials == document["search"]["trials"]
        assert plan.question == document["question"].strip()
        assert plan.max_epochs == plan.config.trainer.max_epochs

    def test_the_command_line_wins(self) -> None:
        overrides = [
            "name=trial_run",
            "search.trials=8",
            "search.seed=1",
            "data=demo_tiny",
            "trainer.max_epochs=7",
        ]
        plan = plan_sweep(find_search_space("dango_gi"), overrides)
        assert (plan.config.name, plan.config.search.trials, plan.config.search.seed) == ("trial_run", 8, 1)
        assert plan.config.data.cell.num_genes == 40
        assert plan.max_epochs == 7
        assert plan.overrides == tuple(overrides)

    def test_other_data_replaces_the_files(self) -> None:
        plan = plan_sweep(find_search_space("dango_gi"), ["data=yeast", "data.root=x"])
        assert plan.config.data.source == "yeast"

    def test_a_pin_takes_its_key_and_what_needs_another_value_out(self) -> None:
        plan = plan_sweep(find_search_space("dango_gi"), ["model.local_predictor.enabled=false"])
        paths = {p.path for p in plan.space.parameters}
        assert not paths & {
            "model.local_predictor.enabled",
            "model.local_predictor.num_attention_layers",
            "model.combination",
        }
        assert "model.local_predictor.enabled is fixed to false by the command line" in plan.notes
        assert "model.combination is left out: model.local_predictor.enabled is false" in plan.notes
        assert "baseline 1 is left out: it needs another model.local_predictor.enabled" in plan.notes
        assert len(plan.baselines) >= 1

    def test_a_trial_is_configured(self) -> None:
        plan = plan_sweep(find_search_space("dango_gi"), ["data=demo_tiny"])
        config = plan.configure({"optimizer.lr": 0.007, "model.encoder.num_layers": 1}, seed=5)
        assert (config.optimizer.lr, config.model.encoder.num_layers, config.seed) == (0.007, 1, 5)


class TestFile:
    def test_a_number_with_an_exponent(self, plan: Planner) -> None:
        made = plan(
            with_space(
                "optimizer.lr: [1e-4, 1e-3]", "optimizer.weight_decay: {float: [1e-5, 1E-2], log: true}"
            )
        )
        assert made.space["optimizer.lr"].domain.representatives == (1e-4, 1e-3)
        assert made.space["optimizer.weight_decay"].domain.representatives == (1e-5, 1e-2)

    def test_searched_epochs(self, plan: Planner) -> None:
        assert plan(with_space("trainer.max_epochs: [5, 20, 10]")).max_epochs == 20

    def test_its_name_is_the_files_unless_given(self, plan: Planner) -> None:
        text = with_space("trainer.accumulate: [1, 2]")
        assert plan(text).config.name == "space"
        assert plan(f"name: it\n{text}").config.name == "it"

    def test_a_small_space_says_so(self, plan: Planner) -> None:
        note = "the space holds only 2 configurations: search.exhaustive=true would evaluate each once"
        assert note in plan(with_space("trainer.accumulate: [1, 2]")).notes
        exhaustive = plan(with_space("trainer.accumulate: [1, 2]"), "search.exhaustive=true")
        assert "exhaustive: every one of the 2 configurations is evaluated once" in exhaustive.notes

    def test_open_values_of_a_baseline_are_the_configurations(self, plan: Planner) -> None:
        text = with_space(
            "optimizer.lr: [1e-4, 1e-2, 5.0]",
            "model.encoder.num_layers: [1, 2]",
            "trainer.batch_size: {int: [8, 64]}",
        )
        made = plan(
            f"{text}baselines:\n  - model.encoder.num_layers: 1\n  - model: {{encoder: {{num_layers: 2}}}}\n"
        )
        assert made.baselines[0] == {
            "optimizer.lr": 1e-2,
            "model.encoder.num_layers": 1,
            "trainer.batch_size": 64,
        }
        assert made.baselines[1]["model.encoder.num_layers"] == 2

    def test_texts_and_lists_survive_hydra(self) -> None:
        assert hydra_value("it's") == "'it\\'s'"
        assert hydra_value([1, "a", None, True]) == "[1,'a',null,true]"
        assert hydra_value({"a": 1.5}) == "{a:1.5}"

    def test_compose_experiment(self) -> None:
        config, whole = compose_experiment(["data=demo_tiny", "model.hidden_dim=32", "name=x"])
        assert config.model.hidden_dim == 32
        assert whole.name == "x"


BAD = [
    ("", "space.yaml: expected a mapping with keys such as name, base and space."),
    ("- a\n", "space.yaml: expected a mapping with keys such as name, base and space."),
    ("name: x\n", "space.yaml: the key 'space' is missing; expected the parameters to search."),
    ("name: x\nspacee: {}\n", "space.yaml, line 2: unknown key 'spacee'. Did you mean 'space'?"),
    ("space: [1]\n", "space.yaml, line 1: expected a mapping, got [1]."),
    ("space: {trainer.accumulate: [1]}\nbase: model\n", "space.yaml, line 2: expected a list, got 'model'."),
    (
        "space: {trainer.accumulate: [1]}\nbase:\n  - model=dango_gi\n  - x\n",
        "space.yaml, line 4: expected overrides such as model=dango_gi, got 'x'.",
    ),
    ("name: [\nspace:\n", "space.yaml, line 3: not valid YAML: expected the node content"),
    ("name: a: b\n", "space.yaml, line 1: not valid YAML: mapping values are not allowed here."),
    (
        "name: !!python/object:os.system {}\n",
        "space.yaml, line 1: not valid YAML: could not determine a constructor",
    ),
    ("name: \x07\n", "space.yaml: not valid YAML: "),
    (
        "space:\n  optimizer.lr: [1]\n  trainer.batch_size: [8]\n  optimizer.lr: [2]\n",
        "space.yaml, line 4: the key 'optimizer.lr' is given twice (first in line 2).",
    ),
    (
        with_space("model.encoder.num_layer: [1, 2]"),
        "space.yaml, line 3: unknown parameter path 'model.encoder.num_layer'. "
        "Did you mean 'model.encoder.num_layers'?",
    ),
    (
        with_space("optimizer: [1, 2]"),
        "space.yaml, line 3: 'optimizer' is a section, not a value; expected one of optimizer.lr, optimizer.",
    ),
    (
        with_space("trainer.accumulate: [1]", "optimizer.lr: {float: [1, 0.1]}"),
        "space.yaml, line 4: optimizer.lr: impossible range: low 1 must be below high 0.1.",
    ),
    (
        with_space("optimizer.lr: {float: [0, 0.1], log: true}"),
        "space.yaml, line 3: optimizer.lr: a log range must start above 0; got 0.",
    ),
    (
        with_space("trainer.batch_size: {int: [8, 64], stp: 8}"),
        "space.yaml, line 3: unknown key 'stp'; expected int, log, step, when. Did you mean 'step'?",
    ),
    (
        with_space("model.combination: {choice: [gating], when: {model.local_predictor.enabled: maybe}}"),
        "space.yaml, line 3: model.combination: the condition can never hold: "
        "model.local_predictor.enabled is not searched and is true.",
    ),
    (
        with_space("model.encoder.dropout: [0.1, 1.5]"),
        "space.yaml, line 3: model.encoder.dropout: ",
    ),
    (
        with_space("model.combination: [gating, concatt]"),
        "space.yaml, line 3: model.combination: expected 'gating'",
    ),
    (
        with_space("trainer.accumulate: [1, 2]")
        + "baselines:\n  - trainer.accumulate: 1\n  - trainer.acumulate: 1\n",
        "space.yaml, line 6: baseline 2: 'trainer.acumulate' is not in the space. "
        "Did you mean 'trainer.accumulate'?",
    ),
    (
        f"{with_space('trainer.accumulate: [1, 2]')}baselines:\n  - trainer.accumulate: 3\n",
        "space.yaml, line 5: baseline 1: trainer.accumulate: 3 is outside the space (1, 2).",
    ),
    (
        f"{with_space('trainer.accumulate: [1, 2]')}baselines: [7]\n",
        "space.yaml, line 4: baseline 1: expected a mapping of keys to values, got 7.",
    ),
    (
        with_space(
            "trainer.max_epochs: [2, 3]", "trainer.accumulate: {choice: [1], when: {trainer.max_epochs: 2}}"
        )
        + "baselines:\n  - {trainer.accumulate: 1, trainer.max_epochs: 3}\n",
        "space.yaml, line 6: baseline 1: trainer.accumulate does not exist where trainer.max_epochs is 3.",
    ),
    (
        f"{with_space('trainer.accumulate: [1, 2]')}search: {{trails: 3}}\n",
        "unknown key 'search.trails' on the command line. Did you mean 'trials'?",
    ),
    (
        with_space("trainer.accumulate: {int: [1, 2]}", "optimizer.lr: {float: [0.1, 0.2]}")
        + "search: {exhaustive: true}\n",
        "space.yaml, line 4: optimizer.lr: search.exhaustive needs a finite space; give the range a step.",
    ),
    (f"name: a b\n{with_space('trainer.accumulate: [1]')}", "name: "),
]


@pytest.mark.parametrize(("text", "expected"), BAD, ids=range(len(BAD)))
def test_bad_files_say_what_and_where(message: Callable[..., str], text: str, expected: str) -> None:
    found = message(text)
    assert found == expected or (len(expected) < len(found) and found.startswith(expected))
    assert "\n" not in found


@pytest.mark.parametrize("path", ["data.seed", "seed", "objective.metric"])
def test_what_a_sweep_holds_equal_cannot_be_searched(path: str, message: Callable[..., str]) -> None:
    found = message(with_space("optimizer.lr: [0.1]", f"{path}: [0, 1]"))
    assert found == (
        f"space.yaml, line 4: {path}: a sweep holds {path.partition('.')[0]!r} equal for all trials, so that "
        "they can be compared; expected a key of model, optimizer, trainer or derived."
    )


def test_the_processes_of_a_trial_cannot_be_searched(message: Callable[..., str]) -> None:
    found = message(with_space("optimizer.lr: [0.1]", "trainer.workers: [1, 2]"))
    assert found.startswith("space.yaml, line 4: trainer.workers: ")
    assert found.count("\n") == 0


class TestCombinations:
    def test_heads_that_do_not_divide_the_width(self, message: Callable[..., str]) -> None:
        found = message(with_space("model.encoder.num_heads: [4, 3]"), "model.hidden_dim=64")
        assert found.startswith("space.yaml, line 3: ")
        assert "num_heads" in found
        assert "3" in found
        assert "64" in found

    def test_one_pair_that_does_not_fit(self, message: Callable[..., str], plan: Planner) -> None:
        found = message(
            with_space(
                "model.hidden_dim: [48, 32]",
                "model.encoder.num_heads: [6]",
                "trainer.accumulate: {int: [1, 9]}",
            )
        )
        assert "model.hidden_dim=32" in found
        assert "model.encoder.num_heads=6" in found
        assert "48" not in found
        plan(
            with_space("model.hidden_dim: [48, 96]", "model.encoder.num_heads: [6]"),
            "model.local_predictor.num_heads=2",
        )

    def test_the_pair_is_found_in_a_large_space(self, message: Callable[..., str]) -> None:
        others = [
            f"{key}: [1, 2, 3, 4, 5, 6]"
            for key in ("trainer.accumulate", "trainer.max_epochs", "trainer.batch_size")
        ]
        found = message(with_space("model.hidden_dim: [48, 32]", "model.encoder.num_heads: [4, 6]", *others))
        assert "model.hidden_dim=32" in found
        assert "model.encoder.num_heads=6" in found


def test_a_missing_file_gets_the_nearest_shipped_name() -> None:
    with pytest.raises(ConfigError) as error:
        find_search_space("dango_g.yaml")
    assert str(error.value).startswith("no search-space file 'dango_g.yaml'; shipped with gisearch: ")
    assert " dango_gi" in str(error.value)
    assert str(error.value).endswith(" Did you mean 'dango_gi'?")


def test_lines_of_keys_and_items(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("a:\n  b: [1,\n    2]\nc: {d: 1e3}\n")
    values: dict[str, Any]
    values, lines = read_yaml(path)
    assert values == {"a": {"b": [1, 2]}, "c": {"d": 1000.0}}
    assert lines[("a", "b")] == 2
    assert lines[("a", "b", "1")] == 3
    assert lines[("c", "d")] == 4


def test_an_unreadable_file(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match=r"^cannot read .*x\.yaml: "):
        read_yaml(path)


def test_a_baseline_on_a_step_is_the_step(plan: Planner) -> None:
    made = plan(
        """
base: [model=dango_gi, data=demo_tiny]
space:
  model.encoder.dropout: {float: [0.1, 0.5], step: 0.1}
  optimizer.lr: {choice: [0.001, 0.01], when: {model.encoder.dropout: 0.3}}
baselines:
  - {model.encoder.dropout: 0.30000000000000004, optimizer.lr: 0.01}
search: {exhaustive: true}
"""
    )
    assert made.baselines == ({"model.encoder.dropout": 0.3, "optimizer.lr": 0.01},)
    listed = list(made.space.enumerate())
    assert len(listed) == 6
    assert made.baselines[0] in listed


class TestLimits:
    def test_a_time_of_day_is_no_number_of_hours(self, plan: Planner) -> None:
        with pytest.raises(ConfigError, match=r"search\.hours: expected a valid number, got '12:00'"):
            plan(with_space("trainer.accumulate: [1, 2]") + "search: {hours: 12:00}\n")

    def test_the_plan_shows_every_limit(self, plan: Planner) -> None:
        made = plan(
            with_space("trainer.accumulate: [1, 2]"),
            "search.hours=12",
            "search.gpu_hours=1.5",
            "search.trial_minutes=90",
            "search.max_retries=7",
        )
        console = Console(width=300, file=io.StringIO())
        print_plan(made, console)
        assert (
            "the sweep 12 hours, the sweep 1.5 GPU-hours, a trial 90 minutes, 60 minutes without an epoch, "
            "30 seconds to leave, 7 retries of a trial, 100 lost machines of a trial, "
            "checkpoints of 10 trials"
        ) in console.file.getvalue()  # type: ignore[attr-defined]


class TestNames:
    @pytest.mark.parametrize("name", ["2026-03-01", "4711", "010", "1e3", "true", "2026.10"])
    def test_a_name_is_text(self, name: str, plan: Planner) -> None:
        text = with_space("trainer.accumulate: [1, 2]")
        assert plan(f"name: {name}\n{text}").config.name == name
        assert plan(text, f"name={name}").config.name == name
        assert plan(text, f"results.dir={name}").config.results.dir == name

    def test_a_files_name_is_text(self, tmp_path: Path) -> None:
        path = tmp_path / "2026.yaml"
        path.write_text(with_space("trainer.accumulate: [1, 2]"))
        made = plan_sweep(path)
        assert made.config.name == "2026"
        # As a launched job is given it.
        assert plan_sweep(path, [f"name={made.config.name}"]).config.name == "2026"

    def test_a_cluster_of_numbers(self) -> None:
        from gisearch.launch.config import SlurmCluster, compose_cluster

        made = compose_cluster(SlurmCluster, ["cluster.account=0123", "cluster.partition=2026.10"])
        assert (made.account, made.partition) == ("0123", "2026.10")


class TestGeneInputs:
    """What models read of genes is searched like any other key, and checked against the data first."""

    SPACE = (
        "model.encoder.inputs: [embedding, features, both]",
        "model.encoder.features: {choice: [[modules], [modules, degrees]], "
        "when: {model.encoder.inputs: [features, both]}}",
    )

    def plan(self, tmp_path: Path, *overrides: str) -> SweepPlan:
        path = tmp_path / "space.yaml"
        path.write_text(with_space(*self.SPACE))
        return plan_sweep(path, overrides)

    def test_every_choice_is_a_model(self, tmp_path: Path) -> None:
        plan = self.plan(tmp_path, "data.cell.feature_width=3", "data.builtin_features=[degrees]")
        dataset = load_dataset(plan.config.data)
        encoders = [one.model.encoder for one in plan.variants()]  # type: ignore[union-attr]
        found = {(encoder.inputs, tuple(encoder.features or ())) for encoder in encoders}
        assert ("embedding", ()) in found
        assert {("features", ("modules",)), ("both", ("modules", "degrees"))} <= found
        for one in plan.variants():
            check_fit(one, dataset)

    def test_features_that_the_data_lacks_are_said_before_anything_starts(self, tmp_path: Path) -> None:
        plan = self.plan(tmp_path)
        with pytest.raises(DataError, match=r"asks for gene features, and the data has none; expected"):
            run_sweep(plan, console=Console())
        assert not (tmp_path / "results").exists()
