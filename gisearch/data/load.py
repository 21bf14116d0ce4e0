"""From a data configuration to a dataset."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt

from gisearch.config import to_plain
from gisearch.data import cache
from gisearch.data.builtin_features import builtin_features
from gisearch.data.cell_graph import CellGraph
from gisearch.data.config import CommonData, DataConfig, DemoData, TablesData, YeastData
from gisearch.data.dataset import Dataset, LoadReport, Target
from gisearch.data.genotypes import Genotypes
from gisearch.data.labels import confident, make_labels
from gisearch.data.splits import PARTS, Rows, Split, split_genotypes, split_of_parts
from gisearch.data.synthetic import DemoCell, generate_demo_cell
from gisearch.data.unknown_names import examples
from gisearch.errors import DataError, nearest_name

_NAMED = 8


def load_dataset(config: DataConfig, *, use_cache: bool = True) -> Dataset:
    """Load or generate everything that one experiment learns from.

    Args:
        config: one of the data configurations.
        use_cache: whether tables that were read before come from the cache.

    Raises:
        DataError: a file is missing or wrong; the target is not measured; a part of the split is empty.
    """
    if isinstance(config, DemoData):
        demo = generate_demo_cell(config.cell)
        cell, genotypes, report = _with_labels(config, *_with_files(config, demo))
        split, target, notes = _split(config, cell, genotypes)
        ceiling = _noise_ceiling(demo, target, split)
    else:
        cell, genotypes, report = load_tables(config, use_cache=use_cache)
        split, target, notes = _split(config, cell, genotypes)
        notes += _isolated_note(config, cell, genotypes, split)
        ceiling = None
    cell = cell.with_features(
        *builtin_features(
            config.builtin_features,
            cell,
            genotypes,
            split,
            target.name,
            laplacian_vectors=config.laplacian_vectors,
        )
    )
    notes += _feature_notes(cell, genotypes, split)
    report = dataclasses.replace(report, notes=(*report.notes, *notes))
    return Dataset(cell, genotypes, split, target, noise_ceiling=ceiling, report=report)


def load_tables(
    config: YeastData | TablesData, *, use_cache: bool = True
) -> tuple[CellGraph, Genotypes, LoadReport]:
    """Read the files of a configuration, or recall them from the cache.

    Raises:
        DataError: a file is missing or wrong.
    """
    from gisearch.data.sources.yeast_folder import yeast_tables

    with _missing_explained(config):
        tables = yeast_tables(config) if isinstance(config, YeastData) else config
        loaded = _load(tables, use_cache=use_cache)
    return _with_labels(config, *loaded)


def _with_labels(
    config: CommonData, cell: CellGraph, genotypes: Genotypes, report: LoadReport
) -> tuple[CellGraph, Genotypes, LoadReport]:
    """Add the labels that are made: after the cache, so that one reading serves all limits."""
    genotypes, notes = make_labels(genotypes, config.labels)
    return cell, genotypes, dataclasses.replace(report, notes=(*report.notes, *notes))


def _load(config: TablesData, *, use_cache: bool) -> tuple[CellGraph, Genotypes, LoadReport]:
    from gisearch.data.sources.assemble import assemble, input_files

    key = None
    if use_cache:
        settings = {
            name: value
            for name, value in to_plain(config).items()
            if name in ("genes", "networks", "genotypes", "metabolism", "features")
        }
        try:
            key = cache.cache_key(input_files(config), settings)
        except OSError:
            key = None  # a file is missing: the reader says which
        known = cache.recall(key) if key else None
        if known:
            _check_left_out(config, *known)
            return known
    loaded = assemble(config)
    _check_left_out(config, *loaded)
    if key:
        cache.store(key, *loaded)
    return loaded


@contextmanager
def _missing_explained(config: DataConfig) -> Iterator[None]:
    """Have the error about a missing file say from which folder its relative path was followed."""
    try:
        yield
    except DataError as error:
        paths = [table.path for table in config.features.values()]
        paths += [config.split.path] if config.split.path else []
        if isinstance(config, YeastData):
            paths.append(config.root)
        elif isinstance(config, TablesData):
            paths += [path for path in (config.genes, config.metabolism) if path]
            paths += [network.path for network in config.networks.values()]
            paths += [table.path for table in config.genotypes.values()]
        if all(Path(path).is_absolute() or Path(path).exists() for path in paths):
            raise
        raise DataError(f"{error} Relative paths start at {Path.cwd()}.") from None


def _check_left_out(config: TablesData, cell: CellGraph, genotypes: Genotypes, report: LoadReport) -> None:
    """Raise DataError where more of a file was left out for unknown genes than ``max_unknown`` allows."""
    lifted = "data.max_unknown=1 lifts this"
    for part in report.left_out:
        if part.share > config.max_unknown:
            known = f"the genes of {config.genes}" if config.genes else "the genes"
            raise DataError(
                f"{part} were left out: their names are not among {known}, such as "
                f"{examples(part.names)}{part.hint}; expected at most {config.max_unknown:.0%} "
                f"(data.max_unknown) to be left out; {lifted}."
            )
    if config.genes or config.max_unknown == 1:
        return
    # Where every name is a gene, files in different identifiers share none.
    deleted = np.unique(genotypes.genes)
    for network in cell.networks.values():
        genes = np.unique(network.edges)
        if len(genes) and not np.isin(genes, deleted).any():
            here, there = (
                ", ".join(cell.names.systematic[g] for g in some[:3].tolist()) for some in (genes, deleted)
            )
            raise DataError(
                f"network {network.name}: none of its {len(genes):,} genes ({here}, ...) is deleted in any "
                f"genotype ({there}, ...); expected the same names in both, or a table of gene names in "
                f"data.genes; {lifted}."
            )


def _split(config: DataConfig, cell: CellGraph, genotypes: Genotypes) -> tuple[Split, Target, list[str]]:
    """Choose the genotypes that measure the target, and divide them; return also notes for the report."""
    name = config.target
    measured = [label for label, values in genotypes.labels.items() if not np.isnan(values).all()]
    if name not in measured:
        raise DataError(
            f"data.target: {name!r} is not measured in this data (it has: {', '.join(measured) or 'none'})."
            f"{nearest_name(name, measured)}"
        )
    values = genotypes.labels[name]
    kept, notes = confident(genotypes, name, config.labels.get(name), config.max_p)
    values = np.where(kept, values, np.float32(np.nan))
    labelled = ~np.isnan(values)
    binary = name in genotypes.binary
    orders = config.orders or [1, 2, 3]
    if binary and config.orders is None:
        orders, more = _orders_with_both_classes(name, values, genotypes.order)
        notes += more
    rows = np.flatnonzero(labelled & np.isin(genotypes.order, orders))
    if not len(rows):
        found = np.bincount(genotypes.order[labelled], minlength=4)
        there = ", ".join(f"{order} ({count:,})" for order, count in enumerate(found) if count)
        raise DataError(
            f"data.orders: no genotype of order {', '.join(map(str, orders))} measures {name!r}; "
            f"those that do have order {there}."
        )
    target = Target(name, "binary" if binary else "regression")
    if config.split.strategy == "file":
        split, more = _pinned_split(config, cell, genotypes, rows)
        return split, target, notes + more
    stratify = values[rows] if binary else None
    return split_genotypes(genotypes, rows, config.split, config.seed, stratify), target, notes


def _pinned_split(
    config: DataConfig, cell: CellGraph, genotypes: Genotypes, rows: Rows
) -> tuple[Split, list[str]]:
    from gisearch.data.split_file import read_split

    with _missing_explained(config):
        part, notes = read_split(config.split.path or "", cell.names, genotypes, rows, config.target)
    return split_of_parts(genotypes, rows, part), notes


def _orders_with_both_classes(
    name: str, values: npt.NDArray[np.float32], order: npt.NDArray[np.int64]
) -> tuple[list[int], list[str]]:
    """Return the orders to learn a binary target from; one that holds a single class teaches nothing."""
    measured = [k for k in (1, 2, 3) if not np.isnan(values[order == k]).all()]
    both = [k for k in measured if np.nanmin(values[order == k]) < np.nanmax(values[order == k])]
    left_out = [k for k in measured if k not in both]
    if not both or not left_out:
        return measured, []
    single = int((np.isin(order, left_out) & ~np.isnan(values)).sum())
    return both, [
        f"target {name}: genotypes of order {', '.join(map(str, both))} only, because all {single:,} "
        f"of order {', '.join(map(str, left_out))} belong to one class; set data.orders to change that"
    ]


def _isolated_note(
    config: YeastData | TablesData, cell: CellGraph, genotypes: Genotypes, split: Split
) -> list[str]:
    """Count the genes of the split's genotypes that no network holds."""
    isolated = np.isin(genotypes.genes, cell.isolated_genes())
    used = np.zeros(len(genotypes), dtype=bool)
    used[np.concatenate([split.part(part) for part in PARTS])] = True
    touched = isolated & used[genotypes.genotype_of_gene]
    genes = np.unique(genotypes.genes[touched])
    if not len(genes):
        return []
    number = len(np.unique(genotypes.genotype_of_gene[touched]))
    names = ", ".join(cell.names.systematic[gene] for gene in genes[:_NAMED])
    more = f" and {len(genes) - _NAMED:,} more" if len(genes) > _NAMED else ""
    message = (
        f"gene in no network: {len(genes):,} genes of {number:,} labelled genotypes are in no network "
        f"({names}{more})"
    )
    if config.isolated_genes == "error":
        raise DataError(f"{message}; add a network that holds them or set data.isolated_genes=keep.")
    return [message]


