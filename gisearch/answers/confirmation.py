"""Confirmation: are the best configurations as good as the search made them look?

The best of many trials is partly lucky: its seed suited it, and so did the validation split. Fresh seeds show
the first; the test split, which nothing of the search has seen, shows both. The winner is chosen by the
confirmed validation score, for choosing by test score would be luck again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from gisearch.answers.comparison import fresh_seeds
from gisearch.answers.differences import Judge
from gisearch.answers.findings import Candidate, Findings
from gisearch.answers.record import ComparisonSweep, Record
from gisearch.answers.scoring import Scores
from gisearch.answers.source import Source, free_name
from gisearch.answers.wording import (
    failure_words,
    metric_words,
    number,
    several_words,
    spread_words,
    with_interval,
)
from gisearch.errors import ConfigError
from gisearch.search.space import canonical
from gisearch.seeding import child_seed


def propose_confirmation(source: Source, asked: Mapping[str, int]) -> Record:
    """Choose what is retrained: the best configurations and every baseline of the space file.

    Args:
        source: the sweep.
        asked: ``top``, ``seeds`` and ``splits``.

    Raises:
        ConfigError: no trial has been trained, or fresh splits are asked for where a file holds the split.
    """
    plan, notes = source.plan, list[str]()
    if asked["splits"] and plan.config.data.split.strategy == "file":
        raise ConfigError(
            f"--splits: the sweep's split is that of {plan.config.data.split.path}, which no seed changes; "
            "expected --seeds alone."
        )
    trained = source.trained()
    chosen = {
        canonical(params): Candidate(row.trial_id, False, params, row.value, 0, None, None, ())
        for row in trained[: asked["top"]]
        for params in (source.params_of(row),)
    }
    if len(trained) < asked["top"]:
        notes.append(f"the sweep trained {len(trained)} different configurations: all are confirmed")
    if trained[0].status == "stopped_early":
        notes.append("every trial was stopped early; here they are trained to their end")
    if any(row.replaced for row in trained[: asked["top"]]):
        notes.append(
            "members of a population are trained from the start with the values of their best model; they "
            "had others before, and need not reach the same"
        )
    known = {canonical(row.params): row.value for row in reversed(source.results.rows)}
    for i, baseline in enumerate(plan.baselines, 1):
        text = canonical(baseline)
        if text in chosen:
            chosen[text] = replace(chosen[text], baseline=True)
        else:
            value = known.get(text)
            chosen[text] = Candidate(f"baseline {i}", True, baseline, value, 0, None, None, ())
    if not plan.baselines:
        notes.append("the search space names no baselines: the best configurations are compared alone")
    if source.results.cost is not None:
        notes.append(f"candidates are the best by score; {source.results.cost} decides nothing here")
    name = f"{source.results.name}_confirm"
    splits: list[int | None] = [
        child_seed(plan.config.data.seed, "answers", "split", i) % 2**31 for i in range(asked["splits"])
    ]
    sweeps = tuple(
        ComparisonSweep(free_name(source.results_dir, name if split is None else f"{name}_split{i}"), split)
        for i, split in enumerate(splits or [None], 1)
    )
    seeds = fresh_seeds(source, "confirmation", asked["seeds"])
    return Record(None, asked, tuple(chosen.values()), seeds, sweeps, tuple(notes))


def conclude_confirmation(
    source: Source, record: Record, scores: Scores, steps: Mapping[str, float]
) -> Findings:
    """Say what a confirmation found.

    Args:
        source: the sweep.
        record: what was retrained.
        scores: its scores.
        steps: the time of a step by candidate, where it was measured.
    """
    judge = Judge(source, record, scores, steps)
    sign = -1 if source.results.mode == "max" else 1
    ordered = tuple(
        sorted(scores.candidates, key=lambda one: (one.val is None, sign * one.val.mean if one.val else 0.0))
    )
    winner = ordered[0]
    differences = judge.differences(
        winner,
        ordered[1:],
        lambda other: f"Taking {other.name} instead of {winner.name}",
        lambda other, verdict: (
            "no evidence of a difference" if verdict == "no evidence" else f"{other.name} is {verdict}"
        ),
    )
    sentences = _sentences(source, record, ordered, judge.metric)
    sentences += [difference.sentence for difference in differences]
    if len(differences) > 1:
        sentences.append(several_words(len(differences)))
    return judge.findings(ordered, differences, sentences)


def _sentences(source: Source, record: Record, ordered: tuple[Candidate, ...], metric: str) -> list[str]:
    winner, splits = ordered[0], int(record.asked["splits"])
    if winner.val is None or winner.test is None:
        return ["Every run failed: nothing is confirmed.", *failure_words(ordered)]
    where = f" on each of {splits} fresh splits" if splits else ""
    seeds = f"{len(record.seeds)} fresh seed{'s' if len(record.seeds) > 1 else ''}{where}"
    found = [
        f"{winner.name} has the best confirmed validation score; its {metric_words(metric)} is "
        f"{with_interval(winner.test)} over {seeds}."
    ]
    pairs = [
        (one.search_value, one.val.mean)
        for one in ordered
        if one.name.startswith("t") and one.search_value is not None and one.val is not None
    ]
    if pairs and not splits:
        sign = 1 if source.results.mode == "max" else -1
        gaps = [sign * (search - confirmed) for search, confirmed in pairs]
        mean = float(np.mean(gaps))
        how = "optimistic" if mean > 0 else "pessimistic"
        scored = f"the search's score of {'it' if len(pairs) == 1 else f'the best {len(pairs)}'}"
        found.append(
            f"With fresh seeds {scored} was {how} by {number(abs(mean))} on average"
            f"{' (the best of many trials is partly lucky)' if mean > 0 else ''}."
        )
    return [*found, *spread_words(record), *failure_words(ordered)]
