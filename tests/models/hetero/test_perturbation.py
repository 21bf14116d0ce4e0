"""Deletions, by index and on copies of the graph, against a cell built without what was lost."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from gisearch.data.cell_graph import CellGraph, Network
from gisearch.data.gene_names import GeneNames
from gisearch.data.metabolism import Metabolism
from gisearch.models.batch import GenotypeBatch
from gisearch.models.hetero.config import HeteroEncoderConfig
from gisearch.models.hetero.encoder import HeteroEncoder
from gisearch.models.hetero.perturbation import HeteroCells, PooledPerturbation
from gisearch.models.layers.stages import StageMonitor

WIDTH = 8
GENOTYPES = [[3], [3, 8], [0, 21, 30], [12]]


def batch_of(genotypes: list[list[int]]) -> GenotypeBatch:
    return GenotypeBatch.from_table(np.array([genes + [-1] * (3 - len(genes)) for genes in genotypes]))


def make(cell: CellGraph, name: Any, metabolic: Any, layers: int = 2) -> tuple[HeteroEncoder, Any]:
    assert cell.metabolism is not None
    torch.manual_seed(0)
    config = HeteroEncoderConfig(num_layers=layers, num_heads=2)
    encoder = HeteroEncoder(cell, WIDTH, config, metabolic).double().eval()
    return encoder, PooledPerturbation(cell.metabolism, cell.num_genes, WIDTH, name).double().eval()


def encode(cell: CellGraph, name: Any, metabolic: Any, genotypes: list[list[int]]) -> HeteroCells:
    encoder, pooling = make(cell, name, metabolic)
    cells: HeteroCells = pooling(encoder, batch_of(genotypes), StageMonitor())
    return cells


def genes_that_stop_reactions(metabolism: Metabolism) -> list[list[int]]:
    """Genotypes of one or two genes, each of which disables a reaction."""
    singles = [[g] for g in np.unique(metabolism.complex_genes).tolist()]
    pairs = [
        np.unique(
            metabolism.complex_genes[
                np.repeat(metabolism.complex_reaction == r, np.diff(metabolism.complex_offsets))
            ]
        )[:3].tolist()
        for r in np.unique(metabolism.complex_reaction)
    ]
    return [genes for genes in singles + pairs if len(metabolism.disabled_reactions(genes))][:8]


def keep(number: int, lost: npt.ArrayLike) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64]]:
    """Return which of the nodes are kept, and their new numbers."""
    kept = np.ones(number, dtype=bool)
    kept[np.asarray(lost, dtype=np.int64)] = False
    return kept, np.cumsum(kept) - 1


def without(cell: CellGraph, deleted: list[int]) -> CellGraph:
    """Build the cell anew without genes, and without the reactions that they disable."""
    metabolism = cell.metabolism
    assert metabolism is not None
    genes, gene = keep(cell.num_genes, deleted)
    reactions, reaction = keep(len(metabolism.reactions), metabolism.disabled_reactions(deleted))
    networks = {
        name: Network(name, gene[network.edges[:, genes[network.edges].all(0)]])
        for name, network in cell.networks.items()
    }
    there = reactions[metabolism.incidence[1]]
    kept = [
        (reaction[r], [gene[g] for g in metabolism.complex_genes[start:end] if genes[g]])
        for r, start, end in zip(
            metabolism.complex_reaction,
            metabolism.complex_offsets[:-1],
            metabolism.complex_offsets[1:],
            strict=True,
        )
        if reactions[r]
    ]
    return CellGraph(
        GeneNames(tuple(n for n, there in zip(cell.names.systematic, genes, strict=True) if there)),
        networks,
        Metabolism(
            reactions=tuple(np.array(metabolism.reactions)[reactions].tolist()),
            metabolites=metabolism.metabolites,
            incidence=np.stack([metabolism.incidence[0][there], reaction[metabolism.incidence[1][there]]]),
            stoichiometry=metabolism.stoichiometry[there],
            complex_reaction=np.array([r for r, _ in kept], dtype=np.int64),
            complex_genes=np.array([g for _, members in kept for g in members], dtype=np.int64),
            complex_offsets=np.cumsum([0, *(len(members) for _, members in kept)]).astype(np.int64),
        ),
    )


def literal_change(cell: CellGraph, metabolic: Any, deleted: list[int]) -> Tensor:
    """Encode and pool a cell that was built without what the genotype lost."""
    encoder, pooling = make(cell, "index", metabolic)
    smaller = without(cell, deleted)
    assert cell.metabolism is not None
    mutant, _ = make(smaller, "index", metabolic)
    genes, _ = keep(cell.num_genes, deleted)
    reactions, _ = keep(len(cell.metabolism.reactions), cell.metabolism.disabled_reactions(deleted))
    state = encoder.state_dict()
    state["genes"], state["reactions"] = state["genes"][genes], state["reactions"][reactions]
    mutant.load_state_dict(state)
    mutant.mean_degrees, mutant.spread_degrees = encoder.mean_degrees, encoder.spread_degrees
    monitor = StageMonitor()
    before = encoder(encoder.cell.wild_type(), 1, monitor)
    after = mutant(mutant.cell.wild_type(), 1, monitor)
    return len(genes) * (pooling.genes(before.genes) - pooling.genes(after.genes)) + len(reactions) * (
        pooling.reactions(before.reactions) - pooling.reactions(after.reactions)
    )


@pytest.mark.parametrize("metabolic", ["hypergraph", "bipartite"])
def test_masked_copies_equal_cells_built_without_the_genes(metabolic: str, tiny_cell: CellGraph) -> None:
    assert tiny_cell.metabolism is not None
    genotypes = GENOTYPES + genes_that_stop_reactions(tiny_cell.metabolism)
    cells = encode(tiny_cell, "masked", metabolic, genotypes)
    expected = torch.cat([literal_change(tiny_cell, metabolic, genes) for genes in genotypes])
    torch.testing.assert_close(cells.change, expected, rtol=1e-8, atol=1e-8)
    by_index = encode(tiny_cell, "index", metabolic, genotypes)
    assert not torch.allclose(by_index.change, cells.change), "messages would tell the two apart"
    torch.testing.assert_close(by_index.wild_type, cells.wild_type)
    torch.testing.assert_close(by_index.deleted, cells.deleted)


@pytest.mark.parametrize("metabolic", ["hypergraph", "bipartite"])
def test_both_agree_on_a_gene_that_sends_to_nothing_that_stays(metabolic: str, tiny_cell: CellGraph) -> None:
    """Gene 5 is in no network, and alone runs reaction 2, which touches no metabolite."""
    metabolism = tiny_cell.metabolism
    assert metabolism is not None
    networks = {
        name: Network(name, network.edges[:, (network.edges != 5).all(0)])
        for name, network in tiny_cell.networks.items()
    }
    there = metabolism.incidence[1] != 2
    ruled = (metabolism.complex_reaction != 2) & (
        np.add.reduceat(metabolism.complex_genes == 5, metabolism.complex_offsets[:-1]) == 0
    )
    members = [
        metabolism.complex_genes[metabolism.complex_offsets[c] : metabolism.complex_offsets[c + 1]]
        for c in np.flatnonzero(ruled)
    ] + [np.array([5])]
    lonely = dataclasses.replace(
        metabolism,
        incidence=metabolism.incidence[:, there],
        stoichiometry=metabolism.stoichiometry[there],
        complex_reaction=np.append(metabolism.complex_reaction[ruled], 2),
        complex_genes=np.concatenate(members),
        complex_offsets=np.cumsum([0, *map(len, members)]),
    )
    assert lonely.disabled_reactions([5]).tolist() == [2]
    cell = CellGraph(tiny_cell.names, networks, lonely)
    index, masked = (encode(cell, name, metabolic, [[5]]) for name in ("index", "masked"))
    torch.testing.assert_close(index.change, masked.change, rtol=1e-8, atol=1e-8)
    assert index.change.abs().max() > 1e-3


def test_by_index_the_mutant_lacks_the_reactions_that_its_genes_ran(tiny_cell: CellGraph) -> None:
    metabolism = tiny_cell.metabolism
    assert metabolism is not None
    encoder, pooling = make(tiny_cell, "index", "hypergraph")
    monitor = StageMonitor()
    nodes = encoder(encoder.cell.wild_type(), 1, monitor)
    for genes in genes_that_stop_reactions(metabolism):
        genes_kept, _ = keep(tiny_cell.num_genes, genes)
        reactions_kept, _ = keep(len(metabolism.reactions), metabolism.disabled_reactions(genes))
        expected = len(genes_kept) * (pooling.genes(nodes.genes) - pooling.genes(nodes.genes[genes_kept]))
        expected = expected + len(reactions_kept) * (
            pooling.reactions(nodes.reactions) - pooling.reactions(nodes.reactions[reactions_kept])
        )
        cells = pooling(encoder, batch_of([genes]), monitor)
        torch.testing.assert_close(cells.change, expected, rtol=1e-8, atol=1e-8)
        torch.testing.assert_close(cells.mutant, cells.wild_type - expected, rtol=1e-8, atol=1e-8)


def test_deleted_embeddings_are_those_of_the_wild_type(tiny_cell: CellGraph) -> None:
    encoder, pooling = make(tiny_cell, "masked", "hypergraph")
    genes = encoder(encoder.cell.wild_type(), 1, StageMonitor()).genes
    cells = pooling(encoder, batch_of(GENOTYPES), StageMonitor())
    for row, deleted in enumerate(GENOTYPES):
        torch.testing.assert_close(cells.deleted[row, : len(deleted)], genes[deleted])
    assert cells.present.sum(1).tolist() == [1, 2, 3, 1]
