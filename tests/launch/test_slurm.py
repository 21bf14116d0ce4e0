"""Launching through SLURM, with stand-ins for its programs."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from gisearch.command_line import run
from gisearch.errors import ConfigError
from gisearch.launch import slurm
from gisearch.launch.__main__ import main
from gisearch.launch.config import SlurmCluster, compose_cluster
from gisearch.launch.job import SweepJob
from gisearch.launch.launcher import LaunchError
from gisearch.launch.record import Launch, require_launch
from gisearch.launch.slurm import SlurmLauncher
from gisearch.launch.slurm_request import inherited

SPACE = """
name: rates
base: [model=dango_gi, data=demo_tiny]
space:
  optimizer.lr: {float: [1.0e-3, 1.0e-2], log: true}
"""
_REFUSED = r"^sbatch refused the job with exit code 1: .*invalid partition specified: gpus"
# `squeue` takes the next line of `states` (the last one stays); what follows the state goes into the log.
PROGRAMS = {
    "sbatch": """echo "${SBATCH_SAYS:-17}"; exit ${SBATCH_CODE:-0}""",
    "scancel": "",
    "squeue": """
        [ -s "$FAKE/states" ] || { echo "slurm_load_jobs error: Invalid job id specified" >&2; exit 1; }
        case "$*" in *%r*) echo "Priority|0:00|1:00:00|"; exit ;; esac
        read -r state text <"$FAKE/states"
        [ "$(wc -l <"$FAKE/states")" = 1 ] || sed -i 1d "$FAKE/states"
        [ -z "$text" ] || echo "$text" >>launches/rates/17.log
        echo "$state" """,
}


class Slurm:
    """Stand-ins for SLURM's programs, which note how they were called."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        for name, text in PROGRAMS.items():
            path = folder / name
            path.write_text(f'#!/bin/bash\necho "{name} $*" >>"$FAKE/calls"\n{text}\n')
            path.chmod(0o755)

    def says(self, *states: str) -> None:
        (self.folder / "states").write_text("".join(f"{state}\n" for state in states))

    def calls(self, name: str) -> list[str]:
        path = self.folder / "calls"
        lines = path.read_text().splitlines() if path.exists() else []
        return [line for line in lines if line.startswith(name)]


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Slurm:
    """SLURM's programs; the working directory is the test's own."""
    made = Slurm(tmp_path / "slurm")
    monkeypatch.setenv("FAKE", str(made.folder))
    monkeypatch.setenv("PATH", f"{made.folder}:{os.environ['PATH']}")
    monkeypatch.setattr(slurm, "_ASK", 0.0)
    monkeypatch.setattr(slurm, "_LOOK", 0.01)
    monkeypatch.chdir(tmp_path)
    return made


@pytest.fixture
def job(tmp_path: Path) -> SweepJob:
    """A sweep that was checked."""
    space = tmp_path / "rates.yaml"
    space.write_text(SPACE)
    return SweepJob("rates", space, ("search.trials=3",), workers=1, gpus_per_worker=0, cpus_per_worker=1)


@pytest.fixture
def launched(fake: Slurm, job: SweepJob) -> Launch:
    """A sweep that was submitted as job 17."""
    launch = SlurmLauncher(SlurmCluster()).submit(job)
    launch.write()
    (launch.folder / "job-17").mkdir()
    return launch


def ended(launch: Launch, code: int) -> None:
    (launch.folder / "job-17" / "exit_code").write_text(f"{code}\n")


