"""What mattered: the importance of every parameter, and what each of its values did."""

from __future__ import annotations

from gisearch.answers.importance import Importances, ParameterImportance
from gisearch.answers.report.blocks import Bar, Bars, Block, Section, Span, Spans, Text
from gisearch.answers.report.material import Material
from gisearch.answers.report.numbers import counted, percent, score
from gisearch.search.effects import ParameterEffect
from gisearch.search.presentation import short_names

_HOW = (
    "Functional ANOVA on a random forest (Hutter, Hoos and Leyton-Brown 2014), averaged over the search "
    "space as it is. A parameter that exists only for some configurations counts by what it does where it "
    "exists, times how often that is. A trial that was stopped early counts with the score that it had then."
)


def importance_section(material: Material) -> Section:
    """Return the importances and the effects."""
    return Section("mattered", "What mattered", [*_importance(material), *_effects(material)])


def _importance(material: Material) -> list[Block]:
    found = material.importances
    if found is None:
        if material.plan is None:
            reason = f"The search space cannot be read again: {material.plan_problem}"
        else:
            reason = "Importances need at least five trials with a score, and scores that differ."
        return [Text(reason, "missing")]
    names = short_names([one.path for one in found.parameters])
    blocks: list[Block] = [Text(found.doubts, "note")] if found.doubts else []
    caption = (
        f"Importance: the share of the variation of {material.results.metric} that each parameter explains "
        f"on its own, from {counted(found.trials, 'trial')}."
    )
    blocks.append(Bars(caption, [_bar(names[one.path], one, found) for one in found.parameters]))
    rest = 1 - sum(one.share for one in found.parameters)
    together = f"Combinations of parameters explain the remaining {percent(rest)}. " if rest > 0.005 else ""
    fit = f"On trials that a tree has not seen, the forest's R² is {found.known:.2f}. "
    return [*blocks, Text(f"{together}{fit}{_HOW}", "note")]


def _bar(name: str, one: ParameterImportance, found: Importances) -> Bar:
    text = percent(one.share) + (f" ± {100 * one.error:.0f}" if one.error >= 0.005 else "")
    note = ""
    if one.exists < 1:
        note = f"exists in {percent(one.exists)} of the space; {percent(one.within)} of the variation there"
    return Bar(name, one.share, text, note, faint=bool(found.doubts) or one.share < 2 * one.error)


def _effects(material: Material) -> list[Block]:
    effects = list(material.effects)
    if not any(len(effect.values) > 1 for effect in effects):
        return [Text("The effect of a choice needs trials that differ in it.", "missing")]
    if material.importances is not None:
        order = {one.path: i for i, one in enumerate(material.importances.parameters)}
        effects.sort(key=lambda effect: order.get(effect.path, len(order)))
    metric = material.results.metric
    caption = (
        f"Effect of each choice on {metric}: median (point) and middle half (bar) of the trials that made "
        "it, the best of them hollow. The most important parameter first, its best value first; trials in "
        "brackets. Trials of a search differ in other settings too and are not balanced: a first look, not a "
        "test."
    )
    names = short_names([effect.path for effect in effects])
    spans = [span for effect in effects for span in _values(names[effect.path], effect)]
    return [Text("Effect of each choice", "heading"), Spans(caption, spans)]


def _values(name: str, effect: ParameterEffect) -> list[Span]:
    if len(effect.values) < 2:
        return []
    return [
        Span(
            f"{value.label} ({value.trials})",
            value.median,
            value.low,
            value.high,
            f"{score(value.median)}, best {score(value.best)}",
            value.best,
            heading=name if i == 0 else "",
        )
        for i, value in enumerate(effect.values)
    ]
