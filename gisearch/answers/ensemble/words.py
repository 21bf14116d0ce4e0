"""What an ensemble is worth, in plain words."""

from __future__ import annotations

from dataclasses import replace

from gisearch.answers.ensemble.findings import EnsembleFindings
from gisearch.answers.wording import metric_words, number, with_interval


def sentences(findings: EnsembleFindings) -> EnsembleFindings:
    """Return the findings with their sentences."""
    return replace(findings, sentences=(_what(findings), _worth(findings), _spread(findings)))


def label(findings: EnsembleFindings, trial: str, sweep: str) -> str:
    """Return a member's name: its trial, and its sweep where there are several."""
    return trial if len(findings.asked["sweeps"]) == 1 else f"{sweep}/{trial}"


def _what(found: EnsembleFindings) -> str:
    metric = metric_words(f"validation/{found.metric}")
    count = len(found.members)
    best = label(found, found.best.trial, found.best.sweep)
    if count == 1:
        only = label(found, found.members[0].trial, found.members[0].sweep)
        return (
            f"Selection took one model of {found.candidates}, {only}: no average with another one has a "
            f"better {metric} than its {number(found.val, 4)}."
        )
    return (
        f"The ensemble averages {count} of {found.candidates} models: {metric} {number(found.val, 4)}, that "
        f"of the best single model ({best}) {number(found.best.val, 4)}."
    )


def _worth(found: EnsembleFindings) -> str:
    metric = metric_words(f"test/{found.metric}")
    best = label(found, found.best.trial, found.best.sweep)
    said = {
        "better": "the ensemble is better",
        "worse": f"the ensemble is worse; predict with {best} alone",
        "no evidence": f"no evidence that the ensemble is better than {best} alone",
    }[found.verdict]
    sign = "+" if found.difference.mean > 0 else ""
    return (
        f"Its {metric} is {with_interval(found.test)}, that of {best} {with_interval(found.best_test)}: a "
        f"difference of {sign}{with_interval(found.difference)}: {said}."
    )


def _spread(found: EnsembleFindings) -> str:
    return (
        "The intervals are over test genotypes alone: every model was trained once, and how another seed "
        "would change it is not in them."
    )
