"""HyperSAGNN's scores of very many gene sets, from what depends on single genes, computed once.

Shapes: N genes, B sets of K genes each, h width.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gisearch.models.layers.hypersagnn import HyperSAGNN, ReZeroAttention

# The two others of a triple's three genes.
_OTHERS = ((1, 2), (0, 2), (0, 1))


class HyperSAGNNTables:
    """What a :class:`HyperSAGNN` without dropout says of sets of the same N genes.

    A gene that attends to one other gives it all its weight, so that attention layers on pairs are linear:
    gene i becomes p_i + q_j, with two tables of N rows. In a triple a softmax over two others is a sigmoid of
    one difference, and the first layer reads queries, keys and values from a table.
    """

    def __init__(self, module: HyperSAGNN, genes: Tensor) -> None:
        """Prepare.

        Args:
            module: the layers, in evaluation mode.
            genes: embeddings, [N, h].
        """
        self.module, self.genes = module, genes
        self.layers = [layer for layer in module.dynamic if isinstance(layer, ReZeroAttention)]
        self.static = torch.relu(module.static(genes))
        self.pairs = self._pair_table()
        self.first = torch.cat([self.layers[0].qkv(genes), genes, self.static], dim=1)

    def __call__(self, deleted: Tensor) -> Tensor:
        """Return the scores, [B], of sets of K genes each, int64 [B, K]."""
        match deleted.shape[1]:
            case 2:
                return self._score_pairs(deleted)
            case 3:
                return self._score_triples(deleted)
            case _:
                score: Tensor = self.module(self.genes[deleted], torch.ones_like(deleted, dtype=torch.bool))
                return score

    def _pair_table(self) -> Tensor:
        """Return p_n less the static embedding, and q_n, [N, 2 h]."""
        own, other = self.genes, torch.zeros_like(self.genes)
        for layer in self.layers:
            value = layer.qkv.weight.chunk(3)[2]
            through = layer.out.weight @ value
            moved_own = own + layer.beta * (other @ through.T + layer.out.bias)
            other = other + layer.beta * (own @ through.T)
            own = moved_own
        return torch.cat([own - self.static, other], dim=1)

    def _score_pairs(self, deleted: Tensor) -> Tensor:
        width = self.genes.shape[1]
        one, two = (self.pairs.index_select(0, column) for column in deleted.T.contiguous())
        moved = (one[:, :width] + two[:, width:]).square_()
        moved += (two[:, :width] + one[:, width:]).square_()
        score: Tensor = self.module.score(moved.mul_(0.5)).squeeze(1)
        return score

    def _score_triples(self, deleted: Tensor) -> Tensor:
        width = self.genes.shape[1]
        # Genes first: what is compared then lies in whole rows.
        rows = self.first.index_select(0, deleted.T.flatten()).unflatten(0, (3, -1))
        qkv, dynamic, static = rows.split([3 * width, width, width], dim=2)
        for i, layer in enumerate(self.layers):
            if i:
                qkv = layer.qkv(dynamic)
            dynamic = dynamic + layer.beta * layer.out(_mix(qkv, layer.heads))
        moved = (dynamic - static).square_().mean(0)
        score: Tensor = self.module.score(moved).squeeze(1)
        return score


def _mix(qkv: Tensor, heads: int) -> Tensor:
    """Return what each gene of a triple reads from the other two, [3, B, h], given [3, B, 3 h]."""
    query, key, value = qkv.chunk(3, dim=2)
    size = query.shape[-1] // heads
    mixed = torch.empty_like(value, memory_format=torch.contiguous_format)
    for i, (a, b) in enumerate(_OTHERS):
        logits = (query[i] * (key[a] - key[b])).unflatten(1, (heads, size)).sum(-1, keepdim=True)
        share = torch.sigmoid(logits * size**-0.5)
        torch.lerp(
            value[b].unflatten(1, (heads, size)),
            value[a].unflatten(1, (heads, size)),
            share,
            out=mixed[i].unflatten(1, (heads, size)),
        )
    return mixed
