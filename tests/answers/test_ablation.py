from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gisearch import ablate
from gisearch.answers import comparison
from gisearch.answers.ablation import change, find_centre, propose_ablation
from gisearch.answers.findings import findings_path, read_findings
from gisearch.answers.record import read_record
from gisearch.answers.source import Source
from gisearch.answers.timing import step_seconds
from gisearch.command_line import run
from gisearch.errors import ConfigError
from gisearch.search.plan import SweepPlan, plan_sweep
from gisearch.search.results import TrialRow

LOCAL = "model.local_predictor.enabled"
LAYERS = "model.local_predictor.num_attention_layers"
ASKED = {"seeds": 2, "values": None, "of": None}


@pytest.fixture
def source(searched: Path) -> Source:
    return Source.find(str(searched), "")


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> SweepPlan:
    path = tmp_path_factory.mktemp("plan") / "space.yaml"
    path.write_text(
        f"""
base: [model=dango_gi, data=demo_tiny]
space:
  {LOCAL}: [true, false]
  {LAYERS}: {{int: [1, 4], when: {{{LOCAL}: true}}}}
  model.combination: {{choice: [gating, concat], when: {{{LOCAL}: true}}}}
  model.encoder.num_layers: [1, 2, 3]
"""
    )
    return plan_sweep(path)


def row(number: int, params: dict[str, Any]) -> TrialRow:
    return TrialRow(number, 0.5, "finished", 1, 1.0, params)


class TestChange:
    def test_only_the_choice_changes_and_what_depends_on_it_vanishes(self, plan: SweepPlan) -> None:
        centre = {LOCAL: True, LAYERS: 3, "model.combination": "concat", "model.encoder.num_layers": 3}
        assert change(plan, centre, LOCAL, False, []) == ({LOCAL: False, "model.encoder.num_layers": 3}, {})
        assert change(plan, centre, LAYERS, 1, []) == ({**centre, LAYERS: 1}, {})

    def test_what_exists_only_now_is_borrowed_from_the_best_trial_that_has_it(self, plan: SweepPlan) -> None:
        centre = {LOCAL: False, "model.encoder.num_layers": 2}
        rows = [
            row(7, {LOCAL: False, "model.encoder.num_layers": 1}),
            row(4, {LOCAL: True, LAYERS: 4, "model.encoder.num_layers": 1}),
            row(2, {LOCAL: True, LAYERS: 1, "model.combination": "concat", "model.encoder.num_layers": 3}),
        ]
        changed, borrowed = change(plan, centre, LOCAL, True, rows)
        assert changed == {**centre, LOCAL: True, LAYERS: 4, "model.combination": "concat"}
        assert borrowed == {LAYERS: "t0004", "model.combination": "t0002"}
        changed, borrowed = change(plan, centre, LOCAL, True, rows[:1])
        own = plan.config.model.local_predictor
        assert changed[LAYERS] == own.num_attention_layers
        assert borrowed == {LAYERS: "default", "model.combination": "default"}


def centre_of(source: Source, model: str, **wanted: Any) -> str:
    for found in source.trained():
        if found.params["model.name"] == model and wanted.items() <= found.params.items():
            return found.trial_id
    raise AssertionError(f"no trial of {model} with {wanted}")


