"""What all tests share: a quiet, single-threaded environment, a tiny cell, and the real data where it is."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

# Before anything imports these libraries: they read the environment once. One thread, because the tensors
# of tests are too small to share and several threads add up in no fixed order.
os.environ.update(
    {
        "RAY_AUTH_MODE": "disabled",
        "RAY_USAGE_STATS_ENABLED": "0",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "MPLBACKEND": "Agg",
    }
)

import pytest

if TYPE_CHECKING:
    from gisearch.data.cell_graph import CellGraph
    from gisearch.data.dataset import Dataset

# Begun by nohup or in the background of a shell, which ignore signals: what tests start must hear its own.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

REPOSITORY = Path(__file__).resolve().parent.parent
FAULTS = REPOSITORY / "tests" / "faults"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the faults and with hosts of our own, which take long."""
    items.sort(
        key=lambda item: (item.path.parent != FAULTS, not makes_hosts(item.path), starts_ray(item.path))
    )


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give what takes long to a process each, and every other file to the next that is free.

    Those are the driver and machines that are taken away, all other faults, and hosts of our own.

    pytest-xdist (3.8) can do so by marks, but not with pytest 9.2.
    """
    from xdist.scheduler import LoadScopeScheduling

    class SlowApart(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            if makes_hosts(REPOSITORY / file):
                return "hosts"
            if (REPOSITORY / file).parent == FAULTS:
                return "driver" if Path(file).name in ("test_driver.py", "test_nodes.py") else "faults"
            return file

    return SlowApart(config, log)


@cache
def starts_ray(file: Path) -> bool:
    """Whether tests in a file start Ray."""
    return "mark.ray" in file.read_text()


@cache
def makes_hosts(file: Path) -> bool:
    """Whether tests in a file make hosts of their own."""
    return "mark.hosts" in file.read_text()


@pytest.fixture(scope="session")
def yeast_root() -> Path:
    """The folder of real yeast data; tests that ask for it are skipped where there is none."""
    given = os.environ.get("GISEARCH_YEAST_DATA")
    root = Path(given) if given else REPOSITORY.parent / "shared" / "data" / "yeast"
    if not root.is_dir():
        pytest.skip("the real yeast tables are not here (set GISEARCH_YEAST_DATA to their folder)")
    return root


@pytest.fixture(scope="session")
def make_dataset() -> Callable[..., Dataset]:
    """Load a dataset from data overrides: ``make_dataset("data=demo_tiny", "data.target=fitness")``."""
    from gisearch.data.config import compose_data
    from gisearch.data.load import load_dataset

    return lambda *overrides: load_dataset(compose_data(overrides))


@pytest.fixture(scope="session")
def tiny_dataset(make_dataset: Callable[..., Dataset]) -> Dataset:
    """The demo cell at its tiny size: 40 genes, three networks, gene interactions as the target."""
    return make_dataset("data=demo_tiny")


@pytest.fixture(scope="session")
def tiny_cell(tiny_dataset: Dataset) -> CellGraph:
    """The tiny dataset's cell graph."""
    return tiny_dataset.cell


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow database without runs, to copy: making one takes seconds."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    path = tmp_path_factory.mktemp("mlflow") / "empty.db"
    SqlAlchemyStore(f"sqlite:///{path}", str(path.parent / "artifacts"))
    return path
