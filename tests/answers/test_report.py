from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gisearch.answers.findings import Candidate, Difference, Findings, Interval, RunScore, write_findings
from gisearch.answers.report.attention import ask_best
from gisearch.answers.report.blocks import Bars, Section, Span, Spans, Table, Text
from gisearch.answers.report.choices import importance_section
from gisearch.answers.report.course import curves_section, failures_section, pareto_section
from gisearch.answers.report.material import Material, gather
from gisearch.answers.report.model import calibration_section, predictions_section
from gisearch.answers.report.origin import provenance_section
from gisearch.answers.report.page import render, write_report
from gisearch.answers.report.retrained import ablation_section, confirmed_section
from gisearch.data.splits import SplitConfig
from gisearch.search.results import SweepResults, load_results
from tests.answers.sweeps import FAILURE, write_sweep

SECTIONS = [
    *("answer", "confirmed", "worth", "ensemble", "leaderboard", "mattered", "parallel", "curves"),
    *("predictions", "calibration", "subgroups", "attention", "pareto", "failures", "provenance"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sweep(tmp_path_factory.mktemp("results") / "study")


@pytest.fixture(scope="module")
def material(folder: Path) -> Material:
    return gather(load_results(folder))


@pytest.fixture(scope="module")
def page(material: Material) -> str:
    return render(material)


class Reader(HTMLParser):
    """Collects what a page consists of."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: dict[str, str] = {}
        self.section = ""
        self.silent = 0
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.tags.append((tag, values))
        self.silent += tag in ("style", "script", "svg")
        if tag == "section":
            self.section = values["id"] or ""

    def handle_endtag(self, tag: str) -> None:
        self.silent -= tag in ("style", "script", "svg")

    def handle_data(self, data: str) -> None:
        if not self.silent:
            self.words[self.section] = " ".join((self.words.get(self.section, "") + data).split())

    def all(self, tag: str) -> Iterator[dict[str, str | None]]:
        return (values for name, values in self.tags if name == tag)


def texts(section: Section) -> str:
    return " ".join(block.text for block in section.blocks if isinstance(block, Text))


def only(section: Section, kind: type) -> Any:
    (found,) = [block for block in section.blocks if isinstance(block, kind)]
    return found


def test_every_section_is_there_in_the_contents_and_says_something(page: str) -> None:
    reader = Reader(page)
    assert [values["id"] for values in reader.all("section")] == SECTIONS
    linked = [values["href"] for values in reader.all("a")]
    assert linked == [f"#{key}" for key in SECTIONS]
    assert all(len(reader.words[key]) > 20 for key in SECTIONS)
    assert not [values for values in reader.all("figure") if not values]


def test_the_page_says_what_was_left_out_of_the_data(page: str) -> None:
    words = Reader(page).words["provenance"]
    assert "left out for unknown genes such as 'OLD1': 1 of 2 rows of network net (50.0 %)" in words


def test_the_page_names_the_file_of_a_split_instead_of_a_seed(material: Material) -> None:
    assert material.plan is not None
    assert ("seed of the split", "0") in only(provenance_section(material), Table).rows
    config = material.plan.config
    data = replace(config.data, split=SplitConfig(strategy="file", path="their.csv"))
    pinned = replace(material, plan=replace(material.plan, config=replace(config, data=data)))
    rows = only(provenance_section(pinned), Table).rows
    assert ("split", "their.csv") in rows
    assert "seed of the split" not in dict(rows)


def test_the_page_asks_for_nothing_and_names_no_element_twice(page: str) -> None:
    reader = Reader(page)
    tags = {tag for tag, _ in reader.tags}
    assert not tags & {"img", "iframe", "object", "embed", "image", "base"}
    asked = [v for _, values in reader.tags for k, v in values.items() if k in ("src", "href", "xlink:href")]
    assert all(value and value.startswith(("#", "data:,")) for value in asked)
    assert not re.search(r"@import|url\((?!#)", page)
    ids = [values["id"] for _, values in reader.tags if "id" in values]
    assert len(ids) == len(set(ids))
    for reference in re.findall(r'(?:xlink:href="#|url\(#)([^")]+)', page):
        assert reference in ids
    assert all(values["role"] == "img" and values["aria-label"] for values in reader.all("svg"))
    assert len(page) < 1_000_000


def test_the_first_screen_answers_the_question(material: Material, page: str) -> None:
    best = material.results.best
    assert best is not None
    assert best.value is not None
    first = Reader(page).words["answer"]
    assert "Is attention worth it?" in first
    assert f"{best.trial_id} is the best of 24 trials: val/pearson = {best.value:.4f}." in first
    assert f"the best reaches {best.value / 0.9:.0%}".removesuffix("%") in first
    baseline = next(row for row in material.results.rows if row.facts.get("baseline"))
    gain = best.value - (baseline.value or 0)
    assert f"{baseline.trial_id}, has {baseline.value:.4f}: the search gained +{gain:.4f}" in first
    assert "Not confirmed" in first
    assert "What mattered most for the score: graph_aggregation" in first
    assert "22 finished, 1 stopped early, 1 failed" in first


def test_a_failure_is_told_and_cannot_break_the_page(material: Material, page: str) -> None:
    table = only(failures_section(material), Table)
    assert table.rows == [("1", FAILURE, "t0005")]
    assert "<b>" not in page
    assert "&lt;b&gt;produced&lt;/b&gt; NaN &amp; more." in page


def test_importance_and_effects(material: Material) -> None:
    section = importance_section(material)
    bars = only(section, Bars).bars
    assert bars[0].label == "graph_aggregation"
    assert bars[0].value > 0.8
    conditional = next(bar for bar in bars if bar.label == "combination")
    assert re.match(r"exists in (4|5)\d % of the space; .* there", conditional.note)
    spans = only(section, Spans).spans
    assert [span.label.split(" (")[0] for span in spans[:2]] == ["cross_attention", "sum"]
    attention = [
        row.value
        for row in material.results.rows
        if row.value is not None and row.params["model.encoder.graph_aggregation"] == "cross_attention"
    ]
    assert spans[0].middle == pytest.approx(np.median(attention))
    assert (spans[0].low, spans[0].high) == pytest.approx(tuple(np.percentile(attention, [25, 75])))
    assert spans[0].heading == "graph_aggregation"
    assert spans[1].heading == ""


def test_attention_by_network_comes_from_the_trained_model(material: Material, page: str) -> None:
    found = material.best.attention
    assert found is not None
    assert list(found.networks) == ["physical", "regulatory", "coexpression"]
    assert found.mean.sum() == pytest.approx(1.0, abs=1e-5)
    assert (found.low <= found.high).all()
    words = Reader(page).words["attention"]
    assert all(f"{100 * share:.1f} %" in words for share in found.mean)


def test_measurement_errors_are_drawn_and_missing_calibration_is_explained(material: Material) -> None:
    assert material.best.measured_std is not None
    assert material.predictions is not None
    assert len(material.best.measured_std) == len(material.predictions.measured)
    shown = predictions_section(material).blocks[0]
    assert "Level bars" in shown.detail  # type: ignore[union-attr]
    assert "without a standard deviation" in texts(calibration_section(material))


def test_stopped_trials_are_marked(material: Material) -> None:
    shown = curves_section(material).blocks[0]
    assert "1 trial was stopped early" in shown.detail  # type: ignore[union-attr]
    assert ">stopped early<" in shown.svg  # type: ignore[union-attr]


def test_data_that_moved_costs_a_sentence_not_the_report(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "study"
    shutil.copytree(folder, copy)
    facts = (copy / "sweep.yaml").read_text()
    (copy / "sweep.yaml").write_text(re.sub("data: .*", "data: aaaa", facts))
    assert "data has changed" in ask_best(load_results(copy)).reason
    config = (copy / "best" / "config.yaml").read_text()
    (copy / "best" / "config.yaml").write_text(config.replace("source: demo", "source: nowhere"))
    results = load_results(copy)
    assert "could not be loaded" in ask_best(results).reason
    text = write_report(results).read_text()
    assert "could not be loaded" in Reader(text).words["attention"]


def test_a_sweep_that_was_killed_has_a_report(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "study"
    copy.mkdir()
    for name in ("sweep.yaml", "study.journal"):
        shutil.copyfile(folder / name, copy / name)
    path = write_report(load_results(copy), tmp_path / "elsewhere" / "page.html")
    words = Reader(path.read_text()).words
    assert "no predictions of a best model" in words["predictions"]
    assert "no search_space.yaml" in words["mattered"]
    assert "not ended yet, or was killed" in words["attention"]
    nothing = SweepResults("study", copy, "val/pearson", "max", ())
    words = Reader(write_report(nothing).read_text()).words
    assert "No trial has finished an epoch" in words["answer"]
    assert "No trial has started yet." in words["leaderboard"]


def test_the_same_sweep_gives_the_same_file(folder: Path, page: str) -> None:
    assert render(gather(load_results(folder))) == page


def interval(mean: float) -> Interval:
    return Interval(mean, 0.01, mean - 0.02, mean + 0.02, 3)


def candidate(name: str, mean: float, searched: float | None, *, baseline: bool = False) -> Candidate:
    runs = tuple(RunScore(f"t{i:04d}", i, None, mean, mean, 1.0) for i in range(3))
    return Candidate(name, baseline, {}, searched, 1234, interval(mean), interval(mean), runs)


@pytest.fixture
def answered(material: Material) -> Material:
    first, second = candidate("t0012", 0.71, 0.78), candidate("t0000", 0.69, 0.7, baseline=True)
    difference = Difference("t0012", "t0000", interval(-0.02), 1.5, 0.5, "No evidence.", "no evidence")
    confirmation = Findings(
        "confirmation",
        None,
        "test/pearson",
        "max",
        0.9,
        3,
        0,
        ("c",),
        (first, second),
        (difference,),
        ("t0012 is confirmed.",),
        "now",
    )
    choice = "model.local_predictor.enabled"
    ablation = replace(
        confirmation,
        kind="ablation",
        choice=choice,
        sentences=("It is worth its cost.",),
        candidates=(replace(first, name="true"), replace(second, name="false")),
        differences=(replace(difference, reference="true", other="false"),),
    )
    return replace(material, findings=(confirmation, ablation))


def test_search_score_and_confirmed_score_stand_apart(answered: Material) -> None:
    section = confirmed_section(answered)
    forest = next(block for block in section.blocks if isinstance(block, Spans))
    first = forest.spans[0]
    assert (first.middle, first.low, first.high, first.other) == pytest.approx((0.71, 0.69, 0.73, 0.78))
    assert forest.line == 0.9
    assert [span.label for span in forest.spans] == ["t0012", "t0000 (baseline)"]
    table = only(section, Table)
    assert table.rows[0] == ("t0012", "0.7800", "0.7100", "0.0100", "0.6900 to 0.7300", "3", "1,234")
    assert "t0012 is confirmed." in Reader(render(answered)).words["answer"]


def test_an_ablation_shows_its_difference_and_its_cost(answered: Material) -> None:
    section = ablation_section(answered)
    assert texts(section).startswith("model.local_predictor.enabled It is worth its cost.")
    forest = only(section, Spans)
    assert forest.line == 0.0
    assert forest.spans[0].middle == pytest.approx(-0.02)
    assert forest.spans[0].label == "off against on"
    assert forest.spans[0].note == "0.50 × the parameters, 1.50 × the time of a step"


def test_without_findings_the_command_that_makes_them_is_named(material: Material, page: str) -> None:
    words = Reader(page).words
    assert f"python -m gisearch.confirm {material.results.handle}" in words["confirmed"]
    assert f"python -m gisearch.ablate {material.results.handle}" in words["worth"]
    assert "--choice model.encoder.graph_aggregation" in words["worth"]
    broken = replace(material, findings_problem="the findings x are damaged.")
    assert "are damaged" in texts(confirmed_section(broken))


def test_findings_are_read_from_the_sweep(folder: Path, answered: Material, tmp_path: Path) -> None:
    copy = tmp_path / "study"
    shutil.copytree(folder, copy)
    for findings in answered.findings:
        write_findings(copy, findings)
    assert gather(load_results(copy)).findings == answered.findings


def test_without_a_cost_there_is_no_front(material: Material) -> None:
    assert "objective.cost=parameters" in texts(pareto_section(material))


@pytest.mark.parametrize(("line", "side"), [(0.0, "right"), (0.5, "both"), (1.0, "left")])
def test_a_line_at_the_edge_has_its_text_inside(line: float, side: str) -> None:
    assert Spans("", [Span("a", 0.2, 0.0, 1.0, "")], line, "x").line_side == side


CUT_OFF = """[...document.querySelectorAll('svg text')].filter(text => {
  const own = text.getBoundingClientRect(), all = text.ownerSVGElement.getBoundingClientRect();
  return own.left < all.left - 1 || own.right > all.right + 1;
}).map(text => text.textContent)"""


@pytest.mark.slow
def test_no_phone_has_to_scroll_sideways(answered: Material, tmp_path: Path) -> None:
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("there is no Chromium on this machine")
    path = tmp_path / "report.html"
    path.write_text(render(answered))
    with sync_api.sync_playwright() as driver:
        flags = ["--no-sandbox", "--disable-background-networking"]
        browser = driver.chromium.launch(executable_path=chromium, args=flags)
        asked: list[str] = []
        for width in (390, 1280):
            context = browser.new_context(viewport={"width": width, "height": 844}, offline=True)
            shown = context.new_page()
            shown.on("request", lambda request: asked.append(request.url))
            shown.on("pageerror", lambda error: pytest.fail(str(error)))
            shown.goto(path.as_uri())
            assert shown.evaluate("document.documentElement.scrollWidth") <= width
            heights = shown.evaluate(
                "[...document.querySelectorAll('svg text')].map(t => t.getBoundingClientRect().height)"
            )
            assert min(height for height in heights if height) >= 7
            assert shown.evaluate(CUT_OFF) == [], "texts that a figure cuts off"
        shown.click("#leaderboard thead th:nth-child(1)")
        assert shown.inner_text("#leaderboard tbody tr:first-child th") == "t0000"
        browser.close()
    assert asked == [path.as_uri()] * 2
