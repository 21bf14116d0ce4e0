"""Training in several processes: groups of workers that Ray Train starts once and that many trials use.

Ray's own recipe starts a TorchTrainer inside every trial, which means a controller, its helpers and the
workers, each importing everything again: half a minute of two cores. Here the driver starts the groups,
while everything else starts too; their training function serves one trial after another, and the trial
tells it after every epoch whether to go on.
"""

from __future__ import annotations

import os
import tempfile
import threading
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from gisearch.config import to_plain
from gisearch.data.dataset import Dataset
from gisearch.errors import DiskFullError, GisearchError
from gisearch.search.cluster import WorkerNeeds, concurrency, ray_session
from gisearch.search.config import SearchConfig
from gisearch.search.failures import (
    WorkersLostError,
    describe_crash,
    is_lost_connection,
    loss_of,
    loss_of_group,
)
from gisearch.search.job import run_job, use_reserved_processors
from gisearch.search.switchboard import (
    CRASH,
    ERROR,
    FULL,
    GONE,
    LOST_SWITCHBOARD,
    PAST,
    RESULT,
    STOP,
    STOP_SECONDS,
    STOPPED,
    Switchboard,
    end_processes,
    relay,
)
from gisearch.training.config import ExperimentConfig
from gisearch.training.experiment import ExperimentResult
from gisearch.training.loop import EpochReport
from gisearch.training.metrics import load_metrics
from gisearch.training.objective import Objective
from gisearch.training.workers import StopTraining, WorkerGroup

# Ray Train reads these in the process that starts a group; what a user set wins.
_ENVIRONMENT = {
    "RAY_TRAIN_V2_ENABLED": "1",
    # How soon a worker that died is noticed.
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "1",
    # A cluster that scales from zero takes minutes to have the nodes.
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "1800",
    "RAY_TRAIN_METRICS_ENABLED": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
}


class TrainingGroup:
    """Worker processes under one TorchTrainer, which train one run after another.

    Args:
        needs: how many workers, on what.
        dataset: reference to the dataset in Ray's object store.
        switchboard: the actor that hands runs out.
        storage: a folder that every node sees, for Ray Train's own files.
    """

    def __init__(self, needs: WorkerNeeds, dataset: Any, switchboard: Any, storage: Path) -> None:
        self.needs, self.dataset, self.switchboard, self.storage = needs, dataset, switchboard, storage
        self.name = uuid.uuid4().hex[:8]
        self.runs = 0
        self._lock = threading.Lock()
        self._loss: WorkersLostError | None = None
        for key, value in _ENVIRONMENT.items():
            os.environ.setdefault(key, value)
        self._thread = threading.Thread(target=self._serve, name=f"gisearch-{self.name}", daemon=True)
        self._thread.start()

    @property
    def serves(self) -> bool:
        """Whether its processes are there, or being started, and take runs."""
        import ray

        return self._loss is None and bool(ray.get(self.switchboard.serves.remote(self.name)))

    def next_run(self) -> tuple[str, int]:
        """Return the group's name and the number of its next run, which hears it if the group is gone."""
        with self._lock:
            self.runs += 1
            self._tell_if_gone()
            return self.name, self.runs - 1

    def close(self) -> None:
        """End the group: politely, or after some seconds by ending its processes."""
        import ray

        ray.get(self.switchboard.dismiss.remote(self.name))
        self._thread.join(STOP_SECONDS)
        self.end()
        self._thread.join(2 * STOP_SECONDS)

    def wait(self) -> None:
        """Wait some seconds for the end of a group that can be told nothing."""
        # Ray takes the driver with it that still trains while it is shut down.
        self._thread.join(6 * STOP_SECONDS)

    def end(self) -> None:
        """End its processes."""
        if self._loss is None:
            end_processes(self.switchboard, self.name)

    def _tell_if_gone(self) -> None:
        """Tell the latest run that the group is gone; called with the lock held."""
        import ray

        if self._loss is not None and self.runs:
            gone = (self.name, self.runs - 1, GONE, (self._loss.kind, str(self._loss)))
            ray.get(self.switchboard.tell.remote(*gone))

    def _serve(self) -> None:
        import ray
        from ray.exceptions import RayActorError
        from ray.train import FailureConfig, RunConfig, ScalingConfig
        from ray.train.torch import TorchTrainer

        serving = {"group": self.name, "switchboard": self.switchboard, "dataset": [self.dataset]}
        failure: BaseException | None = None
        try:
            TorchTrainer(
                _serve_runs,
                train_loop_config=serving,
                scaling_config=ScalingConfig(
                    num_workers=self.needs.workers,
                    use_gpu=self.needs.gpus > 0,
                    resources_per_worker=self.needs.per_worker,
                ),
                # Whether a trial is repeated is the ledger's decision, by the reason.
                run_config=RunConfig(
                    name=f"group_{self.name}",
                    storage_path=str(self.storage),
                    failure_config=FailureConfig(max_failures=0),
                ),
            ).fit()
        except BaseException as error:
            failure = error
        loss = loss_of(failure)
        # Without a switchboard nobody is left to tell.
        with suppress(RayActorError):
            if ray.is_initialized() and failure is not None:
                loss = loss_of_group(failure, ray.get(self.switchboard.actors.remote(self.name)))
        with self._lock, suppress(RayActorError):
            self._loss = loss
            if ray.is_initialized():
                ray.get(self.switchboard.gone.remote(self.name))
                self._tell_if_gone()


