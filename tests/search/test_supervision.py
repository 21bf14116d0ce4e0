from __future__ import annotations

import copy
import pickle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray.core.generated.common_pb2 import ActorDiedErrorContext
from ray.exceptions import ActorDiedError, OutOfMemoryError
from ray.train._internal.storage import StorageContext
from ray.tune.experiment import Trial
from ray.tune.schedulers import TrialScheduler

from gisearch.search.budget import Budget
from gisearch.search.config import SearchConfig
from gisearch.search.failures import loss_of
from gisearch.search.leaving import GraceOverError, Leaving
from gisearch.search.ledger import Handout
from gisearch.search.study import open_study
from gisearch.search.supervision import Ending, SupervisedScheduler, Supervisor, Verdict, Watchdog
from gisearch.training.objective import Objective

ANY: Any = None
NODE_DIED = ActorDiedErrorContext(error_message="its node has died.", actor_id=b"\0" * 16)


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Strict:
    """A judge that says what it is told to, and writes down what it hears."""

    def __init__(self, verdict: Verdict) -> None:
        self.verdict, self.heard = verdict, []

    def judge(self, number: int, epoch: int, value: float) -> Verdict:
        self.heard.append((number, epoch, value))
        return self.verdict

    def ended(self, number: int) -> None:
        self.heard.append((number, "ended"))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def make(tmp_path: Path, clock: Clock) -> Any:
    def make_supervisor(verdict: Verdict | None = None, gpus: float = 0.0, **search: Any) -> Supervisor:
        config = SearchConfig(**search)
        study = open_study(tmp_path, "s", Objective("val/pearson", "max"))
        budget = Budget(study, config, gpus, clock)
        return Supervisor(config, verdict and Strict(verdict), budget, Leaving(5.0), clock)

    return make_supervisor


def start(supervisor: Supervisor, number: int) -> None:
    supervisor.budget.on_start(Handout(number, {}, 0), ANY)
    supervisor.started(number)


class TestAfterAnEpoch:
    def test_it_goes_on(self, make: Any) -> None:
        for supervisor in (make(), make("go_on")):
            start(supervisor, 0)
            assert supervisor.after_epoch(0, 1, 0.5)
            assert supervisor.ended(0) is None

    @pytest.mark.parametrize(("verdict", "kind"), [("stop", "stopped"), ("replace", "replaced")])
    def test_the_judge_decides_by_score(self, make: Any, verdict: Verdict, kind: Any) -> None:
        supervisor = make(verdict)
        assert not supervisor.after_epoch(3, 1, 0.5)
        assert supervisor.ended(3) == Ending(kind)
        assert supervisor.ended(3) is None, "a later attempt has its own ending"
        assert supervisor.judge.heard == [(3, 1, 0.5), (3, "ended"), (3, "ended")]

    def test_leaving(self, make: Any) -> None:
        supervisor = make("go_on")
        supervisor.leaving.signal = 15
        assert not supervisor.after_epoch(0, 1, 0.5)
        assert supervisor.ended(0) == Ending("left")

    def test_a_bad_score_ends_a_trial_for_good_even_then(self, make: Any) -> None:
        supervisor = make("stop")
        supervisor.leaving.signal = 15
        assert not supervisor.after_epoch(0, 1, 0.5)
        assert supervisor.ended(0) == Ending("stopped")

    def test_the_sweeps_hours(self, make: Any, clock: Clock) -> None:
        supervisor = make(hours=2.0)
        start(supervisor, 0)
        clock.now = 7199.0
        assert supervisor.after_epoch(0, 1, 0.5)
        clock.now = 7200.0
        assert not supervisor.after_epoch(0, 2, 0.5)
        assert supervisor.ended(0) == Ending("stopped", "the sweep's 2 hours are over")

    def test_the_sweeps_gpu_hours(self, make: Any, clock: Clock) -> None:
        supervisor = make(gpus=4.0, gpu_hours=4.0)
        for number in (0, 1):
            start(supervisor, number)
        clock.now = 1799.0
        assert supervisor.after_epoch(0, 1, 0.5)
        clock.now = 1800.0
        assert not supervisor.after_epoch(1, 1, 0.5)
        assert supervisor.ended(1) == Ending("stopped", "the sweep's 4 GPU-hours are used up")

    def test_the_trials_minutes(self, make: Any, clock: Clock) -> None:
        supervisor = make(trial_minutes=10.0)
        start(supervisor, 0)
        clock.now = 300.0
        start(supervisor, 1)
        clock.now = 600.0
        assert supervisor.after_epoch(1, 1, 0.5)
        assert not supervisor.after_epoch(0, 1, 0.5)
        assert supervisor.ended(0) == Ending("stopped", "it ran for its 10 minutes")

    def test_the_last_epoch_is_heard_of_but_stops_nobody(self, make: Any, clock: Clock) -> None:
        supervisor = make("stop", hours=1.0, trial_minutes=1.0)
        start(supervisor, 0)
        supervisor.leaving.signal = 15
        clock.now = 9999.0
        assert supervisor.after_epoch(0, 30, 0.5, last=True)
        assert supervisor.judge.heard == [(0, 30, 0.5)]
        assert supervisor.ended(0) is None


