from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from gisearch import confirm
from gisearch.answers import comparison
from gisearch.answers.confirmation import conclude_confirmation, propose_confirmation
from gisearch.answers.findings import Candidate, Findings, Interval, RunScore, findings_path, read_findings
from gisearch.answers.record import ComparisonSweep, Record, read_record
from gisearch.answers.scoring import Scores
from gisearch.answers.source import Source
from gisearch.answers.wording import (
    change_sentence,
    parameter_words,
    step_words,
    switch_words,
    verdict_of,
    with_interval,
)
from gisearch.command_line import run
from gisearch.errors import ConfigError


def interval(mean: float, low: float, high: float) -> Interval:
    return Interval(mean, 0.1, low, high, 3)


class TestWords:
    def test_the_sentence(self) -> None:
        subject = switch_words("model.local_predictor.enabled", True, False)
        found = change_sentence(subject, "test/pearson", interval(-0.004, -0.012, 0.003), 0.83, 0.65)
        assert found == (
            "Switching model.local_predictor off changes test Pearson by -0.004 (95 % interval -0.012 to "
            "0.003), makes a step 17 % faster and takes 35 % fewer parameters"
        )
        alone = change_sentence("X", "test/auroc", interval(0.1, 0.05, 0.2), None, 1.0)
        assert alone == "X changes test AUROC by 0.100 (95 % interval 0.050 to 0.200)"

    def test_other_values(self) -> None:
        assert switch_words("a.b", "x", "y") == "Changing a.b from x to y"
        assert switch_words("a.b", 1, 0.00012345) == "Changing a.b from 1 to 0.000123"
        assert step_words(1.01) == "makes a step no faster or slower"
        assert step_words(1.5) == "makes a step 50 % slower"
        assert step_words(4.0) == "makes a step take 4.0 times as long"
        assert parameter_words(1.2) == "takes 20 % more parameters"
        assert parameter_words(1.001) == ""
        # A small difference is shown with enough digits, and zero without a sign.
        assert with_interval(interval(-0.00001, -0.0002, 0.0001)) == (
            "-0.00001 (95 % interval -0.00020 to 0.00010)"
        )
        assert with_interval(interval(-0.0001, -0.1, 0.1)).startswith("0.000 (")

    def test_verdicts_know_the_direction(self) -> None:
        assert verdict_of(interval(0.1, -0.1, 0.3), "max") == "no evidence"
        assert verdict_of(interval(0.2, 0.1, 0.3), "max") == "better"
        assert verdict_of(interval(0.2, 0.1, 0.3), "min") == "worse"
        assert verdict_of(interval(-0.2, -0.3, -0.1), "min") == "better"


class TestProposal:
    def test_the_best_and_every_baseline(self, searched: Path) -> None:
        source = Source.find(str(searched), "")
        record = propose_confirmation(source, {"top": 2, "seeds": 3, "splits": 0})
        rows = source.trained()
        first, second, *others = record.candidates
        assert [first.name, second.name] == [rows[0].trial_id, rows[1].trial_id]
        assert [first.search_value, second.search_value] == [rows[0].value, rows[1].value]
        # A baseline that is among the best is trained once.
        texts = [json.dumps(one.params, sort_keys=True) for one in record.candidates]
        assert len(set(texts)) == len(texts)
        assert sum(one.baseline for one in record.candidates) == 3
        assert all(one.name.startswith("baseline") and one.search_value is not None for one in others)
        assert record.runs == 3 * len(record.candidates)
        assert record.sweeps == (ComparisonSweep("small_confirm", None),)
        everything = propose_confirmation(source, {"top": 9, "seeds": 1, "splits": 0})
        assert len(everything.candidates) == 5
        assert everything.notes == ("the sweep trained 5 different configurations: all are confirmed",)

    def test_fresh_splits_are_sweeps_of_their_own(self, searched: Path) -> None:
        source = Source.find(str(searched), "")
        (searched.parent / "small_confirm_split1").mkdir()
        record = propose_confirmation(source, {"top": 1, "seeds": 1, "splits": 2})
        assert [sweep.name for sweep in record.sweeps] == ["small_confirm_split1-2", "small_confirm_split2"]
        splits = {sweep.split for sweep in record.sweeps}
        assert len(splits) == 2
        assert not splits & {None, 0}

    def test_a_split_from_a_file_has_no_fresh_ones(self, searched: Path) -> None:
        source = Source.find(str(searched), "")
        pinned = ("data.split.strategy=file", "data.split.path=their.csv")
        source = dataclasses.replace(source, stored=(*source.stored, *pinned))
        assert propose_confirmation(source, {"top": 1, "seeds": 1, "splits": 0}).candidates
        with pytest.raises(ConfigError, match=r"--splits: .* their\.csv, which no seed changes"):
            propose_confirmation(source, {"top": 1, "seeds": 1, "splits": 2})


