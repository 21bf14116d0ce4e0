"""The model itself as a searched dimension."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from gisearch.config import to_plain
from gisearch.search.plan import SweepPlan

Planner = Callable[..., SweepPlan]

MODELS = """
base: [model=dango_gi, data=demo_tiny, {base}]
space:
  optimizer.lr: [1.0e-3, 1.0e-2]
  model.rank: [4, 8]
  model.name: [dango_gi, additive, bilinear]
  model.hidden_dim: [12, 24]
  model.encoder.num_heads: {{choice: [4, 6], when: {{model.encoder.convolution: gatv2}}}}
  model.encoder.convolution: {{choice: [gatv2, gin], when: {{model.name: dango_gi}}}}
baselines:
  - {{model.name: additive}}
  - {{model.name: bilinear, model.rank: 8}}
  - {{model.hidden_dim: 24}}
"""


def models(*more: str, base: str = "trainer.max_epochs=5") -> str:
    return MODELS.format(base=base).replace("baselines:", "\n".join([*more, "baselines:"]))


class TestModels:
    def test_what_a_model_lacks_does_not_exist_in_it(self, plan: Planner) -> None:
        made = plan(models())
        assert made.space.parameters[0].path == "model.name", "what depends on it comes after it"
        assert made.space["model.rank"].when == {"model.name": ("bilinear",)}
        assert made.space["model.hidden_dim"].when == {"model.name": ("dango_gi",)}
        assert made.space["optimizer.lr"].when == {}
        found = [set(values) for values in made.space.enumerate() if values["model.name"] == "additive"]
        assert found == [{"model.name", "optimizer.lr"}] * 2
        assert made.space.size() == 2 * (1 + 2 + 2 * (2 + 1))

    def test_every_model_has_its_own_preset_and_defaults(self, plan: Planner) -> None:
        made = plan(models())
        one = made.configure({"model.name": "bilinear", "model.rank": 4, "optimizer.lr": 0.5}, seed=3)
        inputs = {"inputs": "embedding", "features": None}
        assert to_plain(one.model) == {"name": "bilinear", "rank": 4, "dropout": 0.2, **inputs}
        assert (one.optimizer.lr, one.seed, one.trainer.max_epochs) == (0.5, 3, 5)
        assert made.configure({"model.name": "dango_gi"}).model.hidden_dim == 64
        assert made.configure({}).model.name == "dango_gi", "the base's choice"

    def test_baselines_are_completed_by_their_model(self, plan: Planner) -> None:
        first, second, third = plan(models()).baselines
        assert first == {"model.name": "additive", "optimizer.lr": 1e-3}
        assert second == {"model.name": "bilinear", "model.rank": 8, "optimizer.lr": 1e-3}
        assert third["model.name"] == "dango_gi"
        assert third["model.hidden_dim"] == 24
        assert third["model.encoder.convolution"] == "gin"

    @pytest.mark.parametrize("choice", ["model=bilinear", "model.name=bilinear"])
    def test_the_command_line_pins_the_model(self, choice: str, plan: Planner) -> None:
        made = plan(models(), choice, "model.dropout=0.1")
        assert [p.path for p in made.space.parameters] == ["optimizer.lr", "model.rank"]
        assert list(made.experiments) == ["bilinear"]
        assert made.configure({}).model.dropout == 0.1
        assert made.notes == (
            'model.name is fixed to "bilinear" by the command line',
            'model.hidden_dim is left out: model.name is "bilinear"',
            'model.encoder.convolution is left out: model.name is "bilinear"',
            "model.encoder.num_heads is left out: model.encoder.convolution is left out",
            "baseline 1 is left out: it needs another model.name",
            "the space holds only 4 configurations: search.exhaustive=true would evaluate each once",
        )
        assert made.baselines[0] == {"optimizer.lr": 1e-3, "model.rank": 8}

    def test_a_model_that_the_file_does_not_list_can_be_pinned(self, plan: Planner) -> None:
        made = plan(models(), "model=dango")
        assert made.configure({}).model.name == "dango"
        assert "model.rank" not in {p.path for p in made.space.parameters}

    def test_an_override_goes_to_every_model_that_has_its_key(self, plan: Planner) -> None:
        text = (
            "base: [data=demo_tiny, model.dropout=0.4]\nspace:\n  model.name: [additive, bilinear, dango_gi]"
        )
        made = plan(text, "model.hidden_dim=12")
        assert made.configure({"model.name": "bilinear"}).model.dropout == 0.4
        assert made.configure({"model.name": "dango_gi"}).model.hidden_dim == 12
        assert made.config.model.name == "dango_gi" or "model" not in made.shared
        shared = made.shared
        assert not any(path.startswith("model.") for path in shared)
        assert shared["trainer.max_epochs"] == made.config.trainer.max_epochs

    def test_a_pinned_key_of_some_models(self, plan: Planner) -> None:
        made = plan(models(), "model.encoder.convolution=gin")
        assert 'model.encoder.num_heads is left out: model.encoder.convolution is "gin"' in made.notes
        kept = plan(models(), "model.encoder.convolution=gatv2")
        assert kept.space["model.encoder.num_heads"].when == {"model.name": ("dango_gi",)}

    def test_every_model_is_checked_in_every_pair(self, plan: Planner) -> None:
        made = plan(models())
        seen = {
            (v["model.name"], v.get("model.hidden_dim"), v.get("model.encoder.num_heads"))
            for v in made.covering()
        }
        assert {("dango_gi", h, n) for h in (12, 24) for n in (4, None)} <= seen
        texts = [json.dumps(to_plain(one.model), sort_keys=True) for one in made.variants()]
        assert len(texts) == len(set(texts)) >= 6

    @pytest.mark.parametrize(
        ("text", "overrides", "expected"),
        [
            (
                "space:\n  model.name: [dango_gi, bilinaer]\n",
                (),
                "space.yaml, line 2: unknown model 'bilinaer'; expected some of",
            ),
            ("space:\n  model.name: [1]\n", (), "space.yaml, line 2: unknown model 1; expected"),
            (
                "space:\n  model.name: {int: [1, 2]}\n",
                (),
                "space.yaml, line 2: model.name: expected a list of models without conditions; got",
            ),
            (
                models("  model.rnk: [1]"),
                (),
                "space.yaml, line 10: unknown parameter path 'model.rnk'. Did you mean 'model.rank'?",
            ),
            (
                models("  model.dropout: {choice: [0.5], when: {model.name: [additive, bilinear]}}"),
                (),
                'space.yaml, line 10: model.dropout: model.name "additive" has no such key; "bilinear" has.',
            ),
            (
                models("  model.dropout: {choice: [0.5], when: {model.hidden_dim: 12}}"),
                (),
                'space.yaml, line 10: model.dropout: contradictory conditions: model.name must be "bilinear" '
                'and also "dango_gi".',
            ),
            (
                models("  model.dropout: {choice: [0.5], when: {model.combination: gating}}"),
                (),
                "space.yaml, line 10: model.dropout: the condition can never hold: "
                "no model.name has both it and model.combination.",
            ),
            (
                models("  model.dropout: [0.5, 1.5]"),
                (),
                "space.yaml, line 10: model.dropout: expected less than 1, got 1.5 "
                "(in the configuration model.dropout=1.5).",
            ),
            (
                models() + "  - {model.rank: 4}",
                (),
                'space.yaml, line 14: baseline 4: model.rank does not exist where model.name is "dango_gi".',
            ),
            (
                models() + "  - {model.name: dango}",
                (),
                'space.yaml, line 14: baseline 4: model.name: "dango" is outside the space '
                "(dango_gi, additive, bilinear).",
            ),
            (
                models(base="model.hiden_dim=3"),
                (),
                "space.yaml, line 2: unknown key 'model.hiden_dim'. Did you mean 'hidden_dim'?",
            ),
            (
                models(),
                ("model.hiden_dim=8",),
                "unknown key 'model.hiden_dim' on the command line. Did you mean 'hidden_dim'?",
            ),
            (
                models(),
                ("model=additive", "model.rank=8"),
                "unknown key 'model.rank' on the command line.",
            ),
            (models(), ("model=bilinaer",), "model=bilinaer: unknown option; expected one of additive, "),
        ],
    )
    def test_mistakes(
        self, text: str, overrides: tuple[str, ...], expected: str, message: Callable[..., str]
    ) -> None:
        assert message(text, *overrides).startswith(expected)
