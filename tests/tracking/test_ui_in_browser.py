"""What people see in MLflow's own pages: one sweep on a real server, looked at with headless Chromium."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import gisearch
from gisearch.tracking.attach import attach
from gisearch.tracking.config import TrackingConfig
from gisearch.tracking.description import BestTrial, SweepQuestion, describe
from gisearch.tracking.mlflow_tracker import SweepTracker
from gisearch.tracking.model_package import weights_digest
from gisearch.tracking.records import DatasetRecord, TrialEnd, TrialStart
from gisearch.tracking.registration import Winner
from gisearch.tracking.scoring_model import load_scoring_model
from gisearch.tracking.store import open_store
from tests.tracking.server import Server

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.slow

# Trial 1 is the best; the order of the numbers is neither that of the starts nor that of the values.
OBJECTIVES = {0: 0.41, 1: 0.73, 2: 0.55}
DATASET = DatasetRecord(
    name="demo",
    digest="9f2c1a7b3d4e5f60",
    source="generated",
    profile={"genes": 40, "train": 320, "val": 40},
    columns={"gene1": "string", "gene_interaction": "double"},
)


@dataclass(frozen=True)
class Recorded:
    """A sweep on a server.

    Attributes:
        uri: the server.
        experiment: the experiment's id.
        parent: the sweep's run.
        best: the best trial's run.
        page: the address of its saved page.
    """

    uri: str
    experiment: str
    parent: str
    best: str
    page: str


@pytest.fixture(scope="module")
def recorded(
    empty_database: Path, package: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Recorded]:
    folder = tmp_path_factory.mktemp("server")
    shutil.copy(empty_database, folder / "mlflow.db")
    server = Server(folder)
    try:
        server.start()
        yield _record(server.uri, folder, package)
    finally:
        server.kill()


def _record(uri: str, folder: Path, package: Path) -> Recorded:
    config = TrackingConfig(uri=uri, experiment="gisearch", timeout=20.0)
    store = open_store(config)
    assert store is not None
    question = SweepQuestion(
        "Which width is best?", "val/pearson", "max", 3, {"model.width": "{8, 16, 32}"}, DATASET, ["gisearch"]
    )
    tracker = SweepTracker(store, folder)
    tracker.start("widths", {}, {}, describe(question), dataset=DATASET, searched=["model.width"])
    for number, value in OBJECTIVES.items():
        tracker.start_trial(TrialStart(number, f"t{number:04d}", {"model.width": 8 * 2**number}, "a: 1\n"))
        for epoch in range(3):
            tracker.log_metrics(number, epoch, {"val/pearson": value * (epoch + 1) / 3})
        tracker.end_trial(TrialEnd(number, "finished", None, {"objective": value, "seconds": 1.5}))
        tracker.log_metrics(None, number + 1, {"objective": max(list(OBJECTIVES.values())[: number + 1])})
    board = folder / "leaderboard.csv"
    board.write_text("rank,trial\n1,t0001\n")
    best = BestTrial(1, OBJECTIVES[1], {"model.width": 16})
    tracker.register_model(
        1, package, Winner("widths", weights_digest(package), "**It won.**", best.params, {})
    )
    page = describe(question, best, "Trials: 3 finished.", registered=True)
    report = tracker.finish("finished", {"objective": 0.73}, {board.name: board}, description_markdown=page)
    assert (report.message, report.model) == ("", "models:/widths@best")
    html = folder / "report.html"
    html.write_text("<h1>What the sweep found</h1>")
    assert attach(config, str(tracker.parent_run_id), {"report.html": html}) is None
    return Recorded(
        uri, store.experiment_id, str(tracker.parent_run_id), str(tracker.run_id(1)), str(tracker.page)
    )


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        pytest.skip("there is no Chromium on this machine")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-background-networking"]
        )
        result = browser.new_page(viewport={"width": 1900, "height": 1200})
        result.set_default_timeout(60_000)
        yield result
        browser.close()


def show(page: Page, recorded: Recorded, path: str, *texts: str) -> str:
    """Open a page, wait for texts on it, and return all that can be read there."""
    joint = "&" if "?" in path else "?"
    page.goto(f"{recorded.uri}/#/{path}{joint}workflowType=machine_learning")
    for text in texts:
        page.get_by_text(text).first.wait_for()
    return page.inner_text("body")


def test_the_list_of_experiments(page: Page, recorded: Recorded) -> None:
    text = show(page, recorded, "experiments", "gisearch")
    assert "Searches for the best model of yeast gene interactions" in text


def test_the_saved_page_lists_the_trials_best_first(page: Page, recorded: Recorded) -> None:
    page.goto(recorded.page)
    page.get_by_text("t0001").first.wait_for()
    text = page.inner_text("body")
    assert re.findall(r"^t000\d$", text, re.MULTILINE) == ["t0001", "t0002", "t0000"]
    for column in ("objective", "gisearch.status", "model.width", "seconds"):
        assert column in text
    assert "0.73" in text


def test_its_charts_show_curves_without_being_set_up(page: Page, recorded: Recorded) -> None:
    page.goto(f"{recorded.page}&compareRunsMode=CHART")
    page.get_by_text("val/pearson").first.wait_for()
    chart = page.locator(".js-plotly-plot", has=page.locator(".scatterlayer .trace")).first
    chart.wait_for()
    lines = chart.locator(".scatterlayer path.js-line")
    # MLflow draws each line twice: as it is, and smoothed (here: the same).
    shapes = lines.evaluate_all("lines => lines.map(line => line.getAttribute('d'))")
    assert len(set(shapes)) == len(OBJECTIVES)


def test_the_sweeps_own_page(page: Page, recorded: Recorded) -> None:
    path = f"experiments/{recorded.experiment}/runs/{recorded.parent}"
    text = show(page, recorded, path, "Which width is best?", "demo train", "gisearch.model")
    assert "**" not in text, "the description is not shown as Markdown"
    assert "demo train (9f2c1a7b3d4e5f60)" in text
    link = page.get_by_role("link", name="All trials, best first")
    assert recorded.page.endswith(str(link.get_attribute("href")))
    assert page.get_by_role("link", name="their curves").count() == 1


def test_its_files(page: Page, recorded: Recorded) -> None:
    path = f"experiments/{recorded.experiment}/runs/{recorded.parent}/artifacts"
    show(page, recorded, path, "leaderboard.csv", "report.html")
    page.get_by_text("report.html").first.click()
    page.frame_locator("iframe").get_by_text("What the sweep found").wait_for()


def test_the_best_trials_page(page: Page, recorded: Recorded) -> None:
    path = f"experiments/{recorded.experiment}/runs/{recorded.best}"
    text = show(page, recorded, path, "demo train", "Registered models", "v1")
    assert "widths" in text


def test_the_registered_model(page: Page, recorded: Recorded) -> None:
    text = show(page, recorded, "models/widths", "Version 1", "best")
    assert "The best model of a sweep: genes in, scores out." in text
    text = show(page, recorded, "models/widths/versions/1", "It won.", "Inputs (3)", "Outputs (1)")
    assert re.search(r"Aliases\s*:\s*@\s*best\s", text)


def test_another_process_gets_scores_from_the_server(
    recorded: Recorded, package: Path, tmp_path: Path
) -> None:
    script = f"""