def _feature_notes(cell: CellGraph, genotypes: Genotypes, split: Split) -> list[str]:
    """Count the genes that every table of features knows, of the cell and of the split's genotypes."""
    if not cell.features:
        return []
    parts = genotypes.subset(np.concatenate([split.part(part) for part in PARTS]))
    deleted = np.unique(parts.genes)
    genes = f"of {cell.num_genes:,} genes"
    return [
        f"features {table.name}: {table.width:,} numbers for {table.known.sum():,} {genes}, "
        f"for {table.known[deleted].sum():,} of the {len(deleted):,} that labelled genotypes delete"
        for table in cell.features.values()
    ]


def _with_files(config: DemoData, demo: DemoCell) -> tuple[CellGraph, Genotypes, LoadReport]:
    """Return the demo cell with the gene features of files."""
    report = _demo_report(demo)
    if not config.features:
        return demo.cell, demo.genotypes, report
    from gisearch.data.sources.assemble import read_features

    with _missing_explained(config):
        tables, read = read_features(config.features, demo.cell.names)
    for name in tables:
        if name in demo.cell.features:
            raise DataError(
                f"data.features: the demo cell has a table {name!r} of its own; rename the file's."
            )
    report = LoadReport((*report.sources, *read.sources), read.unresolved, read.notes)
    return demo.cell.with_features(*tables.values()), demo.genotypes, report


def _demo_report(demo: DemoCell) -> LoadReport:
    cell = demo.cell
    lines = [f"genes: {cell.num_genes:,} generated"]
    lines += [
        f"network {network.name}: {network.num_edges:,} generated edges" for network in cell.networks.values()
    ]
    lines.append(f"genotypes: {len(demo.genotypes):,} generated")
    lines += [f"features {table.name}: {table.width:,} generated numbers" for table in cell.features.values()]
    return LoadReport(sources=tuple(lines))


def _noise_ceiling(demo: DemoCell, target: Target, split: Split) -> Mapping[str, float] | None:
    if target.name not in demo.true_labels:
        return None
    # A part of fewer than two genotypes has no correlation.
    return {
        part: demo.noise_ceiling(target.name, split.part(part)) for part in PARTS if len(split.part(part)) > 1
    }
