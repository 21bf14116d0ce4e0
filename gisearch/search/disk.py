"""Whether the disk has room for a sweep's checkpoints, before anything starts."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from gisearch.config import to_plain
from gisearch.data.dataset import Dataset
from gisearch.errors import ConfigError, GisearchError
from gisearch.processors import allowed_processors
from gisearch.search.cluster import WorkerNeeds
from gisearch.search.config import SearchConfig
from gisearch.search.folders import TRIALS_FOLDER
from gisearch.search.plan import SweepPlan
from gisearch.search.space import canonical

# Study, leaderboard, plots, configurations, and an SQLite store beside them.
OTHER_BYTES = 10_000_000
# Far beyond any model of this package on a real cell: where that fits, models need not be built to be sized.
_LARGE_MODEL = 100_000_000


@dataclass(frozen=True)
class SpaceNeeded:
    """What a sweep writes at most.

    Attributes:
        weights: bytes of the largest baseline's weights.
        moments: bytes of its optimiser's two running means.
        running: trials that write at a time.
        kept: trials whose checkpoints are kept.
    """

    weights: int
    moments: int
    running: int
    kept: int

    @property
    def total(self) -> int:
        """Bytes in all.

        A trial has its best weights and two states to continue from, of weights and moments each; a trial
        that runs has a third while it writes it.
        """
        state = self.weights + self.moments
        kept = self.weights + 2 * state
        return self.running * (kept + state) + self.kept * kept + OTHER_BYTES


def estimate(plan: SweepPlan, dataset: Dataset) -> SpaceNeeded:
    """Estimate what a sweep writes, from the largest model among its baselines.

    The models are built as a trial would build them, without training, and dropped: some hundredths of a
    second each on the demo cell. (On PyTorch's meta device most cannot be built: their graphs are counted
    while they are.) Without baselines it is the experiment that trials vary. A search that makes models
    larger than every baseline needs more. Where ``search.concurrency`` is not given, the trials at a time
    are those that this machine has processors for.
    """
    from gisearch.training.experiment import build_model

    experiments = [plan.configure(baseline) for baseline in plan.baselines] or [*plan.experiments.values()]
    different = {
        canonical({"model": to_plain(experiment.model), "derived": to_plain(experiment.derived)}): experiment
        for experiment in experiments
    }
    weights, moments = 0, 0
    for experiment in different.values():
        try:
            model = build_model(experiment, dataset)
        # Too large for this machine's memory, or a misfit: its trial will say so.
        except (GisearchError, RuntimeError, MemoryError):
            continue
        size = sum(tensor.numel() * tensor.element_size() for tensor in model.state_dict().values())
        if size >= weights:
            weights = size
            moments = 2 * sum(p.numel() * p.element_size() for p in model.parameters() if p.requires_grad)
    return SpaceNeeded(weights, moments, *_trials(plan.config.search, plan.config.trainer.workers))


def room_for_large_models(search: SearchConfig, workers: int = 1) -> SpaceNeeded:
    """Return what a sweep of models of 100 million parameters writes at most.

    Args:
        search: how it runs.
        workers: the processes of a trial.
    """
    return SpaceNeeded(4 * _LARGE_MODEL, 8 * _LARGE_MODEL, *_trials(search, workers))


def _trials(search: SearchConfig, workers: int) -> tuple[int, int]:
    """Return how many trials write checkpoints at a time, and of how many they are kept."""
    needs = WorkerNeeds.of(search, workers)
    here = int(allowed_processors() / (needs.workers * needs.cpus))
    # Every member of a population has checkpoints, whether it trains or waits.
    waiting = search.scheduler == "pbt"
    running = search.trials if waiting else min(search.concurrency or max(1, here), search.trials)
    return running, min(search.num_kept, search.trials)


def check_space(plan: SweepPlan, dataset: Dataset, folder: Path | None = None) -> None:
    """Check that the results folder's disk has room for a sweep; what a resumed one has there is its own.

    Models are built, and PyTorch imported, only where there is no room for models of 100 million parameters.

    Raises:
        ConfigError: it has not; the message tells what is needed and what is free.
    """
    root = (folder or Path(plan.config.results.dir)).absolute()
    existing = next(path for path in (root, *root.parents) if path.is_dir())
    own = (
        0
        if folder is None
        else sum(path.stat().st_size for path in (folder / TRIALS_FOLDER).glob("*/*.pt*") if path.is_file())
    )
    free = shutil.disk_usage(existing).free
    if room_for_large_models(plan.config.search, plan.config.trainer.workers).total <= free:
        return
    needed = estimate(plan, dataset)
    if needed.total - own > free:
        raise ConfigError(
            f"results.dir: checkpoints of {needed.running} trials at a time and of the {needed.kept} best "
            f"need about {_megabytes(needed.total - own)}, but {existing} has {_megabytes(free)} free; "
            "free some space, name another folder, or lower search.keep_top or search.concurrency."
        )


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.0f} MB"