class GroupPool:
    """The groups of a sweep, one for every trial that runs at a time; all are started at once.

    Args:
        count: trials at a time.
        needs: the processes of one trial.
        dataset: reference to the dataset in Ray's object store.
        storage: a folder that every node sees.
    """

    def __init__(self, count: int, needs: WorkerNeeds, dataset: Any, storage: Path) -> None:
        self.switchboard = _start_switchboard(count * needs.workers)
        self._needs, self._dataset, self._storage = needs, dataset, storage
        self._free = [self._start() for _ in range(count)]
        self._taken: dict[str, TrainingGroup] = {}
        self._ended: list[TrainingGroup] = []

    def take(self, trial: str) -> tuple[str, int]:
        """Return the group that a trial is to use and the number of its run there."""
        group = self._free.pop(0) if self._free else self._start()
        if not group.serves:
            group = self._start()
        self._taken[trial] = group
        return group.next_run()

    def give_back(self, trial: str, *, intact: bool) -> None:
        """A trial has ended; a group that may not answer any more is ended too."""
        group = self._taken.pop(trial, None)
        if group is None:
            return
        if intact:
            self._free.append(group)
        else:
            self._ended.append(group)
            group.end()

    @property
    def is_lost(self) -> bool:
        """Whether the switchboard is gone, without which no group can be used any more."""
        import ray
        from ray.exceptions import RayActorError

        try:
            ray.get(self.switchboard.serves.remote(""))
        except RayActorError:
            return True
        return False

    def close(self) -> None:
        """End all groups; without a switchboard they end by themselves, which is waited for.

        So is the end of those that were given back as they were not intact.
        """
        groups = [*self._free, *self._taken.values()]
        end = TrainingGroup.wait if self.is_lost else TrainingGroup.close
        threads = [threading.Thread(target=end, args=[group]) for group in groups]
        threads += [threading.Thread(target=TrainingGroup.wait, args=[group]) for group in self._ended]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _start(self) -> TrainingGroup:
        return TrainingGroup(self._needs, self._dataset, self.switchboard, self._storage)


def train_in_group(
    config: ExperimentConfig,
    dataset: Dataset,
    folder: Path,
    search: SearchConfig,
    report: Callable[[EpochReport], None],
) -> ExperimentResult:
    """Train one experiment in a group of its own, on the cluster that RAY_ADDRESS names or here.

    Args:
        config: the experiment; ``trainer.workers`` says how many processes.
        dataset: the data.
        folder: where ``config.yaml`` and the checkpoints go.
        search: what each process reserves.
        report: called after every epoch.

    Raises:
        GisearchError: what the training raised, the cluster has no room, or a process was lost.
    """
    import ray
    from ray.exceptions import RayActorError

    needs = WorkerNeeds.of(search, config.trainer.workers)
    with ray_session(state_api=True) as nodes:
        concurrency(search, needs, nodes)
        switchboard = _start_switchboard(needs.workers)
        with tempfile.TemporaryDirectory() as storage:
            group = TrainingGroup(needs, ray.put(dataset), switchboard, Path(storage))
            job = {"experiment": to_plain(config), "folder": str(folder.resolve()), "adopt": None}
            try:
                kind, value = relay(
                    switchboard, *group.next_run(), job, lambda epoch: report(EpochReport(**epoch))
                )
            except RayActorError:
                raise WorkersLostError("died", LOST_SWITCHBOARD) from None
            finally:
                with suppress(RayActorError):
                    group.close()
    if kind != RESULT:
        raise GisearchError(value[1] if kind == GONE else value)
    return ExperimentResult(**{**value, "objective": Objective(**value["objective"])})


def _start_switchboard(workers: int) -> Any:
    """Start the switchboard on this node, where every worker may wait: it lives as long as the driver."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)
    # Each worker waits in a call; so do the trials, and the workers of groups that take another's place.
    waiting = 1000 + 4 * workers
    # An actor that needs nothing at all is first sent to any node, which may not know of this one yet.
    options = {"num_cpus": 0, "memory": 1, "max_concurrency": waiting, "scheduling_strategy": here}
    return ray.remote(Switchboard).options(**options).remote()


def _serve_runs(serving: Mapping[str, Any]) -> None:
    """Train what the switchboard hands out, in one worker, until it says that there is no more."""
    import ray
    from ray import train

    use_reserved_processors()
    name, switchboard = serving["group"], serving["switchboard"]
    is_first = train.get_context().get_world_rank() == 0
    ray.get(switchboard.enter.remote(name, ray.get_runtime_context().current_actor))
    dataset = ray.get(serving["dataset"][0])
    group = WorkerGroup()
    load_metrics(dataset.target.kind)
    number = 0

    def tell(kind: str, value: Any) -> None:
        if is_first:
            ray.get(switchboard.tell.remote(name, number, kind, value))

    def report(epoch: EpochReport) -> None:
        if ray.get(switchboard.ask.remote(name, number, vars(epoch))) == STOP:
            raise StopTraining("the trial was stopped.")

    def recall(past: list[EpochReport]) -> None:
        tell(PAST, [vars(epoch) for epoch in past])

    while (job := ray.get(switchboard.job.remote(name, number))) is not None:
        try:
            result = run_job(job, dataset, report, recall, group)
        except StopTraining:
            tell(STOPPED, None)
        # Every worker raises these at the same place, so that the group stays usable.
        except DiskFullError as error:
            tell(FULL, str(error))
        except GisearchError as error:
            tell(ERROR, str(error))
        except Exception as error:
            # The others may wait for this one: Ray Train ends them with it. Who merely cannot reach another
            # one leaves it to that one, or to Ray, to say why.
            if not is_lost_connection(error):
                ray.get(switchboard.tell.remote(name, number, CRASH, describe_crash(error)))
            raise
        else:
            tell(RESULT, job_summary(result))
        number += 1


def job_summary(result: Any) -> dict[str, Any]:
    """Return an experiment's result as plain values, which need no import to be read."""
    return {**vars(result), "objective": vars(result.objective)}
