"""MetaEmbedding against a loop over genes."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gisearch.models.layers.meta_embedding import MetaEmbedding

NETWORKS, GENES, WIDTH = 4, 7, 6


def make() -> tuple[MetaEmbedding, Tensor]:
    torch.manual_seed(0)
    layer = MetaEmbedding(NETWORKS, WIDTH).double()
    for parameter in layer.parameters():
        nn.init.normal_(parameter, std=0.7)
    return layer, torch.randn(NETWORKS, GENES, WIDTH, dtype=torch.float64)


def test_a_single_network_is_taken_as_it_is() -> None:
    _, x = make()
    layer = MetaEmbedding(1, WIDTH)
    assert list(layer.parameters()) == []
    embeddings, weights = layer(x[:1])
    assert torch.equal(embeddings, x[0])
    assert torch.equal(weights, torch.ones(GENES, 1, dtype=torch.float64))


def test_equals_a_loop_over_genes() -> None:
    layer, x = make()
    embeddings, weights = layer(x)
    assert embeddings.shape == (GENES, WIDTH)
    first, last = layer.score[0], layer.score[2]
    for gene in range(GENES):
        scores = [(last.weight @ torch.relu(first.weight @ one + first.bias)).item() for one in x[:, gene]]
        expected = torch.tensor(scores, dtype=torch.float64).softmax(0)
        torch.testing.assert_close(weights[gene], expected)
        torch.testing.assert_close(embeddings[gene], sum(expected[g] * x[g, gene] for g in range(NETWORKS)))


def test_every_gene_weights_the_networks_for_itself() -> None:
    layer, x = make()
    _, weights = layer(x)
    torch.testing.assert_close(weights.sum(1), torch.ones(GENES, dtype=torch.float64))
    assert weights.std(0).min() > 1e-3
    other = x.clone()
    other[:, 0] = 0.0
    _, changed = layer(other)
    torch.testing.assert_close(changed[0], torch.full((NETWORKS,), 1 / NETWORKS, dtype=torch.float64))
    torch.testing.assert_close(changed[1:], weights[1:])
