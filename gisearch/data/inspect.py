"""A summary of a dataset: what is in it, what was left out, how it is divided."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from gisearch.command_line import terminal
from gisearch.data.cell_graph import CellGraph, Network
from gisearch.data.dataset import Dataset
from gisearch.data.gene_features import GeneFeatures
from gisearch.data.genotypes import Genotypes
from gisearch.data.splits import PARTS

_NAMED = 5
_FILE_WIDTH = 120

# Key of the summary: heading of the table.
_NETWORK_COLUMNS = {
    "name": "network",
    "edges": "edges",
    "directed": "directed",
    "scores": "scores",
    "genes": "genes",
    "isolated_genes": "isolated",
    "mean_degree": "mean degree",
    "max_degree": "largest",
}
_FEATURE_COLUMNS = {
    "name": "features",
    "width": "numbers",
    "known": "genes",
    "missing": "without",
    "known_deleted": "deleted genes",
    "missing_deleted": "without",
    "known_unseen": "unseen in training",
    "missing_unseen": "without",
}
_LABEL_COLUMNS = {
    "name": "label",
    "kind": "kind",
    "measured": "measured",
    "mean": "mean",
    "std": "spread",
    "min": "lowest",
    "max": "highest",
    "positive": "ones",
}
_SPLIT_COLUMNS = {
    "part": "part",
    "genotypes": "genotypes",
    "by_order": "by deleted genes",
    "by_unseen_genes": "by unseen genes",
    "mean": "mean",
    "std": "spread",
    "noise_ceiling": "noise ceiling",
}


def summarise(dataset: Dataset, cell: CellGraph | None = None) -> dict[str, Any]:
    """Return everything that ``inspect`` shows, as plain values ready for JSON.

    Args:
        dataset: the data.
        cell: its cell graph with what is derived from the training part; None is that of the data alone.
    """
    cell, genotypes, split = cell or dataset.cell, dataset.genotypes, dataset.split
    labelled = ~np.isnan(genotypes.labels[dataset.target.name])
    return {
        "digest": dataset.digest(),
        "genes": cell.num_genes,
        "genes_in_no_network": len(cell.isolated_genes()),
        "networks": [_network(cell, network) for network in cell.networks.values()],
        "features": [_features(dataset, table) for table in cell.features.values()],
        "metabolism": _metabolism(cell),
        "genotypes": {"total": len(genotypes), "by_order": _counts(genotypes.order)},
        "labels": [_label(genotypes, name) for name in genotypes.labels],
        "target": {
            "name": dataset.target.name,
            "kind": dataset.target.kind,
            "metric": dataset.target.metric,
            "measured": int(labelled.sum()),
        },
        "split": {
            part: {
                "genotypes": len(split.part(part)),
                "by_order": _counts(genotypes.order[split.part(part)]),
                **_spread(dataset.values(part)),
                "by_unseen_genes": _counts(split.unseen[split.part(part)]),
            }
            for part in PARTS
        },
        "dropped_by_split": split.dropped,
        "noise_ceiling": None if dataset.noise_ceiling is None else dict(dataset.noise_ceiling),
        "sources": list(dataset.report.sources),
        "unresolved": {source: dict(names) for source, names in dataset.report.unresolved.items()},
        "notes": list(dataset.report.notes),
    }


def show(summary: Mapping[str, Any]) -> None:
    """Print a summary as tables."""
    from rich.text import Text

    console = terminal(highlight=False)
    if not console.is_terminal:
        console.width = _FILE_WIDTH
    counts = f": {summary['genes']:,} genes, {summary['genes_in_no_network']:,} in no network"
    console.print(Text.assemble(("Cell", "bold"), counts))
    if metabolism := summary["metabolism"]:
        counts = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in metabolism.items())
        console.print(Text.assemble(("Metabolism", "bold"), f": {counts}"))
    console.print()
    _table(console, "Networks", _NETWORK_COLUMNS, summary["networks"])
    if summary["features"]:
        _table(console, "Gene features", _FEATURE_COLUMNS, summary["features"])
    orders = {**summary["genotypes"]["by_order"], "all": summary["genotypes"]["total"]}
    rows = [{"deleted genes": order, "genotypes": count} for order, count in orders.items()]
    _table(console, "Genotypes", {name: name for name in rows[0]}, rows)
    _table(console, "Labels", _LABEL_COLUMNS, summary["labels"])
    target = summary["target"]
    ceiling = summary["noise_ceiling"] or {}
    parts = [
        {"part": part, "noise_ceiling": ceiling.get(part), **values}
        for part, values in summary["split"].items()
    ]
    title = f"Split for {target['name']} ({target['kind']}, searched by {target['metric']})"
    _table(console, title, _SPLIT_COLUMNS, parts)
    if summary["dropped_by_split"]:
        console.print(f"{summary['dropped_by_split']:,} labelled genotypes fit no part of the split\n")
    _lines(console, "Read", summary["sources"])
    unresolved = [f"{source}: {_names(names)}" for source, names in summary["unresolved"].items()]
    _lines(console, "Unknown gene names", unresolved or ["none"])
    _lines(console, "Notes", summary["notes"])


def _network(cell: CellGraph, network: Network) -> dict[str, Any]:
    degree = np.bincount(network.edges[0], minlength=cell.num_genes)
    if network.directed:
        degree = degree + np.bincount(network.edges[1], minlength=cell.num_genes)
    touched = int((degree > 0).sum())
    return {
        "name": network.name,
        "edges": network.num_edges,
        "directed": network.directed,
        "scores": network.scores is not None,
        "genes": touched,
        "isolated_genes": cell.num_genes - touched,
        "mean_degree": float(degree.mean()),
        "max_degree": int(degree.max(initial=0)),
    }


def _features(dataset: Dataset, table: GeneFeatures) -> dict[str, Any]:
    """Count the genes with a row: all, those that the split deletes, those that training does not."""
    deleted = {part: np.unique(dataset.genotypes.subset(dataset.split.part(part)).genes) for part in PARTS}
    every = np.unique(np.concatenate(list(deleted.values())))
    known, unseen = table.known[every], ~np.isin(every, deleted["train"])
    return {
        "name": table.name,
        "width": table.width,
        "known": int(table.known.sum()),
        "missing": int((~table.known).sum()),
        "known_deleted": int(known.sum()),
        "missing_deleted": int((~known).sum()),
        "known_unseen": int(known[unseen].sum()),
        "missing_unseen": int((~known[unseen]).sum()),
    }


def _metabolism(cell: CellGraph) -> dict[str, int] | None:
    if cell.metabolism is None:
        return None
    return {
        "reactions": len(cell.metabolism.reactions),
        "with_gene_rule": len(np.unique(cell.metabolism.complex_reaction)),
        "metabolites": len(cell.metabolism.metabolites),
        "genes": len(np.unique(cell.metabolism.complex_genes)),
        "incidences": len(cell.metabolism.stoichiometry),
        "gene_reaction_incidences": int(cell.metabolism.gene_reaction.shape[1]),
    }


def _label(genotypes: Genotypes, name: str) -> dict[str, Any]:
    values = genotypes.labels[name]
    values = values[~np.isnan(values)]
    kind = "binary" if name in genotypes.binary else "number"
    summary: dict[str, Any] = {"name": name, "kind": kind, "measured": len(values), **_spread(values)}
    if kind == "binary":
        summary["positive"] = int((values == 1).sum())
    return summary


def _spread(values: npt.NDArray[np.float32]) -> dict[str, float | None]:
    if not len(values):
        return dict.fromkeys(("mean", "std", "min", "max"))
    wide = values.astype(np.float64)
    return {
        "mean": float(wide.mean()),
        "std": float(wide.std()),
        "min": float(wide.min()),
        "max": float(wide.max()),
    }


def _counts(values: npt.NDArray[Any]) -> dict[str, int]:
    found, counts = np.unique(values, return_counts=True)
    return {str(value): int(count) for value, count in zip(found, counts, strict=True)}


def _names(names: Mapping[str, int]) -> str:
    most = sorted(names.items(), key=lambda item: (-item[1], item[0]))
    shown = ", ".join(f"{ascii(name)[1:-1]} (in {count:,} rows)" for name, count in most[:_NAMED])
    return shown + (f" and {len(most) - _NAMED:,} more" if len(most) > _NAMED else "")


def _lines(console: Any, title: str, lines: Sequence[str]) -> None:
    if lines:
        console.print(title, style="bold")
        for line in lines:
            console.print(f"  {line}", soft_wrap=True)
        console.print()


def _table(console: Any, title: str, columns: Mapping[str, str], rows: Sequence[Mapping[str, Any]]) -> None:
    """Print the keys ``columns`` of every row under their headings."""
    from rich import box
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, title_style="bold")
    for i, heading in enumerate(columns.values()):
        table.add_column(heading, justify="left" if i == 0 else "right", no_wrap=i == 0)
    for row in rows:
        table.add_row(*(_cell(row.get(key)) for key in columns))
    console.print(table)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3f}"
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {count:,}" for key, count in value.items())
    return f"{value:,}" if isinstance(value, int) else str(value)
