"""Searches that are raced against each other: what is timed, when a run ends, what a bound is."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest

from benchmarks import search_quality
from benchmarks.peers import random_configurations
from benchmarks.quality_picture import best_at, draw
from benchmarks.race import Advantage, Curve, Point, Reach, new_lines, race
from benchmarks.report import Options, SkippedError
from benchmarks.search_quality import CONTENDERS, DEMO, SPACE, YEAST, Task, benchmark, read_runs, rows_of
from gisearch.command_line import run as run_command
from gisearch.errors import ConfigError
from gisearch.search.plan import plan_sweep

TINY = Task(
    "tiny", ("data=demo_tiny", "model.hidden_dim=8", "trainer.max_epochs=2"), {"1 in 10": -1.0}, 240.0
)

# Burns processor time in a process that it starts, and writes a score every tenth of a second.
SEARCH = """
import subprocess, sys, time
burning = subprocess.Popen([sys.executable, "-c", "while True: pass"])
for i in range(1000):
    with open("scores.jsonl", "a") as file:
        file.write(f'{{"value": {i / 100}}}\\n')
    time.sleep(0.1)
"""


def curve(*scores: float, seconds: float = 1.0) -> Curve:
    """Return a run with an epoch every so many seconds."""
    points = tuple(Point(seconds * i, 2 * seconds * i, i, max(scores[:i])) for i in range(1, len(scores) + 1))
    return Curve(points, seconds * (len(scores) + 1), 2 * seconds * (len(scores) + 1), 100)


def test_a_run_reaches_a_score_at_its_first_epoch_that_does() -> None:
    run = curve(0.1, 0.5, 0.3, 0.7)
    assert run.reach(0.5) == Reach(2.0, 4.0, 2, reached=True)
    assert run.reach(0.6) == Reach(4.0, 8.0, 4, reached=True)
    assert run.reach(0.8) == Reach(5.0, 10.0, 4, reached=False)


@pytest.mark.parametrize(
    ("own", "other", "bound"),
    [(True, True, ""), (True, False, ">="), (False, True, "<="), (False, False, "?")],
)
def test_a_pair_that_did_not_reach_the_score_makes_the_ratio_a_bound(
    own: bool, other: bool, bound: str
) -> None:
    mine = [Reach(1.0, 1.0, 1, reached=True), Reach(2.0, 1.0, 1, reached=own)]
    others = [Reach(8.0, 1.0, 1, reached=True), Reach(4.0, 1.0, 1, reached=other)]
    advantage = Advantage.of(mine, others, "seconds")
    assert (advantage.low, advantage.high, advantage.bound) == (2.0, 8.0, bound)
    assert advantage.mean == pytest.approx(4.0)
    assert str(advantage) == f"{bound}4 (2 to 8)"


def test_a_line_is_read_once_and_only_when_it_is_whole(tmp_path: Path) -> None:
    read = new_lines(tmp_path, "*/scores.jsonl")
    assert list(read()) == []
    path = tmp_path / "run" / "scores.jsonl"
    path.parent.mkdir()
    path.write_text('{"value": 1}\n{"val')
    assert list(read()) == [{"value": 1}]
    assert list(read()) == []
    with path.open("a") as file:
        file.write('ue": 2}\n')
    assert list(read()) == [{"value": 2}]


def run_search(folder: Path, *, budget: float, goal: float) -> Curve:
    """Race the search of this file."""
    lines = new_lines(folder, "scores.jsonl")
    return race(
        [sys.executable, "-c", SEARCH],
        folder,
        lambda: (float(str(line["value"])) for line in lines()),
        cores=1,
        budget=budget,
        goal=goal,
    )


def test_a_run_ends_with_all_its_processes_when_it_has_reached_its_goal(tmp_path: Path) -> None:
    before = set(psutil.Process().children(recursive=True))
    run = run_search(tmp_path, budget=1000.0, goal=0.05)
    assert set(psutil.Process().children(recursive=True)) <= before
    assert run.reach(0.05).reached
    assert 6 <= run.points[-1].epochs < 100
    assert run.seconds >= 0.5


def test_the_budget_counts_what_a_process_started_by_the_search_uses(tmp_path: Path) -> None:
    run = run_search(tmp_path, budget=1.0, goal=1000.0)
    assert 1.0 <= run.processor_seconds < 20.0
    assert not run.reach(1000.0).reached
    # One core cannot give more than the clock.
    assert run.processor_seconds <= run.seconds + 0.5


def test_a_search_that_fails_says_how(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"ended with exit code 3: no space left$"):
        race(
            [sys.executable, "-c", "print('no space left'); raise SystemExit(3)"],
            tmp_path,
            lambda: iter(()),
            cores=1,
            budget=100.0,
            goal=1.0,
        )


def test_a_budget_that_does_not_last_for_an_epoch_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="trained no epoch in 0 processor seconds"):
        race([sys.executable, "-c", ""], tmp_path, lambda: iter(()), cores=1, budget=100.0, goal=1.0)


def test_random_configurations_lie_in_the_space_and_follow_from_the_seed() -> None:
    plan = plan_sweep(SPACE, ["data=demo_tiny"])
    drawn = random_configurations(plan, 30, seed=0)
    assert all(plan.space.check_assignment(one) is None for one in drawn)
    assert {one["model.name"] for one in drawn} == {"dango_gi", "diffusion"}
    assert drawn == random_configurations(plan, 30, seed=0)
    assert drawn != random_configurations(plan, 30, seed=1)


def test_rows_compare_pairs_of_one_seed_with_random_search() -> None:
    task = Task("demo", (), {"1 in 4": 0.2, "1 in 10": 0.5}, 240.0)
    runs = {("demo", name, seed): curve(0.1, 0.3, 0.6) for name in CONTENDERS for seed in range(2)}
    runs["demo", "gisearch", 0] = curve(0.5)
    runs["demo", "random_tune", 1] = curve(0.1, 0.3, 0.4)
    rows = {row.case: row for row in rows_of(task, runs, 2)}
    assert list(rows) == [f"demo {name}" for name in CONTENDERS]
    row = rows["demo gisearch"]
    # 1 s against 3 s, and 3 s against more than 4 s.
    assert row.ratio == pytest.approx((3 * 4 / 3) ** 0.5)
    assert row.seconds == pytest.approx(3**0.5)
    hard = row.facts["1 in 10 (0.5):"]
    assert hard["times_less_than_random_tune"]["seconds"] == ">=2 (1.3 to 3)"
    assert hard["times_less_than_sequential_optuna"]["seconds"] == "1.7 (1 to 3)"
    assert rows["demo random_tune"].ratio == 1.0
    assert rows["demo random_tune"].facts["1 in 10 (0.5):"]["reached"] == "1 of 2"
    assert rows["demo random_tune"].facts["1 in 10 (0.5):"]["seconds"] == ">=3"
    assert rows["demo random_tune"].facts["1 in 4 (0.2):"]["reached"] == "2 of 2"


def test_runs_that_the_file_holds_are_not_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, int]] = []

    def run_one(task: Task, contender: str, seed: int) -> Curve:
        asked.append((contender, seed))
        return curve(0.1, 0.3, 0.9)

    monkeypatch.setattr(search_quality, "run_one", run_one)
    file = tmp_path / "curves.jsonl"
    report = benchmark(Options(), seeds=2, tasks=[DEMO], curves=file)
    # Each seed begins with another contender.
    assert [name for name, _ in asked[:4]] == list(CONTENDERS)
    assert [name for name, _ in asked[4:]] == [*CONTENDERS[1:], CONTENDERS[0]]
    assert benchmark(Options(), seeds=2, tasks=[DEMO], curves=file).rows == report.rows
    assert len(asked) == len(read_runs(file, [DEMO])) == 8
    json.dumps(report.plain())
    other = dataclasses.replace(DEMO, budget=1.0)
    with pytest.raises(ConfigError, match="holds runs on demo data with other settings; give another file"):
        benchmark(Options(), seeds=2, tasks=[other], curves=file)


def test_no_seed_is_an_error_of_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(search_quality.main, ["--seeds", "0"]) == 2
    assert capsys.readouterr().err == "error: --seeds: expected a number above 0, got 0.\n"


def test_without_the_tables_the_yeast_half_is_skipped_with_a_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(search_quality, "run_one", lambda *_: curve(0.9))
    report = benchmark(Options(), seeds=1)
    assert {row.case.split()[0] for row in report.rows} == {"demo"}
    assert report.facts["yeast"] == "skipped, because it needs the tables: --yeast FOLDER"
    with pytest.raises(SkippedError, match="real yeast data needs the tables"):
        benchmark(Options(), seeds=1, tasks=[YEAST])
    with pytest.raises(SkippedError, match="there is no folder 'nowhere'"):
        benchmark(Options(yeast=Path("nowhere")), seeds=1)


def test_the_picture_shows_the_best_score_from_the_first_epoch_on(tmp_path: Path) -> None:
    run = curve(0.1, 0.5, 0.3)
    # Two processor seconds per epoch.
    times = np.array([1.0, 2.0, 3.0, 4.0, 7.0, 99.0])
    np.testing.assert_equal(best_at(run, times), [np.nan, 0.1, 0.1, 0.5, 0.5, 0.5])
    runs = {"demo": {name: [run, curve(0.2, 0.4)] for name in CONTENDERS}}
    draw(runs, {"demo": {"1 in 10": 0.5}}, tmp_path / "picture.png")
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.parametrize("contender", ["gisearch_no_baselines", "random_tune", "sequential_optuna"])
def test_a_contender_trains_and_its_first_epoch_is_heard_of(contender: str) -> None:
    run = search_quality.run_one(TINY, contender, 0)
    first = run.points[0]
    assert first.epochs >= 1
    assert -1.0 <= first.best <= 1.0
    assert 0.0 < first.processor_seconds <= run.processor_seconds
    assert run.reach(-1.0) == Reach(first.seconds, first.processor_seconds, first.epochs, reached=True)
