from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ray.core.generated import autoscaler_pb2

from gisearch import sweep
from gisearch.command_line import run
from gisearch.errors import ConfigError
from gisearch.search.cluster import Node, WorkerNeeds, concurrency, still_to_come
from gisearch.search.config import SearchConfig

HERE: Node = {"CPU": 8.0, "GPU": 2.0, "memory": 1e10}
SPACE = "base: [model=dango_gi, data=demo_tiny]\nspace: {optimizer.lr: [0.01, 0.1]}\n"


def fit(nodes: list[Node], workers: int = 1, **search: Any) -> int:
    config = SearchConfig(**search)
    return concurrency(config, WorkerNeeds.of(config, workers), nodes)


class TestNeeds:
    def test_one_worker_is_reserved_by_tune(self) -> None:
        needs = WorkerNeeds.of(SearchConfig(cpus_per_worker=2.0, gpus_per_worker=0.25), 1)
        assert needs.per_worker == {"CPU": 2.0, "GPU": 0.25}
        assert needs.of_tune == {"cpu": 2.0, "gpu": 0.25}
        assert needs.total_gpus == 0.25
        assert str(needs) == "2 CPU and 0.25 GPU"

    def test_several_workers_are_reserved_by_ray_train(self) -> None:
        needs = WorkerNeeds.of(SearchConfig(gpus_per_worker=1.0), 4)
        assert needs.per_worker == {"CPU": 1.0, "GPU": 1.0}
        assert needs.of_tune == {"memory": 1.0}, "the trial itself only relays"
        assert needs.total_gpus == 4.0
        assert str(needs) == "4 workers with 1 CPU and 1 GPU each"

    def test_no_gpu_is_not_asked_for(self) -> None:
        assert WorkerNeeds.of(SearchConfig(), 1).per_worker == {"CPU": 1.0}
        assert WorkerNeeds.of(SearchConfig(), 1).of_tune == {"cpu": 1.0}


@pytest.mark.parametrize(
    ("search", "expected"),
    [
        ({}, 8),
        ({"trials": 3}, 3),
        ({"concurrency": 2}, 2),
        ({"concurrency": 99}, 8),
        ({"cpus_per_worker": 3.0}, 2),
        ({"cpus_per_worker": 0.1, "trials": 100}, 80),
        ({"gpus_per_worker": 0.5}, 4),
        ({"gpus_per_worker": 0.1}, 8),
        ({"gpus_per_worker": 1.0, "cpus_per_worker": 8.0}, 1),
    ],
)
def test_trials_at_a_time(search: dict[str, Any], expected: int) -> None:
    assert fit([HERE], **search) == expected


@pytest.mark.parametrize(
    ("workers", "search", "expected"),
    [
        (1, {"cpus_per_worker": 5.0}, 2),
        # No node has 9 processors, although the cluster does; but two workers need not share a node.
        (2, {"cpus_per_worker": 5.0}, 1),
        (3, {}, 5),
        (4, {"gpus_per_worker": 1.0}, 1),
        (2, {"gpus_per_worker": 1.0}, 2),
        (2, {"gpus_per_worker": 1.0, "concurrency": 1}, 1),
    ],
)
def test_rooms_are_counted_by_node(workers: int, search: dict[str, Any], expected: int) -> None:
    assert fit([HERE, HERE], workers, **search) == expected


@pytest.mark.parametrize(
    ("nodes", "workers", "search", "needed", "has", "room"),
    [
        ([HERE], 1, {"cpus_per_worker": 16.0}, "16 CPU", "1 node of 8 CPU and 2 GPU", "none"),
        ([HERE, HERE], 1, {"cpus_per_worker": 9.0}, "9 CPU", "2 nodes of 8 CPU and 2 GPU", "none"),
        (
            [{"CPU": 8.0}],
            1,
            {"gpus_per_worker": 0.5},
            "1 CPU and 0.5 GPU",
            "1 node of 8 CPU and 0 GPU",
            "none",
        ),
        (
            [HERE, {"CPU": 4.0, "GPU": 1.0}],
            4,
            {"gpus_per_worker": 1.0},
            "4 workers with 1 CPU and 1 GPU each",
            "1 node of 8 CPU and 2 GPU, 1 node of 4 CPU and 1 GPU",
            "3 of the 4 workers",
        ),
        (
            [HERE, HERE],
            3,
            {"cpus_per_worker": 5.0},
            "3 workers with 5 CPU each",
            "2 nodes of 8 CPU and 2 GPU",
            "2 of the 3 workers",
        ),
    ],
)
def test_a_trial_without_room_is_refused_with_the_numbers(
    nodes: list[Node], workers: int, search: dict[str, Any], needed: str, has: str, room: str
) -> None:
    with pytest.raises(ConfigError) as error:
        fit(nodes, workers, **search)
    assert str(error.value) == (
        f"a trial needs {needed} (trainer.workers, search.cpus_per_worker, search.gpus_per_worker), "
        f"but the cluster has {has}, with room for {room}."
    )


class TestAutoscaler:
    def group(self, most: int, **resources: int) -> autoscaler_pb2.NodeGroupConfig:
        return autoscaler_pb2.NodeGroupConfig(resources=resources, max_count=most)

    def test_nodes_that_may_be_started_count(self) -> None:
        head = {"CPU": 4.0}
        nodes = [head, *still_to_come([self.group(3, CPU=8, GPU=1)], [head])]
        assert nodes == [head] + [{"CPU": 8.0, "GPU": 1.0}] * 3
        assert fit(nodes, gpus_per_worker=1.0) == 3
        assert fit(nodes, workers=3, gpus_per_worker=1.0) == 1

    def test_those_that_it_has_started_are_not_counted_twice(self) -> None:
        present = [{"CPU": 4.0}, {"CPU": 8.0, "GPU": 1.0, "node:10.0.0.2": 1.0}]
        assert still_to_come([self.group(3, CPU=8, GPU=1)], present) == [{"CPU": 8, "GPU": 1}] * 2
        assert still_to_come([self.group(1, CPU=8, GPU=1)], present) == []
        two_kinds = [self.group(1, CPU=8, GPU=1), self.group(1, CPU=8, GPU=1)]
        assert still_to_come(two_kinds, present) == [{"CPU": 8, "GPU": 1}]

    def test_no_limit_is_many(self) -> None:
        for most in (-1, 2**30):
            nodes = still_to_come([self.group(most, CPU=1)], [])
            assert fit(nodes, trials=50) == 50
            assert len(nodes) == 1000


class TestCommandLine:
    def test_a_share_of_a_gpu_and_several_workers(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "space.yaml").write_text(SPACE)
        overrides = ["trainer.workers=2", "search.gpus_per_worker=0.5", f"results.dir={tmp_path / 'out'}"]
        assert run(sweep.main, [str(tmp_path / "space.yaml"), *overrides]) == 2
        assert capsys.readouterr().err == (
            "error: search.gpus_per_worker: the 2 workers of a trial (trainer.workers) need whole GPUs, for "
            "NCCL cannot run two processes on one; expected 1, got 0.5.\n"
        )
        assert not (tmp_path / "out").exists()
