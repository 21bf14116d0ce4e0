"""The cell graph with what the training labels tell of its genes: for evaluation, and for each fold.

Everything comes from the training part alone. A genotype's own label must not reach its own prediction while
it trains: a model would learn to read it off. So training genotypes are divided into folds, each of which
trains on a cell graph that was derived from the others (cross-fitting; stacked generalisation, Wolpert 1992,
Neural Networks 5, 241-259). Validation, test and new genotypes see what the whole training part tells.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gisearch.data.cell_graph import CellGraph, Network
from gisearch.data.dataset import Dataset, Target
from gisearch.data.derived.config import DerivedConfig
from gisearch.data.derived.evidence import Evidence, Integers, derived_label
from gisearch.data.derived.folds import assign_folds
from gisearch.data.derived.names import (
    NEGATIVE,
    POSITIVE,
    PROFILE,
    PROFILE_FEATURES,
    SMOOTHED_PROFILE,
    TRIPLES,
)
from gisearch.data.derived.profiles import Profiles, nearest_network
from gisearch.data.derived.recent import Recent
from gisearch.data.derived.signed import signed_network
from gisearch.data.derived.smoothing import Smoothing
from gisearch.data.derived.triples import spare_triples, triple_network
from gisearch.data.gene_features import GeneFeatures
from gisearch.data.genotypes import Genotypes
from gisearch.errors import DataError
from gisearch.seeding import child_generator

# It takes seconds, and what trials differ in is rather the number of neighbours.
_smoothings = Recent[Smoothing](2)


@dataclass(frozen=True)
class DerivedCells:
    """A cell graph with derived parts, for whom they are.

    Attributes:
        whole: derived from the whole training part: for evaluation and prediction.
        folds: derived from all training genotypes but those of one fold: for training on that fold.
        fold: the fold of every training genotype, int64 [n_train].
    """

    whole: CellGraph
    folds: tuple[CellGraph, ...]
    fold: Integers


def derive(
    cell: CellGraph, genotypes: Genotypes, rows: Integers, target: Target, config: DerivedConfig
) -> CellGraph:
    """Return the cell graph with the networks and features that the labels of ``rows`` tell.

    Args:
        cell: the cell graph as the data gives it.
        genotypes: all genotypes.
        rows: whose labels may be read.
        target: the label that a model learns.
        config: what is asked for.

    Raises:
        DataError: see :func:`check_derived`.
    """
    label = check_derived(cell, genotypes, rows, target, config)
    return _Deriver(cell, genotypes, rows, label, config).cell(rows)


def derive_cells(dataset: Dataset, config: DerivedConfig) -> DerivedCells:
    """Return the cell graphs to train on, fold by fold, and the one to evaluate with.

    Raises:
        DataError: see :func:`check_derived`.
    """
    rows = dataset.split.train
    label = check_derived(dataset.cell, dataset.genotypes, rows, dataset.target, config)
    fold = assign_folds(dataset.genotypes, rows, label, config)
    deriver = _Deriver(dataset.cell, dataset.genotypes, rows, label, config)
    spare = spare_triples(dataset, label) if config.triples else rows[:0]
    folds = tuple(deriver.cell(np.append(rows[fold != i], spare)) for i in range(config.folds))
    return DerivedCells(deriver.cell(np.append(rows, spare)), folds, fold)


def check_derived(
    cell: CellGraph, genotypes: Genotypes, rows: Integers, target: Target, config: DerivedConfig
) -> str:
    """Check that everything that is asked for can be derived; return the label that it comes from.

    Raises:
        DataError: the label is not measured; too few training pairs have it; there are more folds than
            training genotypes; a network for smoothing is missing; the data has something of a derived name.
    """
    label = derived_label(genotypes, rows, target, config)
    if config.smooths:
        try:
            cell.require(config.profile.smoothing_networks)
        except DataError as error:
            raise DataError(f"derived.profile.smoothing_networks: {error}") from None
    for name in (*config.networks, *config.features):
        if name in cell.networks or name in cell.features:
            raise DataError(
                f"derived: the data has something called {name!r} already; expected another name there."
            )
    return label


def outline(cell: CellGraph, config: DerivedConfig) -> CellGraph:
    """Return the cell graph with what is asked for by name and shape, empty: enough to check a model with."""
    empty = np.zeros((2, 0), dtype=np.int64)
    unknown = np.zeros(cell.num_genes, dtype=bool)
    values = np.zeros((cell.num_genes, config.profile_features), dtype=np.float32)
    networks = [Network(name, empty) for name in config.networks]
    return cell.with_networks(*networks).with_features(
        *(GeneFeatures(name, values, unknown) for name in config.features)
    )


class _Deriver:
    """Derives from different rows of one training part, what depends on no label being computed once."""

    def __init__(
        self, cell: CellGraph, genotypes: Genotypes, rows: Integers, label: str, config: DerivedConfig
    ) -> None:
        self._cell, self._genotypes, self._label, self._config = cell, genotypes, label, config
        self._genes = Evidence.of(genotypes, rows, label).genes
        networks = cell.require(config.profile.smoothing_networks) if config.smooths else ()
        # The same for every fold, so that a coordinate means the same in all of them.
        noise = child_generator(config.seed, "derived", "projection").standard_normal(
            (len(networks) + 1, cell.num_genes, config.profile_features)
        )
        self._factor = noise[0, self._genes]
        self._smoothing: Smoothing | None = None
        if config.smooths:
            key = (
                cell.digest(),
                tuple(network.name for network in networks),
                self._genes.tobytes(),
                (config.profile.steps, config.profile_features, config.seed),
            )
            self._smoothing = _smoothings.get(
                key, lambda: Smoothing.of(networks, self._genes, config.profile.steps, noise)
            )
            if config.smooth_features:
                self._factor = self._smoothing.factor

    def cell(self, rows: Integers) -> CellGraph:
        """Return the cell graph with what the labels of ``rows`` tell."""
        evidence = Evidence.of(self._genotypes, rows, self._label)
        profiles = Profiles.of(evidence, self._genes)
        networks = [self._network(name, rows, evidence, profiles) for name in self._config.networks]
        cell = self._cell.with_networks(*networks)
        if PROFILE_FEATURES not in self._config.features:
            return cell
        return cell.with_features(profiles.features(PROFILE_FEATURES, self._factor, cell.num_genes))

    def _network(self, name: str, rows: Integers, evidence: Evidence, profiles: Profiles) -> Network:
        config, num_genes = self._config, self._cell.num_genes
        if name == TRIPLES:
            genotypes, label, threshold = self._genotypes, self._label, config.threshold
            return triple_network(name, genotypes, rows, label, num_genes, threshold=threshold)
        if name in (NEGATIVE, POSITIVE):
            high = name == POSITIVE
            return signed_network(name, evidence, num_genes, high=high, threshold=config.threshold)
        assert name in (PROFILE, SMOOTHED_PROFILE)
        smoothed = self._smoothing is not None and name == SMOOTHED_PROFILE
        closeness = self._smoothing.closeness if smoothed and self._smoothing else None
        return nearest_network(
            name,
            self._genes,
            profiles.similarity(closeness),
            num_genes,
            top_k=config.profile.top_k,
            least=config.profile.min_similarity,
        )
