"""Differences in plain words."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any, Literal

from gisearch.answers.findings import Candidate, Interval
from gisearch.answers.record import Record

Verdict = Literal["better", "worse", "no evidence"]

_METRICS = {
    "pearson": "Pearson",
    "spearman": "Spearman",
    "auroc": "AUROC",
    "average_precision": "average precision",
    "rmse": "RMSE",
    "r2": "R2",
}
# Steps that differ by less are called equally fast.
_EQUAL = 0.03


def metric_words(metric: str) -> str:
    """Return ``test Pearson`` for ``test/pearson``."""
    part, _, name = metric.partition("/")
    return f"{part} {_METRICS.get(name, name)}"


def verdict_of(difference: Interval, mode: str) -> Verdict:
    """Return what an interval of a difference says of the one that the other is subtracted from."""
    if difference.low <= 0 <= difference.high:
        return "no evidence"
    return "better" if (difference.low > 0) == (mode == "max") else "worse"


def number(value: float, decimals: int = 3) -> str:
    """Return a number without a minus in front of zero."""
    text = f"{value:.{decimals}f}"
    return text.lstrip("-") if float(text) == 0 else text


def decimals_of(interval: Interval) -> int:
    """Return how many decimals show an interval's width with two digits; at least 3."""
    width = interval.high - interval.low
    return 3 if width <= 0 else min(8, max(3, 1 - math.floor(math.log10(width))))


def with_interval(interval: Interval, mean: str | None = None) -> str:
    """Return ``-0.004 (95 % interval -0.012 to 0.003)``."""
    decimals = decimals_of(interval)
    low, high = number(interval.low, decimals), number(interval.high, decimals)
    return f"{mean or number(interval.mean, decimals)} (95 % interval {low} to {high})"


def step_words(relative: float | None) -> str:
    """Return ``makes a step 17 % faster`` for 0.83; empty where it was not measured."""
    if relative is None:
        return ""
    if abs(relative - 1) < _EQUAL:
        return "makes a step no faster or slower"
    if relative >= 2:
        return f"makes a step take {relative:.1f} times as long"
    return f"makes a step {abs(1 - relative):.0%} {'faster' if relative < 1 else 'slower'}".replace("%", " %")


def parameter_words(relative: float) -> str:
    """Return ``takes 17 % fewer parameters`` for 0.83; empty for as many."""
    if round(relative, 2) == 1:
        return ""
    if relative >= 3:
        return f"takes {relative:.1f} times the parameters"
    return f"takes {abs(1 - relative):.0%} {'fewer' if relative < 1 else 'more'} parameters".replace(
        "%", " %"
    )


def switch_words(choice: str, before: Any, after: Any) -> str:
    """Return the change of a choice as the beginning of a sentence."""
    if isinstance(after, bool):
        return f"Switching {choice.removesuffix('.enabled')} {'on' if after else 'off'}"
    return f"Changing {choice} from {value_words(before)} to {value_words(after)}"


def value_words(value: Any) -> str:
    """Return a value as a sentence has it: on or off, text without quotes, numbers short."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, str):
        return value
    return f"{value:.3g}" if isinstance(value, float) else json.dumps(value)


def change_sentence(
    subject: str, metric: str, test: Interval, relative_step: float | None, relative_parameters: float
) -> str:
    """Return ``SUBJECT changes test Pearson by ... and makes a step 17 % faster``, without an end."""
    parts = [f"changes {metric_words(metric)} by {with_interval(test)}"]
    parts += [words for words in (step_words(relative_step), parameter_words(relative_parameters)) if words]
    *first, last = parts
    return f"{subject} {', '.join(first)} and {last}" if first else f"{subject} {last}"


def several_words(count: int) -> str:
    """Return what to remember where several intervals are looked at."""
    return (
        f"{count} differences are judged here, each by its own 95 % interval: with no true difference, about "
        f"one in twenty of such intervals excludes 0 all the same (Bonferroni's level for all {count} "
        f"together would be {100 - 5 / count:.1f} %)."
    )


def failure_words(candidates: Sequence[Candidate]) -> list[str]:
    """Return a sentence per candidate of which runs failed."""
    found = []
    for one in candidates:
        failed = [run for run in one.runs if run.test is None]
        if failed:
            reason = (failed[0].reason or "no reason is known").rstrip(".")
            many = f"{len(failed)} of {len(one.runs)} runs"
            found.append(f"{many} of {one.name} failed and do not count: {reason}.")
    return found


def spread_words(record: Record) -> list[str]:
    """Return what the intervals cannot cover, given how much was run."""
    found = []
    if len(record.seeds) == 1:
        found.append(
            "With one seed the intervals are over test genotypes alone; how seeds differ is unknown."
        )
    elif len(record.seeds) == 2:
        found.append("Two seeds say little about how seeds differ; expect wide intervals, and use 5.")
    if len(record.sweeps) > 1 or record.sweeps[0].split is not None:
        found.append(
            "Fresh splits: each one's test part holds genotypes that the search trained on or validated "
            "with, so these scores are not free of the search's choices; those on its own split are."
        )
    return found
