from __future__ import annotations

from dataclasses import replace

from gisearch.tracking.description import BestTrial, SweepQuestion, describe
from gisearch.tracking.records import DatasetRecord

SWEEP = SweepQuestion(
    question="Which readout predicts interactions best?",
    metric="val/pearson",
    mode="max",
    trials=40,
    dimensions={"model.combination": "gating, concat", "optimizer.lr": "1e-4 to 1e-2, log"},
    dataset=DatasetRecord("demo", "9f2c1a7b", "generated demo cell", {"genes": 600, "genotypes": 11846}),
    command=["python", "-m", "gisearch.sweep", "a b.yaml"],
    resume_command=["python", "-m", "gisearch.sweep", "a b.yaml", "--resume", "x"],
    commit="abc123",
    noise_ceiling=0.81,
)


def test_page_at_the_start_tells_question_data_and_how_to_go_on() -> None:
    page = describe(SWEEP)
    assert page.startswith("**Which readout predicts interactions best?**")
    for part in (
        "- objective: val/pearson, higher is better",
        "600 genes, 11,846 genotypes",
        "`9f2c1a7b`",
        "- noise ceiling: 0.810",
        "commit `abc123`",
        "- `model.combination`: gating, concat",
        "```\npython -m gisearch.sweep 'a b.yaml'\n```",
        "--resume x",
    ):
        assert part in page
    assert "Best" not in page


def test_page_at_the_end_has_the_best_configuration_as_a_table() -> None:
    best = BestTrial(7, 0.71234, {"model.combination": "gating", "optimizer.lr": 0.0012345, "gate": True})
    page = describe(SWEEP, best, "40 trials in 2 min, 21 stopped early.")
    assert "40 trials in 2 min, 21 stopped early." in page
    assert "**Best: trial 7, val/pearson 0.7123** (noise ceiling 0.810)" in page
    assert "| `model.combination` | &emsp;gating |" in page
    assert "| `optimizer.lr` | &emsp;0.001234 |" in page
    assert "| `gate` | &emsp;on |" in page
    assert "python -m gisearch.train --config best/config.yaml" in page
    assert "--resume" not in page


def test_lower_is_better_and_unknowns_are_left_out() -> None:
    page = describe(replace(SWEEP, mode="min", noise_ceiling=None, commit=None))
    assert "lower is better" in page
    assert "ceiling" not in page
    assert "commit" not in page
