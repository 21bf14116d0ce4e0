"""The context of a genotype: a handful of tokens, which see each other before the denoiser reads them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gisearch.models.layers.mlp import mlp
from gisearch.models.layers.perturbation import PerturbedCells
from gisearch.models.layers.product import Linear

POOLED_TOKENS = 3


class ContextTokens(nn.Module):
    """z_i, z_w, N z_p and the wild-type embeddings of the deleted genes, each plus the embedding of its type.

    The deleted genes share one type: their order means nothing.
    """

    def __init__(self, width: int, num_genes: int) -> None:
        super().__init__()
        self.num_genes = num_genes
        self.types = nn.Parameter(torch.randn(POOLED_TOKENS + 1, width))

    def forward(self, cells: PerturbedCells, present: Tensor) -> tuple[Tensor, Tensor]:
        """Return tokens [B, 3 + K, h], and which of them exist, bool [B, 3 + K].

        Args:
            cells: B genotypes with up to K deleted genes each.
            present: which deleted genes exist, bool [B, K].
        """
        mutant = cells.wild_type - cells.difference
        # One gene's share of the pooled cell shrinks as 1 / N: z_i alone would hardly differ between
        # genotypes. N gives z_p the scale of one gene's own embedding whatever the size of the genome.
        pooled = [mutant, cells.wild_type.expand_as(mutant), cells.difference * self.num_genes]
        tokens = torch.cat(
            [
                torch.stack(pooled, dim=1) + self.types[:POOLED_TOKENS],
                cells.deleted + self.types[POOLED_TOKENS],
            ],
            dim=1,
        )
        always = present.new_ones(len(present), POOLED_TOKENS)
        return tokens, torch.cat([always, present], dim=1)


class ContextLayer(nn.Module):
    """Self-attention among the tokens of a genotype, then an MLP; pre-norm and residual.

    Source: Vaswani et al. 2017, arXiv 1706.03762, with the norm first (Xiong et al. 2020, arXiv 2002.04745).
    """

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.attention_norm = nn.LayerNorm(width)
        self.query = Linear(width, width)
        # A bias of the keys would shift all logits of a query alike, which the softmax ignores.
        self.key = Linear(width, width, bias=False)
        self.value = Linear(width, width)
        self.out = Linear(width, width)
        self.mlp_norm = nn.LayerNorm(width)
        self.mlp = mlp([width, 2 * width, width], dropout=dropout)

    def forward(self, x: Tensor, present: Tensor) -> Tensor:
        """Map tokens [B, L, h], of which ``present``, bool [B, L], exist, to [B, L, h]."""
        normed = self.attention_norm(x)
        query, key, value = (
            layer(normed).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        )
        logits = query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5
        weights = torch.softmax(logits.masked_fill(~present[:, None, None, :], -torch.inf), dim=-1)
        x = x + self.out((weights @ value).transpose(1, 2).flatten(2))
        out: Tensor = x + self.mlp(self.mlp_norm(x))
        return out


class ContextEncoder(nn.Module):
    """Layers of self-attention over the tokens, and a final norm: [B, L, h] to the same."""

    def __init__(self, width: int, layers: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.ModuleList(ContextLayer(width, heads, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)

    def forward(self, tokens: Tensor, present: Tensor) -> Tensor:
        """Encode tokens [B, L, h], of which ``present``, bool [B, L], exist."""
        x = self.dropout(tokens)
        for layer in self.layers:
            x = layer(x, present)
        out: Tensor = self.norm(x)
        return out
