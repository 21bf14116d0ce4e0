"""Files to a cell graph and genotypes: read each by its format, then resolve all names once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from gisearch.data.cell_graph import CellGraph, Network
from gisearch.data.config import FeatureFile, GenotypeFile, NetworkFile, TablesData
from gisearch.data.dataset import LeftOut, LoadReport
from gisearch.data.gene_features import GeneFeatures
from gisearch.data.gene_names import GeneNames
from gisearch.data.genotypes import Genotypes
from gisearch.data.sources.biogrid import ORGANISM, read_biogrid
from gisearch.data.sources.costanzo2010 import read_baryshnikova2010, read_costanzo2010
from gisearch.data.sources.costanzo2016 import read_costanzo2016, read_costanzo2016_strains
from gisearch.data.sources.edge_list import read_edge_list
from gisearch.data.sources.emap import read_emap
from gisearch.data.sources.feature_table import (
    format_of,
    read_feature_npz,
    read_feature_parquet,
    read_feature_table,
)
from gisearch.data.sources.gem import read_gem
from gisearch.data.sources.genotype_table import read_genotype_table
from gisearch.data.sources.kuzmin2018 import read_kuzmin2018
from gisearch.data.sources.kuzmin2020 import read_kuzmin2020
from gisearch.data.sources.named_edges import NamedEdges
from gisearch.data.sources.named_features import NamedFeatures
from gisearch.data.sources.named_genotypes import NamedGenotypes, resolve_genotypes
from gisearch.data.sources.regulation import read_regulation
from gisearch.data.sources.sgd_names import read_gene_names
from gisearch.data.sources.string_links import CHANNELS, read_string_links
from gisearch.errors import DataError

# Releases of screens, where alleles of one gene set are averaged by default.
_SCREENS = {
    "baryshnikova2010": read_baryshnikova2010,
    "costanzo2010": read_costanzo2010,
    "costanzo2016": read_costanzo2016,
    "costanzo2016_strains": read_costanzo2016_strains,
    "emap": read_emap,
    "kuzmin2018": read_kuzmin2018,
    "kuzmin2020": read_kuzmin2020,
}


def assemble(config: TablesData) -> tuple[CellGraph, Genotypes, LoadReport]:
    """Read every file of ``config``.

    Raises:
        DataError: no network or genotype file is given, or whatever a reader finds wrong.
    """
    for key, files in (("networks", config.networks), ("genotypes", config.genotypes)):
        if not files:
            raise DataError(f"data.{key}: at least one file is required (see docs/data.md).")
    edges = [network for name, file in config.networks.items() for network in _read_network(name, file)]
    tables = [_read_genotypes(file) for file in config.genotypes.values()]
    model = read_gem(config.metabolism) if config.metabolism else None
    if config.genes:
        names = read_gene_names(config.genes)
        sources = [f"genes: {len(names):,} of {Path(config.genes).name}"]
    else:
        vocabularies = [e.vocabulary for e in edges] + [t.vocabulary for t in tables]
        names = _names_of([*vocabularies, model.vocabulary if model else ()])
        sources = [f"genes: {len(names):,} different names in the files, without a table of gene names"]

    unresolved: dict[str, Counter[str]] = {}
    notes: list[str] = []
    lost: list[LeftOut | None] = []
    networks: dict[str, Network] = {}
    for named in edges:
        resolved = named.resolve(names)
        if named.name in networks:
            raise DataError(f"data.networks: two networks are called {named.name!r}; rename one.")
        networks[named.name] = resolved.network
        sources.append(resolved.summary)
        notes += named.notes
        lost.append(resolved.left_out)
        if resolved.unresolved:
            unresolved[f"network {named.name}"] = resolved.unresolved
    metabolism = None
    if model:
        metabolism, unknown, summary = model.resolve(names)
        sources.append(summary)
        if unknown:
            unresolved["metabolism"] = unknown
            notes.append(model.immortal(unknown))
            lost.append(model.left_out(unknown, names))
    genotypes = resolve_genotypes(tables, names)
    features, of_features = read_features(config.features, names)
    unresolved |= {f"genotypes {name}": count for name, count in genotypes.unresolved.items()}
    lost += genotypes.left_out
    report = LoadReport(
        sources=(*sources, *genotypes.summaries, *of_features.sources),
        unresolved={**unresolved, **of_features.unresolved},
        notes=(*notes, *genotypes.notes, *of_features.notes),
        left_out=tuple(part for part in lost if part is not None),
    )
    return CellGraph(names, networks, metabolism, features), genotypes.genotypes, report


def read_features(
    files: Mapping[str, FeatureFile], names: GeneNames
) -> tuple[dict[str, GeneFeatures], LoadReport]:
    """Read files of gene features for the genes ``names``; return the tables by name and what happened.

    Raises:
        DataError: whatever a reader finds wrong, or a file is about no known gene.
    """
    tables: dict[str, GeneFeatures] = {}
    sources, notes, unresolved = list[str](), list[str](), dict[str, Counter[str]]()
    for name, file in files.items():
        named = _read_features(name, file)
        resolved = named.resolve(names, standardise=file.standardise)
        tables[name] = resolved.features
        sources.append(resolved.summary)
        notes += named.notes
        if resolved.unresolved:
            unresolved[f"features {name}"] = resolved.unresolved
    return tables, LoadReport(tuple(sources), unresolved, tuple(notes))


def input_files(config: TablesData) -> list[Path]:
    """Return every file that ``config`` reads."""
    optional = [config.genes, config.metabolism]
    networks = [file.path for file in config.networks.values()]
    listed = [*networks, *(file.path for file in config.genotypes.values())]
    listed += [file.path for file in config.features.values()]
    return [Path(path).expanduser() for path in (*listed, *optional) if path]


def _read_network(name: str, file: NetworkFile) -> list[NamedEdges]:
    if file.format == "string":
        return read_string_links(
            file.path, name, channels=file.channels or CHANNELS, min_score=file.min_score
        )
    if file.format == "biogrid":
        interaction = file.interaction or "physical"
        return [read_biogrid(file.path, name, interaction=interaction, organism=file.organism or ORGANISM)]
    if file.format == "regulation":
        return [read_regulation(file.path, name)]
    source, target = file.columns or (None, None)
    return [
        read_edge_list(
            file.path,
            name,
            directed=file.directed,
            source_column=source,
            target_column=target,
            score_column=file.score_column,
            min_score=file.min_score,
            score_scale=file.score_scale or 1.0,
            has_header=file.header is not False,
        )
    ]


def _read_genotypes(file: GenotypeFile) -> NamedGenotypes:
    if reader := _SCREENS.get(file.format):
        return reader(file.path, duplicates=file.duplicates or "mean")
    return read_genotype_table(
        file.path,
        gene_columns=file.columns,
        labels=file.labels,
        binary=file.binary,
        duplicates=file.duplicates or "error",
        has_header=file.header is not False,
    )


def _read_features(name: str, file: FeatureFile) -> NamedFeatures:
    readers = {"table": read_feature_table, "npz": read_feature_npz, "parquet": read_feature_parquet}
    read = readers[file.format or format_of(file.path)]
    return read(file.path, name, gene_column=file.gene_column, columns=file.columns)


def _names_of(vocabularies: Iterable[Iterable[str]]) -> GeneNames:
    """Return all names, sorted; those that differ in case only are one gene."""
    spelling: dict[str, str] = {}
    for vocabulary in vocabularies:
        for name in vocabulary:
            spelling.setdefault(name.upper(), name)
    return GeneNames(tuple(spelling[name] for name in sorted(spelling)))