class Fixed:
    """Test evidence with known differences, in place of resamples."""

    def __init__(self, differences: dict[str, Interval | None]) -> None:
        self.differences = differences

    def difference(self, other: str, reference: str) -> Interval | None:
        return self.differences[other]


def conclude(
    candidates: tuple[Candidate, ...], differences: dict[str, Interval | None], **changed: Any
) -> Findings:
    source: Any = SimpleNamespace(results=SimpleNamespace(metric="val/pearson", mode="max", name="s"))
    asked = {"top": 2, "seeds": 3, "splits": 0}
    sweeps = (ComparisonSweep("s_confirm", None, True),)
    record = Record(None, asked, candidates, changed.pop("seeds", (1, 2, 3)), sweeps)
    evidence: Any = Fixed(differences)
    steps = {"t0001": 2.0, "t0002": 1.0}
    return conclude_confirmation(source, record, Scores(candidates, evidence, 0.9), steps)


def candidate(name: str, search: float | None, val: float | None, test: float | None) -> Candidate:
    ends = [None if v is None else interval(v, v - 0.1, v + 0.1) for v in (val, test)]
    runs = (RunScore("t0000", 1, None, val, test, 1.0, None, None if test else "it broke."),)
    return Candidate(name, name.startswith("b"), {}, search, 100, ends[0], ends[1], runs)


class TestConclusion:
    def test_the_winner_has_the_best_validation_score(self) -> None:
        found = conclude(
            (
                candidate("t0001", 0.7, 0.5, 0.65),
                candidate("t0002", 0.6, 0.55, 0.5),
                candidate("baseline 1", 0.4, 0.45, 0.6),
                candidate("baseline 2", None, None, None),
            ),
            {"t0001": interval(0.15, -0.1, 0.3), "baseline 1": interval(0.1, 0.05, 0.2), "baseline 2": None},
        )
        assert [one.name for one in found.candidates] == ["t0002", "t0001", "baseline 1", "baseline 2"]
        assert [(d.reference, d.other, d.verdict) for d in found.differences] == [
            ("t0002", "t0001", "no evidence"),
            ("t0002", "baseline 1", "better"),
        ]
        assert [d.relative_step for d in found.differences] == [2.0, None]
        first, optimism, *rest = found.sentences
        assert first == (
            "t0002 has the best confirmed validation score; its test Pearson is 0.500 (95 % interval 0.400 "
            "to 0.600) over 3 fresh seeds."
        )
        # (0.7 - 0.5 + 0.6 - 0.55) / 2
        assert "of the best 2 was optimistic by 0.125 on average" in optimism
        assert rest[0] == "1 of 1 runs of baseline 2 failed and do not count: it broke."
        assert rest[1] == (
            "Taking t0001 instead of t0002 changes test Pearson by 0.150 (95 % interval -0.100 to 0.300) and "
            "makes a step take 2.0 times as long: no evidence of a difference."
        )
        assert rest[2].endswith(": baseline 1 is better.")
        assert rest[3].startswith("2 differences are judged here")
        assert (found.kind, found.metric, found.seeds, found.splits) == ("confirmation", "test/pearson", 3, 0)

    def test_one_seed_and_no_result(self) -> None:
        found = conclude((candidate("t0001", 0.7, 0.5, 0.65),), {}, seeds=(1,))
        assert "With one seed the intervals are over test genotypes alone" in " ".join(found.sentences)
        failed = conclude((candidate("t0001", 0.7, None, None),), {})
        assert failed.sentences[0] == "Every run failed: nothing is confirmed."