class TestCommand:
    def test_launch_from_the_command_line(self, fake: Slurm, capsys: pytest.CaptureFixture[str]) -> None:
        Path("rates.yaml").write_text(SPACE)
        arguments = ["slurm", "rates.yaml", "cluster.nodes=2", "cluster.time=1-00:00:00", "search.trials=3"]
        assert run(main, arguments) == 0
        out = capsys.readouterr().out
        assert "rates: submitted as SLURM job 17." in out
        assert "gisearch launch follow rates" in out
        assert "mlflow ui --backend-store-uri sqlite:///mlflow.db" in out
        assert "gisearch launch stop rates" in out
        (called,) = fake.calls("sbatch")
        assert "--nodes=2 --time=1-00:00:00" in called
        assert called.endswith(
            "launches/rates/sweep.sbatch launches/rates/space.yaml search.grace_seconds=120 search.trials=3 "
            "name=rates"
        )
        assert Path("launches/rates/space.yaml").read_text() == SPACE
        assert require_launch("rates").results == str(Path("results/rates").absolute())

    def test_dry_run_shows_everything_and_starts_nothing(
        self, fake: Slurm, capsys: pytest.CaptureFixture[str]
    ) -> None:
        Path("rates.yaml").write_text(SPACE)
        assert run(main, ["slurm", "rates.yaml", "--dry-run"]) == 0
        out = capsys.readouterr().out
        assert "srun --nodes=" in out
        assert "sbatch --parsable --job-name=rates" in out
        assert fake.calls("sbatch") == []
        assert not Path("launches").exists()

    def test_every_key_reaches_sbatch(self, fake: Slurm, job: SweepJob) -> None:
        cluster = SlurmCluster(
            nodes=3, cpus_per_node=16, gpus_per_node=4, gpu_type="a100", memory="64G", time="02:00:00",
            partition="gpu", account="lab", qos="high", warning_seconds=300, max_requeues=7,
            options=["--constraint=ib"],
        )  # fmt: skip
        command = SlurmLauncher(cluster).submit(replace(job, gpus_per_worker=1)).command
        for option in (
            "--nodes=3", "--cpus-per-task=16", "--gpus-per-node=a100:4", "--mem=64G", "--time=02:00:00",
            "--partition=gpu", "--account=lab", "--qos=high", "--signal=B:USR1@300", "--constraint=ib",
            "--export=ALL", "GISEARCH_MAX_REQUEUES=7",
        ):  # fmt: skip
            assert option in command

    def test_runs_are_looked_at_where_they_are(
        self, fake: Slurm, job: SweepJob, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        launcher = SlurmLauncher(SlurmCluster())
        monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://user:secret@tracking")
        said = launcher.hints(launcher.submit(job))
        assert "the tracking server" in said
        assert "secret" not in said
        there = launcher.submit(replace(job, overrides=("tracking.uri=sqlite:///there.db",)))
        assert "sqlite:///there.db" in launcher.hints(there)

    def test_setup_lines_come_before_the_environment(self, fake: Slurm, job: SweepJob) -> None:
        cluster = SlurmCluster(setup=["module load cuda"], python="/shared/my env/bin/python")
        SlurmLauncher(cluster).submit(job)
        lines = Path("launches/rates/setup.sh").read_text().splitlines()
        assert lines == ["module load cuda", "export PATH='/shared/my env/bin':\"$PATH\""]

    @pytest.mark.parametrize("exclusive", [True, False])
    def test_machines_of_one_s_own_or_shared(self, fake: Slurm, job: SweepJob, exclusive: bool) -> None:
        SlurmLauncher(SlurmCluster(exclusive=exclusive)).submit(job)
        script = Path("launches/rates/sweep.sbatch").read_text()
        assert ("#SBATCH --exclusive\n" in script) == exclusive
        assert "#SBATCH --requeue\n" in script

    def test_presets(self) -> None:
        assert compose_cluster(SlurmCluster, []).gpus_per_node == 0
        gpu = compose_cluster(SlurmCluster, ["cluster=slurm_gpu"])
        assert gpu.gpus_per_node == 4
        assert "search.gpus_per_worker=1" in gpu.sweep


class TestErrors:
    def test_no_slurm_here(self, job: SweepJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(ConfigError, match="no program 'sbatch' here"):
            SlurmLauncher(SlurmCluster()).submit(job)
        assert not Path("launches").exists()

    @pytest.mark.parametrize(
        ("cluster", "needs", "says"),
        [
            ({}, {"gpus_per_worker": 1}, "needs GPUs, but cluster.gpus_per_node=0"),
            ({"gpus_per_node": 4}, {}, "would be paid for and not used, for search.gpus_per_worker=0"),
            (
                {"gpus_per_node": 2, "nodes": 2},
                {"gpus_per_worker": 1, "workers": 5},
                r"needs 5 workers with 1 CPU and 1 GPU each .*, but the job has room for 4 \(cluster.nodes=2",
            ),
            (
                {"cpus_per_node": 3, "nodes": 2},
                {"cpus_per_worker": 2, "workers": 3},
                "but the job has room for 2",
            ),
            ({"cpus_per_node": 3}, {"cpus_per_worker": 4}, "needs 1 worker with 4 CPU .* has room for 0"),
        ],
    )
    def test_a_trial_that_does_not_fit(
        self, fake: Slurm, job: SweepJob, cluster: dict[str, int], needs: dict[str, int], says: str
    ) -> None:
        with pytest.raises(ConfigError, match=says):
            SlurmLauncher(SlurmCluster(**cluster)).submit(replace(job, **needs))
        assert fake.calls("sbatch") == []

    def test_gpus_asked_for_in_another_way(self, fake: Slurm, job: SweepJob) -> None:
        cluster = SlurmCluster(options=["--gres=gpu:h100:8"])
        assert SlurmLauncher(cluster).submit(replace(job, gpus_per_worker=1)).job == "17"

    def test_results_that_cannot_be_written(self, fake: Slurm, job: SweepJob, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(ConfigError, match=r"results.dir: cannot write to .*file; expected a folder"):
            SlurmLauncher(SlurmCluster()).submit(replace(job, results=str(tmp_path / "file" / "results")))
        assert fake.calls("sbatch") == []

    def test_slurm_refuses(self, fake: Slurm, job: SweepJob, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SBATCH_SAYS", "sbatch: error: invalid partition specified: gpus")
        monkeypatch.setenv("SBATCH_CODE", "1")
        with pytest.raises(LaunchError, match=_REFUSED):
            SlurmLauncher(SlurmCluster()).submit(job)

    def test_the_earlier_job_has_not_ended(self, fake: Slurm, launched: Launch, job: SweepJob) -> None:
        fake.says("RUNNING")
        with pytest.raises(
            ConfigError, match=r"'rates' is still in the queue as job 17 \(running\); expected"
        ):
            SlurmLauncher(SlurmCluster()).submit(job)
        fake.says("COMPLETED")
        SlurmLauncher(SlurmCluster()).submit(job)
        assert len(fake.calls("sbatch")) == 2

    def test_slurm_does_not_answer(self, fake: Slurm, launched: Launch) -> None:
        (fake.folder / "squeue").write_text(
            "#!/bin/bash\necho 'Unable to contact slurm controller' >&2; exit 1\n"
        )
        with pytest.raises(LaunchError, match="Unable to contact slurm controller"):
            SlurmLauncher(SlurmCluster()).status(launched)


class TestStatus:
    def test_it_waits(self, fake: Slurm, launched: Launch) -> None:
        fake.says("PENDING")
        assert (
            SlurmLauncher(SlurmCluster()).status(launched) == "rates: job 17 is pending (waiting: Priority)"
        )

    @pytest.mark.parametrize(
        ("code", "says"),
        [
            (0, "job 17 ended; results: "),
            (143, "job 17 left when it was told to; launching it again goes on"),
            (1, "job 17 ended with exit code 1; its log is launches/rates/17.log"),
        ],
    )
    def test_a_job_that_slurm_forgot(self, fake: Slurm, launched: Launch, code: int, says: str) -> None:
        ended(launched, code)
        assert says in SlurmLauncher(SlurmCluster()).status(launched)

    def test_a_job_that_was_killed(self, fake: Slurm, launched: Launch) -> None:
        fake.says("TIMEOUT")
        assert "ended before the sweep did" in SlurmLauncher(SlurmCluster()).status(launched)


class TestFollow:
    def test_across_requeues_until_the_end(
        self, fake: Slurm, launched: Launch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        fake.says("PENDING", "RUNNING one", "COMPLETING two", "PENDING", "RUNNING three", "COMPLETED four")
        ended(launched, 3)
        assert SlurmLauncher(SlurmCluster()).follow(launched) == 3
        said = capsys.readouterr()
        assert said.out.splitlines()[:4] == ["one", "two", "three", "four"]
        assert "ended with exit code 3" in said.out
        assert said.err.count("waiting: Priority") == 2

    def test_a_job_without_an_end_of_its_own_failed(self, fake: Slurm, launched: Launch) -> None:
        assert SlurmLauncher(SlurmCluster()).follow(launched) == 1

    def test_ctrl_c_leaves_the_job_alone(
        self,
        fake: Slurm,
        launched: Launch,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        def interrupt(_: float) -> None:
            raise KeyboardInterrupt

        fake.says("RUNNING")
        monkeypatch.setattr(slurm.time, "sleep", interrupt)
        assert SlurmLauncher(SlurmCluster()).follow(launched) == 0
        assert "no longer followed; job 17 goes on" in capsys.readouterr().out
        assert fake.calls("scancel") == []


class TestFetchAndStop:
    def test_results_are_where_they_are(self, fake: Slurm, launched: Launch) -> None:
        Path("results/rates").mkdir(parents=True)
        Path("results/rates/sweep.yaml").write_text("a")
        launcher = SlurmLauncher(SlurmCluster())
        assert launcher.fetch(launched, Path("results")) == Path("results/rates")
        copied = launcher.fetch(launched, Path("elsewhere"))
        assert (copied / "sweep.yaml").read_text() == "a"

    def test_nothing_to_fetch_yet(self, fake: Slurm, launched: Launch) -> None:
        fake.says("PENDING")
        with pytest.raises(LaunchError, match="is not there yet: rates: job 17 is pending"):
            SlurmLauncher(SlurmCluster()).fetch(launched, Path("results"))

    def test_a_running_job_is_told_to_leave(self, fake: Slurm, launched: Launch) -> None:
        fake.says("RUNNING")
        assert "was told to leave" in SlurmLauncher(SlurmCluster()).stop(launched)
        assert (launched.folder / "job-17" / "stop").exists(), "else it would be queued again"
        assert fake.calls("scancel") == ["scancel --state=PENDING 17", "scancel --signal=USR1 --batch 17"]

    def test_a_job_that_waits_is_cancelled(self, fake: Slurm, launched: Launch) -> None:
        fake.says("PENDING", "CANCELLED")
        assert "was waiting and is cancelled" in SlurmLauncher(SlurmCluster()).stop(launched)
        assert fake.calls("scancel") == ["scancel --state=PENDING 17"]

    def test_nothing_to_stop(self, fake: Slurm, launched: Launch) -> None:
        ended(launched, 0)
        assert "nothing to stop, job 17 ended" in SlurmLauncher(SlurmCluster()).stop(launched)
        assert fake.calls("scancel") == []


def test_a_job_does_not_inherit_the_allocation_it_is_submitted_from(
    fake: Slurm, job: SweepJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_CONF", "/etc/slurm.conf")
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    monkeypatch.delenv("SLURM_JOBID", raising=False)
    assert inherited() == []
    monkeypatch.setenv("SLURM_JOB_ID", "1")
    monkeypatch.setenv("SLURM_MEM_PER_CPU", "4000")
    (fake.folder / "sbatch").write_text('#!/bin/bash\nenv >"$FAKE/env"; echo 17\n')
    SlurmLauncher(SlurmCluster(memory="8G")).submit(job)
    given = (fake.folder / "env").read_text().splitlines()
    assert [line for line in given if line.startswith("SLURM_")] == ["SLURM_CONF=/etc/slurm.conf"]


def test_hints_can_be_pasted(fake: Slurm, job: SweepJob, tmp_path: Path) -> None:
    overrides = ("results.dir='run=3 x'", "tracking.uri='sqlite:///my db.db'")
    there = replace(job, results="run=3 x", overrides=overrides)
    launcher = SlurmLauncher(SlurmCluster())
    said = launcher.hints(launcher.submit(there))
    assert f"gisearch report '{tmp_path}/run=3 x/rates'\n" in said
    assert "mlflow ui --backend-store-uri 'sqlite:///my db.db'\n" in said
