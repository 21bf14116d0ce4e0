"""The cell graph: one per organism, shared by everything, never copied per sample.

Shapes: N genes, E directed edges of a network, R reactions, M metabolites.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from gisearch.data.derived.names import switch_hint
from gisearch.data.gene_features import GeneFeatures
from gisearch.data.gene_names import GeneNames
from gisearch.data.metabolism import Metabolism
from gisearch.errors import DataError, nearest_name


@dataclass(frozen=True)
class Network:
    """One named gene-gene network as a directed edge list without duplicates or self-loops.

    Attributes:
        name: the network's name, used in configurations.
        edges: int64 [2, E], source row then target row, sorted by target and then source. An undirected
            network holds both directions.
        scores: float32 [E] in (0, 1], or None where the source gives none.
        directed: whether the source is directed.
    """

    name: str
    edges: npt.NDArray[np.int64]
    scores: npt.NDArray[np.float32] | None = None
    directed: bool = False

    @property
    def num_edges(self) -> int:
        """Number of directed edges E."""
        return int(self.edges.shape[1])

    @classmethod
    def from_pairs(
        cls,
        name: str,
        pairs: npt.ArrayLike,
        scores: npt.ArrayLike | None = None,
        *,
        directed: bool,
        num_genes: int,
    ) -> Network:
        """Build a network from gene index pairs [2, E], source row then target row; clean, symmetrise, sort.

        Self-loops are removed, duplicates merged (the highest score kept), and an undirected
        network gets both directions.

        Raises:
            DataError: the shape is not [2, E], an index is outside ``0..num_genes - 1``, or the scores are
                not E finite numbers.
        """
        edges = np.asarray(pairs, dtype=np.int64)
        if edges.ndim != 2 or edges.shape[0] != 2:
            raise DataError(f"network {name!r}: expected pairs of shape [2, E], got {list(edges.shape)}.")
        weight = None if scores is None else np.asarray(scores, dtype=np.float32)
        if weight is not None and weight.shape != (edges.shape[1],):
            raise DataError(f"network {name!r}: expected {edges.shape[1]} scores, got {list(weight.shape)}.")
        if weight is not None and not np.isfinite(weight).all():
            raise DataError(f"network {name!r}: scores must be finite numbers.")
        if edges.size and (edges.min() < 0 or edges.max() >= num_genes):
            raise DataError(
                f"network {name!r}: gene indices must be in 0..{num_genes - 1}, "
                f"got {edges.min()}..{edges.max()}."
            )
        if not directed:
            edges = np.concatenate([edges, edges[::-1]], axis=1)
            weight = None if weight is None else np.concatenate([weight, weight])
        keep = edges[0] != edges[1]
        edges, weight = edges[:, keep], None if weight is None else weight[keep]
        key = edges[1] * num_genes + edges[0]
        order = np.argsort(key, kind="stable") if weight is None else np.lexsort((-weight, key))
        first = np.ones(len(order), dtype=bool)
        first[1:] = key[order][1:] != key[order][:-1]
        order = order[first]
        return cls(
            name=name,
            edges=np.ascontiguousarray(edges[:, order]),
            scores=None if weight is None else weight[order],
            directed=directed,
        )


@dataclass(frozen=True)
class CellGraph:
    """Genes, any number of named networks and feature tables, and optionally metabolism.

    Attributes:
        names: the genes; position = index.
        networks: the networks by name, in the order they were given.
        metabolism: reactions, metabolites, gene rules and stoichiometry, or None.
        features: tables of numbers per gene by name, in the order they were given.
    """

    names: GeneNames
    networks: Mapping[str, Network] = field(default_factory=dict)
    metabolism: Metabolism | None = None
    features: Mapping[str, GeneFeatures] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for key, network in self.networks.items():
            if key != network.name:
                raise DataError(f"network {network.name!r} is stored under the name {key!r}.")
            if network.num_edges and network.edges.max() >= self.num_genes:
                raise DataError(f"network {key!r} refers to genes that the cell graph does not have.")
        for key, table in self.features.items():
            if key != table.name:
                raise DataError(f"gene features {table.name!r} are stored under the name {key!r}.")
            if table.num_genes != self.num_genes:
                raise DataError(
                    f"gene features {key!r} have {table.num_genes:,} rows; "
                    f"expected one for each of {self.num_genes:,} genes."
                )
        object.__setattr__(self, "networks", MappingProxyType(dict(self.networks)))
        object.__setattr__(self, "features", MappingProxyType(dict(self.features)))

    def __reduce__(self) -> tuple[object, ...]:
        return (type(self), (self.names, dict(self.networks), self.metabolism, dict(self.features)))

    @property
    def num_genes(self) -> int:
        """Number of genes N."""
        return len(self.names)

    def select(self, networks: Iterable[str] | None) -> tuple[Network, ...]:
        """Return the named networks (all for None), in the order asked for.

        Raises:
            DataError: a network is not in this cell graph; the message gives the nearest name.
        """
        if networks is None:
            return tuple(self.networks.values())
        chosen = []
        for name in networks:
            if name not in self.networks:
                raise DataError(
                    f"the data has no network {name!r} (it has: {', '.join(self.networks) or 'none'})."
                    f"{switch_hint(name) or nearest_name(name, self.networks)}"
                )
            chosen.append(self.networks[name])
        return tuple(chosen)

    def require(self, networks: Iterable[str] | None) -> tuple[Network, ...]:
        """Return the named networks (all for None), of which there must be one at least.

        Raises:
            DataError: there is none, or a named one is not in this cell graph.
        """
        chosen = self.select(networks)
        if not chosen:
            raise DataError("the data has no gene network, which this model needs; expected at least one.")
        return chosen

    def select_features(self, tables: Iterable[str] | None) -> tuple[GeneFeatures, ...]:
        """Return the named tables of gene features (all for None), in the order asked for.

        Raises:
            DataError: a table is not in this cell graph; the message gives the nearest name.
        """
        chosen = []
        for name in self.features if tables is None else tables:
            if name not in self.features:
                raise DataError(
                    f"the data has no gene features {name!r} (it has: {', '.join(self.features) or 'none'})."
                    f"{switch_hint(name) or nearest_name(name, self.features)}"
                )
            chosen.append(self.features[name])
        return tuple(chosen)

    def with_networks(self, *networks: Network) -> CellGraph:
        """Return this cell graph with further networks; one of the same name is replaced in its place.

        Raises:
            DataError: a network refers to genes that the cell graph does not have.
        """
        return replace(self, networks={**self.networks, **{network.name: network for network in networks}})

    def with_features(self, *tables: GeneFeatures) -> CellGraph:
        """Return this cell graph with further gene features; those of the same name are replaced.

        Raises:
            DataError: a table has not one row for each gene.
        """
        return replace(self, features={**self.features, **{table.name: table for table in tables}})

    def isolated_genes(self) -> npt.NDArray[np.int64]:
        """Return the indices of genes that no network touches, int64 [n]."""
        touched = np.zeros(self.num_genes, dtype=bool)
        for network in self.networks.values():
            touched[network.edges.ravel()] = True
        return np.flatnonzero(~touched)

    def digest(self) -> str:
        """Return a hash of the content: equal graphs have equal digests in any process."""
        hasher = hashlib.blake2b(digest_size=8)
        hasher.update("\n".join(self.names.systematic).encode())
        for network in self.networks.values():
            hasher.update(f"{network.name}/{network.directed}/{network.num_edges}".encode())
            hasher.update(np.ascontiguousarray(network.edges).tobytes())
            if network.scores is not None:
                hasher.update(network.scores.tobytes())
        if self.metabolism is not None:
            hasher.update(self.metabolism.digest().encode())
        for table in self.features.values():
            hasher.update(table.digest().encode())
        return hasher.hexdigest()
