"""Sweeps as a user starts them, and what a test needs to do something to them while they run."""

from __future__ import annotations

import errno
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest
from optuna.trial import FrozenTrial

from gisearch.search.study import STUDY_FILE, load_study
from gisearch.training.checkpoint import LAST, CheckpointStore

REPOSITORY = Path(__file__).resolve().parents[2]
# An epoch of some hundredths of a second; at the end nothing that has tests of its own.
SMALL = (
    "data=demo_tiny",
    "model.hidden_dim=16",
    "trainer.batch_size=8",
    "trainer.checkpoint_seconds=0",
    "results.report=false",
    "tracking.register=false",
)
ONE_RATE = """
name: {name}
base: [model=dango_gi, data=demo_tiny]
space:
  optimizer.lr: {{float: [1.0e-3, 1.0e-2], log: true}}
search: {{trials: {trials}, concurrency: {concurrency}, scheduler: none}}
"""


@dataclass
class Sweep:
    """One sweep in a folder of its own, over all processes that run it.

    Attributes:
        folder: the working directory; results and MLflow's database lie below.
        name: the sweep's name.
        process: the driver that runs it, or ran it last.
        environment: what is set for it beside this process's environment.
    """

    folder: Path
    name: str = "sweep"
    process: subprocess.Popen[str] | None = None
    environment: dict[str, str] = field(default_factory=dict)

    def begin(self, *overrides: str, trials: int = 2, concurrency: int = 1) -> Sweep:
        """Start it: a search over the learning rate on the tiny cell."""
        space = ONE_RATE.format(name=self.name, trials=trials, concurrency=concurrency)
        return self.begin_with(space, *SMALL, *overrides)

    def begin_with(self, space: str, *overrides: str) -> Sweep:
        """Start it with a search space of its own."""
        (self.folder / "space.yaml").write_text(space)
        return self._run("space.yaml", *overrides)

    def resume(self, *overrides: str) -> Sweep:
        """Start another driver that goes on with it."""
        return self._run("--resume", self.name, *overrides)

    def _run(self, *arguments: str) -> Sweep:
        self.process = self.command("gisearch.sweep", *arguments)
        return self

    def command(self, module: str, *arguments: str) -> subprocess.Popen[str]:
        """Start a command in the sweep's working directory, in a process group of its own."""
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "CUDA_VISIBLE_DEVICES": ""}
        return subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=self.folder,
            env={**environment, **self.environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    @property
    def driver(self) -> subprocess.Popen[str]:
        """The process that runs it."""
        assert self.process is not None, "the sweep has not been started"
        return self.process

    def end(self, timeout: float = 400) -> tuple[int, str, str]:
        """Wait for the driver; return exit code, output, errors. One that hangs is ended with its Ray."""
        try:
            out, err = self.driver.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise
        assert "Traceback" not in out + err, out + err
        return self.driver.returncode, out, err

    def kill(self) -> str:
        """End the driver as a machine does that runs out of memory, and what is left of its Ray.

        Returns what it had written.
        """
        below = psutil.Process(self.driver.pid).children(recursive=True)
        self.driver.kill()
        written = "".join(self.driver.communicate())
        # Ray's own processes notice within seconds. They are not to disturb what comes next.
        for process in below:
            if process.is_running():
                process.kill()
        return written

    @property
    def results(self) -> Path:
        """The sweep's folder."""
        return self.folder / "results" / self.name

    @property
    def trials(self) -> list[FrozenTrial]:
        """The study's trials, read while another process may be writing."""
        if not (self.results / STUDY_FILE).is_file():
            return []
        try:
            return load_study(self.results).get_trials(deepcopy=False)
        except Exception:
            return []

    def trial_folder(self, number: int) -> Path:
        """The folder of one trial."""
        return self.results / "trials" / f"t{number:04d}"

    def epoch(self, number: int) -> int:
        """Return the last epoch of a trial in the study."""
        trials = self.trials
        return 0 if len(trials) <= number else trials[number].last_step or 0

    def kept_epoch(self, number: int, name: str = LAST) -> int:
        """Return the epoch of a checkpoint; 0 where there is none."""
        store = CheckpointStore(self.trial_folder(number))
        return int(store.load(name)["progress"]["epoch"]) if (store.folder / name).exists() else 0

    def wait_for(self, condition: Callable[[], Any], seconds: float = 400) -> Any:
        """Wait until a condition holds while the sweep runs; return what it gave. Fails where it hangs."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if found := condition():
                return found
            if self.driver.poll() is not None:
                pytest.fail(f"the sweep ended early: {self.driver.communicate()}")
            time.sleep(0.02)
        pytest.fail(f"not within {seconds} s: {self.kill()}")

    def wait_for_epoch(self, number: int, epoch: int, seconds: float = 400) -> None:
        """Wait until a trial's epoch is in the study."""
        self.wait_for(lambda: self.epoch(number) >= epoch, seconds)

    def workers(self) -> list[psutil.Process]:
        """Return the processes that train trials of this driver's Ray on this machine."""
        found = []
        for child in psutil.Process(self.driver.pid).children(recursive=True):
            try:
                command = child.cmdline()
            except psutil.Error:
                continue
            if command and re.match(r"ray::(?!IDLE)\w*(run_trial|ImplicitFunc)", command[0]):
                found.append(child)
        return found

    def worker(self) -> psutil.Process:
        """Wait for the only process that trains, and return it."""
        found = self.wait_for(self.workers)
        assert len(found) == 1, found
        process: psutil.Process = found[0]
        return process

    def runs(self) -> tuple[Any, dict[int, Any]]:
        """Return MLflow's run of the sweep and its trials' runs by number."""
        everything = self._mlflow().search_runs(["1"], max_results=1000)
        parents = [run for run in everything if "mlflow.parentRunId" not in run.data.tags]
        assert len(parents) == 1, [run.info.run_name for run in parents]
        children = [run for run in everything if "mlflow.parentRunId" in run.data.tags]
        numbered = {int(run.data.tags["gisearch.trial"]): run for run in children}
        assert len(numbered) == len(children), "a trial has more than one run"
        return parents[0], numbered

    def steps(self, run: Any, metric: str = "train/loss") -> list[int]:
        """Return the epochs of a curve in MLflow, each as often as it was written."""
        return [point.step for point in self._mlflow().get_metric_history(run.info.run_id, metric)]

    def _mlflow(self) -> Any:
        from mlflow.tracking import MlflowClient

        return MlflowClient(f"sqlite:///{self.folder / 'mlflow.db'}")

    def check_whole(self, epochs: int, trials: int) -> None:
        """Check that every trial was trained to its end, and every epoch recorded once, in both places."""
        found = self.trials
        assert [t.state.name for t in found] == ["COMPLETE"] * trials
        parent, runs = self.runs()
        assert parent.info.status == "FINISHED"
        assert sorted(runs) == list(range(trials))
        for trial in found:
            assert sorted(trial.intermediate_values) == list(range(1, epochs + 1))
            assert trial.user_attrs["outcome"]["epochs"] == epochs
            assert self.steps(runs[trial.number]) == list(range(1, epochs + 1)), f"trial {trial.number}"
            assert runs[trial.number].info.status == "FINISHED"


def stop(process: psutil.Process) -> None:
    """Make a process hang, by its id."""
    os.kill(process.pid, signal.SIGSTOP)


def go_on(process: psutil.Process) -> None:
    """Let a hanging process go on, if it is still there."""
    try:
        os.kill(process.pid, signal.SIGCONT)
    except OSError as error:
        if error.errno != errno.ESRCH:
            raise


def snapshot(folder: Path) -> Mapping[str, tuple[int, int]]:
    """Return size and time of change of everything below a folder."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(p.relative_to(folder)): (p.stat().st_size, p.stat().st_mtime_ns) for p in files}
