from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from gisearch.command_line import run
from gisearch.composition import group_options
from gisearch.errors import ConfigError
from gisearch.launch.__main__ import main
from gisearch.launch.config import RayCluster, SlurmCluster, cluster_file, compose_cluster
from gisearch.launch.job import check_job, split_overrides
from gisearch.launch.record import Launch, find_launch
from gisearch.resources import find_search_space

SPACE = ["dango_gi", "data=demo_tiny", "model.hidden_dim=16"]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def failing(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Run the command, which must refuse in one sentence and leave nothing behind."""
    before = sorted(Path().rglob("*"))
    assert run(main, list(arguments)) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert sorted(Path().rglob("*")) == before
    return err.removeprefix("error: ").strip()


class TestInput:
    def test_a_mistake_in_the_sweep_is_found_here(self, capsys: pytest.CaptureFixture[str]) -> None:
        message = failing(capsys, "slurm", *SPACE, "model.hiden_dim=3")
        assert message == "unknown key 'model.hiden_dim' on the command line. Did you mean 'hidden_dim'?"

    def test_a_mistake_in_the_cluster(self, capsys: pytest.CaptureFixture[str]) -> None:
        message = failing(capsys, "slurm", *SPACE, "cluster.node=2")
        assert message == "unknown key 'cluster.node' on the command line. Did you mean 'nodes'?"
        message = failing(capsys, "slurm", *SPACE, "cluster.time=soon")
        assert message == "cluster: time: expected HH:MM:SS or D-HH:MM:SS, got 'soon'"
        assert "cluster.nodes: " in failing(capsys, "slurm", *SPACE, "cluster.nodes=0")

    def test_a_sweep_of_that_name_was_another(self, capsys: pytest.CaptureFixture[str]) -> None:
        folder = Path("results/dango_gi")
        folder.mkdir(parents=True)
        (folder / "search_space.yaml").write_bytes(find_search_space("dango_gi").read_bytes())
        (folder / "sweep.yaml").write_text(yaml.safe_dump({"overrides": ["name=dango_gi", *SPACE[1:]]}))
        check_job("dango_gi", SPACE[1:])
        message = failing(capsys, "slurm", *SPACE, "trainer.max_epochs=3")
        assert message.startswith("--continue: results/dango_gi was begun with other overrides (trainer.max_")

    def test_a_preset_of_another_kind(self, capsys: pytest.CaptureFixture[str]) -> None:
        message = failing(capsys, "slurm", *SPACE, "cluster=slurm_gpus")
        assert message.startswith("cluster=slurm_gpus: expected one of slurm, slurm_gpu for `launch slurm`.")
        assert message.endswith("Did you mean 'slurm_gpu'?")
        assert "for `launch ray`" in failing(capsys, "ray", *SPACE, "cluster=slurm")

    def test_no_such_file_of_a_cluster(self, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(ConfigError, match=r"no file 'onprm\.yaml'.*Did you mean 'onprem\.yaml'"):
            cluster_file(RayCluster(file="onprm.yaml"))

    @pytest.mark.parametrize("verb", ["status", "follow", "fetch", "stop"])
    def test_nothing_was_launched(self, verb: str, capsys: pytest.CaptureFixture[str]) -> None:
        expected = "nothing called 'x' was launched from this folder (it has: none)."
        assert failing(capsys, verb, "x") == expected

    def test_the_nearest_launch(self, capsys: pytest.CaptureFixture[str]) -> None:
        launch("first_try").write()
        assert failing(capsys, "status", "first_tri").endswith("Did you mean 'first_try'?")

    def test_a_damaged_record(self, capsys: pytest.CaptureFixture[str]) -> None:
        launch("x").write()
        Path("launches/x/launch.json").write_text("{")
        assert failing(capsys, "status", "x").startswith("launches/x/launch.json is damaged")

    def test_a_name_launched_elsewhere(self, capsys: pytest.CaptureFixture[str]) -> None:
        launch("dango_gi", kind="ray").write()
        message = failing(capsys, "slurm", *SPACE)
        assert message == "'dango_gi' was launched through ray before; expected another name=NAME."


def launch(name: str, kind: str = "slurm") -> Launch:
    return Launch(
        name=name,
        kind=kind,
        job="7",
        results=f"results/{name}",
        cluster={"kind": kind},
        command=["sbatch"],
        overrides=["a=1"],
    )


class TestParts:
    def test_the_launch_is_found_as_it_was_written(self) -> None:
        made = launch("x")
        made.write()
        assert find_launch("x") == made
        assert json.loads(Path("launches/x/launch.json").read_text())["job"] == "7"
        assert find_launch("y") is None

    def test_what_is_the_clusters_and_what_the_sweeps(self) -> None:
        ours, theirs = split_overrides(["cluster=slurm", "search.trials=3", "cluster.nodes=2", "name=x"])
        assert ours == ["cluster=slurm", "cluster.nodes=2"]
        assert theirs == ["search.trials=3", "name=x"]

    def test_a_job_starts_or_goes_on(self) -> None:
        job = check_job("dango_gi", ["name=mine", "trainer.workers=2", "search.gpus_per_worker=1"])
        assert (job.name, job.workers, job.gpus_per_worker, job.cpus_per_worker) == ("mine", 2, 1.0, 1.0)
        assert job.arguments("/there/space.yaml", "results.dir=/shared") == [
            *("--continue", "/there/space.yaml", "trainer.workers=2", "search.gpus_per_worker=1"),
            *("results.dir=/shared", "name=mine"),
        ]

    @pytest.mark.parametrize("preset", group_options("cluster", {}))
    def test_every_preset_can_be_built(self, preset: str) -> None:
        kind = SlurmCluster if preset.startswith("slurm") else RayCluster
        cluster = compose_cluster(kind, [f"cluster={preset}"])
        check_job("dango_gi", cluster.sweep)
        if isinstance(cluster, RayCluster):
            assert cluster_file(cluster).is_file()