class TestHanging:
    def test_silence_is_measured_from_the_start_and_every_epoch(self, make: Any, clock: Clock) -> None:
        supervisor = make(stall_minutes=1.0)
        start(supervisor, 0)
        clock.now = 30.0
        start(supervisor, 1)
        clock.now = 50.0
        supervisor.after_epoch(0, 1, 0.5)
        clock.now = 89.0
        assert supervisor.silent() == []
        clock.now = 90.0
        assert supervisor.silent() == [1]
        supervisor.hung(1)
        assert supervisor.silent() == [], "each is ended once"
        assert supervisor.ended(1) == Ending("hung", "no epoch ended within 1 minutes")
        clock.now = 110.0
        assert supervisor.silent() == [0]

    def test_a_trial_that_has_ended_does_not_hang(self, make: Any, clock: Clock) -> None:
        supervisor = make(stall_minutes=1.0)
        start(supervisor, 0)
        supervisor.ended(0)
        clock.now = 1e6
        assert supervisor.silent() == []

    def test_no_limit(self, make: Any, clock: Clock) -> None:
        supervisor = make(stall_minutes=None)
        start(supervisor, 0)
        clock.now = 1e9
        assert supervisor.silent() == []


class TestScheduler:
    def test_tune_is_told_the_decision(self, make: Any) -> None:
        supervisor = make("stop")
        scheduler = SupervisedScheduler(supervisor, {"x": 7})
        trial: Any = SimpleNamespace(trial_id="x")

        def decide(result: dict[str, Any]) -> str:
            return scheduler.on_trial_result(ANY, trial, result)

        facts = {"epoch": 2, "objective": 0.5, "finished": False, "last_epoch": False}
        assert decide(facts) == TrialScheduler.STOP
        assert supervisor.judge.heard == [(7, 2, 0.5)]
        assert decide({**facts, "last_epoch": True}) == TrialScheduler.CONTINUE
        assert decide({**facts, "finished": True}) == TrialScheduler.CONTINUE
        assert decide({"failure": "x", "finished": True}) == TrialScheduler.CONTINUE
        trial.trial_id = "one that ended"
        assert decide(facts) == TrialScheduler.CONTINUE
        assert len(supervisor.judge.heard) == 2

    @pytest.mark.parametrize(
        ("error", "kind"),
        [
            (ActorDiedError(), "died"),
            (ActorDiedError(cause=NODE_DIED), "preempted"),
            (OutOfMemoryError("Task was killed due to the node running low on memory."), "out_of_memory"),
        ],
    )
    def test_what_ray_says_of_a_lost_process_is_kept(
        self, make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, kind: str
    ) -> None:
        # Tune keeps its own files in the folder of a Ray that runs, which is not needed here.
        monkeypatch.setattr(
            "ray.train._internal.storage._get_ray_train_session_dir", lambda: str(tmp_path / "ray")
        )
        supervisor = make()
        scheduler = SupervisedScheduler(supervisor, {"x": 0})
        storage = StorageContext(str(tmp_path), "sweep", trial_dir_name="x")
        trial = Trial("unregistered", trial_id="x", stub=True, storage=storage)
        Path(trial.local_path).mkdir(parents=True, exist_ok=True)
        # As Tune's controller does before it asks the scheduler.
        trial.handle_error(error)
        scheduler.on_trial_error(ANY, trial)
        ending = supervisor.ended(0)
        assert ending.kind == "lost"
        assert loss_of(ending.error).kind == kind
        scheduler.on_trial_error(ANY, SimpleNamespace(trial_id="unknown"))
        assert supervisor.endings == {}

    def test_an_end_that_was_caused_here_keeps_its_reason(self, make: Any) -> None:
        supervisor = make(stall_minutes=2.0)
        supervisor.hung(0)
        SupervisedScheduler(supervisor, {"x": 0}).on_trial_error(ANY, SimpleNamespace(trial_id="x"))
        assert supervisor.ended(0) == Ending("hung", "no epoch ended within 2 minutes")

    def test_tune_may_copy_it(self, make: Any) -> None:
        for one in (SupervisedScheduler(make(), {}), Watchdog(make(), {})):
            assert copy.deepcopy(one) is one
            assert type(pickle.loads(pickle.dumps(one))) is object


class TestWatchdog:
    def test_it_ends_the_process_of_a_silent_trial(
        self, make: Any, clock: Clock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import ray

        killed: list[Any] = []
        monkeypatch.setattr(ray, "kill", killed.append)
        supervisor, numbers = make(stall_minutes=1.0), {"x": 0, "y": 1, "z": 2}
        watchdog = Watchdog(supervisor, numbers)
        for name in ("x", "y", "z", "never handed out"):
            trial = SimpleNamespace(trial_id=name, temporary_state=SimpleNamespace(ray_actor=f"actor {name}"))
            watchdog.on_trial_start(0, [], trial)
        clock.now = 59.0
        supervisor.after_epoch(1, 1, 0.5)
        # z ended meanwhile.
        supervisor.ended(numbers.pop("z"))
        clock.now = 60.0
        watchdog.on_step_begin(0, [])
        assert killed == ["actor x"]
        assert supervisor.ended(0).kind == "hung"

    def test_a_trial_without_a_process_is_left_alone(self, make: Any, clock: Clock) -> None:
        supervisor = make(stall_minutes=1.0)
        watchdog = Watchdog(supervisor, {"x": 0})
        trial = SimpleNamespace(trial_id="x", temporary_state=SimpleNamespace(ray_actor=None))
        watchdog.on_trial_start(0, [], trial)
        clock.now = 60.0
        watchdog.on_step_begin(0, [])
        assert supervisor.ended(0) is None

    def test_it_ends_the_sweep_when_the_time_to_leave_is_over(self, make: Any) -> None:
        supervisor = make()
        watchdog = Watchdog(supervisor, {})
        watchdog.on_step_begin(0, [])
        supervisor.leaving._deadline = 0.0
        with pytest.raises(GraceOverError):
            watchdog.on_step_begin(0, [])
