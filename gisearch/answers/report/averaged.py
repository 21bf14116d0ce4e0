"""The ensemble of the sweep's models: its members, and what it is worth beside the best of them."""

from __future__ import annotations

from gisearch.answers.ensemble.findings import EnsembleFindings
from gisearch.answers.ensemble.words import label
from gisearch.answers.report.blocks import Block, Code, Picture, Section, Span, Spans, Table, Text
from gisearch.answers.report.material import Material
from gisearch.answers.report.numbers import score, signed
from gisearch.command_line import pasteable
from gisearch.tracking.plots import selection_paths, svg, take_words

_TITLE = "Ensemble"


def ensemble_section(material: Material) -> Section:
    """Return the ensemble's members, weights and scores."""
    found = material.ensemble
    name = material.results.handle
    if found is None:
        if material.ensemble_problem:
            said = f"The ensemble cannot be read: {material.ensemble_problem}"
            return Section("ensemble", _TITLE, [Text(said, "missing")])
        said = "No ensemble has been made yet. This averages the sweep's trained models where that helps:"
        return Section("ensemble", _TITLE, [Text(said, "missing"), Code(pasteable("ensemble", name))])
    blocks: list[Block] = [Text(sentence, "answer") for sentence in found.sentences]
    best = label(found, found.best.trial, found.best.sweep)
    blocks += [_scores(found, best), _difference(found, best), _members(found), _picture(found, best)]
    blocks += [Text(f"Left out: {reason}", "note") for reason in found.left_out]
    address = f"; in MLflow it is {found.registered}" if found.registered else "; it is not in MLflow"
    blocks.append(Text(f"Made {found.made}{address}. Score genotypes with it:"))
    blocks.append(Code(pasteable("predict", f"{name}@ensemble", "genotypes.csv", "-o", "scores.csv")))
    return Section("ensemble", _TITLE, blocks)


def _scores(found: EnsembleFindings, best: str) -> Block:
    spans = [
        Span(name, one.mean, one.low, one.high, score(one.mean), val, strong=i == 0)
        for i, (name, one, val) in enumerate(
            (("ensemble", found.test, found.val), (f"{best} alone", found.best_test, found.best.val))
        )
    ]
    caption = (
        f"test/{found.metric}: score and 95 % interval over test genotypes. Hollow: the score on the "
        "validation part, which chose the members and their weights, and the best single model."
    )
    ceiling = found.noise_ceiling
    return Spans(caption, spans, ceiling, "" if ceiling is None else f"noise ceiling {score(ceiling)}")


def _difference(found: EnsembleFindings, best: str) -> Block:
    one = found.difference
    better = "right" if found.mode == "max" else "left"
    caption = (
        f"Paired difference of test/{found.metric} (same genotypes): {better} of the line the ensemble is "
        "better. An interval across the line is no evidence of a difference."
    )
    span = Span(f"ensemble against {best}", one.mean, one.low, one.high, signed(one.mean))
    return Spans(caption, [span], 0.0, "no difference")


def _members(found: EnsembleFindings) -> Block:
    rows = [
        (label(found, one.trial, one.sweep), one.model, score(one.val), f"{one.weight:.3f}")
        for one in found.members
    ]
    caption = (
        f"{len(rows)} members, selected from {found.candidates} models by val/{found.metric} alone, and how "
        "often each was taken, as a share."
    )
    columns = ("trial", "model", f"val/{found.metric}", "weight")
    marked = frozenset(
        i
        for i, one in enumerate(found.members)
        if (one.sweep, one.trial) == (found.best.sweep, found.best.trial)
    )
    return Table(caption, columns, rows, frozenset({2, 3}), marked)


def _picture(found: EnsembleFindings, best: str) -> Block:
    figure = selection_paths(found.paths, f"val/{found.metric}", found.val, (best, found.best.val))
    conclusion, detail = take_words(figure)
    drawing = svg(figure, "selection-paths", label=f"{conclusion}. {detail}", width=4.8, height=3.6)
    return Picture(drawing, conclusion, detail)
