from __future__ import annotations

import subprocess
import sys
from typing import Literal

import optuna
import pytest
from optuna.trial import FrozenTrial

from gisearch.search.config import SearchConfig
from gisearch.search.scheduler import Halving, build_judge
from gisearch.search.supervision import Judge

CONFIG = SearchConfig(grace_epochs=2, reduction_factor=2)
HYPERBAND = SearchConfig(scheduler="hyperband", grace_epochs=1, reduction_factor=3)


def build(
    config: SearchConfig = CONFIG,
    mode: Literal["max", "min"] = "max",
    max_epochs: int = 10,
    earlier: list[FrozenTrial] | None = None,
) -> Judge:
    judge = build_judge(config, mode=mode, max_epochs=max_epochs, earlier=earlier or [])
    assert judge is not None
    return judge


def stopped(judge: Judge, number: int, values: dict[int, float]) -> int | None:
    """Feed a trial's curve; returns the epoch at which it was stopped."""
    for epoch, value in values.items():
        if judge.judge(number, epoch, value) == "stop":
            judge.ended(number)
            return epoch
    judge.ended(number)
    return None


def curve(value: float, epochs: int = 9) -> dict[int, float]:
    return dict.fromkeys(range(1, epochs + 1), value)


def frozen(curves: list[dict[int, float]]) -> list[FrozenTrial]:
    study = optuna.create_study()
    for values in curves:
        study.add_trial(optuna.create_trial(state=optuna.trial.TrialState.PRUNED, intermediate_values=values))
    return study.trials


def first_rungs(config: SearchConfig, max_epochs: int, count: int) -> list[int | None]:
    """Return when each of many hopeless trials is stopped; every bracket holds perfect ones."""
    judge = build(config, max_epochs=max_epochs)
    for number in range(1000, 1100):
        stopped(judge, number, curve(1.0, max_epochs))
    return [stopped(judge, number, curve(0.0, max_epochs - 1)) for number in range(count)]


class TestHalving:
    @pytest.mark.parametrize(("mode", "good", "bad"), [("max", 0.9, 0.1), ("min", 0.1, 0.9)])
    def test_a_bad_trial_is_stopped_at_its_first_rung(
        self, mode: Literal["max", "min"], good: float, bad: float
    ) -> None:
        judge = build(mode=mode)
        assert stopped(judge, 0, curve(good)) is None
        assert stopped(judge, 1, curve(bad)) == 2
        assert stopped(judge, 2, curve(good)) is None

    def test_a_trial_that_falls_behind_later_is_stopped_at_a_later_rung(self) -> None:
        judge = build()
        stopped(judge, 0, {epoch: 0.1 * epoch for epoch in range(1, 10)})
        assert stopped(judge, 1, curve(0.25)) == 4

    def test_a_share_of_the_trials_goes_on(self) -> None:
        judge = build(SearchConfig(grace_epochs=1, reduction_factor=3), max_epochs=3)
        order = [(number * 37) % 100 for number in range(100)]
        kept = [number for number, value in enumerate(order) if stopped(judge, number, {1: value}) is None]
        # Asynchronous: the first ones meet few others, and some that are not among the best third go on.
        assert 33 <= len(kept) <= 45
        assert all(number in kept for number, value in enumerate(order) if value >= 90)

    def test_epochs_that_another_attempt_repeats_are_not_judged_again(self) -> None:
        judge = build()
        assert stopped(judge, 0, curve(0.5, 3)) is None
        assert stopped(judge, 1, curve(0.9)) is None
        # Trial 0 was lost and goes on from epoch 2, which by now it would not pass.
        assert judge.judge(0, 2, 0.5) == "go_on"
        assert judge.judge(0, 3, 0.5) == "go_on"
        assert judge.judge(0, 4, 0.5) == "stop"


class TestMemory:
    def test_earlier_trials_count_as_if_the_sweep_had_gone_on(self) -> None:
        curves = [curve(0.3 + 0.02 * i, 9 if i > 4 else 2) for i in range(8)]
        whole = build()
        for i, values in enumerate(curves):
            stopped(whole, i, values)
        resumed, fresh = build(earlier=frozen(curves)), build()
        stops = []
        for i, value in enumerate([0.0, 0.35, 0.5, 0.39, 0.41], start=len(curves)):
            stops.append(stopped(whole, i, curve(value)))
            assert stopped(resumed, i, curve(value)) == stops[-1]
        assert stops[0] == 2
        assert None in stops
        assert stopped(fresh, 8, curve(0.0)) is None

    def test_hyperbands_brackets_too(self) -> None:
        curves = [curve(i / 30, 8) for i in range(30)]
        whole = build(HYPERBAND, max_epochs=9)
        for i, values in enumerate(curves):
            for epoch, value in values.items():
                whole.judge(i, epoch, value)
        resumed = build(HYPERBAND, max_epochs=9, earlier=frozen(curves))
        later = [(number, curve(number / 60)) for number in range(30, 60)]
        stops = [stopped(whole, number, values) for number, values in later]
        assert stops == [stopped(resumed, number, values) for number, values in later]
        assert {1, 3, None} <= set(stops)


class TestHyperband:
    def test_brackets_begin_ever_later_and_fewer_trials_are_in_them(self) -> None:
        stops = first_rungs(HYPERBAND, 9, 300)
        # The last bracket's only rung is the end. Hyperband's 9, 5 and 3 configurations.
        assert set(stops) == {1, 3, None}
        assert stops.count(1) == pytest.approx(300 * 9 / 16.5, abs=30)
        assert stops.count(3) == pytest.approx(300 * 4.5 / 16.5, abs=30)

    def test_a_slow_starter_lives_on_in_a_later_bracket(self) -> None:
        late = {epoch: 0.0 if epoch < 3 else 2.0 for epoch in range(1, 9)}
        judge = build(HYPERBAND, max_epochs=9)
        for number in range(1000, 1100):
            stopped(judge, number, curve(1.0, 8))
        fates = {stopped(judge, number, late) for number in range(40)}
        assert fates == {1, None}
        asha = build(SearchConfig(grace_epochs=1, reduction_factor=3), max_epochs=9)
        for number in range(1000, 1100):
            stopped(asha, number, curve(1.0, 8))
        assert {stopped(asha, number, late) for number in range(40)} == {1}

    def test_the_bracket_is_decided_by_number_and_seed(self) -> None:
        first = first_rungs(HYPERBAND, 9, 40)
        assert first == first_rungs(HYPERBAND, 9, 40)
        other = SearchConfig(scheduler="hyperband", grace_epochs=1, reduction_factor=3, seed=1)
        assert first != first_rungs(other, 9, 40)

    def test_another_process_decides_the_same(self) -> None:
        script = (
            "from tests.search.test_scheduler import HYPERBAND, first_rungs\n"
            "print(first_rungs(HYPERBAND, 9, 40))"
        )
        out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
        assert out.stdout.strip() == str(first_rungs(HYPERBAND, 9, 40))

    def test_one_bracket_where_there_is_room_for_one(self) -> None:
        config = SearchConfig(scheduler="hyperband", grace_epochs=4, reduction_factor=3)
        assert set(first_rungs(config, 9, 20)) == {4}


def test_no_early_stopping() -> None:
    assert build_judge(SearchConfig(scheduler="none"), mode="max", max_epochs=10) is None
    assert build_judge(CONFIG, mode="max", max_epochs=2) is None
    assert isinstance(build_judge(CONFIG, mode="max", max_epochs=3), Halving)
