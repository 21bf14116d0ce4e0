"""What the search itself gains, on a simulated clock: ``python -m benchmarks.simulated_quality [--json]``.

The contenders of ``search_quality`` on the same space, over trials whose curves are a function of the
configuration (``simulated_trials.py``), on many landscapes: no start, no machine, and the same figures in
every run. A score is the share of random configurations that end below it. Two trials run at a time;
``sequential_optuna`` runs one, whose epochs take half the time, as two threads would at the very best.

What it cannot say: effects of parameters add up here, and those of real ones do not.
"""

from __future__ import annotations

import bisect
import heapq
import math
import sys
from dataclasses import replace

import optuna

from benchmarks.peers import CORES, random_configurations
from benchmarks.race import Curve, Point
from benchmarks.report import Options, Report, machine_of, run_alone
from benchmarks.search_quality import CONTENDERS, SPACE, Task, rows_of
from benchmarks.simulated_trials import Landscape
from benchmarks.timing import peak_memory_mb
from gisearch.search.ledger import Handout, Ledger, Outcome
from gisearch.search.plan import SweepPlan, plan_sweep
from gisearch.search.sampling import suggest_with
from gisearch.search.scheduler import build_judge
from gisearch.search.space import Assignment

EPOCHS, TRIALS, LANDSCAPES, DRAWN = 30, 60, 20, 300
TASK = Task("simulated", (), {"1 in 10": 0.9, "1 in 30": 1 - 1 / 30}, math.inf)


class Sequential:
    """Optuna's default sampler where a ledger would stand."""

    def __init__(self, plan: SweepPlan, seed: int) -> None:
        self.plan, self.left = plan, TRIALS
        self.study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed))

    def next(self) -> Handout | None:
        """Return the next configuration."""
        if self.left == 0:
            return None
        self.left -= 1
        trial = self.study.ask()
        return Handout(trial.number, self.plan.space.sample(suggest_with(trial)), 0)

    def report(self, number: int, epoch: int, value: float) -> bool:
        """Leave out what happens before a trial's end."""
        return True

    def finish(self, number: int, outcome: Outcome) -> None:
        """Tell the study how a trial ended."""
        self.study.tell(number, outcome.value)


def simulate(plan: SweepPlan, contender: str, seed: int) -> Curve:
    """Run one contender on the landscape of a seed, until it has reached every score or run its trials."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    landscape = Landscape(plan.space, seed)
    # Another stream than the sampler's own.
    ends = sorted(
        curve_of(landscape, one)[-1] for one in random_configurations(plan, DRAWN, seed + 1_000_000)
    )
    search = replace(plan.config.search, trials=TRIALS, seed=seed)
    if contender == "random_tune":
        search = replace(search, sampler="random", scheduler="none")
    is_sequential = contender == "sequential_optuna"
    baselines = plan.baselines if contender == "gisearch" else ()
    study = optuna.create_study(direction="maximize")
    source = (
        Sequential(plan, seed) if is_sequential else Ledger(study, plan.space, search, baselines=baselines)
    )
    judge = None if is_sequential else build_judge(search, mode="max", max_epochs=EPOCHS)

    def share_below(value: float) -> float:
        return bisect.bisect_right(ends, value) / len(ends)

    points: list[Point] = []
    best, goal, busy = 0.0, max(TASK.thresholds.values()), 0.0
    running: list[tuple[float, int, int, float, list[float]]] = []

    def start(now: float) -> None:
        if (handout := source.next()) is not None:
            seconds = landscape.epoch_seconds(handout.assignment) / (CORES if is_sequential else 1)
            curve = curve_of(landscape, handout.assignment)
            heapq.heappush(running, (now + seconds, handout.number, 1, seconds, curve))

    for _ in range(1 if is_sequential else CORES):
        start(0.0)
    now = 0.0
    while running and best < goal:
        now, number, epoch, seconds, curve = heapq.heappop(running)
        value = curve[epoch - 1]
        source.report(number, epoch, value)
        best, busy = max(best, share_below(value)), busy + seconds * (CORES if is_sequential else 1)
        points.append(Point(now, busy, len(points) + 1, best))
        if epoch == EPOCHS:
            source.finish(number, Outcome("finished", value))
        elif judge is not None and judge.judge(number, epoch, value) == "stop":
            source.finish(number, Outcome("stopped_early", value))
        else:
            heapq.heappush(running, (now + seconds, number, epoch + 1, seconds, curve))
            continue
        start(now)
    return Curve(tuple(points), now, busy, round(peak_memory_mb()))


def curve_of(landscape: Landscape, assignment: Assignment) -> list[float]:
    """Return a configuration's score after every epoch; it approaches its asymptote exponentially."""
    end, pace = landscape.asymptote(assignment), landscape.pace(assignment)
    return [end * (1 - math.exp(-epoch / pace)) for epoch in range(1, EPOCHS + 1)]


def benchmark(options: Options, landscapes: int = LANDSCAPES) -> Report:
    """Simulate every contender on every landscape."""
    options.require_cpu("simulated_quality")
    plan = plan_sweep(SPACE, ["data=demo"])
    machine = machine_of(options)
    runs = {
        (TASK.name, contender, seed): simulate(plan, contender, seed)
        for contender in CONTENDERS
        for seed in range(landscapes)
    }
    sizes = {"space": SPACE.name, "landscapes": landscapes, "epochs": EPOCHS, "trials": TRIALS}
    return Report("simulated_quality", machine, sizes, tuple(rows_of(TASK, runs, landscapes)))


if __name__ == "__main__":
    sys.exit(run_alone("simulated_quality", __doc__, benchmark))
