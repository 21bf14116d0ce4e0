"""What retraining with several seeds says: the confirmed scores, and whether a choice is worth its cost."""

from __future__ import annotations

import json

from gisearch.answers.findings import Difference, Findings, Interval
from gisearch.answers.report.blocks import Block, Code, Section, Span, Spans, Table, Text
from gisearch.answers.report.material import Material
from gisearch.answers.report.numbers import counted, plain, score, signed
from gisearch.command_line import pasteable


def confirmed_section(material: Material) -> Section:
    """Return the search's scores and the confirmed ones, apart."""
    found = material.confirmation
    if found is None:
        return Section("confirmed", "Confirmed", _missing(material, "confirmed", "confirm"))
    blocks: list[Block] = [Text(sentence, "answer") for sentence in found.sentences]
    spans: list[Span] = []
    for candidate in found.candidates:
        if candidate.test is None:
            continue
        name = f"{candidate.name} (baseline)" if candidate.baseline else candidate.name
        text = f"{score(candidate.test.mean)} ± {score(candidate.test.std)}"
        spans.append(_span(name, candidate.test, text, candidate.search_value, strong=not spans))
    if spans:
        caption = (
            f"{found.metric} of the retrained configurations: mean and 95 % interval over "
            f"{_runs(found)}. Hollow: the one score on the validation split that the search saw, which chose "
            "them and is optimistic for that reason."
        )
        ceiling = found.noise_ceiling
        blocks.append(
            Spans(caption, spans, ceiling, "" if ceiling is None else f"noise ceiling {score(ceiling)}")
        )
    blocks.append(
        Table(
            "Search score and confirmed score, apart. Std is over the runs; the interval is of the mean.",
            ("configuration", "search score", "confirmed mean", "std", "95 % interval", "runs", "parameters"),
            [
                (
                    candidate.name + (" (baseline)" if candidate.baseline else ""),
                    score(candidate.search_value),
                    *_cells(candidate.test),
                    str(len(candidate.runs)) + _failed(len([r for r in candidate.runs if r.reason])),
                    f"{candidate.parameters:,}",
                )
                for candidate in found.candidates
            ],
            frozenset({1, 2, 3, 4, 5, 6}),
        )
    )
    blocks += _differences(found)
    blocks.append(Text(f"Made {found.made} by the sweep {', '.join(found.sweeps)}.", "note"))
    return Section("confirmed", "Confirmed", blocks)


def ablation_section(material: Material) -> Section:
    """Return what each ablation found."""
    ablations = [one for one in material.findings if one.kind == "ablation"]
    if not ablations:
        return Section("worth", "Is it worth it?", _missing(material, "ablated", "ablate"))
    blocks: list[Block] = []
    for found in ablations:
        blocks.append(Text(str(found.choice), "heading"))
        blocks += [Text(sentence, "answer") for sentence in found.sentences]
        blocks += _differences(found)
        caption = f"Every value of {found.choice}, retrained over {_runs(found)}."
        rows = [
            (_label(found, c.name), *_cells(c.test), f"{c.parameters:,}", _borrowed(c.borrowed))
            for c in found.candidates
        ]
        columns = ("value", f"{found.metric} mean", "std", "95 % interval", "parameters", "needed beside it")
        blocks.append(Table(caption, columns, rows, frozenset({1, 2, 3, 4})))
    return Section("worth", "Is it worth it?", blocks)


def _differences(found: Findings) -> list[Block]:
    if not found.differences:
        return []
    spans = [
        _span(
            f"{_label(found, one.other)} against {_label(found, one.reference)}",
            one.test,
            signed(one.test.mean),
            note=_cost(one),
        )
        for one in found.differences
    ]
    better = "right" if found.mode == "max" else "left"
    caption = (
        f"Paired differences of {found.metric} (same seeds, same genotypes): mean and 95 % interval; "
        f"{better} of the line is better than the reference. An interval across the line is no evidence of a "
        "difference."
    )
    # Of two configurations the answer has said it.
    further = [Text(one.sentence) for one in found.differences if one.sentence not in found.sentences]
    return [Spans(caption, spans, 0.0, "no difference"), *further]


def _label(found: Findings, name: str) -> str:
    """Return a candidate's name as people read it: the value of an ablation is kept as JSON."""
    return plain(json.loads(name)) if found.kind == "ablation" else name


def _span(
    label: str,
    interval: Interval,
    text: str,
    other: float | None = None,
    *,
    strong: bool = False,
    note: str = "",
) -> Span:
    return Span(label, interval.mean, interval.low, interval.high, text, other, strong, note=note)


def _cost(difference: Difference) -> str:
    parts = [f"{difference.relative_parameters:.2f} × the parameters"]
    if difference.relative_step is not None:
        parts.append(f"{difference.relative_step:.2f} × the time of a step")
    return ", ".join(parts)


def _cells(interval: Interval | None) -> tuple[str, str, str]:
    if interval is None:
        return ("–", "–", "–")
    return score(interval.mean), score(interval.std), f"{score(interval.low)} to {score(interval.high)}"


def _runs(found: Findings) -> str:
    seeds = counted(found.seeds, "seed")
    return f"{seeds} on each of {counted(found.splits, 'fresh split')}" if found.splits else seeds


def _failed(count: int) -> str:
    return f", {count} failed" if count else ""


def _borrowed(borrowed: object) -> str:
    return ", ".join(f"{k} {plain(v)}" for k, v in borrowed.items()) if isinstance(borrowed, dict) else ""


def _missing(material: Material, done: str, command: str) -> list[Block]:
    if material.findings_problem:
        return [Text(f"What was {done} cannot be read: {material.findings_problem}", "missing")]
    name = material.results.handle
    if command == "confirm":
        said = "Nothing has been confirmed yet. This retrains the best and the baselines with several seeds:"
        return [Text(said, "missing"), Code(pasteable("confirm", name))]
    said = (
        "No choice has been ablated yet. This retrains the best configuration with each value of one choice:"
    )
    return [
        Text(said, "missing"),
        Code(pasteable("ablate", name, "--choice", _worth_asking(material))),
    ]


def _worth_asking(material: Material) -> str:
    """Return the most important choice that the best configuration makes."""
    best = material.results.best
    known = {} if best is None else best.params
    order = [effect.path for effect in material.effects]
    if material.importances is not None:
        order = [one.path for one in material.importances.parameters]
    choices = [path for path in order if isinstance(known.get(path), str | bool)]
    return next(iter(choices), "KEY")
