"""The closed form of pooling without the deleted genes, against literally leaving them out."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from gisearch.models.layers.pooling import AttentionalPooling

GENES, WIDTH = 20, 6
PADDING = 0

# Several deletions of the heaviest genes (3, then 8), padding at both ends, and gene 0 itself deleted.
GENOTYPES = [[3], [3, 8], [8, 3, 5], [1, 2], [4, 7, 9], [0], [0, 3], [8]]


class GivenGate(nn.Module):
    """A gate whose logits are a parameter."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits = nn.Parameter(logits)

    def forward(self, genes: Tensor) -> Tensor:
        # Reads the genes as well, so that their gradient runs through the weights too.
        return (self.logits + genes.sum(1) * 0.1).unsqueeze(-1)


def padded(genotypes: list[list[int]]) -> tuple[Tensor, Tensor]:
    deleted = torch.full((len(genotypes), 3), PADDING)
    present = torch.zeros(len(genotypes), 3, dtype=torch.bool)
    for i, genes in enumerate(genotypes):
        deleted[i, : len(genes)] = torch.tensor(genes)
        present[i, : len(genes)] = True
    return deleted, present


def literal_mutants(pooling: AttentionalPooling, genes: Tensor, genotypes: list[list[int]]) -> Tensor:
    mutants = []
    for deleted in genotypes:
        kept = [n for n in range(len(genes)) if n not in deleted]
        weights = torch.softmax(pooling.gate(genes)[kept].squeeze(-1), dim=0)
        mutants.append(weights @ pooling.transform(genes)[kept])
    return torch.stack(mutants)


def relative_error(found: Tensor, expected: Tensor) -> float:
    return ((found.double() - expected).abs().max() / expected.abs().max()).item()


@pytest.mark.parametrize("dominance", [0.0, 4.0, 10.0, 16.0, 40.0, 80.0])
def test_equals_literal_pooling_in_single_precision(dominance: float) -> None:
    """However much of the weight gene 3 holds: at 16 all others together hold 2e-6 of it, at 80 2e-34."""
    torch.manual_seed(0)
    logits = torch.randn(GENES)
    logits[3] += dominance
    logits[8] += dominance * 0.8
    pooling = AttentionalPooling(WIDTH)
    pooling.gate = GivenGate(logits)  # type: ignore[assignment]
    genes = torch.randn(GENES, WIDTH, requires_grad=True)
    deleted, present = padded(GENOTYPES)
    out = pooling(genes, deleted, present)
    weight = torch.randn(len(GENOTYPES), WIDTH)
    # The wild type as well: in the difference alone the transform's bias cancels.
    ((out.difference + out.wild_type) * weight).sum().backward()
    assert genes.grad is not None

    exact = AttentionalPooling(WIDTH)
    exact.gate = GivenGate(logits.clone())  # type: ignore[assignment]
    exact.load_state_dict(pooling.state_dict())
    exact.double()
    exact_genes = genes.detach().double().requires_grad_()
    wild_type = torch.softmax(exact.gate(exact_genes).squeeze(-1), 0) @ exact.transform(exact_genes)
    mutants = literal_mutants(exact, exact_genes, GENOTYPES)
    difference = wild_type - mutants
    ((difference + wild_type) * weight.double()).sum().backward()
    assert exact_genes.grad is not None

    assert relative_error(out.wild_type[0], wild_type) < 1e-5
    assert relative_error(out.mutant, mutants) < 1e-5
    assert relative_error(genes.grad, exact_genes.grad) < 1e-5
    for (name, found), expected in zip(pooling.named_parameters(), exact.parameters(), strict=True):
        assert found.grad is not None, name
        assert expected.grad is not None
        assert relative_error(found.grad, expected.grad) < 1e-5, name
    for i, genotype in enumerate(GENOTYPES):
        # Small differences too: each genotype by itself. Double precision subtracts them at 1e-16.
        if difference[i].abs().max() > 1e-9:
            assert relative_error(out.difference[i], difference[i]) < 1e-5, genotype


def test_small_differences_of_a_large_genome_keep_their_precision() -> None:
    """One gene of 6,000 changes the pooled cell by 1e-4; the difference must not be rounded at 1e-7."""
    torch.manual_seed(0)
    pooling = AttentionalPooling(WIDTH)
    genes = torch.randn(6000, WIDTH)
    genotypes = [[17], [17, 4000], [5, 6, 7]]
    difference = pooling(genes, *padded(genotypes)).difference
    exact = AttentionalPooling(WIDTH)
    exact.load_state_dict(pooling.state_dict())
    exact.double()
    wild_type = torch.softmax(exact.gate(genes.double()).squeeze(-1), 0) @ exact.transform(genes.double())
    expected = wild_type - literal_mutants(exact, genes.double(), genotypes)
    assert expected.abs().max() < 0.01
    assert relative_error(difference, expected) < 1e-5


def test_what_padding_holds_does_not_matter() -> None:
    torch.manual_seed(0)
    pooling, genes = AttentionalPooling(WIDTH), torch.randn(GENES, WIDTH)
    deleted, present = padded(GENOTYPES)
    other = torch.where(present, deleted, 3)
    assert not torch.equal(deleted, other)
    torch.testing.assert_close(
        pooling(genes, deleted, present).difference, pooling(genes, other, present).difference
    )


def test_stays_finite_where_every_gene_with_weight_is_deleted() -> None:
    pooling = AttentionalPooling(WIDTH)
    logits = torch.full((3,), -1000.0)
    logits[0] = 0.0
    pooling.gate = GivenGate(logits)  # type: ignore[assignment]
    genes = torch.randn(3, WIDTH, requires_grad=True)
    for genotypes in ([[0]], [[0, 1, 2]]):
        out = pooling(genes, *padded(genotypes))
        assert torch.isfinite(out.difference).all()
        (gradient,) = torch.autograd.grad(out.difference.sum(), genes)
        assert torch.isfinite(gradient).all()
