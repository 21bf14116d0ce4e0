"""The best model looked at closely: predictions, calibration, subgroups, attention."""

from __future__ import annotations

import re

from gisearch.answers.report.blocks import Block, Section, Span, Spans, Table, Text
from gisearch.answers.report.course import picture
from gisearch.answers.report.material import Material
from gisearch.answers.report.numbers import score

_TOP = 8
_GROUP = re.compile(r"val/(unseen|order)_(\d+)/(.+)")
_NONE_LEFT = "The sweep has left no predictions of a best model: it has not ended yet, or no trial finished."


def predictions_section(material: Material) -> Section:
    """Return predicted against measured values; of a binary target the scores by class."""
    title = "Predictions"
    found = material.predictions
    if found is None:
        return Section("predictions", title, [Text(_NONE_LEFT, "missing")])
    blocks: list[Block] = []
    if found.binary:
        shown = picture(material, "score_by_class", 9.6, 4.2)
    else:
        shown = picture(material, "predicted_against_true", 4.6)
        missing = [] if found.std is not None else ["the model predicts no standard deviation"]
        if material.best.measured_std is None:
            missing.append(
                "the measurements have none that is known"
                if not material.best.reason.startswith("The data")
                else "the data was not read again"
            )
        if missing:
            blocks.append(Text(f"Error bars: {', and '.join(missing)}.", "note"))
    if shown is not None:
        blocks.insert(0, shown)
    blocks.append(
        Text(f"The best model on the {len(found.measured):,} genotypes of the validation split.", "note")
    )
    return Section("predictions", title, blocks)


def calibration_section(material: Material) -> Section:
    """Return whether the best model's intervals or probabilities hold."""
    found = material.predictions
    if found is None:
        block: Block | None = Text(_NONE_LEFT, "missing")
    elif found.binary:
        block = picture(material, "reliability", 4.6)
    elif found.std is None:
        block = Text(
            "The best model predicts a value without a standard deviation, so there is no interval to check. "
            "The diffusion model predicts both.",
            "missing",
        )
    else:
        block = picture(material, "interval_coverage", 4.6)
    return Section("calibration", "Calibration", [block or Text("Nothing could be drawn.", "missing")])


def subgroups_section(material: Material) -> Section:
    """Return the scores of the best trials by number of unseen genes and by number of deletions."""
    title = "Unseen genes and orders"
    results = material.results
    metric = results.metric.removeprefix("val/")
    rows = [row for row in results.rows if row.facts.get("subgroups") and row.value is not None][:_TOP]
    groups: set[tuple[str, int]] = set()
    for row in rows:
        for key in row.facts["subgroups"]:
            match = _GROUP.fullmatch(key)
            if match and match[3] == metric:
                groups.add((match[1], int(match[2])))
    if not groups:
        reason = f"No trial has recorded {metric} by subgroup."
        return Section("subgroups", title, [Text(reason, "missing")])
    ordered = sorted(groups, key=lambda group: (group[0] != "unseen", group[1]))
    words = {"unseen": "unseen genes", "order": "deletions"}
    columns = ["trial", "all", *(f"{number} {words[kind]}" for kind, number in ordered)]
    table = [
        [row.trial_id, score(row.value)]
        + [score(row.facts["subgroups"].get(f"val/{kind}_{number}/{metric}")) for kind, number in ordered]
        for row in rows
    ]
    caption = (
        f"val/{metric} of the best {len(rows)} trials within subgroups of the validation split: genotypes by "
        "how many of their genes no training genotype has (0: all were seen), and by how many genes are "
        "deleted. A dash: too few genotypes to score."
    )
    numeric = frozenset(range(1, len(columns)))
    return Section("subgroups", title, [Table(caption, columns, table, numeric, frozenset({0}))])


def attention_section(material: Material) -> Section:
    """Return how the best model weighs the networks."""
    title = "Attention to the networks"
    found = material.best.attention
    if found is None:
        return Section("attention", title, [Text(material.best.reason, "missing")])
    even = 1 / len(found.networks)
    order = sorted(range(len(found.networks)), key=lambda i: -found.mean[i])
    spans = [
        Span(
            found.networks[i],
            float(found.mean[i]),
            float(found.low[i]),
            float(found.high[i]),
            f"{100 * found.mean[i]:.1f} %",
        )
        for i in order
    ]
    caption = (
        f"Share of the attention that each network has in {found.source} of the best model: mean over all "
        "genes (point) and middle half of the genes (bar). Attention says what the model reads, not what "
        "causes a score."
    )
    return Section("attention", title, [Spans(caption, spans, even, f"even: {100 * even:.1f} %")])
