"""What genes start with: embeddings as before, mapped features, or both."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
import torch

from gisearch.config import assign, build
from gisearch.data.cell_graph import CellGraph
from gisearch.data.dataset import Dataset, Target
from gisearch.data.gene_features import GeneFeatures
from gisearch.errors import DataError
from gisearch.models.layers.config import EncoderConfig, GeneInputsConfig
from gisearch.models.layers.encoder import EMBEDDING_STD, Encoder
from gisearch.models.layers.gene_inputs import GeneFeatureInputs, embedding_of, features_of, gene_inputs
from gisearch.models.layers.stages import StageMonitor
from gisearch.models.registry import MODELS
from gisearch.training.config import ExperimentConfig
from gisearch.training.experiment import run_experiment

READING = {
    "dango_gi": "encoder.",
    "diffusion": "encoder.",
    "dango": "",
    "hetero_cell": "encoder.",
    "hetero_cell_bipartite": "encoder.",
    "bilinear": "",
    "additive": "",
}
TARGET = Target("fitness", "regression")


def table(cell: CellGraph, name: str = "codons", width: int = 3, missing: int = 4) -> GeneFeatures:
    values = np.random.default_rng(width).standard_normal((cell.num_genes, width))
    return GeneFeatures.standardised(name, values, np.arange(cell.num_genes) >= missing)


@pytest.fixture
def cell(tiny_cell: CellGraph) -> CellGraph:
    return tiny_cell.with_features(table(tiny_cell), table(tiny_cell, "place", 2, missing=0))


def test_tables_are_mapped_and_added_and_missing_genes_share_a_learnt_vector(cell: CellGraph) -> None:
    torch.manual_seed(0)
    inputs = GeneFeatureInputs(cell.select_features(None), 8, std=1.0)
    found = inputs()
    codons, place = inputs.tables
    of_codons, of_place = (
        torch.tensor(cell.features[name].values) @ module.weight.T / cell.features[name].width ** 0.5
        for name, module in (("codons", codons), ("place", place))
    )
    expected = inputs.bias + (of_codons + of_place) / 2**0.5
    torch.testing.assert_close(found[4:], expected[4:])
    torch.testing.assert_close(found[:4], inputs.bias + (codons.missing + of_place[:4]) / 2**0.5)
    assert place.missing is None


def test_first_vectors_are_as_long_as_embeddings(cell: CellGraph) -> None:
    torch.manual_seed(0)
    wide = table(cell, "wide", 100, missing=0)
    for tables in ((wide,), (wide, table(cell, "other", 30, missing=10), table(cell, "narrow", 1))):
        found = GeneFeatureInputs(tables, 256, std=EMBEDDING_STD)()
        assert found.std().item() == pytest.approx(EMBEDDING_STD, rel=0.2)


def test_every_weight_has_a_gradient(cell: CellGraph) -> None:
    inputs = GeneFeatureInputs(cell.select_features(None), 8, std=1.0)
    inputs().square().sum().backward()
    assert {name for name, p in inputs.named_parameters() if p.grad is not None and p.grad.any()} == {
        "bias",
        "tables.0.weight",
        "tables.0.missing",
        "tables.1.weight",
    }


def test_embeddings_alone_are_drawn_as_ever_and_read_no_feature(cell: CellGraph) -> None:
    config = GeneInputsConfig()
    torch.manual_seed(3)
    embedding = embedding_of(config, cell.num_genes, 8, 0.5)
    torch.manual_seed(3)
    assert embedding is not None
    assert torch.equal(embedding, torch.randn(cell.num_genes, 8) * 0.5)
    assert features_of(config, cell, 8, 0.5) is None
    assert gene_inputs(embedding, None) is embedding


@pytest.mark.parametrize("name", READING)
def test_features_in_the_data_change_nothing_of_a_model_that_reads_embeddings(
    name: str, tiny_cell: CellGraph, cell: CellGraph
) -> None:
    """Checkpoints from before there were features load, and training draws the same numbers."""
    states = []
    for one in (tiny_cell, cell):
        torch.manual_seed(0)
        states.append(build(MODELS[name], {}).build(one, TARGET).state_dict())
    assert list(states[0]) == list(states[1])
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
    assert not any("features" in key for key in states[0])


@pytest.mark.parametrize("name", READING)
@pytest.mark.parametrize("inputs", ["features", "both"])
def test_models_refuse_features_that_are_not_there(
    name: str, inputs: str, tiny_cell: CellGraph, cell: CellGraph
) -> None:
    def config(**more: object) -> object:
        keys = {READING[name] + key: value for key, value in {"inputs": inputs, **more}.items()}
        return build(MODELS[name], assign({}, keys))

    with pytest.raises(DataError, match=rf"inputs={inputs} asks for gene features, and the data has none"):
        config().check(tiny_cell, TARGET)  # type: ignore[attr-defined]
    with pytest.raises(DataError, match=r"no gene features 'codon' \(it has: codons, place\)\. Did you mean"):
        config(features=["codon"]).check(cell, TARGET)  # type: ignore[attr-defined]
    config(features=["place"]).check(cell, TARGET)  # type: ignore[attr-defined]


@pytest.mark.parametrize("inputs", ["features", "both"])
def test_an_encoder_reads_the_chosen_tables(inputs: str, cell: CellGraph) -> None:
    def encoded(one: CellGraph, **options: object) -> torch.Tensor:
        torch.manual_seed(0)
        encoder = Encoder(one, 8, EncoderConfig(inputs=inputs, **options)).eval()  # type: ignore[arg-type]
        genes: torch.Tensor = encoder(StageMonitor()).embeddings
        return genes

    other = cell.with_features(
        dataclasses.replace(cell.features["codons"], values=-cell.features["codons"].values)
    )
    assert not torch.allclose(encoded(cell), encoded(other))
    assert torch.equal(encoded(cell, features=["place"]), encoded(other, features=["place"]))


def test_a_gene_that_no_training_genotype_deletes_is_predicted_from_its_features(
    make_dataset: Callable[..., Dataset],
) -> None:
    """On a generated screen, from features that tell of a gene's module: 0.38 without, 0.78 with them."""
    data = make_dataset(
        "data=demo",
        *("data.cell.num_genes=120", "data.cell.num_modules=4", "data.cell.num_complexes=4"),
        *("data.cell.networks.regulatory.mean_degree=3", "data.cell.num_screened=100"),
        *("data.cell.num_single=100", "data.cell.num_double=1500", "data.cell.num_triple=0"),
        *("data.cell.feature_width=6", "data.cell.feature_noise=0.1", "data.cell.feature_missing=0.0"),
        "data.split.strategy=unseen_genes",
    )
    assert (data.split.unseen[data.split.val] == 1).all()

    def score(inputs: str) -> float:
        values = {
            "model": {"name": "bilinear", "inputs": inputs},
            "data": {"source": "demo"},
            "optimizer": {"lr": 0.03},
            "trainer": {"max_epochs": 24, "device": "cpu"},
        }
        return run_experiment(build(ExperimentConfig, values), data).value

    alone = score("embedding")
    assert score("features") > alone + 0.2
    assert score("both") > alone + 0.2
