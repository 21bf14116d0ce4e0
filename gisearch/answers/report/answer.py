"""The first screen, what was confirmed, and the leaderboard."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from gisearch.answers.report.blocks import Block, Code, Section, Table, Text
from gisearch.answers.report.material import Material
from gisearch.answers.report.numbers import counted, percent, plain, score, seconds, signed
from gisearch.search.folders import BEST_FOLDER, TRIALS_FOLDER
from gisearch.search.pareto import shown_cost
from gisearch.search.presentation import short_names
from gisearch.search.results import SweepResults, TrialRow
from gisearch.training.config import CONFIG_FILE

_STATUS = {"stopped_early": "stopped early", "running": "interrupted or running"}
_MATTERED = 3


def answer_section(material: Material) -> Section:
    """Return what was asked, and what the sweep says."""
    results = material.results
    question = str(results.facts.get("question") or "").strip()
    blocks: list[Block] = [
        Text(question or f"Which configuration has the best {results.metric}?", "question")
    ]
    best = results.best
    if best is None:
        blocks.append(Text("No trial has finished an epoch, so there is no answer yet.", "answer"))
        blocks.append(Text(_counts(results)))
        return Section("answer", "Question and answer", blocks)
    blocks += [Text(sentence, "answer") for sentence in _sentences(material, best)]
    blocks.append(Text(_counts(results)))
    names = short_names(list(best.params))
    blocks.append(
        Table(
            f"The best configuration, {best.trial_id}: its searched values.",
            ("parameter", "value", "key"),
            [(names[path], plain(value), path) for path, value in best.params.items()],
        )
    )
    for path in (Path(BEST_FOLDER) / CONFIG_FILE, Path(TRIALS_FOLDER) / best.trial_id / CONFIG_FILE):
        if (results.folder / path).exists():
            blocks.append(Text("Train it again, from the sweep's folder:"))
            blocks.append(Code(f"python -m gisearch.train --config {path}"))
            break
    return Section("answer", "Question and answer", blocks)


def _sentences(material: Material, best: TrialRow) -> Iterator[str]:
    results = material.results
    assert best.value is not None
    trials = counted(len(results.rows), "trial")
    yield f"{best.trial_id} is the best of {trials}: {results.metric} = {score(best.value)}."
    ceiling = material.score_ceiling
    if ceiling is not None and ceiling > 0:
        yield (
            f"Measurement noise lets no model pass {score(ceiling)}; "
            f"the best reaches {percent(best.value / ceiling)} of that."
        )
    yield _against_baselines(results, best)
    confirmed = material.confirmation
    if confirmed is not None and confirmed.sentences:
        yield " ".join(("Confirmed.", *confirmed.sentences[:2]))
    else:
        yield (
            "Not confirmed: this is one score of one training run, and the best of many is partly luck; "
            "the next section says how to confirm it."
        )
    found = material.importances
    if found is not None:
        names = short_names([one.path for one in found.parameters])
        leading = [one for one in found.parameters[:_MATTERED] if one.share >= 0.05]
        if leading and not found.doubts:
            said = ", ".join(f"{names[one.path]} ({percent(one.share)})" for one in leading)
            yield f"What mattered most for the score: {said} of its variation."
        elif found.doubts:
            yield f"What mattered cannot be told yet. {found.doubts}"


def _against_baselines(results: SweepResults, best: TrialRow) -> str:
    baselines = [row for row in results.rows if row.facts.get("baseline")]
    scored = [row for row in baselines if row.value is not None]
    if not baselines:
        return "The search space names no baseline to compare with."
    if not scored:
        return "No baseline has a score to compare with."
    first = scored[0]
    if first.number == best.number:
        which = "the baseline" if len(baselines) == 1 else f"one of the {len(baselines)} baselines"
        return f"The best trial is {which}: the search found nothing better."
    assert best.value is not None
    assert first.value is not None
    gain = signed(best.value - first.value)
    count = counted(len(baselines), "baseline")
    return f"The best of {count}, {first.trial_id}, has {score(first.value)}: the search gained {gain}."


def _counts(results: SweepResults) -> str:
    found = (
        ("finished", "finished"),
        ("stopped_early", "stopped early"),
        ("reused", "reused an identical configuration's result"),
        ("failed", "failed"),
        ("running", "interrupted or still running"),
    )
    counts = [f"{results.count(status)} {words}" for status, words in found if results.count(status)]
    spent = sum(row.seconds for row in results.rows)
    return f"Trials: {', '.join(counts) or 'none yet'}; {seconds(spent)} of training in all."


def leaderboard_section(material: Material) -> Section:
    """Return every trial, best first."""
    results = material.results
    if not results.rows:
        return Section("leaderboard", "Leaderboard", [Text("No trial has started yet.", "missing")])
    keys = list(dict.fromkeys(key for row in results.rows for key in row.params))
    names = short_names(keys)
    front = {row.number for row in results.front}
    cost = [] if results.cost is None else [str(results.cost), "on front"]
    fixed = ["trial", "rank", results.metric, *cost, "status", "epochs", "time in s", "parameters"]
    rows = []
    for rank, row in enumerate(results.rows, 1):
        total = (row.facts.get("parameters") or {}).get("total")
        costs = []
        if results.cost is not None:
            costs = ["–" if row.cost is None else shown_cost(results.cost, row.cost)]
            costs.append("yes" if row.number in front else "")
        status = _STATUS.get(row.status, row.status)
        status += ", baseline" if row.facts.get("baseline") else ""
        status += f", replaced {row.replaced} times" if row.replaced else ""
        cells = [row.trial_id, str(rank), score(row.value), *costs, status, str(row.epochs)]
        cells += [f"{row.seconds:.1f}", "–" if total is None else f"{total:,}"]
        rows.append([*cells, *(plain(row.params[key]) if key in row.params else "" for key in keys)])
    numeric = {1, 2, len(fixed) - 3, len(fixed) - 2, len(fixed) - 1} | ({3} if cost else set())
    columns = [*fixed, *(names[key] for key in keys)]
    caption = (
        f"All trials by {results.metric}, the best first. An empty cell: the parameter did not exist in this "
        "trial. A stopped trial has the score that it had when it was stopped."
    )
    marked = frozenset({0}) if results.best else frozenset()
    return Section(
        "leaderboard",
        "Leaderboard",
        [Table(caption, columns, rows, frozenset(numeric), marked, sortable=True)],
    )
