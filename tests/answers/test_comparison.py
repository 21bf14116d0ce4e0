from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from gisearch.answers import comparison as comparison_module
from gisearch.answers.comparison import Comparison, fresh_seeds
from gisearch.answers.confirmation import propose_confirmation
from gisearch.answers.record import earlier_record, read_record, record_path, write_record
from gisearch.answers.source import Source, free_name
from gisearch.errors import ConfigError, DataError
from gisearch.search.plan import plan_sweep
from gisearch.search.space_file import SEED


@pytest.fixture
def source(searched: Path) -> Source:
    return Source.find("small", str(searched.parent))


class TestSource:
    def test_wrong_names_and_overrides(self, searched: Path) -> None:
        root = str(searched.parent)
        with pytest.raises(ConfigError, match=r"no results called 'smal' .* Did you mean 'small'\?$"):
            Source.find("smal", root)
        with pytest.raises(ConfigError, match=r"^search\.trials=3: a comparison trains every candidate once"):
            Source.find("small", root, ["search.trials=3"])
        with pytest.raises(ConfigError, match=r"^trainer\.max_epochs=3: a comparison keeps what"):
            Source.find("small", root, ["trainer.max_epochs=3"])
        found = Source.find("small", root, ["search.concurrency=2"])
        assert found.given == ("search.concurrency=2",)

    def test_the_trained_configurations_are_different_and_best_first(self, source: Source) -> None:
        rows = source.trained()
        values = [row.value or 0.0 for row in rows]
        assert values == sorted(values, reverse=True)
        assert len({json.dumps(row.params, sort_keys=True) for row in rows}) == len(rows) == 5
        stopped = [replace(row, status="stopped_early") for row in rows]
        some = replace(source, results=replace(source.results, rows=(*stopped[:2], *rows[2:], rows[2])))
        assert some.trained() == rows[2:]
        none = replace(source, results=replace(source.results, rows=tuple(stopped)))
        assert none.trained() == stopped

    def test_changed_data_is_refused(self, source: Source) -> None:
        facts = {**source.results.facts, "data": "0123"}
        changed = replace(source, results=replace(source.results, facts=facts))
        with pytest.raises(
            DataError, match=r"^the data has changed since .*small was started; expected the same"
        ):
            changed.load_data()

    def test_a_comparison_names_every_trial(self, source: Source, tmp_path: Path) -> None:
        first, second = (dict(row.params) for row in source.trained()[:2])
        plan = source.compare("other", "Why?", [first, second], [5, 0], tmp_path)
        assert plan.draws_nothing
        assert [(trial.pop(SEED), trial) for trial in map(dict, plan.baselines)] == [
            (5, first),
            (5, second),
            (0, first),
            (0, second),
        ]
        search = plan.config.search
        assert (search.trials, search.scheduler, search.num_kept) == (4, "none", 4)
        assert (plan.config.name, plan.question) == ("other", "Why?")
        assert Path(plan.config.results.dir) == source.results_dir
        # The trial's own seed stands, whatever the ledger proposes.
        assert plan.configure(plan.baselines[2], seed=99).seed == 0
        assert plan.configure(first, seed=99).seed == 99
        assert list(plan.variants())
        # The same trials from the sweep's own file, when it is resumed.
        again = plan_sweep(tmp_path / "other.yaml", plan.overrides)
        assert again.baselines == plan.baselines

    def test_values_outside_the_space(self, source: Source, tmp_path: Path) -> None:
        params = dict(next(row for row in source.trained() if row.params["model.name"] == "dango_gi").params)
        key = "model.local_predictor.enabled"
        kept = source.compare("a", "", [params], [0], tmp_path, values={key: [True, False]})
        assert kept.space[key].domain.all_values == (True, False)
        wide = {**params, "optimizer.lr": 0.5}
        other = source.compare("b", "", [wide], [0], tmp_path, values={"optimizer.lr": [0.5, 0.01]})
        assert other.space["optimizer.lr"].domain.all_values == (0.5, 0.01)
        assert other.space["optimizer.lr"].when == source.plan.space["optimizer.lr"].when
        new = source.compare(
            "c",
            "",
            [{**params, "trainer.batch_size": 64}],
            [0],
            tmp_path,
            values={"trainer.batch_size": [64, 32]},
        )
        assert new.configure(new.baselines[0]).trainer.batch_size == 64

    def test_a_value_fixed_on_the_command_line_can_be_varied(self, source: Source, tmp_path: Path) -> None:
        fixed = replace(source, stored=(*source.stored, "trainer.batch_size=128", "search.hours=0.1"))
        row = source.trained()[0]
        plan = fixed.compare(
            "d",
            "",
            [{**row.params, "trainer.batch_size": 64}],
            [0],
            tmp_path,
            values={"trainer.batch_size": [64]},
        )
        assert plan.configure(plan.baselines[0]).trainer.batch_size == 64
        # A limit of the search is none of the comparison.
        assert plan.config.search.hours is None

    def test_a_seed_is_searched_only_where_every_trial_is_named(self, tmp_path: Path) -> None:
        text = "base: [model=additive, data=demo_tiny]\nspace: {seed: [1, 2]}\n"
        text += "baselines: [{seed: 1}, {seed: 2}]\n"
        (tmp_path / "a.yaml").write_text(f"{text}search: {{trials: 2}}\n")
        assert [trial[SEED] for trial in plan_sweep(tmp_path / "a.yaml").baselines] == [1, 2]
        (tmp_path / "b.yaml").write_text(f"{text}search: {{trials: 3}}\n")
        with pytest.raises(ConfigError, match=r"seed: a sweep holds 'seed' equal for all trials"):
            plan_sweep(tmp_path / "b.yaml")