import json, mlflow, pandas
mlflow.set_tracking_uri({recorded.uri!r})
model = mlflow.pyfunc.load_model("models:/widths@best")
example = model.input_example
try:
    model.predict(pandas.DataFrame({{"gene1": ["NOPE1"]}}))
except Exception as error:
    message = str(error)
print(json.dumps({{
    "genes": example.to_dict("list"),
    "score": model.predict(example)["score"].tolist(),
    "single": model.predict(example[["gene1"]])["score"].tolist(),
    "optional": model.metadata.get_input_schema().optional_input_names(),
    "outputs": model.metadata.get_output_schema().input_names(),
    "message": message,
}}))
"""
    root = str(Path(gisearch.__file__).parent.parent)
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": root, "GISEARCH_CACHE": str(tmp_path / "none")},
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout.splitlines()[-1])
    import pandas as pd

    genes = pd.DataFrame(answer["genes"])
    model = load_scoring_model(package / "data")
    assert answer["score"] == model.predict(genes)["score"].tolist()
    assert answer["single"] == model.predict(genes[["gene1"]])["score"].tolist()
    assert answer["optional"] == ["gene2", "gene3"]
    assert answer["outputs"] == ["score"]
    assert answer["message"].startswith("row 0: unknown gene 'NOPE1'.")
    assert not list(tmp_path.iterdir()), "it looked for the data, or wrote files"
