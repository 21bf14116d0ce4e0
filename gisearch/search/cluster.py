"""Ray: started here or joined, and what of it a trial needs."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from gisearch.errors import ConfigError
from gisearch.search.config import SearchConfig

# Ray reads these when it is imported or started; what a user set wins.
_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # The study and the tracker record results; Tune's own CSV, JSON and TensorBoard files would repeat them.
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    # The study is the truth; Tune's snapshot of itself is never read.
    "TUNE_GLOBAL_CHECKPOINT_S": "3600",
    "TUNE_WARN_INSUFFICENT_RESOURCE_THRESHOLD_S": "3600",
    # A trial that fails before its first epoch has no objective to report, and must not end the sweep.
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS": "0",
}


@contextmanager
def ray_session() -> Iterator[Mapping[str, float]]:
    """Join the cluster that RAY_ADDRESS names, or start Ray here; yields what it has.

    A Ray that was running before is left running.
    """
    for key, value in _ENVIRONMENT.items():
        os.environ.setdefault(key, value)
    import ray

    joined = ray.is_initialized()
    if not joined:
        ray.init(
            address=os.environ.get("RAY_ADDRESS"),
            include_dashboard=False if "RAY_ADDRESS" not in os.environ else None,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    for name in ("ray.tune", "ray.train", "ray.air"):
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        yield ray.cluster_resources()
    finally:
        if not joined:
            ray.shutdown()


def trial_resources(config: SearchConfig) -> dict[str, float]:
    """Return what Ray reserves for one trial."""
    resources = {"cpu": config.cpus_per_trial}
    if config.gpus_per_trial:
        resources["gpu"] = config.gpus_per_trial
    return resources


def concurrency(config: SearchConfig, available: Mapping[str, float]) -> int:
    """Return how many trials run at a time.

    Raises:
        ConfigError: a single trial needs more than the cluster has.
    """
    fits = []
    for what, key, wanted in (
        ("CPUs", "CPU", config.cpus_per_trial),
        ("GPUs", "GPU", config.gpus_per_trial),
    ):
        has = available.get(key, 0.0)
        if wanted > has:
            raise ConfigError(
                f"search.{what.lower()}_per_trial: a trial needs {wanted:g} {what}, "
                f"but the cluster has {has:g}."
            )
        if wanted:
            fits.append(math.floor(has / wanted + 1e-9))
    most = max(1, min(fits))
    return min(most, config.concurrency or most, config.trials)
