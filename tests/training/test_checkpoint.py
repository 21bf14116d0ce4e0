"""Checkpoints: the old file or the new one, damage noticed, nobody's code run."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from gisearch.errors import CheckpointError
from gisearch.training.checkpoint import BEST, FORMAT, LAST, CheckpointStore

PREVIOUS = f"{LAST}.previous"


def state(value: float) -> dict[str, Any]:
    return {"model": {"weight": torch.full((20,), value)}, "progress": {"epoch": 3, "best": None, "x": [0.5]}}


def value_of(loaded: dict[str, Any] | None) -> float:
    assert loaded is not None
    return float(loaded["model"]["weight"][0])


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def store(tmp_path: Path) -> CheckpointStore:
    return CheckpointStore(tmp_path / "run")


def test_reads_what_it_wrote(store: CheckpointStore) -> None:
    store.save(BEST, state(1.0))
    loaded = store.load(BEST)
    assert torch.equal(loaded["model"]["weight"], state(1.0)["model"]["weight"])
    assert loaded["progress"] == state(1.0)["progress"]
    assert names(store.folder) == [BEST]


def test_keeps_the_last_but_one_state_to_continue_from(store: CheckpointStore) -> None:
    for value in (1.0, 2.0, 3.0):
        store.save(LAST, state(value))
    assert names(store.folder) == [LAST, PREVIOUS]
    assert value_of(store.load_last()) == 3.0
    assert value_of(store.load(PREVIOUS)) == 2.0


def failing(error: Exception) -> Callable[..., None]:
    def save(_: Any, file: Any) -> None:
        file.write(b"half of it")
        raise error

    return save


@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), RuntimeError("unexpected pos 64 vs 0")])
def test_a_failing_write_leaves_the_old_file(
    error: Exception, store: CheckpointStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.save(LAST, state(1.0))
    monkeypatch.setattr(torch, "save", failing(error))
    with pytest.raises(
        CheckpointError, match=rf"cannot write the checkpoint .*{LAST}: .*(Input/output|unexpected)"
    ):
        store.save(LAST, state(2.0))
    assert names(store.folder) == [LAST]
    assert value_of(store.load(LAST)) == 1.0


def test_an_interrupted_write_leaves_no_temporary_file(
    store: CheckpointStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.save(LAST, state(1.0))
    monkeypatch.setattr(torch, "save", failing(KeyboardInterrupt()))  # type: ignore[arg-type]
    with pytest.raises(KeyboardInterrupt):
        store.save(LAST, state(2.0))
    assert names(store.folder) == [LAST]


def test_a_death_between_the_two_renames_loses_nothing(
    store: CheckpointStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.save(LAST, state(1.0))
    replace = Path.replace

    def die_on_second(path: Path, target: Path) -> Path:
        if path.name.startswith("."):
            raise KeyboardInterrupt
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", die_on_second)
    with pytest.raises(KeyboardInterrupt):
        store.save(LAST, state(2.0))
    assert names(store.folder) == [PREVIOUS]
    assert value_of(store.load_last()) == 1.0


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.write_text("not a folder")
    for folder in (in_the_way, in_the_way / "below"):
        with pytest.raises(CheckpointError, match=r"cannot write the checkpoint .*best\.pt: "):
            CheckpointStore(folder).save(BEST, state(1.0))


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write anywhere")
def test_a_read_only_folder_is_an_error(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(CheckpointError, match="Permission denied"):
        CheckpointStore(tmp_path).save(BEST, state(1.0))


def test_a_missing_checkpoint_is_an_error(store: CheckpointStore) -> None:
    with pytest.raises(CheckpointError, match=r"^no checkpoint at .*best\.pt\.$"):
        store.load(BEST)
    assert store.load_last() is None


def test_a_damaged_checkpoint_falls_back_to_the_one_before(
    store: CheckpointStore, caplog: pytest.LogCaptureFixture
) -> None:
    store.save(LAST, state(1.0))
    store.save(LAST, state(2.0))
    path = store.folder / LAST
    path.write_bytes(path.read_bytes()[:-100])
    assert value_of(store.load_last()) == 1.0
    assert f"{path} cannot be read" in caplog.text
    assert "Continuing from an earlier state." in caplog.text
    (store.folder / PREVIOUS).write_bytes(b"")
    assert store.load_last() is None


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_damage_of_any_kind_is_one_clear_error(store: CheckpointStore) -> None:
    store.save(LAST, state(1.0))
    path, rng = store.folder / LAST, random.Random(0)
    whole, refused = path.read_bytes(), 0
    for _ in range(300):
        damaged = bytearray(whole)
        for _ in range(rng.choice([1, 10, 200])):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        path.write_bytes(damaged[: rng.choice([len(damaged), rng.randrange(len(damaged))])])
        try:
            loaded = store.load(LAST)
        except CheckpointError:
            refused += 1
        else:
            assert path.read_bytes() == whole
            assert torch.equal(loaded["model"]["weight"], state(1.0)["model"]["weight"])
    assert refused > 290


class Payload:
    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, ("executed",))


def test_code_is_refused_and_not_run(
    store: CheckpointStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store.folder.mkdir()
    torch.save({"format": FORMAT, "model": Payload()}, store.folder / BEST)
    message = r"best\.pt is corrupt or holds more than tensors and plain values; it was not loaded\.$"
    with pytest.raises(CheckpointError, match=message):
        store.load(BEST)
    assert not (tmp_path / "executed").exists()
    torch.load(store.folder / BEST, weights_only=False)
    assert (tmp_path / "executed").exists(), "the payload would have run"


@pytest.mark.parametrize("content", [{"format": FORMAT + 1}, {"model": {}}, [1, 2], torch.ones(2)])
def test_another_format_is_refused(content: Any, store: CheckpointStore) -> None:
    store.folder.mkdir()
    torch.save(content, store.folder / BEST)
    with pytest.raises(CheckpointError, match=rf"best\.pt is not of format {FORMAT}\.$"):
        store.load(BEST)


def test_remove_takes_checkpoints_alone(store: CheckpointStore) -> None:
    for name in (BEST, LAST, LAST):
        store.save(name, state(1.0))
    # What a process leaves that is killed while it writes.
    (store.folder / f".{LAST}.12345").write_bytes(b"half")
    (store.folder / "config.yaml").write_text("seed: 0")
    store.remove()
    assert names(store.folder) == ["config.yaml"]
    store.remove()
