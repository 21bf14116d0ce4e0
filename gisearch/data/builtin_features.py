"""Gene features that the data itself gives: places in the networks, and the fitness of single mutants.

Shapes: N genes, n genes of the largest component, B genotypes, k eigenvectors.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from gisearch.data.cell_graph import CellGraph, Network
from gisearch.data.gene_features import GeneFeatures
from gisearch.data.genotypes import Genotypes
from gisearch.data.splits import Split
from gisearch.errors import DataError
from gisearch.seeding import child_generator

BuiltinFeature: TypeAlias = Literal["degrees", "laplacian", "single_mutant_fitness"]

_FITNESS = "fitness"
# Below this many genes all eigenvectors are computed at once, which is exact and takes no longer.
_DENSE = 400
# Eigenvectors agree between machines to more digits than these, so that equal data has equal digests.
_DECIMALS = 4
# Rows shorter than this are rounding errors and stay as short as they are.
_SHORT = 1e-9


def builtin_features(
    chosen: Sequence[BuiltinFeature],
    cell: CellGraph,
    genotypes: Genotypes,
    split: Split,
    target: str,
    *,
    laplacian_vectors: int,
) -> tuple[GeneFeatures, ...]:
    """Derive the chosen tables, each under its own name.

    Args:
        chosen: which.
        cell: the genes and their networks.
        genotypes: every genotype.
        split: which of them train.
        target: the label to learn.
        laplacian_vectors: k of ``laplacian``.

    Raises:
        DataError: the data lacks what a table is derived from.
    """
    tables = []
    for name in chosen:
        match name:
            case "degrees":
                tables.append(degrees(cell))
            case "laplacian":
                tables.append(laplacian(cell, laplacian_vectors))
            case "single_mutant_fitness":
                tables.append(single_mutant_fitness(cell, genotypes, split, target))
    return tuple(tables)


def degrees(cell: CellGraph) -> GeneFeatures:
    """Return log(1 + degree) per network, standardised; of directed ones one column for each direction.

    Raises:
        DataError: there is no network.
    """
    columns = []
    for network in _networks(cell, "degrees"):
        ends = network.edges if network.directed else network.edges[1:]
        columns += [np.log1p(np.bincount(end, minlength=cell.num_genes)) for end in ends]
    return GeneFeatures.standardised("degrees", np.stack(columns, axis=1))


def laplacian(cell: CellGraph, k: int) -> GeneFeatures:
    """Return the k smoothest eigenvectors of the normalised Laplacian of all networks together.

    I - D^-1/2 A D^-1/2 of the union, without directions and scores; on its largest component, whose
    eigenvector to the eigenvalue 0 says no more than the degrees and is left out. Every vector's entry of
    largest magnitude is positive. A gene's row is divided by its length, without which a few genes would
    hold most of a vector; then every column is standardised. Genes outside have no row.
    Sources: Belkin and Niyogi 2003, Neural Computation 15(6); rows of length one: Ng, Jordan and Weiss 2002,
    NeurIPS 14.

    Raises:
        DataError: there is no network, or the component has no k such eigenvectors.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    edges = np.concatenate([network.edges for network in _networks(cell, "laplacian")], axis=1)
    both = np.concatenate([edges, edges[::-1]], axis=1)
    adjacency = coo_array((np.ones(both.shape[1]), tuple(both)), shape=(cell.num_genes,) * 2).tocsr()
    adjacency.data[:] = 1.0
    _, component = connected_components(adjacency, directed=False)
    inside = np.flatnonzero(component == np.bincount(component).argmax())
    if len(inside) <= k:
        raise DataError(
            f"data.laplacian_vectors: {k} eigenvectors of networks whose largest component has "
            f"{len(inside):,} genes; expected at most {len(inside) - 1}."
        )
    part = adjacency[inside][:, inside].tocoo()
    scale = 1 / np.sqrt(np.bincount(part.row, minlength=len(inside)))
    smooth = coo_array((scale[part.row] * scale[part.col], (part.row, part.col)), shape=part.shape).tocsr()
    vectors = _largest_eigenvectors(smooth, k + 1)[:, 1:]
    largest = np.abs(vectors).round(9).argmax(axis=0)
    vectors = vectors * np.sign(vectors[largest, np.arange(k)])
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    values, known = np.zeros((cell.num_genes, k)), np.zeros(cell.num_genes, dtype=bool)
    values[inside], known[inside] = vectors / np.maximum(length, _SHORT), True
    table = GeneFeatures.standardised("laplacian", values, known)
    # + 0.0 makes no difference but to a negative zero, which would have a digest of its own.
    return GeneFeatures("laplacian", table.values.round(_DECIMALS) + 0.0, known)


def single_mutant_fitness(cell: CellGraph, genotypes: Genotypes, split: Split, target: str) -> GeneFeatures:
    """Return the fitness of single deletions, standardised; a gene without a measurement has no row.

    A single deletion that measures the target too counts only where it trains. One that does not is in no
    part of the split: a measurement that is independent of what is predicted, and counts for every gene.

    Raises:
        DataError: no single deletion of known fitness is left.
    """
    fitness = genotypes.labels.get(_FITNESS, np.full(len(genotypes), np.nan, dtype=np.float32))
    usable = (genotypes.order == 1) & ~np.isnan(fitness)
    held_out = ~np.isnan(genotypes.labels[target])
    held_out[split.train] = False
    rows = np.flatnonzero(usable & ~held_out)
    if not len(rows):
        raise DataError(
            "data.builtin_features: single_mutant_fitness needs single deletions with the label 'fitness' "
            f"that train or do not measure {target!r}; the data has none."
        )
    genes = genotypes.genes[genotypes.offsets[rows]]
    values, known = np.zeros((cell.num_genes, 1)), np.zeros(cell.num_genes, dtype=bool)
    values[genes, 0], known[genes] = fitness[rows], True
    return GeneFeatures.standardised("single_mutant_fitness", values, known)


def _networks(cell: CellGraph, name: str) -> tuple[Network, ...]:
    networks = tuple(cell.networks.values())
    if not any(network.num_edges for network in networks):
        raise DataError(f"data.builtin_features: {name} needs a network with edges; the data has none.")
    return networks


def _largest_eigenvectors(matrix: Any, k: int) -> npt.NDArray[np.float64]:
    """Return the eigenvectors [n, k] of a symmetric sparse matrix, the largest eigenvalue first."""
    size = matrix.shape[0]
    if size <= max(_DENSE, 2 * k):
        values, vectors = np.linalg.eigh(matrix.toarray())
    else:
        from scipy.sparse.linalg import eigsh

        start = child_generator(0, "laplacian").standard_normal(size)
        values, vectors = eigsh(matrix, k=k, which="LA", v0=start)
    order = np.argsort(-values, kind="stable")[:k]
    return np.asarray(vectors[:, order], dtype=np.float64)
