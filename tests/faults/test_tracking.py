"""An MLflow server that goes away while a sweep runs, and comes back or does not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gisearch.tracking.spool import SPOOL_NAME
from tests.faults.sweeps import Sweep
from tests.tracking.server import Server

pytestmark = [pytest.mark.ray, pytest.mark.slow]

EPOCHS = 60


@pytest.fixture
def server(sweep: Sweep) -> Iterator[Server]:
    made = Server(sweep.folder)
    made.start()
    yield made
    made.kill()


@pytest.fixture
def outage(sweep: Sweep, server: Server) -> Callable[[], None]:
    """Start a sweep and end its server in the middle of the first trial."""

    def begin() -> None:
        sweep.begin(f"tracking.uri={server.uri}", f"trainer.max_epochs={EPOCHS}", trials=2)
        sweep.wait_for_epoch(0, 3)
        server.kill()

    return begin


def test_a_server_that_comes_back_gets_everything(
    sweep: Sweep, server: Server, outage: Callable[[], None]
) -> None:
    outage()
    sweep.wait_for_epoch(0, 20)
    server.start()
    code, out, _ = sweep.end()
    assert code == 0, out
    sweep.check_whole(EPOCHS, 2)


def test_a_server_that_never_comes_back_does_not_end_the_sweep(
    sweep: Sweep, server: Server, outage: Callable[[], None]
) -> None:
    outage()
    code, out, _ = sweep.end()
    assert code == 0, out
    assert "could not be delivered" in out
    assert [trial.state.name for trial in sweep.trials] == ["COMPLETE", "COMPLETE"]
    spool = sweep.results / SPOOL_NAME
    assert f"python -m gisearch.tracking upload {Path('results') / sweep.name / SPOOL_NAME}" in " ".join(
        out.split()
    )
    server.start()
    command = sweep.command("gisearch.tracking", "upload", str(spool), "--uri", server.uri)
    said, errors = command.communicate(timeout=120)
    assert command.returncode == 0, said + errors
    sweep.check_whole(EPOCHS, 2)