class TestSeeds:
    def test_they_are_fresh_different_and_repeatable(self, source: Source) -> None:
        five = fresh_seeds(source, "confirmation", 5)
        assert len(set(five)) == 5
        assert fresh_seeds(source, "confirmation", 3) == five[:3]
        assert source.plan.config.seed not in five
        assert not set(five) & set(fresh_seeds(source, "ablation of x", 5))
        # The same in any process.
        assert five[:3] == (152564302, 109590640, 1338060347)


class TestRuns:
    @pytest.fixture
    def comparison(self, source: Source) -> Comparison:
        record = propose_confirmation(source, {"top": 1, "seeds": 2, "splits": 0})
        # Two quick models are enough.
        quick = tuple(one for one in record.candidates if one.params["model.name"] != "dango_gi")
        return Comparison(source, replace(record, candidates=quick), "Why?")

    def test_an_interrupted_one_goes_on(
        self, comparison: Comparison, run_here: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sweep = comparison.record.sweeps[0]
        monkeypatch.setattr(comparison_module, "run_sweep", run_here(stop_after=1))
        outcome = comparison.run(Console(quiet=True))
        assert outcome is not None
        assert outcome.interrupted
        total = len(comparison.record.candidates) * 2
        assert comparison.missing(sweep) == total - 1
        source = comparison.source
        record = read_record(source.folder, None)
        assert record is not None
        assert not record.sweeps[0].done
        folder = comparison.folder_of(sweep)
        first = (folder / "trials" / "t0000" / "best.pt").stat().st_mtime_ns
        monkeypatch.setattr(comparison_module, "run_sweep", run_here())
        again = replace(comparison, record=record)
        again.check()
        assert again.run(Console(quiet=True)) is None
        assert again.missing(sweep) == 0
        assert (folder / "trials" / "t0000" / "best.pt").stat().st_mtime_ns == first
        seeds = {seed for _, seed in again.rows(sweep)}
        assert seeds == set(comparison.record.seeds)
        # Nothing is left to do.
        done = read_record(source.folder, None)
        assert done is not None
        monkeypatch.setattr(comparison_module, "run_sweep", None)
        assert replace(comparison, record=done).run(Console(quiet=True)) is None


class TestRecord:
    def test_other_options_need_again(self, source: Source, tmp_path: Path) -> None:
        asked = {"top": 1, "seeds": 2, "splits": 0}
        record = propose_confirmation(source, asked)
        write_record(tmp_path, record)
        assert earlier_record(tmp_path, None, asked, again=False) == record
        other = {**asked, "seeds": 3}
        with pytest.raises(
            ConfigError,
            match=r"has an unfinished confirmation with --top 1 --seeds 2; expected the same options to go "
            r"on with it, or --again to train anew and replace it\.$",
        ):
            earlier_record(tmp_path, None, other, again=False)
        assert earlier_record(tmp_path, None, other, again=True) is None
        assert earlier_record(tmp_path, "x", other, again=False) is None
        record_path(tmp_path, None).write_text("{")
        with pytest.raises(ConfigError, match=r"is damaged: .*; --again starts anew\.$"):
            earlier_record(tmp_path, None, asked, again=False)

    def test_names_that_are_free(self, tmp_path: Path) -> None:
        assert free_name(tmp_path, "a") == "a"
        (tmp_path / "a").mkdir()
        (tmp_path / "a-2").mkdir()
        assert free_name(tmp_path, "a") == "a-3"
