"""Population based training: the rules on simulated members, and one sweep of it."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import yaml
from optuna.trial import TrialState

from gisearch.command_line import terminal
from gisearch.errors import ConfigError
from gisearch.search.compilation import compile_space
from gisearch.search.conclusion import write_leaderboard
from gisearch.search.config import SearchConfig
from gisearch.search.domains import Range
from gisearch.search.housekeeping import Housekeeper
from gisearch.search.ledger import Handout, Ledger, Outcome
from gisearch.search.lineage import LINEAGE
from gisearch.search.plan import SweepPlan
from gisearch.search.population import Population, explore, perturb
from gisearch.search.presentation import leaderboard, print_plan
from gisearch.search.results import SweepResults, TrialRow, load_results
from gisearch.search.scheduler import build_judge
from gisearch.search.space import SearchSpace
from gisearch.search.study import load_study, open_study
from gisearch.search.trial import trial_name
from gisearch.training.checkpoint import BEST, LAST, CheckpointStore
from gisearch.training.objective import Objective
from tests.faults.sweeps import Sweep

BASE = {
    "optimizer.lr": 0.1,
    "optimizer.schedule": "cosine",
    "optimizer.cycles": 1,
    "model.depth": 1,
    "model.wide": False,
}
SPACE: dict[str, Any] = {
    "optimizer.lr": {"float": [1e-3, 1.0], "log": True},
    "optimizer.schedule": ["cosine", "constant"],
    "optimizer.cycles": {"int": [1, 4], "when": {"optimizer.schedule": "cosine"}},
    "model.depth": {"int": [1, 4]},
}


def space_of(spec: dict[str, Any]) -> SearchSpace:
    return compile_space(spec, BASE, lambda key, message: ConfigError(f"{key}: {message}"))[0]


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., tuple[Ledger, Population]]:
    """Open the ledger and the population of a study, new or as it was left."""

    def open_population(
        members: int = 4, *, mode: Literal["max", "min"] = "max", spec: Any = SPACE, **search: Any
    ) -> tuple[Ledger, Population]:
        study = open_study(tmp_path, "s", Objective("val/pearson", mode))
        every = {"perturbation_epochs": 2, **search}
        config = SearchConfig(scheduler="pbt", sampler="random", trials=members, **every)
        ledger = Ledger(study, space_of(spec), config)
        judge = build_judge(config, mode=mode, max_epochs=10, ledger=ledger)
        assert isinstance(judge, Population)
        return ledger, judge

    return open_population


def begin(ledger: Ledger, count: int) -> list[Handout]:
    handouts = [handout for _ in range(count) if (handout := ledger.next())]
    assert [handout.number for handout in handouts] == list(range(count))
    return handouts


def attrs(ledger: Ledger, number: int) -> dict[str, Any]:
    return ledger.study.trials[number].user_attrs


class TestJudge:
    @pytest.mark.parametrize(("mode", "sign"), [("max", 1.0), ("min", -1.0)])
    def test_the_worst_member_goes_on_from_the_best(
        self, mode: Literal["max", "min"], sign: float, make: Callable[..., tuple[Ledger, Population]]
    ) -> None:
        ledger, judge = make(mode=mode)
        handouts = begin(ledger, 4)
        verdicts = []
        for epoch in (1, 2):
            verdicts += [judge.judge(number, epoch, sign * (4 - number)) for number in range(4)]
        # The others knew the scores of all after epoch 1; only the last of four is among the worst.
        assert verdicts == ["go_on"] * 7 + ["replace"]
        judge.again(3)
        handout = ledger.next()
        assert handout is not None
        assert (handout.number, handout.adopt, handout.leg, handout.continued) == (3, 0, 1, True)
        donor, before = handouts[0].assignment, handouts[3].assignment
        assert handout.assignment["model.depth"] == donor["model.depth"]
        ratio = handout.assignment["optimizer.lr"] / donor["optimizer.lr"]
        assert ratio == pytest.approx(0.8) or ratio == pytest.approx(1.2)
        assert attrs(ledger, 3)[LINEAGE] == [{"epoch": 2, "donor": 0, "assignment": before}]

    def test_compares_after_every_so_many_epochs_of_its_own(
        self, make: Callable[..., tuple[Ledger, Population]]
    ) -> None:
        ledger, judge = make(2)
        begin(ledger, 2)
        judge.judge(0, 1, 0.9)
        assert [judge.judge(1, epoch, 0.1) for epoch in (1, 2)] == ["go_on", "replace"]
        judge.again(1)
        # It goes on from epoch 7 of the other, where it is left alone as long as from the beginning.
        assert [judge.judge(1, epoch, 0.1) for epoch in (8, 9)] == ["go_on", "replace"]
        # At the last epoch a member ends by itself.
        judge.again(1)
        ledger.report(1, 9, 0.1)
        assert [judge.judge(1, epoch, 0.1) for epoch in (9, 10)] == ["go_on", "go_on"]

    def test_the_present_score_counts_not_the_best_one(
        self, make: Callable[..., tuple[Ledger, Population]]
    ) -> None:
        ledger, judge = make(2)
        begin(ledger, 2)
        for epoch, (one, two) in enumerate([(0.9, 0.5), (0.1, 0.5)], 1):
            found = judge.judge(0, epoch, one), judge.judge(1, epoch, two)
        assert found == ("replace", "go_on")
        # Nor does it take over from the other what the other has yet to take over.
        assert [judge.judge(1, epoch, 0.0) for epoch in (3, 4)] == ["go_on", "go_on"]

    def test_equals_are_left_alone_and_nan_is_worst(
        self, make: Callable[..., tuple[Ledger, Population]]
    ) -> None:
        ledger, judge = make(4)
        begin(ledger, 4)
        for epoch in (1, 2):
            assert [judge.judge(number, epoch, 0.5) for number in range(4)] == ["go_on"] * 4
        judge.judge(2, 3, math.nan)
        assert judge.judge(2, 4, math.nan) == "replace"

    def test_those_that_have_ended_or_are_not_there_yet_hand_nothing_on(
        self, make: Callable[..., tuple[Ledger, Population]]
    ) -> None:
        ledger, judge = make(4)
        begin(ledger, 4)
        judge.judge(0, 1, 0.9)
        ledger.finish(0, Outcome("finished", 0.9))
        for number, value in ((1, 0.8), (2, 0.2), (3, 0.1)):
            judge.judge(number, 1, value)
        assert judge.judge(3, 2, 0.1) == "replace"
        judge.again(3)
        assert attrs(ledger, 3)["adopt"]["donor"] == 1
        # Whose state another waits for is not replaced itself.
        assert judge.judge(1, 2, 0.0) == "wait"
        ledger.report(3, 3, 0.8)
        assert attrs(ledger, 3)["adopt"] is None

    def test_the_draws_depend_on_seed_member_and_epoch_alone(
        self, make: Callable[..., tuple[Ledger, Population]], tmp_path: Path
    ) -> None:
        def replaced(seed: int) -> dict[str, Any]:
            (tmp_path / "study.journal").unlink(missing_ok=True)
            ledger, judge = make(2, seed=seed)
            begin(ledger, 2)
            judge.judge(0, 1, 0.9)
            for epoch in (1, 2):
                judge.judge(1, epoch, 0.1)
            judge.again(1)
            return dict(attrs(ledger, 1)["assignment"])

        assert replaced(0) == replaced(0) != replaced(1)

    def test_members_without_a_place_take_turns(self, make: Callable[..., tuple[Ledger, Population]]) -> None:
        ledger, judge = make(3)
        turns, epochs = [], dict.fromkeys(range(3), 0)
        while (handout := ledger.next()) is not None:
            number = handout.number
            turns.append(number)
            while epochs[number] < 6:
                epochs[number] += 1
                verdict = judge.judge(number, epochs[number], 0.5)
                ledger.report(number, epochs[number], 0.5)
                if verdict != "go_on":
                    assert verdict == "wait"
                    judge.again(number)
                    break
            else:
                ledger.finish(number, Outcome("finished", 0.5))
        assert turns[:6] == [0, 1, 2, 0, 1, 2]
        assert [trial.state for trial in ledger.study.trials] == [TrialState.COMPLETE] * 3


class TestLedger:
    def replaced(self, make: Callable[..., tuple[Ledger, Population]]) -> Ledger:
        ledger, _ = make(2)
        begin(ledger, 2)
        ledger.report(0, 4, 0.9)
        ledger.report(1, 4, 0.1)
        ledger.replace(1, 0, 4, {**attrs(ledger, 0)["assignment"], "optimizer.lr": 0.5})
        return ledger

    def test_a_killed_sweep_hands_it_out_the_same_way(
        self, make: Callable[..., tuple[Ledger, Population]]
    ) -> None:
        expected = self.replaced(make).next()
        resumed, _ = make(2)
        assert [resumed.next(), resumed.next()] == [
            Handout(0, attrs(resumed, 0)["assignment"], 0, continued=True),
            expected,
        ]
        # A process that is lost before an epoch takes the state over again; afterwards it has its own.
        assert resumed.lost(1, "died") is None
        assert resumed.next() == expected
        assert resumed.report(1, 3, 0.9) is False
        assert resumed.lost(1, "died") is None
        own = resumed.next()
        assert own is not None
        assert (own.adopt, own.leg, own.assignment["optimizer.lr"]) == (None, 1, 0.5)
        assert len(attrs(resumed, 1)[LINEAGE]) == 1

    def test_a_process_killed_while_it_wrote_is_made_up_for(
        self, make: Callable[..., tuple[Ledger, Population]]
    ) -> None:
        ledger, _ = make(2)
        begin(ledger, 2)
        before = attrs(ledger, 1)["assignment"]
        after = {**before, "optimizer.lr": 0.5}
        plan = {"leg": 1, "donor": 0, "epoch": 4, "assignment": after}
        ledger._live[1].set_user_attr("adopt", plan)
        make(2)
        assert attrs(ledger, 1)["assignment"] == after
        assert attrs(ledger, 1)[LINEAGE] == [{"epoch": 4, "donor": 0, "assignment": before}]

    def test_members_that_are_or_become_equal_remain_members(
        self, make: Callable[..., tuple[Ledger, Population]]
    ) -> None:
        spec = {"optimizer.schedule": ["cosine", "constant"]}
        ledger, _ = make(5, spec=spec)
        assert len({str(handout.assignment) for handout in begin(ledger, 5)}) == 2
        ledger.replace(1, 0, 2, attrs(ledger, 0)["assignment"])
        for number in range(5):
            ledger.finish(number, Outcome("finished", 0.1 * number))
        assert [trial.value for trial in ledger.study.trials] == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4])
        assert not any("duplicate_of" in trial.user_attrs for trial in ledger.study.trials)

    def test_what_waits_when_the_time_is_over_keeps_its_value(
        self, make: Callable[..., tuple[Ledger, Population]]
    ) -> None:
        ledger = self.replaced(make)
        ledger.wait(0)
        assert ledger.withdraw() == {0: 0.9, 1: 0.1}
        ledger.ended = True
        assert ledger.next() is None


class TestExplore:
    def test_only_the_optimiser_changes_and_stays_in_the_space(self) -> None:
        space = space_of(SPACE)
        values = {
            "optimizer.lr": 0.9,
            "optimizer.schedule": "cosine",
            "optimizer.cycles": 2,
            "model.depth": 3,
        }
        drawn = [explore(space, values, np.random.default_rng(seed)) for seed in range(400)]
        assert all(space.check_assignment(found) is None for found in drawn)
        assert {found["model.depth"] for found in drawn} == {3}
        assert {round(found["optimizer.lr"], 6) for found in drawn} == {0.72, 1.0}
        assert {found.get("optimizer.cycles") for found in drawn} == {1, 2, 3, None} - {2}
        # Half of the drawn ones are the value that it was.
        constant = sum(found["optimizer.schedule"] == "constant" for found in drawn) / len(drawn)
        assert constant == pytest.approx(0.125, abs=0.05)
        assert all(("optimizer.cycles" in f) == (f["optimizer.schedule"] == "cosine") for f in drawn)

    def test_a_model_that_depends_on_the_optimiser_does_not_change(self) -> None:
        space = space_of(
            {**SPACE, "model.wide": {"choice": [True, False], "when": {"optimizer.cycles": [2]}}}
        )
        values = {
            "optimizer.lr": 0.1,
            "optimizer.schedule": "cosine",
            "optimizer.cycles": 2,
            "model.depth": 1,
            "model.wide": True,
        }
        assert all(explore(space, values, np.random.default_rng(seed)) == values for seed in range(20))

    @pytest.mark.parametrize(
        ("domain", "value", "factor", "expected"),
        [
            (Range(0.0, 1.0, False), 0.5, 1.2, 0.6),
            (Range(0.0, 1.0, False), 0.9, 1.2, 1.0),
            (Range(0.1, 1.0, False, log=True), 0.11, 0.8, 0.1),
            (Range(0.0, 1.0, False, step=0.25), 0.5, 1.2, 0.75),
            (Range(0.0, 1.0, False, step=0.25), 0.5, 0.8, 0.25),
            (Range(0.0, 1.0, False, step=0.4), 0.8, 1.2, 0.8),
            (Range(1, 8, True, step=1), 2, 1.2, 3),
            (Range(1, 8, True, step=1), 1, 0.8, 1),
            (Range(2, 20, True, step=4), 10, 1.2, 14),
            (Range(1, 64, True, log=True, step=1), 10, 0.8, 8),
        ],
    )
    def test_perturbed_numbers(self, domain: Range, value: float, factor: float, expected: float) -> None:
        found = perturb(domain, value, factor)
        assert found == pytest.approx(expected)
        assert found in domain
        assert isinstance(found, int) == domain.integer

    def test_the_nearest_number_lies_in_the_range(self) -> None:
        domain = Range(0.0, 1.0, False, step=0.3)
        assert [domain.exact(value) for value in (-1.0, 0.4, 2.0)] == [0.0, 0.3, 0.9]


POPULATION = """
name: population
base: [model=dango_gi, data=demo_tiny, model.hidden_dim=16, trainer.max_epochs=8]
space:
  optimizer.lr: {float: [1.0e-5, 1.0e-1], log: true}
  model.encoder.num_layers: [1, 2]