@pytest.fixture(scope="module")
def confirmed_once(answer_about: Callable[..., Path]) -> Path:
    """The small sweep, confirmed by the command: the best one and three baselines, two seeds."""
    return answer_about(confirm.main, "--top", "1", "--seeds", "2")


@pytest.mark.slow
class TestCommand:
    def test_scores_are_those_of_the_models(self, confirmed_once: Path) -> None:
        from gisearch.models.batch import GenotypeBatch
        from gisearch.training.experiment import load_trained
        from gisearch.training.metrics import score

        source = Source.find(str(confirmed_once), "")
        dataset = source.load_data()
        findings = read_findings(findings_path(confirmed_once))
        assert len(findings.candidates) >= 3
        assert {one.params["model.name"] for one in findings.candidates} == {
            "dango_gi",
            "additive",
            "boosted_trees",
        }
        stored = np.load(confirmed_once / "answers" / "confirmation_predictions.npz")
        trials = confirmed_once.parent / "small_confirm" / "trials"
        record = read_record(confirmed_once, None)
        assert record is not None
        test = GenotypeBatch.from_genotypes(dataset.genotypes.subset(dataset.split.test))
        recorded = comparison.Comparison(source, record, "").rows(record.sweeps[0])
        for one in findings.candidates:
            assert {r.seed for r in one.runs} == set(record.seeds)
            for each in one.runs:
                predicted, _ = load_trained(trials / each.trial, dataset).predict(test)
                expected = score("regression", predicted, torch.from_numpy(dataset.values("test")))["pearson"]
                assert each.test == pytest.approx(expected, abs=1e-5)
                assert each.val == pytest.approx(recorded[one.name, each.seed].value, abs=1e-4)
                assert stored[f"small_confirm/{each.trial}"] == pytest.approx(predicted.numpy(), abs=1e-6)
                assert each.step_seconds is not None
            assert one.test is not None
            assert one.test.mean == pytest.approx(np.mean([r.test for r in one.runs]))
            assert one.test.low <= one.test.mean <= one.test.high
        values = [one.val.mean for one in findings.candidates if one.val is not None]
        assert values == sorted(values, reverse=True)
        assert all(difference.relative_step is not None for difference in findings.differences)
        assert findings.noise_ceiling == pytest.approx(float((dataset.noise_ceiling or {})["test"]))

    def test_asked_again_it_trains_nothing(
        self, confirmed_once: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr(comparison, "run_sweep", None)
        assert run(confirm.main, [str(confirmed_once), "--top", "1", "--seeds", "2"]) == 0
        out = capsys.readouterr().out
        assert "nothing was trained, and the test split was evaluated once, then." in out.replace("\n", " ")
        assert "has the best confirmed validation score" in out
        assert f"Report: python -m gisearch.report {confirmed_once}" in out
        assert run(confirm.main, [str(confirmed_once), "--top", "1", "--seeds", "2", "--json"]) == 0
        printed = json.loads(capsys.readouterr().out)
        assert printed == json.loads(findings_path(confirmed_once).read_text())
        assert run(confirm.main, [str(confirmed_once), "--top", "1", "--seeds", "4"]) == 2
        assert "a finished confirmation with --top 1 --seeds 2;" in capsys.readouterr().err

    def test_a_run_without_its_model_does_not_count(
        self, searched: Path, run_here: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def damage(plan: Any, folder: Path | None = None, *, console: Any) -> Any:
            outcome = run_here()(plan, folder, console=console)
            (outcome.results.folder / "trials" / "t0000" / "best.pt").write_bytes(b"nothing")
            return outcome

        monkeypatch.setattr(comparison, "run_sweep", damage)
        assert run(confirm.main, [str(searched), "--top", "1", "--seeds", "2", "--splits", "2"]) == 0
        found = read_findings(findings_path(searched))
        assert found.splits == 2
        assert len(found.sweeps) == 2
        failed = [each for one in found.candidates for each in one.runs if each.test is None]
        assert len(failed) == 2
        assert all("checkpoint" in (each.reason or "") for each in failed)
        splits = {each.split for one in found.candidates for each in one.runs}
        assert len(splits) == 2
        assert any(sentence.startswith("Fresh splits:") for sentence in found.sentences)
        assert any("2 of 4 runs of" in sentence for sentence in found.sentences)
