"""A tracking store per test."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gisearch import train
from gisearch.command_line import run
from gisearch.data.dataset import Dataset
from gisearch.tracking.config import TrackingConfig
from gisearch.tracking.store import Store, open_store


@pytest.fixture
def tracking(empty_database: Path, tmp_path: Path) -> TrackingConfig:
    path = tmp_path / "mlflow.db"
    shutil.copy(empty_database, path)
    return TrackingConfig(uri=f"sqlite:///{path}", experiment="test")


@pytest.fixture
def store(tracking: TrackingConfig) -> Store:
    opened = open_store(tracking)
    assert opened is not None
    return opened


class Flaky:
    """An MlflowClient that can be cut off, or made to refuse single methods."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.down = threading.Event()
        self.open = threading.Event()
        self.open.set()
        self.broken: set[str] = set()
        self.after: set[str] = set()

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.client, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            assert self.open.wait(60)
            if self.down.is_set() or name in self.broken:
                raise ConnectionError("Connection refused")
            result = method(*args, **kwargs)
            if name in self.after:
                self.after.discard(name)
                raise TimeoutError("timed out")  # the write arrived, its answer did not
            return result

        return call


@pytest.fixture
def flaky(store: Store) -> Iterator[Flaky]:
    wrapped = Flaky(store.client)
    store.client = wrapped
    yield wrapped
    wrapped.down.clear()  # a writer left behind by the test comes to rest
    wrapped.open.set()


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Train a model on the tiny data for one epoch, once; returns its folder."""
    folder = tmp_path_factory.mktemp("trained")

    def get(model: str) -> Path:
        if not (folder / model).exists():
            settings = ["data=demo_tiny", f"model={model}", "trainer.max_epochs=1", f"name={model}"]
            assert run(train.main, [*settings, f"results.dir={folder}"]) == 0
        return folder / model

    return get


@pytest.fixture(scope="session")
def package(
    trained: Callable[[str], Path], tiny_dataset: Dataset, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A trained model as an MLflow model."""
    from gisearch.tracking.model_package import package_model

    folder = tmp_path_factory.mktemp("package") / "model"
    package_model(trained("dango_gi"), folder, tiny_dataset, has_std=False)
    return folder
