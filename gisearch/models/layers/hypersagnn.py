"""HyperSAGNN: does a set of deleted genes interact? Self-attention among the genes of one genotype.

Source: Zhang, Zou and Ma 2020, arXiv 1911.02613, as used by DANGO (Zhang et al. 2020).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gisearch.models.layers.config import HyperSAGNNConfig
from gisearch.models.layers.product import Linear


class ReZeroAttention(nn.Module):
    """Multi-head attention of each gene to the others of its genotype, never to itself; x + beta * out."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = Linear(width, 3 * width, bias=False)
        self.out = Linear(width, width)
        self.beta = nn.Parameter(torch.tensor(0.01))

    def forward(self, x: Tensor, present: Tensor) -> Tensor:
        """Map [B, K, h] to [B, K, h]; a gene without a partner keeps its embedding.

        Args:
            x: gene embeddings, [B, K, h].
            present: which genes exist, bool [B, K].
        """
        batch, genes, width = x.shape
        query, key, value = self.qkv(x).view(batch, genes, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        itself = torch.eye(genes, dtype=torch.bool, device=x.device)
        allowed = (present.unsqueeze(1) & present.unsqueeze(2) & ~itself).unsqueeze(1)
        logits = (query @ key.transpose(-1, -2)) * (width // self.heads) ** -0.5
        # A row without partners would be a softmax over nothing: give it zeros, then no update.
        logits = logits.masked_fill(~allowed, torch.finfo(logits.dtype).min)
        weights = torch.softmax(logits, dim=-1) * allowed
        mixed = (weights @ value).transpose(1, 2).reshape(batch, genes, width)
        has_partner = allowed.any(-1).transpose(1, 2)
        return torch.where(has_partner, x + self.beta * self.out(mixed), x)


class HyperSAGNN(nn.Module):
    """Scores a set of genes by how far context moves each of them: [B, K, h] to [B]."""

    def __init__(self, width: int, config: HyperSAGNNConfig) -> None:
        super().__init__()
        self.static = Linear(width, width)
        self.dynamic = nn.ModuleList(
            ReZeroAttention(width, config.num_heads) for _ in range(config.num_attention_layers)
        )
        self.dropout = nn.Dropout(config.dropout)
        self.score = Linear(width, 1)

    def forward(self, x: Tensor, present: Tensor) -> Tensor:
        """Return one score per genotype, [B].

        Args:
            x: embeddings of the deleted genes, [B, K, h].
            present: which of them exist, bool [B, K].
        """
        x = self.dropout(x)
        static = torch.relu(self.static(x))
        dynamic = x
        for layer in self.dynamic:
            dynamic = layer(dynamic, present)
        scores = self.score((dynamic - static).square()).squeeze(-1)
        total: Tensor = (scores * present).sum(1) / present.sum(1)
        return total
