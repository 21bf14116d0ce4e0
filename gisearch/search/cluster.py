"""Ray: started here or joined, and what of it a trial needs."""

from __future__ import annotations

import logging
import math
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from gisearch.errors import ConfigError
from gisearch.processors import allowed_processors
from gisearch.proxies import speak_directly_here
from gisearch.search.config import SearchConfig
from gisearch.search.ray_start import (
    check_ray,
    processes_apart,
    removed_at_a_clean_end,
    start_explained,
    token_without_home,
)

# Ray reads these when it is imported or started; what a user set wins.
_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # Trials train in a thread, whose freed memory is kept only in the arena of all (training/allocator.py).
    "MALLOC_ARENA_MAX": "1",
    # The study and the tracker record results; Tune's own CSV, JSON and TensorBoard files would repeat them.
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    # The study is the truth; Tune's snapshot of itself is never read.
    "TUNE_GLOBAL_CHECKPOINT_S": "3600",
    "TUNE_WARN_INSUFFICENT_RESOURCE_THRESHOLD_S": "3600",
    # A trial that fails before its first epoch has no objective to report, and must not end the sweep.
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    # Signals are handled by the sweep itself.
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    # For libraries that start processes in trials (Ray's issue 28197); Tune sets it for workers of its own.
    "PL_DISABLE_FORK": "1",
    # A stopped trial tells its group of workers, which answer within seconds.
    "TUNE_FUNCTION_THREAD_TIMEOUT_S": "20",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS": "0",
}
# An autoscaler may know no limit; more than this many nodes of a kind say nothing new.
_MANY = 1000

_QUIET: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}

Node = Mapping[str, float]


@dataclass(frozen=True)
class WorkerNeeds:
    """The processes of one trial.

    Attributes:
        workers: how many.
        cpus: processors reserved for each.
        gpus: GPUs reserved for each.
    """

    workers: int
    cpus: float
    gpus: float

    @classmethod
    def of(cls, search: SearchConfig, workers: int) -> WorkerNeeds:
        """Return what a sweep's trials of so many workers need."""
        return cls(workers, search.cpus_per_worker, search.gpus_per_worker)

    @property
    def per_worker(self) -> dict[str, float]:
        """What Ray reserves for one worker."""
        return {"CPU": self.cpus, **({"GPU": self.gpus} if self.gpus else {})}

    @property
    def total_gpus(self) -> float:
        """GPUs that one trial holds."""
        return self.workers * self.gpus

    @property
    def of_tune(self) -> dict[str, float]:
        """What Tune reserves for a trial: its only worker, or nothing beside Ray Train's."""
        if self.workers > 1:
            # Tune refuses to reserve nothing; a byte of memory is as little as there is.
            return {"memory": 1.0}
        return {name.lower(): amount for name, amount in self.per_worker.items()}

    def __str__(self) -> str:
        each = " and ".join(f"{amount:g} {name}" for name, amount in self.per_worker.items())
        return each if self.workers == 1 else f"{self.workers} workers with {each} each"


@contextmanager
def ray_session(*, state_api: bool = False, ahead: Sequence[str] = ()) -> Iterator[Sequence[Node]]:
    """Join the cluster that RAY_ADDRESS names, or start Ray here; yields the nodes that it has or may add.

    A Ray that was running before is left running. One that is started here listens on this machine alone.

    Args:
        state_api: start Ray's dashboard, which groups of workers need: without it their reservations stay
            behind where they are ended from outside.
        ahead: modules that every worker process of a Ray started here imports before it has anything to do.

    Raises:
        ConfigError: Ray cannot start, or the cluster cannot be joined.
    """
    for key, value in _ENVIRONMENT.items():
        os.environ.setdefault(key, value)
    speak_directly_here()
    check_ray()
    import ray

    with ExitStack() as stack:
        if not ray.is_initialized():
            if address := os.environ.get("RAY_ADDRESS"):
                with start_explained():
                    ray.init(address=address, **_QUIET)
            else:
                stack.push(removed_at_a_clean_end(_start_here(state_api=state_api, ahead=ahead)))
                if ahead:
                    stack.enter_context(_tune_takes_any_worker())
            stack.callback(ray.shutdown)
        for name in ("ray.tune", "ray.train", "ray.air"):
            logging.getLogger(name).setLevel(logging.ERROR)
        present = _nodes()
        yield [*present, *_nodes_to_come(present)]


def _start_here(*, state_api: bool, ahead: Sequence[str]) -> Path:
    """Start Ray; returns the folder of its session: sockets and logs."""
    import ray

    # Ray starts a worker per processor when a driver joins, and ends those that were idle for a second once
    # their processors are reserved: just before a trial, which reserves first, would take one.
    warm = {"preload_python_modules": list(ahead), "idle_worker_killing_time_threshold_ms": 60_000}
    # Without an address Ray would join whatever cluster it finds running on this machine.
    token_without_home()
    with start_explained(), _loopback(), _without_helpers(dashboard=state_api), processes_apart():
        context: Any = ray.init(
            "local",
            num_cpus=allowed_processors(),
            include_dashboard=state_api,
            dashboard_host="127.0.0.1",
            _system_config=warm if ahead else None,
            **_QUIET,
        )
    # Ray (2.60) makes a token that every user of this machine may read.
    with suppress(OSError, RuntimeError):
        (Path.home() / ".ray" / "auth_token").chmod(0o600)
    return Path(context.address_info["session_dir"])


