"""What a sweep shows in the terminal: its plan before, its results after."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from gisearch.command_line import pasteable
from gisearch.config import to_plain
from gisearch.search.cluster import WorkerNeeds
from gisearch.search.config import SearchConfig
from gisearch.search.effects import parameter_effects
from gisearch.search.folders import BEST_FOLDER, read_runs
from gisearch.search.model_options import MODEL
from gisearch.search.pareto import FRONT_FOLDER, shown_cost
from gisearch.search.plan import SweepPlan
from gisearch.search.results import SweepResults, TrialRow
from gisearch.tracking.config import TrackingConfig, resolve_uri
from gisearch.tracking.redact import redact_text
from gisearch.training.config import CONFIG_FILE


def print_plan(plan: SweepPlan, console: Console) -> None:
    """Show the resolved plan: parameters and conditions, budget, resources, where results go."""
    table = Table(
        "parameter", "values", "exists when", title=f"{plan.config.name}: {plan.source}", title_justify="left"
    )
    for parameter in plan.space.parameters:
        when = " and ".join(
            f"{path} is {' or '.join(map(json.dumps, allowed))}" for path, allowed in parameter.when.items()
        )
        table.add_row(parameter.path, str(parameter.domain), when or "always")
    console.print(table)
    search, size = plan.config.search, plan.space.size(limit=100_000)
    resources = str(WorkerNeeds.of(search, plan.config.trainer.workers))
    uri = redact_text(resolve_uri(plan.config.tracking)) if plan.config.tracking.enabled else "off"
    scheduler: str = search.scheduler
    if scheduler == "asha":
        scheduler += f" (from epoch {search.grace_epochs}, keeps 1 in {search.reduction_factor:g})"
    if scheduler == "pbt":
        scheduler = "none: the trials are the members of a population"
    facts = {
        "configurations": "infinitely many" if size is None else f"{size:,}",
        "baselines first": str(len(plan.baselines)),
        "trials": "all, once" if search.exhaustive else str(search.trials),
        "epochs per trial": f"at most {plan.max_epochs}",
        "objective": f"{plan.config.objective.metric} ({plan.config.objective.mode})"
        + ("" if plan.config.objective.cost == "none" else f" against {plan.config.objective.cost}"),
        "sampler": f"{search.sampler}, seed {search.seed}",
        "early stopping": scheduler,
        **_population(search),
        "resources per trial": resources,
        "limits": ", ".join(_limits(search)),
        "trials at a time": str(search.concurrency or "as many as the resources allow"),
        "results": str(Path(plan.config.results.dir) / plan.config.name),
        "tracking": uri,
    }
    for key, value in facts.items():
        console.print(Text.assemble((f"{key:20}", "bold"), f" {value}"), highlight=False, soft_wrap=True)
    for note in plan.notes:
        console.print(f"note: {note}", style="dim", highlight=False)
    console.print("\nEverything that is not searched:")
    for text in _unsearched(plan):
        console.print(Syntax(text, "yaml", background_color="default") if console.is_terminal else text)
    console.print("dry run: nothing was started.", highlight=False)


def _limits(search: SearchConfig) -> Iterator[str]:
    """Yield every limit in words: what was written as one thing and read as another shows here."""
    for limit, words in (
        (search.hours, "the sweep {:g} hours"),
        (search.gpu_hours, "the sweep {:g} GPU-hours"),
        (search.trial_minutes, "a trial {:g} minutes"),
        (search.stall_minutes, "{:g} minutes without an epoch"),
        (search.grace_seconds, "{:g} seconds to leave"),
        (search.max_retries, "{:g} retries of a trial"),
        (search.max_preemptions, "{:g} lost machines of a trial"),
        (search.num_kept, "checkpoints of {:g} trials"),
    ):
        if limit is not None:
            yield words.format(limit)


def _population(search: SearchConfig) -> dict[str, str]:
    if search.scheduler != "pbt":
        return {}
    share = f"{search.quantile:.0%}"
    how = f"every {search.perturbation_epochs} epochs, the last {share} go on from one of the first {share}"
    return {"population training": f"{search.trials} members; {how}"}


def _unsearched(plan: SweepPlan) -> Iterator[str]:
    """Yield the configuration as YAML, and where the model is searched the keys of the further models."""
    yield yaml.safe_dump(to_plain(plan.config.experiment), sort_keys=False)
    for name, experiment in plan.experiments.items():
        if name != plan.config.model.name:
            yield yaml.safe_dump({"model": to_plain(experiment.model)}, sort_keys=False)


def print_results(results: SweepResults, tracking: TrackingConfig, console: Console, top: int = 10) -> None:
    """Show the best trials, the best configuration, where it was saved, and how to open the MLflow UI."""
    counts = [
        f"{results.count(status)} {label}"
        for status, label in (
            ("finished", "finished"),
            ("stopped_early", "stopped early"),
            ("reused", "reused an identical configuration's result"),
            ("failed", "failed"),
            ("running", "interrupted"),
        )
        if results.count(status)
    ]
    console.print()
    for table in (*leaderboard(results, top, console.width), *pareto_table(results)):
        console.print(table)
    console.print(f"{len(results.rows)} trials: {', '.join(counts)}.", highlight=False)
    best = results.best
    if best is None:
        console.print("No trial finished an epoch; the reasons are in the table.", highlight=False)
        return
    ceiling = ""
    if results.noise_ceiling is not None and results.metric == "val/pearson":
        ceiling = f" (noise ceiling of the data: {results.noise_ceiling:.4f})"
    console.print(
        f"\nBest: {best.trial_id} with {results.metric} = {best.value:.4f}{ceiling}",
        style="bold",
        highlight=False,
    )
    for path, value in best.params.items():
        console.print(f"  {path}: {json.dumps(value)}", highlight=False, soft_wrap=True)
    if best.replaced:
        console.print(
            f"These are its last values: it took over another trial's state {best.replaced}x. What is saved "
            "are those of its best model; trained again with them alone, it need not reach the same.",
            style="dim",
            highlight=False,
        )
    config = results.folder / BEST_FOLDER / CONFIG_FILE
    front = results.folder / FRONT_FOLDER
    lines = []
    # On a full disk they are not there.
    if config.is_file():
        lines.append(f"Saved: {config}")
    if results.front and front.is_dir():
        lines.append(f"Saved: {front}/<trial>.yaml, the Pareto front's configurations")
    if config.is_file():
        lines.append(f"Train it again: {pasteable('train', '--config', config)}")
    verbs = ("report", "confirm", "ensemble")
    lines += [f"{verb.capitalize()}: {pasteable(verb, results.handle)}" for verb in verbs]
    if tracking.enabled:
        if model := read_runs(results.folder)["model"]:
            lines.append(f'Load it in Python: mlflow.pyfunc.load_model("{model}")')
        lines.append(f"Browse: {pasteable('ui', results.handle)}")
    console.print("\n" + "\n".join(lines), highlight=False, soft_wrap=True)


def print_effects(results: SweepResults, console: Console) -> None:
    """Show which choices mattered."""
    effects = parameter_effects(results)
    if not effects:
        return
    names = short_names([effect.path for effect in effects])
    table = Table("choice", "value", title="Which choices mattered", title_justify="left")
    for column in ("spread explained", "trials", f"median {results.metric}", "best"):
        table.add_column(column, justify="right")
    for effect in effects:
        for i, value in enumerate(effect.values):
            first = i == 0
            table.add_row(
                names[effect.path] if first else "",
                value.label,
                f"{effect.explained:.0%}" if first else "",
                str(value.trials),
                f"{value.median:.4f}",
                f"{value.best:.4f}",
                end_section=i == len(effect.values) - 1,
            )
    console.print()
    console.print(table)
    console.print(
        "A first look: trials of a search are neither balanced nor independent, and stopped trials had "
        "fewer epochs.",
        style="dim",
        highlight=False,
    )


def resume_hint(results: SweepResults) -> str:
    """Return how to continue an interrupted sweep."""
    return f"Interrupted; continue with: {pasteable('sweep', '--resume', results.handle)}"


def leaderboard(results: SweepResults, top: int, width: int) -> list[Table]:
    """Return the best trials as a table.

    A column per searched key where the terminal is wide enough; else the configurations of the best few
    stand in a second table, a row per key.
    """
    rows = results.rows[:top]
    names = short_names([key for row in rows for key in row.params])
    table = Table(title=f"{results.name}: best trials by {results.metric}", title_justify="left")
    for column in ("", "trial", results.metric, "status", "epochs", "seconds"):
        table.add_column(column, justify="left" if column in ("trial", "status") else "right", no_wrap=True)
    wide = width >= 62 + 13 * len(names)
    # Which model it was is worth its place in any terminal.
    columns = list(names) if wide else [key for key in names if key == MODEL]
    for key in columns:
        table.add_column(names[key], overflow="fold")
    for rank, row in enumerate(rows, 1):
        value = "-" if row.value is None else f"{row.value:.4f}"
        cells = [
            str(rank),
            row.trial_id,
            value,
            row.status.replace("_", " ") + (f", replaced {row.replaced}x" if row.replaced else ""),
            str(row.epochs),
            f"{row.seconds:.1f}",
        ]
        table.add_row(*cells, *(_cell(row, key) for key in columns))
    if wide:
        return [table]
    fitting = max(1, (width - 2 - max(map(len, names.values()), default=0)) // 15)
    shown = rows[: min(5, fitting)]
    details = Table("", *(row.trial_id for row in shown), title="their configurations", title_justify="left")
    for key, name in names.items():
        details.add_row(name, *(_cell(row, key) for row in shown))
    return [table, details]


def pareto_table(results: SweepResults) -> list[Table]:
    """Return the trials that no other beats in score and in cost as a table; none for a sweep without a cost.

    Its last column holds the keys in which they differ.
    """
    rows, cost = results.front, results.cost
    if cost is None or not rows:
        return []
    keys = list(dict.fromkeys(key for row in rows for key in row.params))
    names = short_names(keys)
    differing = [key for key in keys if len({_cell(row, key) for row in rows}) > 1]
    title = f"Pareto front: {results.metric} against {cost}"
    table = Table("trial", title=title, title_justify="left")
    for column in (results.metric, cost):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("where they differ", overflow="fold")
    for row in rows:
        values = ", ".join(f"{names[key]} {_cell(row, key)}" for key in differing if key in row.params)
        table.add_row(row.trial_id, f"{row.value:.4f}", shown_cost(cost, row.cost or 0.0), values)
    return [table]


def _cell(row: TrialRow, key: str) -> str:
    value: Any = row.params.get(key, "-")
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def short_names(paths: Sequence[str]) -> Mapping[str, str]:
    """Return the shortest trailing part that tells every path from the others."""
    unique = list(dict.fromkeys(paths))
    # `enabled` or `name` alone says nothing; what is enabled or named does.
    told = {path: re.sub(r"\.(enabled|name)$", "", path) for path in unique}
    ends = list(told.values())
    told = {path: end if ends.count(end) == 1 else path for path, end in told.items()}
    names = {}
    for path, end in told.items():
        parts = end.split(".")
        tails = (".".join(parts[-n:]) for n in range(1, len(parts) + 1))
        clear = (t for t in tails if sum(e == t or e.endswith(f".{t}") for e in told.values()) == 1)
        names[path] = next(clear, end)
    return names
