"""What shows before a sweep starts: what the data lacks, for every model of the space, and its store."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import StringIO
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from gisearch.data.dataset import Dataset
from gisearch.errors import ConfigError, DataError, TrackingError
from gisearch.search import disk, session, sweep
from gisearch.search.plan import SweepPlan

Usage = namedtuple("Usage", "total used free")

MODELS = """
base: [data=demo_tiny, model=additive]
space:
  model.name: [additive, dango_gi]
  model.encoder.networks: [[physical], [regulation, physical]]
baselines:
  - {model.name: additive}
"""


ONE = """
base: [data=demo_tiny]
space:
  model.encoder.networks: [[physical], [regulation]]
baselines:
  - {model.encoder.networks: [physical]}
"""


UNMEASURED = """
base: [data=demo_tiny, derived.positive=true]
space:
  derived.label: [fitness, growth]
baselines:
  - {derived.label: fitness}
"""


NOT_ASKED_FOR = """
base: [data=demo_tiny, derived.positive=true]
space:
  model.encoder.networks: [[physical, derived_positive], [physical, derived_negative]]
"""


@pytest.mark.parametrize(
    ("text", "start"),
    [
        (UNMEASURED, "derived.label: 'growth' is not measured in this data (it has: "),
        (NOT_ASKED_FOR, "the data has no network 'derived_negative' (it has: "),
        (MODELS, "model=dango_gi: the data has no network 'regulation' (it has: "),
        (ONE, "the data has no network 'regulation' (it has: "),
    ],
)
def test_a_network_that_only_one_option_needs(
    text: str,
    start: str,
    plan: Callable[..., SweepPlan],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def starts_ray() -> None:
        raise AssertionError("Ray was started")

    monkeypatch.setattr(session, "ray_session", starts_ray)
    monkeypatch.chdir(tmp_path)
    made = plan(text)
    with pytest.raises(DataError) as error:
        sweep.run_sweep(made, console=Console(quiet=True))
    assert str(error.value).startswith(start)
    assert not (tmp_path / "results").exists()
    assert not (tmp_path / "mlflow.db").exists()


def test_what_was_left_out_of_the_data_is_said_first(
    plan: Callable[..., SweepPlan], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    genes = [f"YAL{i:03d}W" for i in range(20)]
    (tmp_path / "genes.tsv").write_text("\n".join(["systematic_name", *genes]) + "\n")
    (tmp_path / "net.csv").write_text(f"gene1,gene2\n{genes[0]},{genes[1]}\n{genes[0]},OLD[1]\n")
    rows = [f"{a},{b},{i / 100}" for i, (a, b) in enumerate(combinations(genes, 2))]
    (tmp_path / "screen.csv").write_text("\n".join(["gene1,gene2,gene_interaction", *rows]) + "\n")
    data = "base: [data=tables, data.genes=genes.tsv, +data.networks.net.path=net.csv"
    text = ONE.replace("base: [data=demo_tiny]", f"{data}, +data.genotypes.screen.path=screen.csv]")
    console = Console(record=True, quiet=False, width=200, file=StringIO())
    with pytest.raises(DataError, match="the data has no network 'physical'"):
        sweep.run_sweep(plan(text), console=console)
    assert console.export_text().splitlines()[0] == (
        "left out for unknown genes such as 'OLD[1]': 1 of 2 rows of network net (50.0 %)"
    )


class TestStore:
    """The tracking store, which a sweep opens beside Ray where it is a file."""

    @pytest.fixture
    def started(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
        """What became of Ray, which is not really started; with an empty working directory."""
        seen: list[str] = []

        @contextmanager
        def pretend(*_: Any) -> Iterator[None]:
            seen.append("start")
            try:
                yield
            finally:
                seen.append("end")

        monkeypatch.setattr(sweep, "search_session", pretend)
        monkeypatch.chdir(tmp_path)
        return seen

    @pytest.mark.parametrize(
        ("content", "uri", "start"),
        [
            (b"no database", "sqlite:///mlflow.db", "tracking.uri: the SQLite file "),
            (None, "sqlite:///missing/mlflow.db", "tracking.uri: the SQLite file "),
            (None, "mlruns", "tracking.uri: 'mlruns' is a folder"),
            (
                None,
                "http://127.0.0.1:9",
                "tracking.uri: the MLflow server at http://127.0.0.1:9 cannot be used",
            ),
        ],
    )
    def test_one_that_cannot_be_used(
        self, content: bytes | None, uri: str, start: str, plan: Callable[..., SweepPlan], started: list[str]
    ) -> None:
        if content is not None:
            Path("mlflow.db").write_bytes(content)
        before = sorted(path.name for path in Path().iterdir())
        made = plan(
            "base: [data=demo_tiny]\nspace: {model.hidden_dim: [8, 16]}",
            f"tracking.uri={uri}",
            "tracking.timeout=1",
        )
        with pytest.raises(TrackingError) as error:
            sweep.run_sweep(made, console=Console(quiet=True))
        assert str(error.value).startswith(start)
        assert started == []
        assert sorted(path.name for path in Path().iterdir()) == sorted([*before, "space.yaml"])

    @pytest.mark.parametrize(
        ("name", "value"), [("RAY_ADDRESS", "http://127.0.0.1:8265"), ("RAY_TMPDIR", "/proc/nowhere/x" * 9)]
    )
    def test_a_ray_that_cannot_start(
        self,
        name: str,
        value: str,
        plan: Callable[..., SweepPlan],
        started: list[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.delenv("RAY_ADDRESS", raising=False)
        monkeypatch.setenv(name, value)
        made = plan("base: [data=demo_tiny]\nspace: {model.hidden_dim: [8, 16]}")
        with pytest.raises(ConfigError, match=r"^(Ray cannot start|RAY_ADDRESS=)"):
            sweep.run_sweep(made, console=Console(quiet=True))
        assert started == []
        assert [path.name for path in Path().iterdir()] == ["space.yaml"]

    @pytest.mark.parametrize("exists", [True, False])
    def test_one_that_fails_when_it_is_opened(
        self,
        exists: bool,
        plan: Callable[..., SweepPlan],
        started: list[str],
        empty_database: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """A file is opened beside Ray's start; where that fails, Ray is ended and no folder is left."""

        def fails(_: Any) -> None:
            raise TrackingError("it failed.")

        monkeypatch.setattr(sweep, "open_store", fails)
        if exists:
            Path("mlflow.db").write_bytes(empty_database.read_bytes())
        made = plan("base: [data=demo_tiny]\nspace: {model.hidden_dim: [8, 16]}")
        with pytest.raises(TrackingError, match="it failed"):
            sweep.run_sweep(made, console=Console(quiet=True))
        assert started == ["start", "end"]
        assert [*Path().glob("results/*")] == []


@pytest.mark.parametrize(("free", "sized"), [(10**12, False), (10**9, True)])
def test_models_are_sized_where_room_is_scarce(
    free: int,
    sized: bool,
    plan: Callable[..., SweepPlan],
    tiny_dataset: Dataset,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[SweepPlan] = []
    estimate = disk.estimate
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda _: Usage(10**12, 10**12 - free, free))
    monkeypatch.setattr(disk, "estimate", lambda plan, data: asked.append(plan) or estimate(plan, data))
    made = plan("base: [data=demo_tiny]\nspace: {model.hidden_dim: [8, 16]}")
    disk.check_space(made, tiny_dataset)
    assert bool(asked) is sized