@contextmanager
def _tune_takes_any_worker() -> Iterator[None]:
    """Have Tune's trials take workers that Ray has started ahead.

    Tune (2.60) hands variables of the driver's environment to its trials, in an environment of their own, for
    which Ray starts new workers. Workers of a Ray that the driver has started have the driver's anyway.
    """
    from ray.tune.execution import class_cache

    with ExitStack() as stack:
        for name in ("DEFAULT_ENV_VARS", "ENV_VARS_TO_PROPAGATE"):
            if hasattr(class_cache, name):
                stack.enter_context(patch.object(class_cache, name, {}))
        yield


@contextmanager
def _loopback() -> Iterator[None]:
    """Have a Ray that is started meanwhile listen on this machine alone, as it does on Windows and macOS.

    The variable is Ray's own switch for that; who sets it to 1 gets Ray's way of a cluster.
    """
    from ray._private import ray_constants

    enabled, variable = ray_constants.ENABLE_RAY_CLUSTER, ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR
    own = os.environ.setdefault(variable, "0") == "0"
    ray_constants.ENABLE_RAY_CLUSTER = not own
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = enabled
        if own:
            del os.environ[variable]


@contextmanager
def _without_helpers(*, dashboard: bool) -> Iterator[None]:
    """Have a Ray that is started meanwhile leave out processes that nothing here asks.

    They are the monitors of an autoscaler and of the workers' output, which is not shown, and, without a
    dashboard, the process that serves it and the agents' part of it. ``ray start`` has options for the
    monitors, and a Ray that is installed without its dashboard leaves the rest out; ``ray.init`` (2.60) has
    no way to ask for either. A Ray that has no such methods starts all of them.
    """
    from ray._private import node, utils

    left_out = ["start_monitor", "start_log_monitor", *([] if dashboard else ["start_api_server"])]
    with ExitStack() as stack:
        for method in left_out:
            if hasattr(node.Node, method):
                stack.enter_context(patch.object(node.Node, method, lambda _, **__: None))
        if not dashboard and hasattr(utils, "get_dashboard_dependency_error"):
            missing = ImportError("the dashboard is not asked for")
            stack.enter_context(patch.object(utils, "get_dashboard_dependency_error", lambda: missing))
        yield


def _nodes() -> list[Node]:
    import ray

    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def _nodes_to_come(present: Sequence[Node]) -> list[Node]:
    """Return the nodes that an autoscaler may start beside those that are there."""
    from ray._private.state import state

    try:
        config = state.get_cluster_config()
        groups = [] if config is None else list(config.node_group_configs)
    # Not part of Ray's interface: without it a cluster is what it has.
    except Exception:
        return []
    return still_to_come(groups, present)


def still_to_come(groups: Iterable[Any], present: Sequence[Node]) -> list[Node]:
    """Return the nodes that an autoscaler's groups may add; their largest numbers count those present.

    Args:
        groups: node groups with ``resources`` of a node and ``max_count``, which may be without a limit.
        present: the nodes that are there; they are told apart by their sizes.
    """
    sizes = Counter(_size(node) for node in present)
    nodes: list[Node] = []
    for group in groups:
        node = dict(group.resources)
        most = group.max_count if 0 <= group.max_count < _MANY else _MANY
        started = min(most, sizes[_size(node)])
        sizes[_size(node)] -= started
        nodes += [node] * (most - started)
    return nodes


def concurrency(config: SearchConfig, needs: WorkerNeeds, nodes: Sequence[Node]) -> int:
    """Return how many trials run at a time.

    Raises:
        ConfigError: a single trial needs more than the cluster has.
    """
    places = sum(_fitting(needs, node) for node in nodes)
    most = min(places // needs.workers, config.trials)
    if not most:
        raise ConfigError(
            f"a trial needs {needs} (trainer.workers, search.cpus_per_worker, search.gpus_per_worker), "
            f"but the cluster has {_sizes(nodes)}, with room for "
            + ("none." if not places else f"{places} of the {needs.workers} workers.")
        )
    return min(most, config.concurrency or most)


def _fitting(needs: WorkerNeeds, node: Node) -> int:
    """Return how many workers have room on a node."""
    wanted = {name: amount for name, amount in needs.per_worker.items() if amount}
    return min(math.floor(node.get(name, 0.0) / amount + 1e-9) for name, amount in wanted.items())


def _sizes(nodes: Sequence[Node]) -> str:
    kinds = Counter(_size(node) for node in nodes)
    return ", ".join(f"{count} node{'s' if count > 1 else ''} of {size}" for size, count in kinds.items())


def _size(node: Node) -> str:
    return f"{node.get('CPU', 0.0):g} CPU and {node.get('GPU', 0.0):g} GPU"
