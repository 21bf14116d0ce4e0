"""An ensemble of a finished sweep: what it holds, what it is refused for, what the test labels may not do."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from gisearch import ensemble, predict, report
from gisearch.answers.ensemble.findings import EnsembleFindings, ensemble_path, read_ensemble
from gisearch.answers.ensemble.library import (
    check_room,
    find_candidates,
    find_sources,
    predict_candidates,
)
from gisearch.answers.ensemble.making import judge, measure_of
from gisearch.answers.ensemble.selection import Rules, select
from gisearch.answers.report.averaged import ensemble_section
from gisearch.answers.report.blocks import Code, Picture, Spans, Table, Text
from gisearch.answers.report.material import Material
from gisearch.command_line import run
from gisearch.data.dataset import Dataset
from gisearch.errors import ConfigError
from gisearch.models.batch import GenotypeBatch
from gisearch.search.folders import read_facts, write_facts
from gisearch.search.results import load_results
from gisearch.tracking.scoring_ensemble import load_scoring_ensemble
from gisearch.training.checkpoint import BEST
from gisearch.training.experiment import load_trained

RULES = Rules(bags=4, rounds=6, start=2)
OPTIONS = ["--bags", "4", "--rounds", "6", "--start", "2"]


@pytest.fixture(scope="module")
def made(searched_once: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the sweep with an ensemble."""
    folder = tmp_path_factory.mktemp("made") / "results" / searched_once.name
    shutil.copytree(searched_once, folder)
    assert run(ensemble.main, [str(folder), *OPTIONS]) == 0
    return folder


def found_in(folder: Path) -> EnsembleFindings:
    found = read_ensemble(folder)
    assert found is not None
    return found


def test_members_weights_and_scores(made: Path, tiny_dataset: Dataset) -> None:
    found, results = found_in(made), load_results(made)
    assert sum(one.weight for one in found.members) == pytest.approx(1.0, abs=1e-12)
    assert [one.weight for one in found.members] == sorted((m.weight for m in found.members), reverse=True)
    best = results.best
    assert best is not None
    assert (found.best.trial, found.best.val) == (best.trial_id, pytest.approx(best.value, abs=1e-5))
    assert (found.data, found.split) == (tiny_dataset.digest(), tiny_dataset.split.digest())
    # The scores are those of the weighted mean, computed here anew.
    measured = {part: tiny_dataset.values(part) for part in ("val", "test")}
    mean = {part: np.zeros(len(values)) for part, values in measured.items()}
    for one in found.members:
        trained = load_trained(made / "trials" / one.trial, tiny_dataset)
        assert one.model == trained.config.model.name
        for part in mean:
            rows = tiny_dataset.genotypes.subset(tiny_dataset.split.part(part))
            mean[part] += one.weight * trained.predict(GenotypeBatch.from_genotypes(rows))[0].numpy()
    scores = {part: np.corrcoef(mean[part], measured[part])[0, 1] for part in mean}
    assert found.val == pytest.approx(scores["val"], abs=1e-5)
    assert found.test.mean == pytest.approx(scores["test"], abs=1e-5)
    assert found.difference.mean == pytest.approx(found.test.mean - found.best_test.mean, abs=1e-9)
    assert found.difference.low <= found.difference.mean <= found.difference.high
    assert found.registered is None


def test_permuted_test_labels_change_no_weight(searched: Path, tiny_dataset: Dataset) -> None:
    sources = find_sources([str(searched)], "results")
    library = predict_candidates(sources, *find_candidates(sources, 25), tiny_dataset)
    labels = {name: values.copy() for name, values in tiny_dataset.genotypes.labels.items()}
    rows, name = tiny_dataset.split.test, tiny_dataset.target.name
    labels[name][rows] = np.random.default_rng(0).permutation(labels[name][rows])
    permuted = replace(tiny_dataset, genotypes=replace(tiny_dataset.genotypes, labels=labels))
    weights, scores = [], []
    for dataset in (tiny_dataset, permuted):
        measure = measure_of(dataset, "pearson", "max")
        weights.append(select(library.val, measure, RULES).weights)
        scores.append(judge(library, weights[-1], 0, dataset, measure, 0)["test"].mean)
    assert weights[0].tolist() == weights[1].tolist()
    assert scores[0] != scores[1]