class TestProposal:
    def test_every_model_around_one(self, source: Source) -> None:
        asked = {**ASKED, "of": centre_of(source, "additive")}
        record = propose_ablation(source, source.load_data(), "model.name", asked, None)
        assert [one.name for one in record.candidates] == ['"additive"', '"dango_gi"', '"boosted_trees"']
        additive, dango, trees = record.candidates
        assert dango.params["optimizer.lr"] == additive.params["optimizer.lr"] == 0.01
        assert LOCAL in (dango.borrowed or {})
        assert set(trees.params) == {"model.name"}
        assert trees.search_value is not None
        assert additive.borrowed is trees.borrowed is None
        assert len(record.seeds) == 2
        assert record.sweeps[0].name == "small_ablate_model.name"

    def test_values_of_a_key_that_was_not_searched(self, source: Source) -> None:
        dataset = source.load_data()
        asked = {**ASKED, "of": centre_of(source, "dango_gi")}
        with pytest.raises(ConfigError, match=r"trainer\.batch_size was not searched; expected --values"):
            propose_ablation(source, dataset, "trainer.batch_size", asked, None)
        record = propose_ablation(source, dataset, "trainer.batch_size", asked, [32, 256, 64])
        assert [one.name for one in record.candidates] == ["256", "32", "64"]
        with pytest.raises(
            ConfigError, match=r"--values: 0 does not fit t000\d: trainer\.batch_size: expected"
        ):
            propose_ablation(source, dataset, "trainer.batch_size", asked, [0])
        with pytest.raises(
            ConfigError, match=r"^--values: expected another value than 256, which t000\d has\.$"
        ):
            propose_ablation(source, dataset, "trainer.batch_size", asked, [256])

    def test_a_searched_value_that_does_not_fit_is_left_out(
        self, source: Source, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from gisearch.answers import ablation

        def misfit(plan: SweepPlan, dataset: Any, assignment: dict[str, Any]) -> str | None:
            return "no metabolism." if assignment["model.name"] == "boosted_trees" else None

        monkeypatch.setattr(ablation, "misfit", misfit)
        asked = {**ASKED, "of": centre_of(source, "additive")}
        record = propose_ablation(source, source.load_data(), "model.name", asked, None)
        assert len(record.candidates) == 2
        assert 'model.name = "boosted_trees" is left out: no metabolism.' in record.notes

    def test_wrong_choices(self, source: Source) -> None:
        dango, additive = centre_of(source, "dango_gi"), centre_of(source, "additive")
        with pytest.raises(ConfigError, match=rf"^--choice: unknown path .* Did you mean '{LOCAL}'\?$"):
            find_centre(source, "model.local_predictor.enable", dango)
        with pytest.raises(ConfigError, match=r"It is a section; expected one of model\.local_predictor\."):
            find_centre(source, "model.local_predictor", dango)
        with pytest.raises(ConfigError, match=rf"^--choice: {additive} has no {LOCAL}\. .*: --of t000\d\.$"):
            find_centre(source, LOCAL, additive)
        for held in ("seed", "data.target", "trainer.workers"):
            with pytest.raises(ConfigError, match=rf"^--choice: {held} is equal for all trials"):
                find_centre(source, held, dango)
        with pytest.raises(ConfigError, match=r"no trained trial 't000'\. Did you mean 't000\d'\?$"):
            find_centre(source, LOCAL, "t000")
        assert find_centre(source, LOCAL, dango).row.trial_id == dango
        best = source.trained()[0]
        assert find_centre(source, "model.name", None).row == best

    def test_where_the_winner_lacks_the_choice_the_best_that_has_it_is_taken(
        self, source: Source, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        additive, dango = (
            next(row for row in source.trained() if row.trial_id == centre_of(source, model))
            for model in ("additive", "dango_gi")
        )
        rows = [additive, *(row for row in source.trained() if LOCAL in row.params)]
        monkeypatch.setattr(Source, "trained", lambda self: rows)
        centre = find_centre(source, LOCAL, None)
        assert centre.row == dango
        assert centre.note is not None
        assert centre.note.startswith(f"the best trial, {additive.trial_id} (val/pearson ")
        assert f"has no {LOCAL}; this is about {dango.trial_id} (" in centre.note
        record = propose_ablation(source, source.load_data(), LOCAL, ASKED, None)
        assert record.notes[0] == centre.note
        assert record.candidates[0].params[LOCAL] == dango.params[LOCAL]
        # One that has it, or that everybody has, is about the best as before.
        assert find_centre(source, "model.name", None).note is None
        assert find_centre(source, "trainer.batch_size", None).row == additive

    def test_a_choice_that_the_centre_switches_off(self, source: Source) -> None:
        off = centre_of(source, "dango_gi", **{LOCAL: False})
        asked = {**ASKED, "of": off}
        with pytest.raises(
            ConfigError, match=rf"{off} has no {LAYERS}, which exists where {LOCAL} is true\."
        ):
            propose_ablation(source, source.load_data(), LAYERS, asked, None)


def test_steps_are_timed_for_every_kind_of_model(source: Source) -> None:
    dataset = source.load_data()
    configs = {
        name: source.plan.configure({"model.name": name})
        for name in ("dango_gi", "additive", "boosted_trees")
    }
    broken = replace(configs["additive"], trainer=replace(configs["additive"].trainer, device="cuda"))
    found = step_seconds({**configs, "broken": broken}, dataset, seconds=0.05)
    assert configs.keys() <= found.keys()
    assert all(value > 0 for value in found.values())
    assert found["dango_gi"] > found["additive"]


@pytest.fixture(scope="module")
def ablated(searched_once: Path, answer_about: Callable[..., Path]) -> Path:
    """The small sweep, its additive model compared with the others by the command."""
    of = centre_of(Source.find(str(searched_once), ""), "additive")
    return answer_about(ablate.main, "--choice", "model.name", "--seeds", "2", "--of", of)


@pytest.mark.slow
class TestCommand:
    def test_findings(self, ablated: Path) -> None:
        found = read_findings(findings_path(ablated, "model.name"))
        assert (found.kind, found.choice, found.seeds) == ("ablation", "model.name", 2)
        best, *others = found.candidates
        assert best.name == '"additive"'
        assert [difference.other for difference in found.differences] == [one.name for one in others]
        for other, difference in zip(others, found.differences, strict=True):
            assert best.test is not None
            assert other.test is not None
            assert difference.test.mean == pytest.approx(other.test.mean - best.test.mean)
            assert difference.test.n == 2
            assert [each.seed for each in other.runs] == [each.seed for each in best.runs]
            assert difference.relative_step is not None
            assert difference.sentence.startswith(
                f"Changing model.name from additive to {json.loads(other.name)} changes test Pearson by "
            )
            assert difference.sentence in found.sentences
        assert any(
            text.startswith("With model.name = additive the test Pearson is") for text in found.sentences
        )
        assert any("were not tuned for this configuration" in text for text in found.sentences)
        # The trees draw nothing at random: every seed grows the same.
        trees = found.candidates[-1]
        assert trees.test is not None
        assert trees.test.std == pytest.approx(0.0, abs=1e-9)

    def test_shown_again(
        self, ablated: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr(comparison, "run_sweep", None)
        record = read_record(ablated, "model.name")
        assert record is not None
        command = [str(ablated), "--choice", "model.name", "--seeds", "2"]
        assert run(ablate.main, [*command, "--of", str(record.asked["of"])]) == 0
        out = capsys.readouterr().out
        assert "ablation of model.name" in out
        assert "- Changing model.name from additive to dango_gi changes test Pearson" in out
        assert run(ablate.main, command) == 2
        assert "has a finished ablation of model.name with --seeds 2 --of" in capsys.readouterr().err
        assert run(ablate.main, [*command, "--again", "--dry-run"]) == 0
        assert "dry run: nothing was started." in capsys.readouterr().out
        assert read_record(ablated, "model.name") == record