search: {trials: 4, scheduler: pbt, perturbation_epochs: 2, concurrency: 2}
"""


class TestPlan:
    def test_the_dry_run_shows_it(
        self, plan: Callable[..., SweepPlan], capsys: pytest.CaptureFixture[str]
    ) -> None:
        made = plan(POPULATION)
        print_plan(made, terminal())
        out = capsys.readouterr().out
        assert "4 members; every 2 epochs, the last 25% go on from one of the first 25%" in out
        assert made.config.search.sampler == "random"
        assert "note: the members of the population begin with random values: pbt learns by itself" in out
        never = plan(POPULATION, "search.perturbation_epochs=8")
        assert any(note.startswith("no member will ever be replaced") for note in never.notes)

    @pytest.mark.parametrize(
        ("override", "expected"),
        [
            ("objective.cost=parameters", "expected objective.cost=none, got 'parameters'."),
            ("search.exhaustive=true", "expected search.exhaustive=false."),
            ("trainer.checkpoint_seconds=5.0", "expected trainer.checkpoint_seconds=0."),
            ("optimizer.lr=0.01", "expected at least one, such as optimizer.lr."),
            ("search.trials=1", "search.trials: a population needs at least 2 members, got 1."),
        ],
    )
    def test_what_it_cannot_do(self, override: str, expected: str, message: Callable[..., str]) -> None:
        said = message(POPULATION, override)
        assert said.startswith("space.yaml, line 7: search.")
        assert said.endswith(expected)


class TestResults:
    def test_the_configuration_is_that_of_the_best_model(self, tmp_path: Path) -> None:
        folder = tmp_path / "trials" / "t0001"
        CheckpointStore(folder).save(BEST, {"config": {"optimizer": {"lr": 0.1}}})
        (folder / "config.yaml").write_text("optimizer: {lr: 0.2}\n")
        lineage = [{"epoch": 2, "donor": 0, "assignment": {"optimizer.lr": 0.1}}]
        member = TrialRow(1, 0.5, "finished", 8, 1.0, {"optimizer.lr": 0.2}, facts={"lineage": lineage})
        alone = TrialRow(1, 0.5, "finished", 8, 1.0, {"optimizer.lr": 0.2})
        results = SweepResults("s", tmp_path, "val/pearson", "max", (member,))
        assert results.config_of(member) == {"optimizer": {"lr": 0.1}}
        assert results.config_of(alone) == {"optimizer": {"lr": 0.2}}
        assert member.as_json()["lineage"] == lineage
        assert "lineage" not in alone.as_json()
        header, row = write_leaderboard(results).read_text().splitlines()
        assert dict(zip(header.split(","), row.split(","), strict=True))["replaced"] == "1"
        table = leaderboard(results, 10, 200)[0]
        assert "finished, replaced 1x" in [*table.columns[3].cells]

    def test_checkpoints_stay_until_they_were_taken_over(
        self,
        tmp_path: Path,
        plan: Callable[..., SweepPlan],
        make: Callable[..., tuple[Ledger, Population]],
    ) -> None:
        ledger, _ = make(3)
        begin(ledger, 3)
        keeper = Housekeeper(tmp_path, plan(POPULATION, "search.keep_checkpoints=1"), ledger.study)
        stores = [CheckpointStore(tmp_path / "trials" / trial_name(number)) for number in range(3)]
        for store in stores:
            store.save(LAST, {})
        ledger.replace(2, 0, 4, attrs(ledger, 0)["assignment"])

        def end(number: int, value: float) -> list[bool]:
            ledger.report(number, 8, value)
            ledger.finish(number, Outcome("finished", value))
            keeper.on_end(number, Outcome("finished", value))
            return [(store.folder / LAST).exists() for store in stores]

        assert end(0, 0.1) == [True, True, True]
        assert end(1, 0.9) == [True, True, True]
        assert end(2, 0.5) == [False, True, False]


@pytest.mark.ray
@pytest.mark.slow
def test_a_population_that_is_killed_and_resumed(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path, "population")

    def lineages() -> dict[int, list[dict[str, Any]]]:
        return {t.number: t.user_attrs[LINEAGE] for t in sweep.trials if t.user_attrs.get(LINEAGE)}

    sweep.begin_with(POPULATION, "tracking.enabled=false", "trainer.batch_size=8")
    sweep.wait_for(lineages)
    sweep.kill()
    before = lineages()
    assert before
    code, _, err = sweep.resume().end()
    assert code == 0, err
    after = lineages()
    assert all(after[number][: len(lineage)] == lineage for number, lineage in before.items())

    trials = load_study(sweep.results).trials
    assert len(trials) == 4
    assert {trial.state for trial in trials} == {TrialState.COMPLETE}
    replaced = [trial for trial in trials if trial.user_attrs.get(LINEAGE)]
    assert replaced
    for trial in trials:
        steps = sorted(trial.intermediate_values)
        values = [trial.intermediate_values[step] for step in steps]
        assert steps[-1] == 8
        assert values == sorted(values)
        assert trial.value == values[-1]
        store = CheckpointStore(sweep.results / "trials" / trial_name(trial.number))
        state = store.load(LAST)
        assert state["config"]["optimizer"]["lr"] == trial.user_attrs["assignment"]["optimizer.lr"]
        assert store.load(BEST)["progress"]["best_value"] == pytest.approx(trial.value)
        for leg in trial.user_attrs.get(LINEAGE, []):
            assert leg["donor"] != trial.number
            assert leg["assignment"].keys() == trial.params.keys()
    for trial in replaced:
        # What was sampled stays with Optuna; the lineage begins with it.
        assert trial.user_attrs[LINEAGE][0]["assignment"] == pytest.approx(trial.params)

    results = load_results(sweep.results)
    assert sum(row.replaced for row in results.rows) == sum(len(t.user_attrs[LINEAGE]) for t in replaced)
    best = sweep.results / "best"
    assert yaml.safe_load((best / "config.yaml").read_text()) == CheckpointStore(best).load(BEST)["config"]
