"""The cell graph as tensors, and copies of it without what genotypes lost."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from gisearch.data.cell_graph import CellGraph
from gisearch.data.dataset import Dataset
from gisearch.data.metabolism import Metabolism
from gisearch.models.hetero.graph import CellTensors, Edges, normalised_stoichiometry


def one_reaction(*coefficients: float) -> Metabolism:
    count = len(coefficients)
    return Metabolism(
        reactions=("unused", "r"),
        metabolites=tuple(f"m{i}" for i in range(count)),
        incidence=np.stack([np.arange(count), np.ones(count, dtype=np.int64)]),
        stoichiometry=np.array(coefficients, dtype=np.float32),
        complex_reaction=np.empty(0, dtype=np.int64),
        complex_genes=np.empty(0, dtype=np.int64),
        complex_offsets=np.zeros(1, dtype=np.int64),
    )


def test_stoichiometry_is_one_for_usual_coefficients_and_moderate_for_extreme_ones() -> None:
    np.testing.assert_allclose(normalised_stoichiometry(one_reaction(-1, -1, 1)), [-1, -1, 1])
    np.testing.assert_allclose(normalised_stoichiometry(one_reaction(-1, -1, 1, 3)), [-1, -1, 1, 2])
    halfway = [-np.log2(1 + 2 / 3), np.log2(1 + 4 / 3)]  # the median of two is their mean
    np.testing.assert_allclose(normalised_stoichiometry(one_reaction(-2, 4)), halfway, rtol=1e-6)
    biomass = normalised_stoichiometry(one_reaction(-1e-6, -0.1, -0.2, -0.3, -55.3, 55.3))
    assert np.abs(biomass).max() < 10
    assert (np.sign(biomass) == [-1, -1, -1, -1, -1, 1]).all()


def test_the_scale_of_a_reaction_does_not_matter() -> None:
    one, tenfold = one_reaction(-1, 2, 5), one_reaction(-10, 20, 50)
    np.testing.assert_allclose(normalised_stoichiometry(one), normalised_stoichiometry(tenfold), rtol=1e-6)


def test_yeast_gem_is_within_a_few_units(make_dataset: Callable[..., Dataset], yeast_root: object) -> None:
    metabolism = make_dataset(
        "data=yeast", f"data.root={yeast_root}", "data.metabolism=true", "data.target=fitness"
    ).cell.metabolism
    assert metabolism is not None
    assert np.abs(metabolism.stoichiometry).max() > 50
    weight = normalised_stoichiometry(metabolism)
    assert np.isfinite(weight).all()
    assert np.abs(weight).max() < 16
    assert np.median(np.abs(weight)) == 1


def test_copies_hold_the_edges_between_kept_nodes() -> None:
    edges = Edges(torch.tensor([0, 1, 2, 2]), torch.tensor([1, 0, 1, 0]), torch.tensor([1.0, 2.0, 3.0, 4.0]))
    source_kept = torch.tensor([[True, True, True], [False, True, True], [True, True, False]])
    target_kept = torch.tensor([[True, True], [True, True], [True, False]])
    copies = edges.copies(source_kept, target_kept)
    assert copies.weight is not None
    triples = list(zip(copies.source.tolist(), copies.target.tolist(), copies.weight.tolist(), strict=True))
    assert triples == [
        (0, 1, 1.0),
        (1, 0, 2.0),
        (2, 1, 3.0),
        (2, 0, 4.0),
        (4, 2, 2.0),
        (5, 3, 3.0),
        (5, 2, 4.0),
        (7, 4, 2.0),
    ]


def test_degrees_count_both_directions_and_reactions(tiny_cell: CellGraph) -> None:
    assert tiny_cell.metabolism is not None
    networks = tiny_cell.select(["regulatory", "physical"])
    degrees = CellTensors(networks, tiny_cell.metabolism, tiny_cell.num_genes).wild_type().gene_degrees()
    assert degrees.shape == (tiny_cell.num_genes, 5)
    for gene in range(tiny_cell.num_genes):
        counts = [int((network.edges[row] == gene).sum()) for network in networks for row in (1, 0)]
        counts.append(int((tiny_cell.metabolism.gene_reaction[0] == gene).sum()))
        torch.testing.assert_close(degrees[gene], torch.tensor(counts, dtype=torch.float32).log1p())


def test_the_graph_is_no_part_of_the_state(tiny_cell: CellGraph) -> None:
    assert tiny_cell.metabolism is not None
    tensors = CellTensors(tiny_cell.select(None), tiny_cell.metabolism, tiny_cell.num_genes)
    assert tensors.state_dict() == {}
    assert len(tensors.wild_type().networks) == len(tiny_cell.networks)
