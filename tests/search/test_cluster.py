from __future__ import annotations

import pytest

from gisearch.errors import ConfigError
from gisearch.search.cluster import concurrency, trial_resources
from gisearch.search.config import SearchConfig

HERE = {"CPU": 8.0, "GPU": 2.0}


@pytest.mark.parametrize(
    ("search", "expected"),
    [
        ({}, 8),
        ({"trials": 3}, 3),
        ({"concurrency": 2}, 2),
        ({"concurrency": 99}, 8),
        ({"cpus_per_trial": 3.0}, 2),
        ({"cpus_per_trial": 0.1, "trials": 100}, 80),
        ({"gpus_per_trial": 0.5}, 4),
        ({"gpus_per_trial": 0.1}, 8),
        ({"gpus_per_trial": 1.0, "cpus_per_trial": 8.0}, 1),
    ],
)
def test_trials_at_a_time(search: dict[str, float], expected: int) -> None:
    assert concurrency(SearchConfig(**search), HERE) == expected


@pytest.mark.parametrize(
    ("search", "available", "message"),
    [
        (
            {"cpus_per_trial": 16.0},
            HERE,
            "search.cpus_per_trial: a trial needs 16 CPUs, but the cluster has 8.",
        ),
        (
            {"gpus_per_trial": 0.5},
            {"CPU": 8.0},
            "search.gpus_per_trial: a trial needs 0.5 GPUs, but the cluster has 0.",
        ),
    ],
)
def test_a_trial_that_fits_nowhere(
    search: dict[str, float], available: dict[str, float], message: str
) -> None:
    with pytest.raises(ConfigError) as error:
        concurrency(SearchConfig(**search), available)
    assert str(error.value) == message


def test_what_ray_reserves() -> None:
    assert trial_resources(SearchConfig()) == {"cpu": 1.0}
    assert trial_resources(SearchConfig(cpus_per_trial=2.0, gpus_per_trial=0.25)) == {"cpu": 2.0, "gpu": 0.25}