def test_the_same_command_shows_it_again_and_another_is_refused(
    made: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = ensemble_path(made).read_bytes()
    assert run(ensemble.main, [str(made), *OPTIONS, "--json"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["weights"] == found_in(made).weights
    assert "shown again; the test split was evaluated once, then." in captured.err
    assert ensemble_path(made).read_bytes() == before
    assert run(ensemble.main, [str(made), "--seed", "1", *OPTIONS]) == 2
    error = capsys.readouterr().err
    assert "made with --top 25 --rounds 6 --start 2 --bags 4 --seed 0; expected the same to show it" in error
    assert ensemble_path(made).read_bytes() == before


def test_the_same_seed_makes_the_same_ensemble(made: Path, searched: Path) -> None:
    assert run(ensemble.main, [str(searched), *OPTIONS]) == 0
    assert replace(found_in(searched), made="") == replace(found_in(made), made="")


def test_what_is_shown(searched: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(ensemble.main, [str(searched), *OPTIONS]) == 0
    out = capsys.readouterr().out
    found = found_in(searched)
    assert f"{found.best.trial} (best)" in out or found.best.trial not in [m.trial for m in found.members]
    assert all(f"{one.weight:.3f}" in out for one in found.members)
    assert f"Predict: python -m gisearch.predict {searched}@ensemble genotypes.csv -o scores.csv" in out
    assert "nothing was registered in MLflow: tracking.enabled is false." in out
    assert f"Report written: {searched / 'report.html'}" in out
    assert all(sentence in out for sentence in found.sentences)


class TestPredicting:
    def test_mean_and_spread_of_the_members(self, made: Path, tiny_dataset: Dataset, tmp_path: Path) -> None:
        names = tiny_dataset.cell.names.systematic
        pairs = [(3, 5), (2, 9), (30, 31)]
        table, out = tmp_path / "in.csv", tmp_path / "out.csv"
        table.write_text("gene1,gene2\n" + "".join(f"{names[a]},{names[b]}\n" for a, b in pairs))
        assert run(predict.main, [f"{made}@ensemble", str(table), "-o", str(out)]) == 0
        with out.open(newline="") as file:
            rows = list(csv.DictReader(file))
        batch = GenotypeBatch.from_table(np.array(pairs))
        members = found_in(made).members
        weights = np.array([one.weight for one in members])
        predicted = np.stack(
            [
                load_trained(made / "trials" / one.trial, tiny_dataset).predict(batch)[0].numpy()
                for one in members
            ]
        )
        mean = weights @ predicted
        std = np.sqrt(weights @ (predicted - mean) ** 2)
        assert [float(row["score"]) for row in rows] == pytest.approx(mean.tolist(), rel=1e-4, abs=1e-6)
        assert [float(row["std"]) for row in rows] == pytest.approx(std.tolist(), rel=1e-3, abs=1e-6)
        # Without the data, and by its folder.
        model = load_scoring_ensemble(made / "ensemble" / "model" / "data")
        again = model.predict(
            pd.DataFrame([(names[a], names[b]) for a, b in pairs], columns=["gene1", "gene2"])
        )
        assert again["score"].tolist() == pytest.approx(mean.tolist(), rel=1e-5, abs=1e-7)
        assert again["std"].tolist() == pytest.approx(std.tolist(), rel=1e-4, abs=1e-7)
        first = out.read_bytes()
        assert run(predict.main, [str(made / "ensemble"), str(table), "-o", str(out)]) == 0
        assert out.read_bytes() == first

    def test_screening(self, made: Path, tmp_path: Path, tiny_dataset: Dataset) -> None:
        out, everything = tmp_path / "top.csv", tmp_path / "all.csv"
        command = [f"{made}@ensemble", "--all-pairs", "--include-measured", "-o"]
        assert run(predict.main, [*command, str(everything), "--top", "780"]) == 0
        assert run(predict.main, [*command, str(out), "--top", "5"]) == 0
        whole, top = pd.read_csv(everything), pd.read_csv(out)
        assert whole["std"].min() >= 0
        assert whole["std"].max() > 0
        highest = whole[whole["end"] == "top"].nlargest(5, "score")
        assert top[top["end"] == "top"]["score"].tolist() == highest["score"].tolist()

    def test_a_sweep_without_an_ensemble(self, searched: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert run(predict.main, [f"{searched}@ensemble", "x.csv"]) == 2
        error = capsys.readouterr().err
        assert error == (
            f"error: '{searched}' has no ensemble; make one with python -m gisearch.ensemble {searched}.\n"
        )

    def test_a_damaged_list_of_members(
        self, made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        folder = tmp_path / "copy"
        shutil.copytree(made / "ensemble", folder)
        path = folder / "model" / "data" / "members.json"
        for text in ("{", '{"weights": {"01": 0.5}}', '{"weights": {}}', '{"weights": {"01": -1, "02": 2}}'):
            path.write_text(text)
            assert run(predict.main, [str(folder), "x.csv"]) == 2
            assert f"{path} is damaged" in capsys.readouterr().err


class TestLeftOut:
    def test_a_checkpoint_that_is_corrupt_or_gone(
        self, searched: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        first, second, *_ = [row.trial_id for row in load_results(searched).rows]
        (searched / "trials" / first / BEST).write_bytes(b"nonsense")
        (searched / "trials" / second / BEST).unlink()
        assert run(ensemble.main, [str(searched), *OPTIONS]) == 0
        found = found_in(searched)
        assert found.candidates == 3
        assert found.left_out[0].startswith("1 trial has no checkpoint any more (search.keep_top")
        assert found.left_out[1].startswith(f"{searched.name}/{first} cannot be used: the checkpoint ")
        assert {one.trial for one in found.members}.isdisjoint({first, second})
        assert f"left out: {found.left_out[1][:30]}" in capsys.readouterr().out

    def test_too_few(self, searched: Path, capsys: pytest.CaptureFixture[str]) -> None:
        one, two, *others = [row.trial_id for row in load_results(searched).rows]
        for trial in others:
            (searched / "trials" / trial / BEST).unlink()
        (searched / "trials" / one / BEST).write_bytes(b"nonsense")
        assert run(ensemble.main, [str(searched), *OPTIONS]) == 2
        error = capsys.readouterr().err.splitlines()[-1]
        assert "an ensemble needs at least 2 trained models with a checkpoint, and there is 1 model." in error
        (searched / "trials" / two / BEST).unlink()
        (searched / "trials" / one / BEST).unlink()
        assert run(ensemble.main, [str(searched), *OPTIONS]) == 2
        assert "and there are no models. 5 trials have no checkpoint" in capsys.readouterr().err
        assert not (searched / "ensemble").exists()

    def test_candidates_beyond_the_best(self, searched: Path) -> None:
        sources = find_sources([str(searched)], "results")
        candidates, left_out = find_candidates(sources, 3)
        ranked = [row.trial_id for row in sources[0].results.rows]
        assert [one.row.trial_id for one in candidates] == ranked[:3]
        assert left_out == ["2 of 5 models are beyond the best 3 (--top)."]


class TestRefused:
    def changed(self, folder: Path, **facts: Any) -> Path:
        write_facts(folder, {**read_facts(folder), **facts})
        return folder

    def refused(self, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
        assert run(ensemble.main, [*arguments]) == 2
        return capsys.readouterr().err

    def test_another_split(
        self, searched: Path, searched_once: Path, make_dataset: Callable[..., Dataset], capsys: Any
    ) -> None:
        digest = make_dataset("data=demo_tiny", "data.seed=3").digest()
        overrides = [*read_facts(searched)["overrides"], "data.seed=3"]
        self.changed(searched, data=digest, overrides=overrides)
        error = self.refused(capsys, str(searched_once), str(searched))
        assert f"error: {searched} and {searched_once} differ in the split" in error
        assert "expected sweeps on the same data and split" in error
        assert not (searched_once / "ensemble").exists()

    def test_data_that_has_changed(self, searched: Path, capsys: Any) -> None:
        self.changed(searched, data="0123")
        assert f"the data has changed since {searched} was started" in self.refused(capsys, str(searched))

    def test_another_metric_or_the_same_sweep(self, searched: Path, searched_once: Path, capsys: Any) -> None:
        error = self.refused(capsys, str(searched), str(searched))
        assert error == f"error: {searched}: the sweep is named twice; expected different ones.\n"
        self.changed(searched, metric="val/spearman")
        error = self.refused(capsys, str(searched_once), str(searched))
        assert f"{searched} was searched by val/spearman, {searched_once} by val/pearson" in error

    def test_options(self, searched: Path, capsys: Any) -> None:
        error = self.refused(capsys, str(searched), "--top", "1")
        assert error == "error: --top: expected a number of at least 2, got 1.\n"

    def test_no_room(self, searched: Path, tiny_dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
        sources = find_sources([str(searched)], "results")
        candidates, _ = find_candidates(sources, 25)
        check_room(searched, candidates, tiny_dataset)
        little = shutil.disk_usage(searched)._replace(free=1_000_000)
        monkeypatch.setattr(shutil, "disk_usage", lambda _: little)
        with pytest.raises(
            ConfigError, match=r"an ensemble of 5 models needs up to 1\d MB, but 1 MB are free"
        ):
            check_room(searched, candidates, tiny_dataset)


def test_two_sweeps(searched: Path, searched_once: Path, tmp_path: Path) -> None:
    other = tmp_path / "results" / "other"
    shutil.copytree(searched_once, other)
    write_facts(other, {**read_facts(other), "name": "other"})
    assert run(ensemble.main, ["small", "other", *OPTIONS, "--results-dir", str(tmp_path / "results")]) == 0
    found = found_in(searched)
    assert found.candidates == 10
    assert found.asked["sweeps"] == ["small", "other"]
    # Twins: of equals those of the first sweep count.
    assert found.best.sweep == "small"
    assert found.sentences[0].count("/t") == 1


class TestReport:
    def test_an_ensemble(self, made: Path) -> None:
        found = found_in(made)
        section = ensemble_section(Material(load_results(made), ensemble=found))
        kinds = [type(block) for block in section.blocks]
        assert kinds.count(Spans) == 2
        (table,) = [block for block in section.blocks if isinstance(block, Table)]
        assert [row[-1] for row in table.rows] == [f"{one.weight:.3f}" for one in found.members]
        (picture,) = [block for block in section.blocks if isinstance(block, Picture)]
        assert f"to {found.val:.3f}" in picture.conclusion
        assert picture.svg.startswith("<svg")
        said = " ".join(block.text for block in section.blocks if isinstance(block, Text))
        assert found.sentences[1] in said
        assert "it is not in MLflow" in said

    @pytest.mark.parametrize(
        ("low", "high", "words"),
        [
            (0.01, 0.03, "the ensemble is better."),
            (-0.01, 0.03, "no evidence that the ensemble is better than"),
            (-0.03, -0.01, "the ensemble is worse; predict with"),
        ],
    )
    def test_it_says_plainly_what_the_ensemble_is_worth(
        self, made: Path, low: float, high: float, words: str
    ) -> None:
        from gisearch.answers.ensemble.words import sentences
        from gisearch.answers.wording import verdict_of

        found = found_in(made)
        interval = replace(found.difference, mean=(low + high) / 2, low=low, high=high)
        changed = replace(found, difference=interval, verdict=verdict_of(interval, "max"))
        assert words in sentences(changed).sentences[1]

    def test_none_or_a_damaged_one(self, searched: Path, capsys: pytest.CaptureFixture[str]) -> None:
        results = load_results(searched)
        section = ensemble_section(Material(results))
        assert isinstance(section.blocks[-1], Code)
        assert section.blocks[-1].text == f"python -m gisearch.ensemble {searched}"
        path = ensemble_path(searched)
        path.parent.mkdir()
        path.write_text("{}")
        assert run(report.main, [str(searched)]) == 0
        assert "is damaged" in (searched / "report.html").read_text()
        assert run(ensemble.main, [str(searched), *OPTIONS]) == 2
        assert f"{path} is damaged" in capsys.readouterr().err


def test_the_package_holds_every_member_once(made: Path) -> None:
    folder = made / "ensemble" / "model"
    names = [f"{i:02d}" for i in range(1, len(found_in(made).members) + 1)]
    files = {path.relative_to(folder / "data").as_posix() for path in (folder / "data").rglob("*.*")}
    assert files == {
        "members.json",
        "cell.npz",
        *(f"{name}/{file}" for name in names for file in ("best.pt", "config.yaml", "target.json")),
    }
    model = yaml.safe_load((folder / "MLmodel").read_text())
    assert model["flavors"]["python_function"]["loader_module"] == "gisearch.tracking.scoring_ensemble"
    assert [one["name"] for one in json.loads(model["signature"]["outputs"])] == ["score", "std"]
