"""What an ablation found: the choice's values against the best configuration's own, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gisearch.answers.ablation import giver_words
from gisearch.answers.differences import Judge
from gisearch.answers.findings import Candidate, Difference, Findings
from gisearch.answers.record import Record
from gisearch.answers.scoring import Scores
from gisearch.answers.source import Source
from gisearch.answers.wording import (
    Verdict,
    failure_words,
    metric_words,
    several_words,
    spread_words,
    switch_words,
    value_words,
    with_interval,
)


def conclude_ablation(source: Source, record: Record, scores: Scores, steps: Mapping[str, float]) -> Findings:
    """Say what an ablation found.

    Args:
        source: the sweep.
        record: what was trained.
        scores: its scores.
        steps: the time of a step by candidate, where it was measured.
    """
    judge, choice = Judge(source, record, scores, steps), str(record.choice)
    best, *others = scores.candidates
    before = best.params[choice]
    differences = judge.differences(
        best,
        others,
        lambda other: switch_words(choice, before, other.params[choice]),
        lambda other, verdict: _verdict_words(verdict, other.params[choice]),
    )
    sentences = [difference.sentence for difference in differences]
    if best.test is None:
        sentences.append("Every run of the best configuration failed: nothing can be compared with it.")
    elif len(differences) > 1:
        sentences.append(_summary(choice, before, best, differences, judge.metric))
        sentences.append(several_words(len(differences)))
    for one in others:
        if one.borrowed:
            givers = " and ".join(dict.fromkeys(giver_words(giver) for giver in one.borrowed.values()))
            sentences.append(
                f"{choice} = {value_words(one.params[choice])} needs values that {value_words(before)} has "
                f"not; they come from {givers} and were not tuned for this configuration."
            )
    sentences += [*spread_words(record), *failure_words(scores.candidates)]
    return judge.findings(scores.candidates, differences, sentences)


def _verdict_words(verdict: Verdict, after: Any) -> str:
    if after is False:
        return {
            "no evidence": "no evidence that it is needed",
            "worse": "it is needed",
            "better": "the score is better without it",
        }[verdict]
    if after is True:
        return {
            "no evidence": "no evidence that it helps",
            "worse": "the score is worse with it",
            "better": "it helps",
        }[verdict]
    return {"no evidence": "no evidence of a difference"}.get(verdict, f"{value_words(after)} is {verdict}")


def _summary(
    choice: str, before: Any, best: Candidate, differences: Sequence[Difference], metric: str
) -> str:
    assert best.test is not None
    counts = {
        verdict: [d.other for d in differences if d.verdict == verdict] for verdict in ("better", "worse")
    }
    rest = len(differences) - len(counts["better"]) - len(counts["worse"])
    found = [
        f"{len(names)} of {len(differences)} other values {'is' if len(names) == 1 else 'are'} {verdict} "
        f"({', '.join(names)})"
        for verdict, names in counts.items()
        if names
    ]
    found += [f"for {rest} there is no evidence of a difference"] if rest else []
    own = f"With {choice} = {value_words(before)} the {metric_words(metric)} is {with_interval(best.test)}"
    return f"{own}: {'; '.join(found)}."
