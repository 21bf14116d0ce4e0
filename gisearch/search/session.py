"""Ray as one sweep uses it, and what its trials share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gisearch.data.dataset import Dataset
from gisearch.errors import ConfigError
from gisearch.processors import allowed_processors
from gisearch.search.cluster import WorkerNeeds, concurrency, ray_session
from gisearch.search.plan import SweepPlan
from gisearch.search.trial import TrialSupplies

if TYPE_CHECKING:
    from gisearch.search.distributed import GroupPool

RAY_FOLDER = "ray"
# What a trial trains with.
_OF_A_TRIAL = ("ray.tune", "gisearch.search.job")


@dataclass(frozen=True)
class Session:
    """Ray as one sweep uses it.

    Attributes:
        needs: the processes of one trial.
        parallel: trials at a time.
        groups: the groups of workers; None for trials of one worker.
        supplies: what all trials are given.
        storage: Ray's own folder.
    """

    needs: WorkerNeeds
    parallel: int
    groups: GroupPool | None
    supplies: TrialSupplies
    storage: Path


@contextmanager
def search_session(plan: SweepPlan, folder: Path, dataset: Dataset) -> Iterator[Session]:
    """Start or join Ray for a sweep in ``folder``, with its groups of workers; end what was started here.

    Raises:
        ConfigError: a trial needs more than there is.
    """
    import ray

    needs = WorkerNeeds.of(plan.config.search, plan.config.trainer.workers)
    storage = folder.resolve() / RAY_FOLDER
    with ray_session(state_api=needs.workers > 1, ahead=imports_ahead(plan, needs)) as nodes:
        parallel = concurrency(plan.config.search, needs, nodes)
        shared = ray.put(dataset)
        if needs.workers == 1:
            yield Session(needs, parallel, None, TrialSupplies(shared), storage)
            return
        # Tune first: its modules and those of Ray Train, which a group's thread imports, need each other.
        import ray.tune

        from gisearch.search.distributed import GroupPool

        groups = GroupPool(parallel, needs, shared, storage)
        try:
            yield Session(needs, parallel, groups, TrialSupplies(shared, groups.switchboard), storage)
        finally:
            groups.close()


def imports_ahead(plan: SweepPlan, needs: WorkerNeeds) -> tuple[str, ...]:
    """Return what worker processes are to import before there is a trial for them.

    Ray starts one for every processor of this machine, which pays where most of them train.
    """
    cores = allowed_processors()
    try:
        trials = concurrency(plan.config.search, needs, [{"CPU": cores}])
    # Without a GPU, or too large for this machine, which the cluster may still have room for.
    except ConfigError:
        return ()
    return _OF_A_TRIAL if needs.workers == 1 and 2 * trials > cores else ()
