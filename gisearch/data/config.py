"""The data configuration: one class per source, told apart by ``source``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, Field, model_validator
from pydantic.dataclasses import dataclass

from gisearch.composition import compose, defaults_of, text_kept
from gisearch.config import STRICT, build
from gisearch.data.builtin_features import BuiltinFeature
from gisearch.data.derived.config import DerivedConfig
from gisearch.data.labels import LabelRules
from gisearch.data.splits import SplitConfig
from gisearch.data.synthetic import DemoCellConfig
from gisearch.files import LocalPath

NetworkFormat: TypeAlias = Literal["edge_list", "string", "biogrid", "regulation"]
GenotypeFormat: TypeAlias = Literal[
    "genotype_table",
    "costanzo2016",
    "costanzo2016_strains",
    "costanzo2010",
    "baryshnikova2010",
    "emap",
    "kuzmin2018",
    "kuzmin2020",
]
FeatureFormat: TypeAlias = Literal["table", "npz", "parquet"]

YEAST_FILES = "genes.tsv, a genotype table such as kuzmin2018_significant.tsv.gz, and at least one network"

# Which options mean something for which format; the rest must stay unset.
_NETWORK_OPTIONS = {
    "edge_list": {"directed", "columns", "header", "score_column", "score_scale", "min_score"},
    "string": {"channels", "min_score"},
    "biogrid": {"interaction", "organism"},
    "regulation": set[str](),
}


@dataclass(frozen=True, kw_only=True, config=STRICT)
class NetworkFile:
    """One file with one network, or with one network per channel for ``string``.

    Attributes:
        path: the file; plain text, gzip, or a zip of one file.
        format: its upstream format.
        directed: whether the rows of an edge list are directed; by default only where the header names a
            regulator.
        columns: the two gene columns of an edge list; found from the header by default.
        header: whether an edge list has a header; without one the columns are ``"1"``, ``"2"``, ...
        score_column: the score of an edge list; found from the header by default.
        score_scale: the largest possible score of an edge list; scores are divided by it.
        min_score: rows with a lower score are left out; on the file's own scale (STRING: 0 to 1000).
        channels: the channels of STRING; the six that DANGO uses by default.
        interaction: which interactions of BioGRID.
        organism: NCBI taxonomy identifier in BioGRID; S. cerevisiae S288C by default.
    """

    path: LocalPath
    format: NetworkFormat = "edge_list"
    directed: bool | None = None
    columns: Annotated[list[str], Field(min_length=2, max_length=2)] | None = None
    header: bool | None = None
    score_column: str | None = None
    score_scale: Annotated[float, Field(gt=0)] | None = None
    min_score: Annotated[float, Field(ge=0)] | None = None
    channels: Annotated[list[str], Field(min_length=1)] | None = None
    interaction: Literal["physical", "genetic"] | None = None
    organism: Annotated[int, Field(gt=0)] | None = None

    @model_validator(mode="after")
    def _only_options_of_the_format(self) -> NetworkFile:
        every = set().union(*_NETWORK_OPTIONS.values())
        for option in sorted(every - _NETWORK_OPTIONS[self.format]):
            if getattr(self, option) is not None:
                raise ValueError(f"{option} means nothing for the format {self.format}; leave it out.")
        if self.format == "biogrid" and self.interaction is None:
            raise ValueError("interaction is required for the format biogrid: physical or genetic.")
        return self


@dataclass(frozen=True, kw_only=True, config=STRICT)
class GenotypeFile:
    """One file of genotypes with labels.

    Attributes:
        path: the file; plain text, gzip, or a zip of one file.
        format: its upstream format.
        columns: the one to three gene columns of a genotype table; ``gene1``, ``gene2``, ``gene3`` by
            default.
        labels: label name to column of a genotype table; ``fitness`` and ``gene_interaction`` by default.
        binary: columns of a genotype table that are labels of 0 or 1; by default all that hold nothing else.
        header: whether a genotype table has a header; without one the columns are ``"1"``, ``"2"``, ...
        duplicates: a genotype that is measured twice with different values is an error, or is averaged,
            over all files that say so; by default averaged for Costanzo's and Kuzmin's tables, where alleles
            differ, and an error otherwise.
    """

    path: LocalPath
    format: GenotypeFormat = "genotype_table"
    columns: Annotated[list[str], Field(min_length=1, max_length=3)] | None = None
    labels: dict[str, str] | None = None
    binary: list[str] | None = None
    header: bool | None = None
    duplicates: Literal["error", "mean"] | None = None

    @model_validator(mode="after")
    def _only_options_of_the_format(self) -> GenotypeFile:
        if self.format != "genotype_table":
            for option in ("columns", "labels", "binary", "header"):
                if getattr(self, option) is not None:
                    raise ValueError(f"{option} means nothing for the format {self.format}; leave it out.")
        if self.header is False and (self.columns is None or not (self.labels or self.binary)):
            raise ValueError(
                "header: false numbers the columns '1', '2', ...; name those of the genes and of a label, as "
                "in columns: ['1', '2'] and labels: {fitness: '3'}."
            )
        return self


@dataclass(frozen=True, kw_only=True, config=STRICT)
class FeatureFile:
    """One file with numbers about genes, one row a gene.

    Attributes:
        path: the file; text may be plain, gzip, or a zip of one file.
        format: a text table, NPZ, or Parquet; by default told by the file's name.
        gene_column: the column (of NPZ: the array) of gene names; by default ``gene``, ``systematic_name``
            and the like, or the first column.
        columns: the columns (of NPZ: the arrays) of numbers; by default all that hold numbers (of NPZ:
            ``values``).
        standardise: whether every column is given mean 0 and standard deviation 1 over the genes with a row.
    """

    path: LocalPath
    format: FeatureFormat | None = None
    gene_column: str | None = None
    columns: Annotated[list[str], Field(min_length=1)] | None = None
    standardise: bool = True


@dataclass(frozen=True, kw_only=True, config=STRICT)
class CommonData:
    """What every source has.

    Attributes:
        target: the label to learn; binary where its values are 0 or 1.
        labels: binary labels to make from measured ones, by name; each can be the target.
        max_p: genotypes of which the target's P is above this are left out; None for no limit.
        orders: numbers of deleted genes to learn from; by default every order that measures the target, and
            for a binary target every order that holds both classes.
        split: how genotypes are divided.
        seed: the seed of the split.
        features: files of gene features by name (docs/features.md).
        builtin_features: gene features that are derived from the rest of the data.
        laplacian_vectors: how many eigenvectors ``laplacian`` holds.
    """

    target: str = "gene_interaction"
    labels: LabelRules = Field(default_factory=dict)
    max_p: Annotated[float, Field(gt=0, lt=1)] | None = None
    orders: Annotated[list[Annotated[int, Field(ge=1, le=3)]], Field(min_length=1)] | None = None
    split: SplitConfig = Field(default_factory=SplitConfig)
    seed: int = Field(default=0, ge=0)
    features: dict[str, FeatureFile] = Field(default_factory=dict)
    builtin_features: list[BuiltinFeature] = Field(default_factory=list)
    laplacian_vectors: int = Field(default=16, ge=1, le=512)

    @model_validator(mode="after")
    def _every_feature_once(self) -> CommonData:
        names = [*self.features, *self.builtin_features]
        repeated = next((name for name in names if names.count(name) > 1), None)
        if repeated is not None:
            raise ValueError(f"two tables of gene features are called {repeated!r}; rename or remove one.")
        return self

    @model_validator(mode="after")
    def _both_classes_below_max_p(self) -> CommonData:
        rule = self.labels.get(self.target)
        if rule and self.max_p is not None and not rule.leaves_zeros(self.max_p):
            raise ValueError(
                f"max_p={self.max_p:g} leaves out every genotype that labels.{self.target}.zero_if makes 0; "
                "leave max_p out, because the rule has limits of its own on P."
            )
        return self


@dataclass(frozen=True, kw_only=True, config=STRICT)
class DemoData(CommonData):
    """A generated yeast-like cell.

    Attributes:
        source: ``demo``.
        cell: what to generate.
    """

    source: Literal["demo"] = "demo"
    cell: DemoCellConfig = Field(default_factory=DemoCellConfig)


def _require_root(root: str) -> str:
    if not root.strip():
        raise ValueError(f"a folder is required that holds {YEAST_FILES}; for example data.root=data/yeast.")
    return root


@dataclass(frozen=True, kw_only=True, config=STRICT)
class YeastData(CommonData):
    """A folder with plain tables of yeast data (see docs/data.md).

    Attributes:
        source: ``yeast``.
        root: the folder; a relative path starts at the working directory.
        networks: names of networks, each the beginning of a file name; by default every known one that is
            there.
        metabolism: whether to read yeast-GEM as well.
        target: the label to learn; of ``strong_negative`` the double deletions, because the table lists only
            negative triple deletions (see ``orders``).
        split: how genotypes are divided; a tenth each validates and tests by default.
        isolated_genes: what to do where a labelled genotype deletes a gene that no network holds.
        max_unknown: the largest share of a file's rows (0 to 1) that may be left out because their genes are
            unknown; 1 allows a network of which nothing is left.
    """

    source: Literal["yeast"] = "yeast"
    root: Annotated[LocalPath, AfterValidator(_require_root)] = Field(default="", validate_default=True)
    networks: Annotated[list[str], Field(min_length=1)] | None = None
    metabolism: bool = False
    target: str = "strong_negative"
    # With a handful of genotypes per gene, every training genotype counts.
    split: SplitConfig = Field(default_factory=lambda: SplitConfig(val=0.1, test=0.1))
    isolated_genes: Literal["keep", "error"] = "keep"
    max_unknown: float = Field(default=0.5, ge=0.0, le=1.0)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class TablesData(CommonData):
    """Your own files; relative paths start at the working directory.

    Attributes:
        source: ``tables``.
        genes: a table of gene names; without one, every name in the files is a gene of its own.
        networks: the networks' files by name.
        genotypes: the genotypes' files by name.
        metabolism: a metabolic model in YAML, SBML or JSON.
        isolated_genes: what to do where a labelled genotype deletes a gene that no network holds.
        max_unknown: the largest share of a file's rows (0 to 1) that may be left out because their genes are
            unknown; 1 allows a network of which nothing is left.
    """

    source: Literal["tables"] = "tables"
    genes: LocalPath | None = None
    networks: dict[str, NetworkFile] = Field(default_factory=dict)
    genotypes: dict[str, GenotypeFile] = Field(default_factory=dict)
    metabolism: LocalPath | None = None
    isolated_genes: Literal["keep", "error"] = "keep"
    max_unknown: float = Field(default=0.5, ge=0.0, le=1.0)


def started_in(config: DataConfig, folder: Path) -> DataConfig:
    """Return the configuration with relative paths that lead nowhere here, but do from another folder, found.

    Args:
        config: the configuration.
        folder: the working directory that its relative paths were written for.
    """

    def found(path: str) -> str:
        there = folder / path
        return str(there) if path and not Path(path).exists() and there.exists() else path

    features = {name: replace(file, path=found(file.path)) for name, file in config.features.items()}
    if config.split.path:
        config = replace(config, split=replace(config.split, path=found(config.split.path)))
    if isinstance(config, YeastData):
        return replace(config, root=found(config.root), features=features)
    if isinstance(config, TablesData):
        return replace(
            config,
            features=features,
            genes=config.genes and found(config.genes),
            networks={n: replace(file, path=found(file.path)) for n, file in config.networks.items()},
            genotypes={n: replace(file, path=found(file.path)) for n, file in config.genotypes.items()},
            metabolism=config.metabolism and found(config.metabolism),
        )
    return replace(config, features=features)


DataConfig: TypeAlias = Annotated[DemoData | YeastData | TablesData, Field(discriminator="source")]

SOURCES: dict[str, type[CommonData]] = {"demo": DemoData, "yeast": YeastData, "tables": TablesData}


def data_nodes() -> dict[str, dict[str, Any]]:
    """Return the defaults of every source as Hydra nodes, for the presets in ``conf/data/``."""
    return {f"data/{name}_defaults": defaults_of(cls) for name, cls in SOURCES.items()}


def compose_data(overrides: Sequence[str]) -> DataConfig:
    """Compose a data configuration alone: ``["data=yeast", "data.root=PATH"]``.

    Raises:
        ConfigError: an unknown source or key, or a value outside its limits.
    """
    return compose_derived(overrides)[0]


def compose_derived(overrides: Sequence[str]) -> tuple[DataConfig, DerivedConfig]:
    """Compose a data configuration, and what is derived: ``["data=yeast", "derived.positive=true"]``.

    Raises:
        ConfigError: an unknown source or key, or a value outside its limits.
    """
    nodes = {**data_nodes(), "derived/default": defaults_of(DerivedConfig)}
    adapter: Any = DataConfig
    values = compose(
        text_kept(overrides, adapter, "data"),
        nodes,
        {"defaults": [{"derived": "default"}, {"data": "demo"}, "_self_"]},
    )
    config: DataConfig = build(adapter, values["data"], "data")
    return config, build(DerivedConfig, values["derived"], "derived")
