"""The vectorised HyperSAGNN against a loop over genotypes of every size."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from gisearch.models.layers.bilinear import BilinearPairs
from gisearch.models.layers.config import LocalPredictorConfig
from gisearch.models.layers.hypersagnn import HyperSAGNN, ReZeroAttention

WIDTH = 8
SIZES = [1, 2, 3, 1, 3, 2]


@pytest.fixture
def ragged() -> tuple[Tensor, Tensor]:
    """Embeddings [B, 3, h] and presence, with present genes not always first."""
    torch.manual_seed(0)
    present = torch.zeros(len(SIZES), 3, dtype=torch.bool)
    for i, size in enumerate(SIZES):
        present[i, :size] = True
    present[3] = torch.tensor([False, True, False])
    return torch.randn(len(SIZES), 3, WIDTH, dtype=torch.float64), present


def model(**options: object) -> HyperSAGNN:
    torch.manual_seed(1)
    config = LocalPredictorConfig(**options)  # type: ignore[arg-type]
    predictor = HyperSAGNN(WIDTH, config).double()
    for parameter in predictor.parameters():
        nn.init.normal_(parameter, std=0.4)
    return predictor.eval()


def attend(layer: ReZeroAttention, genes: Tensor) -> Tensor:
    """One layer for one genotype, [k, h], gene by gene and head by head."""
    if len(genes) == 1:
        return genes
    query, key, value = (genes @ part.T for part in layer.qkv.weight.chunk(3))
    depth, rows = WIDTH // layer.heads, []
    for i in range(len(genes)):
        others = [j for j in range(len(genes)) if j != i]
        heads = []
        for head in range(layer.heads):
            part = slice(head * depth, (head + 1) * depth)
            logits = torch.stack([query[i, part] @ key[j, part] for j in others]) / depth**0.5
            heads.append(torch.softmax(logits, 0) @ value[others][:, part])
        mixed = torch.cat(heads)
        rows.append(genes[i] + layer.beta * (layer.out.weight @ mixed + layer.out.bias))
    return torch.stack(rows)


def literal_scores(predictor: HyperSAGNN, x: Tensor, present: Tensor) -> Tensor:
    scores = []
    for row, mask in zip(x, present, strict=True):
        genes = row[mask]
        static, dynamic = torch.relu(predictor.static(genes)), genes
        for layer in predictor.dynamic:
            assert isinstance(layer, ReZeroAttention)
            dynamic = attend(layer, dynamic)
        scores.append(predictor.score((dynamic - static) ** 2).mean())
    return torch.stack(scores)


@pytest.mark.parametrize(("layers", "heads"), [(1, 1), (2, 4), (3, 8)])
def test_equals_a_loop_over_genotypes(layers: int, heads: int, ragged: tuple[Tensor, Tensor]) -> None:
    predictor = model(num_attention_layers=layers, num_heads=heads)
    x, present = ragged
    x.requires_grad_()
    found, expected = predictor(x, present), literal_scores(predictor, x, present)
    torch.testing.assert_close(found, expected)
    weight = torch.randn_like(found)
    inputs = [x, *predictor.parameters()]
    torch.testing.assert_close(
        torch.autograd.grad((found * weight).sum(), inputs),
        torch.autograd.grad((expected * weight).sum(), inputs),
    )


def test_a_single_gene_keeps_its_embedding(ragged: tuple[Tensor, Tensor]) -> None:
    x, present = ragged
    layer = model().dynamic[0]
    out = layer(x, present)
    alone = present & (present.sum(1, keepdim=True) == 1)
    assert alone.sum() == 2
    assert torch.equal(out[alone], x[alone])
    together = present & (present.sum(1, keepdim=True) > 1)
    assert ((out[together] - x[together]).abs().amax(-1) > 1e-6).all()


def test_a_gene_does_not_attend_to_itself(ragged: tuple[Tensor, Tensor]) -> None:
    x, _ = ragged
    present = torch.ones(len(x), 3, dtype=torch.bool)
    layer = model().dynamic[0]
    x.requires_grad_()
    update = (layer(x, present) - x)[:, 0]
    # Through its query alone: with one partner the softmax is 1 whatever the query, so nothing is left.
    pairs = torch.tensor([[True, True, False]]).expand(len(x), -1)
    update = (layer(x, pairs) - x)[:, 0]
    (gradient,) = torch.autograd.grad(update.sum(), x)
    assert gradient[:, 0].abs().max() < 1e-12
    assert gradient[:, 1].abs().max() > 1e-3


def test_what_padding_holds_does_not_matter(ragged: tuple[Tensor, Tensor]) -> None:
    predictor, (x, present) = model(), ragged
    other = torch.where(present.unsqueeze(-1), x, 1e3 * torch.randn_like(x))
    torch.testing.assert_close(predictor(x, present), predictor(other, present))


def test_starts_close_to_the_identity() -> None:
    layer = ReZeroAttention(WIDTH, 2)
    assert layer.beta.item() == pytest.approx(0.01)


def test_bilinear_equals_a_loop_over_genes_and_pairs(ragged: tuple[Tensor, Tensor]) -> None:
    torch.manual_seed(2)
    predictor, (x, present) = BilinearPairs(WIDTH, dropout=0.0).double(), ragged
    x.requires_grad_()
    symmetric, expected = (predictor.weight + predictor.weight.T) / 2, []
    for row, mask in zip(x, present, strict=True):
        genes = row[mask]
        pairs = [genes[i] @ symmetric @ genes[j] for j in range(len(genes)) for i in range(j)]
        singles = predictor.score(genes).sum()
        expected.append(singles + torch.stack(pairs).mean() if pairs else singles)
    found = predictor(x, present)
    torch.testing.assert_close(found, torch.stack(expected))
    torch.testing.assert_close(
        torch.autograd.grad(found.square().sum(), [x, *predictor.parameters()]),
        torch.autograd.grad(torch.stack(expected).square().sum(), [x, *predictor.parameters()]),
    )


def test_bilinear_ignores_padding(ragged: tuple[Tensor, Tensor]) -> None:
    predictor, (x, present) = BilinearPairs(WIDTH, dropout=0.0).double(), ragged
    other = torch.where(present.unsqueeze(-1), x, torch.randn_like(x))
    torch.testing.assert_close(predictor(x, present), predictor(other, present))
