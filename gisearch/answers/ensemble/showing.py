"""What an ensemble shows in the terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from gisearch.answers.ensemble.findings import EnsembleFindings
from gisearch.command_line import pasteable
from gisearch.search.folders import ENSEMBLE_FOLDER
from gisearch.search.results import SweepResults


def print_ensemble(found: EnsembleFindings, results: SweepResults, console: Console) -> None:
    """Show the members with their weights, what was found in words, and where to go on."""
    several = len(found.asked["sweeps"]) > 1
    table = Table(title=f"{results.name}: ensemble", title_justify="left")
    for column in (*(["sweep"] if several else []), "trial", "model"):
        table.add_column(column)
    for column in (f"val/{found.metric}", "weight"):
        table.add_column(column, justify="right", no_wrap=True)
    for one in found.members:
        name = one.trial + (
            " (best)" if (one.sweep, one.trial) == (found.best.sweep, found.best.trial) else ""
        )
        cells = (*([one.sweep] if several else []), name, one.model)
        table.add_row(*cells, f"{one.val:.4f}", f"{one.weight:.3f}")
    console.print()
    console.print(table)
    for reason in found.left_out:
        console.print(f"left out: {reason}", style="dim", highlight=False, soft_wrap=True)
    if found.noise_ceiling is not None:
        console.print(f"Noise ceiling of the test split: {found.noise_ceiling:.4f}", highlight=False)
    console.print()
    for sentence in found.sentences:
        console.print(f"- {sentence}", highlight=False, soft_wrap=True)


def print_next(found: EnsembleFindings, results: SweepResults, console: Console) -> None:
    """Say where the ensemble is, and how to use it."""
    predict = pasteable("predict", f"{results.handle}@ensemble", "genotypes.csv", "-o", "scores.csv")
    lines = [
        f"Saved: {results.folder / ENSEMBLE_FOLDER}",
        f"Predict: {predict}",
    ]
    if found.registered is not None:
        lines.append(f'Load it in Python: mlflow.pyfunc.load_model("{found.registered}")')
    console.print("\n" + "\n".join(lines), highlight=False, soft_wrap=True)
