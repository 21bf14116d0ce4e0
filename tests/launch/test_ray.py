"""Sweeps on a cluster of `ray up`: what the program `ray` is asked for, and what users are told."""

from __future__ import annotations

import json
import shlex
import subprocess
from pathlib import Path

import pytest

from gisearch.command_line import run
from gisearch.launch.__main__ import main
from gisearch.launch.record import require_launch
from gisearch.tracking.provenance import known_commit
from tests.launch.fake_ray import SPACE, Fake, launch, write_launch

ODD = "tracking.experiment='it''s [a] \"test\" {x} $HOME; ls!'".replace("''", "\\'")


class TestLaunch:
    def test_starts_the_cluster_uploads_and_submits(
        self, fake: Fake, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert launch("trainer.max_epochs=4") == 0
        probe, up, upload, submit = fake.calls
        assert probe[:2] == ["exec", "mine.yaml"]
        assert up == ["up", "-y", "--no-config-cache", "mine.yaml"]
        assert upload == ["rsync-up", "mine.yaml", "launches/hunt/upload/", "~/gisearch/launches/"]
        words = shlex.split(submit[2].rpartition("; ")[2])
        assert words[:6] == ["ray", "job", "submit", "--no-wait", "--submission-id", "hunt-1"]
        assert words[6:] == ["--", "bash", "-c", "cd ~/gisearch && exec bash launches/hunt/run.sh"]
        assert Path("launches/hunt/upload/hunt/space.yaml").read_text() == SPACE
        record = require_launch("hunt")
        assert (record.job, record.results) == ("hunt-1", "/shared/results/hunt")
        said = capsys.readouterr().out
        assert "log in launches/hunt/ray_up.log" in said
        assert "down mine.yaml" in said

    def test_the_job_is_given_every_argument_as_it_was(self, fake: Fake, tmp_path: Path) -> None:
        launch(ODD, f"cluster.results={tmp_path}/with space", "cluster.machines_minutes=0")
        script = Path("launches/hunt/upload/hunt/run.sh").read_text()
        show = tmp_path / "show.py"
        show.write_text(
            "import json, os, sys; print(json.dumps([os.environ['MLFLOW_TRACKING_URI'], *sys.argv[1:]]))"
        )
        # What a shell makes of the script, with another program in the sweep's place.
        script = script.replace(".venv/bin/python -m gisearch.sweep", f"/usr/bin/env python3 {show}")
        done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True, timeout=60)
        uri, *arguments = json.loads(done.stdout.splitlines()[-1])
        assert uri == f"sqlite:///{tmp_path}/with space/mlflow.db"
        assert arguments[:2] == ["--continue", "launches/hunt/space.yaml"]
        assert ODD in arguments
        assert arguments[-2:] == [f"results.dir={tmp_path}/with space", "name=hunt"]

    def test_another_trackings_store_is_passed_on(self, fake: Fake) -> None:
        launch("cluster.tracking_uri=http://127.0.0.1:5000")
        script = Path("launches/hunt/upload/hunt/run.sh").read_text()
        assert "export MLFLOW_TRACKING_URI=http://127.0.0.1:5000\n" in script
        commit = known_commit()
        assert (f"export GISEARCH_COMMIT={commit}\n" in script) is (commit is not None)

    def test_a_dry_run_shows_everything_and_calls_nothing(
        self, fake: Fake, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert launch("--dry-run") == 0
        said = capsys.readouterr().out
        assert Path("mine.yaml").read_text().rstrip() in said
        assert "gisearch.sweep --continue launches/hunt/space.yaml" in said
        assert "up -y --no-config-cache mine.yaml" in said
        assert fake.calls == []
        assert not Path("launches").exists()

    def test_while_another_sweep_runs_the_cluster_is_left_as_it_is(
        self, fake: Fake, capsys: pytest.CaptureFixture[str]
    ) -> None:
        fake.jobs(other_1="RUNNING", hunt_3="STOPPED")
        launch()
        assert fake.verbs == ["exec", "rsync-up", "exec"]
        assert "--submission-id hunt-4 " in fake.calls[-1][2]
        assert "other-1 runs there: the cluster stays as it is" in capsys.readouterr().out

    def test_the_same_sweep_twice_is_refused(self, fake: Fake, capsys: pytest.CaptureFixture[str]) -> None:
        fake.jobs(hunt_1="PENDING")
        assert run(main, ["ray", "space.yaml", "cluster.file=mine.yaml"]) == 1
        assert "'hunt' runs on the cluster already (hunt-1)" in capsys.readouterr().err
        assert fake.verbs == ["exec"]

    def test_a_head_that_does_not_answer_is_not_started_again(
        self, fake: Fake, capsys: pytest.CaptureFixture[str]
    ) -> None:
        fake.answer("ray job list", "ssh: connect to host 10.77.0.1 port 22: Connection refused", 1)
        assert run(main, ["ray", "space.yaml", "cluster.file=mine.yaml"]) == 1
        assert "Connection refused" in capsys.readouterr().err
        assert "up" not in fake.verbs

    def test_why_ray_up_failed_is_told_in_one_sentence(
        self, fake: Fake, capsys: pytest.CaptureFixture[str]
    ) -> None:
        log = (
            "2026-11-21 18:25:00,554\tINFO updater.py:283 -- [1/7] Waiting for SSH to become available\n"
            "error: n1: /shared is not there or not writable for me; expected a folder that all share.\n"
            "Shared connection to 10.77.0.1 closed.\n"
            "2026-11-21 18:25:00,600\tERR updater.py:160 -- New status: update-failed\n"
            "2026-11-21 18:25:00,601\tERR updater.py:162 -- !!!\n"
            "Error: Failed to setup head node.\n"
        )
        fake.answer("--no-config-cache", log, 1)
        assert run(main, ["ray", "space.yaml", "cluster.file=mine.yaml"]) == 1
        said = capsys.readouterr()
        assert "Waiting for SSH to become available ..." in said.out
        assert said.err == (
            "error: `ray up mine.yaml` failed: n1: /shared is not there or not writable for me; expected a "
            "folder that all share. (launches/hunt/ray_up.log has everything)\n"
        )
        assert not Path("launches/hunt/launch.json").exists()
        assert fake.verbs == ["exec", "up"]


class TestLater:
    @pytest.fixture(autouse=True)
    def launched(self, fake: Fake) -> None:
        write_launch()

    @pytest.mark.parametrize(
        ("status", "sentence"),
        [("RUNNING", "runs"), ("SUCCEEDED", "finished"), ("STOPPED", "was stopped")],
    )
    def test_status(self, fake: Fake, capsys: pytest.CaptureFixture[str], status: str, sentence: str) -> None:
        fake.jobs(hunt_1=status)
        assert main(["status", "hunt"]) == 0
        assert capsys.readouterr().out == f"hunt (hunt-1): {sentence}\n"

    def test_status_of_a_cluster_that_is_down_or_was_started_again(
        self, fake: Fake, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run(main, ["status", "hunt"]) == 1
        assert "the cluster 'gisearch-onprem' is down" in capsys.readouterr().err
        fake.jobs()
        assert main(["status", "hunt"]) == 0
        assert "was started again since; launch it again to go on" in capsys.readouterr().out

    @pytest.mark.parametrize(
        ("end", "code"),
        [
            ("Job 'hunt-1' succeeded", 0),
            ("Job 'hunt-1' was stopped", 143),
            ("Job 'hunt-1' failed\n2026-11-21 18:27:07,412\tINFO cli.py:90 -- Status message: Job entrypoint "
             "command failed with exit code 2, last available logs:\nerror: again", 2),
        ],
    )  # fmt: skip
    def test_follow_shows_the_sweeps_own_lines(
        self, fake: Fake, capsys: pytest.CaptureFixture[str], end: str, code: int
    ) -> None:
        stamp = "2026-11-21 18:27:07,411"
        fake.answer(
            "ray job logs -f",
            f"{stamp}\tINFO cli.py:42 -- Job submission server address: http://127.0.0.1:8265\n"
            f"{stamp}\tINFO job_manager.py:581 -- Runtime env is setting up.\n"
            "Running entrypoint for job hunt-1: bash -c x\n"
            "trial 0: 0.5\n\n"
            f"{stamp}\tINFO job_manager.py:1 -- the sweep's own\n"
            f"{stamp}\tINFO sdk.py:520 -- WebSocket closed for job hunt-1 with close code 1000\n"
            f"{stamp}\tINFO cli.py:64 -- {end}\n",
        )
        assert main(["follow", "hunt"]) == code
        own = f"trial 0: 0.5\n\n{stamp}\tINFO job_manager.py:1 -- the sweep's own\n"
        assert capsys.readouterr().out == own

    def test_follow_when_the_connection_ends(self, fake: Fake, capsys: pytest.CaptureFixture[str]) -> None:
        fake.answer("ray job logs -f", "Running entrypoint for job hunt-1: bash -c x\ntrial 0: 0.5", 255)
        fake.jobs(hunt_1="RUNNING")
        assert run(main, ["follow", "hunt"]) == 1
        said = capsys.readouterr()
        assert said.out == "trial 0: 0.5\n"
        assert "the connection to the cluster ended, 'hunt' goes on" in said.err

    def test_stop(self, fake: Fake, capsys: pytest.CaptureFixture[str]) -> None:
        fake.jobs(hunt_1="RUNNING")
        assert main(["stop", "hunt"]) == 0
        assert fake.calls[-1][2].endswith("ray job stop --log-style=record hunt-1")
        assert "launch 'hunt' again to go on. The cluster runs on." in capsys.readouterr().out

    def test_stop_of_what_has_ended(self, fake: Fake, capsys: pytest.CaptureFixture[str]) -> None:
        fake.jobs(hunt_1="SUCCEEDED")
        assert main(["stop", "hunt"]) == 0
        assert "finished; nothing to stop" in capsys.readouterr().out
        assert len(fake.calls) == 1

    def test_fetch(self, fake: Fake) -> None:
        assert main(["fetch", "hunt", "--into", "here"]) == 0
        assert fake.calls == [
            ["rsync-down", "mine.yaml", "/shared/results/hunt/", "here/hunt/"],
            ["rsync-down", "mine.yaml", "/shared/results/mlflow.db", "here/hunt/mlflow.db"],
        ]
        assert Path("here/hunt").is_dir()

    def test_fetch_takes_no_database_where_there_is_none(self, fake: Fake) -> None:
        write_launch("tracking.enabled=false")
        main(["fetch", "hunt", "--into", "here"])
        assert fake.verbs == ["rsync-down"]

    def test_fetch_says_why_it_failed(self, fake: Fake, capsys: pytest.CaptureFixture[str]) -> None:
        why = 'rsync: [sender] change_dir "/shared/results/hunt" failed: No such file or directory (2)'
        fake.answer("rsync-down", f"{why}\nError: SSH command failed.", 1)
        assert run(main, ["fetch", "hunt"]) == 1
        assert "No such file or directory" in capsys.readouterr().err
