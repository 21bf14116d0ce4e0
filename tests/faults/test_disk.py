"""A disk that is full, on a real file system of a few megabytes."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from optuna.storages.journal import JournalFileBackend

from gisearch import report, sweep
from gisearch.command_line import run
from gisearch.data.dataset import Dataset
from gisearch.errors import DiskFullError
from gisearch.search.disk import estimate
from gisearch.search.plan import plan_sweep
from gisearch.search.study import STUDY_FILE, Journal, load_study, open_study
from gisearch.training.checkpoint import BEST, LAST, CheckpointStore
from gisearch.training.config import CONFIG_FILE, ExperimentConfig, load_config, save_config
from gisearch.training.objective import Objective
from tests.faults.sweeps import ONE_RATE, Sweep

OBJECTIVE = Objective("val/pearson", "max")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """Mount a file system of so many bytes; skipped where this process may not."""
    mounted: list[Path] = []

    def mount(size: int) -> Path:
        folder = tmp_path / f"disk{len(mounted)}"
        folder.mkdir()
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            pytest.skip(f"a file system cannot be mounted here: {done.stderr.strip()}")
        mounted.append(folder)
        return folder

    yield mount
    for folder in mounted:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Write a file until nothing more fits on its disk; return it."""
    path = folder / "filler"
    with path.open("ab", buffering=0) as file:
        for size in (1 << 16, 1 << 12, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                continue
    return path


class TestCheckpoints:
    def state(self, value: float, size: int = 1000) -> dict[str, object]:
        return {"model": {"weight": torch.full((size,), value)}}

    # PyTorch notices a small file when it is flushed, and a large one in the middle of its own writer.
    @pytest.mark.parametrize("size", [1000, 600_000])
    def test_the_old_one_stays(self, size: int, small_disk: Callable[[int], Path]) -> None:
        disk = small_disk(1 << 20)
        store = CheckpointStore(disk / "run")
        store.save(LAST, self.state(1.0))
        if size == 1000:
            fill(disk)
        with pytest.raises(DiskFullError, match=r"last\.pt: no space left on device \(\d\.\d MB are free"):
            store.save(LAST, self.state(2.0, size))
        assert [path.name for path in store.folder.iterdir()] == [LAST]
        assert store.load(LAST)["model"]["weight"][0] == 1.0

    def test_the_configuration_stays(
        self, small_disk: Callable[[int], Path], experiment: ExperimentConfig
    ) -> None:
        disk = small_disk(1 << 20)
        save_config(experiment, disk / "run")
        fill(disk)
        with pytest.raises(DiskFullError, match=r"config\.yaml: no space left"):
            save_config(experiment, disk / "run")
        assert [path.name for path in (disk / "run").iterdir()] == [CONFIG_FILE]
        assert load_config(disk / "run" / CONFIG_FILE) == experiment


@pytest.fixture
def experiment(tmp_path: Path) -> ExperimentConfig:
    """Some configuration."""
    (tmp_path / "s.yaml").write_text(ONE_RATE.format(name="s", trials=2, concurrency=1))
    return plan_sweep(tmp_path / "s.yaml").configure({"optimizer.lr": 1e-3})


FILLED_BY_OPTUNA = {"op_code": 9, "worker_id": "x", "trial_id": 0, "system_attr": {"x": "y" * 3000}}
KILLED_IN_MID_APPEND = """
import os, signal, sys
from optuna.storages.journal import JournalFileBackend
path = sys.argv[1]
journal = JournalFileBackend(path)
journal._lock.acquire()
with open(path, "ab", buffering=0) as file:
    file.write(b'{"op_code":8,"worker_id":"x","trial_id":0,"user_at')
    os.kill(os.getpid(), signal.SIGKILL)
"""


class TestStudy:
    def test_a_line_that_does_not_fit_is_taken_back(self, small_disk: Callable[[int], Path]) -> None:
        disk = small_disk(1 << 16)
        study = open_study(disk, "s", OBJECTIVE)
        trial = study.ask()
        filler = fill(disk)
        # The rest of the file's last page is still there.
        with pytest.raises(DiskFullError, match=r"study\.journal: no space left on device \(0\.0 MB"):
            trial.set_user_attr("long", "y" * 5000)
        lines = (disk / STUDY_FILE).read_bytes().splitlines(keepends=True)
        assert all(line.endswith(b"\n") and json.loads(line) for line in lines)
        filler.unlink()
        study.tell(trial, 0.5)
        assert load_study(disk).trials[0].value == 0.5

    def test_optunas_own_leaves_half_a_line_which_is_mended(self, small_disk: Callable[[int], Path]) -> None:
        """What earlier versions left behind on a full disk can be opened again."""
        disk = small_disk(1 << 16)
        open_study(disk, "s", OBJECTIVE).ask()
        whole = (disk / STUDY_FILE).read_bytes()
        with pytest.raises(OSError, match="No space left"):
            JournalFileBackend(str(disk / STUDY_FILE)).append_logs([FILLED_BY_OPTUNA] * 30)
        torn = (disk / STUDY_FILE).read_bytes()
        assert not torn.endswith(b"\n"), "the file system has taken all or nothing"
        Journal(disk / STUDY_FILE).mend()
        mended = (disk / STUDY_FILE).read_bytes()
        assert mended.endswith(b"\n")
        assert torn.startswith(mended)
        assert mended.startswith(whole)

    def test_a_writer_killed_in_mid_append(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Half a line, and Optuna's lock, which is a link relative to another folder, are left behind."""
        monkeypatch.chdir(tmp_path)
        folder = Path("results")
        folder.mkdir()
        open_study(folder, "s", OBJECTIVE).ask()
        whole = (folder / STUDY_FILE).read_bytes()
        program = [sys.executable, "-c", KILLED_IN_MID_APPEND, str(folder / STUDY_FILE)]
        assert subprocess.run(program, check=False).returncode == -signal.SIGKILL
        torn = (folder / STUDY_FILE).read_bytes()
        assert len(torn) > len(whole)
        assert (folder / f"{STUDY_FILE}.lock").is_symlink()
        # A report reads past it and changes nothing: somebody may be in the middle of that line.
        assert len(load_study(folder).trials) == 1
        assert (folder / STUDY_FILE).read_bytes() == torn
        started = time.monotonic()
        study = open_study(folder, "s", OBJECTIVE)
        assert study.ask().number == 1
        assert time.monotonic() - started < 10
        assert (folder / STUDY_FILE).read_bytes().startswith(whole)
        assert len(load_study(folder).trials) == 2


class TestStart:
    def test_too_little_space_is_said_before_anything_starts(
        self,
        small_disk: Callable[[int], Path],
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        disk = small_disk(8 << 20)
        monkeypatch.chdir(disk)
        (disk / "s.yaml").write_text(ONE_RATE.format(name="s", trials=4, concurrency=2))
        assert run(sweep.main, ["s.yaml"]) == 2
        message = capsys.readouterr().err
        found = re.fullmatch(
            r"error: results\.dir: checkpoints of 2 trials at a time and of the 4 best need about (\d+) MB, "
            r"but (\S+) has (\d+) MB free; free some space, .*\n",
            message,
        )
        assert found is not None, message
        assert int(found[1]) > int(found[3]) == 8
        assert found[2] == str(disk)
        assert [path.name for path in disk.iterdir()] == ["s.yaml"]

    def test_the_estimate_is_what_trials_write(
        self, tmp_path: Path, tiny_dataset: Dataset, experiment: ExperimentConfig
    ) -> None:
        from gisearch.training.experiment import run_experiment
        from gisearch.training.workers import StopTraining

        needed = estimate(plan_sweep(tmp_path / "s.yaml"), tiny_dataset)

        def leave(epoch: object) -> None:
            if getattr(epoch, "epoch", 0) == 2:
                raise StopTraining("enough")

        with pytest.raises(StopTraining):
            run_experiment(experiment, tiny_dataset, folder=tmp_path / "run", report=leave)
        sizes = {path.name: path.stat().st_size for path in (tmp_path / "run").glob("*.pt*")}
        # Beside the tensors a file holds some kilobytes: their names, the configuration, the history.
        assert 0 <= sizes[BEST] - needed.weights < 100_000
        assert 0 <= sizes[LAST] - needed.weights - needed.moments < 150_000


@pytest.mark.ray
@pytest.mark.slow
def test_a_sweep_on_a_disk_that_fills_up(small_disk: Callable[[int], Path]) -> None:
    """Study, checkpoints and MLflow's database lie on it. Nothing is burnt, and nothing is lost."""
    disk, epochs = small_disk(48 << 20), 40
    one = Sweep(disk)
    one.begin(f"trainer.max_epochs={epochs}", "search.keep_checkpoints=1", trials=3, concurrency=2)
    try:
        one.wait_for_epoch(0, 3)
        one.wait_for_epoch(1, 3)
        parent = one.wait_for(one.runs)[0].info.run_id
        filler = fill(disk)
        code, out, err = one.end()
        assert code == 1, err
        assert out.count("no space left on device") == 1
        told = re.search(
            r"The sweep stops: cannot write (\S+): no space left on device \(.* free there\)", out
        )
        assert told is not None, out
        assert told[1].startswith(str(disk))
        assert out.rstrip().endswith("Interrupted; continue with: python -m gisearch.sweep --resume sweep")
        assert {t.state.name for t in one.trials} == {"RUNNING"}
        assert all(json.loads(line) for line in (one.results / STUDY_FILE).read_bytes().splitlines())
        before = [t.last_step for t in one.trials]
        filler.unlink()
        code, out, err = one.resume().end()
        assert code == 0, err
    finally:
        if one.driver.poll() is None:
            one.kill()
    assert min(before) >= 3
    one.check_whole(epochs, 3)
    assert one.runs()[0].info.run_id == parent
    assert run(report.main, [str(one.results)]) == 0
