"""Graph convolutions over all networks at once: one input per gene, one output per network and gene.

Each can also give the outputs of single rows that differ from the wild type's, from what the wild type's
passage left behind; that is what exact perturbation encoding is made of.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from gisearch.models.layers.changes import Need, NetworkChanges
from gisearch.models.layers.config import ActivationName
from gisearch.models.layers.mlp import NetworkLinear, activation, are_alone, each, joined, slabs
from gisearch.models.layers.neighbours import Neighbours

State = tuple[Sequence[Tensor], ...]
"""What a passage leaves behind: lists of one tensor [N, h] per network."""

Slabs = Sequence[Tensor]
"""Features of all networks: of each alone, [N, h], or of all, [G, N, h]."""


@dataclass(frozen=True)
class ChangedInput:
    """What a layer reads where genotypes differ from the wild type.

    Attributes:
        wild: the wild type's rows, [N, h].
        values: the C changed rows, [C, h].
        delta: the S source rows, changed and then deleted, minus the wild type's, [S, h]; a deleted row is
            worth nothing.
    """

    wild: Tensor
    values: Tensor
    delta: Tensor


class Convolution(nn.Module, ABC):
    """A convolution of every network.

    Attributes:
        needs: what it asks of a plan of changes.
    """

    needs: ClassVar[tuple[Need, ...]]

    def forward(self, x: Tensor, neighbours: Neighbours) -> Tensor:
        """Map [N, h] to [G, N, h]."""
        return joined(self.propagate(x, neighbours)[0])

    @abstractmethod
    def propagate(self, x: Tensor, neighbours: Neighbours, *, keep: bool = False) -> tuple[Slabs, State]:
        """Map [N, h] to slabs of [G, N, h].

        Args:
            x: gene features, [N, h].
            neighbours: G networks over the N genes.
            keep: whether to return what :meth:`changed` continues from.
        """

    @abstractmethod
    def changed(self, network: int, state: State, given: ChangedInput, rows: NetworkChanges) -> Tensor:
        """Return the outputs of the T rows that change in one network, [T, h]."""


class GIN(Convolution):
    """Graph isomorphism network with a trainable eps and an MLP per network.

    out_g = MLP_g((1 + eps_g) x + sum of x over the neighbours in network g).
    Source: Xu et al. 2019, arXiv 1810.00826.
    """

    needs = ("joint",)

    def __init__(
        self, num_networks: int, width: int, *, mlp_layers: int = 2, act: ActivationName = "relu"
    ) -> None:
        super().__init__()
        self.eps = nn.Parameter(torch.zeros(num_networks, 1, 1))
        self.first = NetworkLinear(num_networks, width, width)
        rest = [NetworkLinear(num_networks, width, width) for _ in range(mlp_layers - 1)]
        self.rest: Sequence[NetworkLinear] = nn.ModuleList(rest)  # type: ignore[assignment]
        self.activation, self.activation_in_place = activation(act), activation(act, in_place=True)

    def propagate(self, x: Tensor, neighbours: Neighbours, *, keep: bool = False) -> tuple[Slabs, State]:
        """Map [N, h] to [G, N, h]; keeps the output of the MLP's first layer."""
        inputs = slabs(neighbours.sum_with_own(x, 1 + self.eps))
        alone = are_alone(inputs)
        firsts = self.first.each(alone=alone)
        activate = self.activation if keep else self.activation_in_place
        rest = [layer.each(alone=alone) for layer in self.rest]
        outputs, state = list[Tensor](), list[Tensor]()
        for slab, first, *layers in zip(inputs, firsts, *rest, strict=True):
            y = first(slab)
            if keep:
                # One tensor per network, whatever the slabs are.
                state += each(y, alone=not alone)
            for layer in layers:
                y = layer(activate(y))
            outputs.append(y)
        return outputs, (state,)

    def changed(self, network: int, state: State, given: ChangedInput, rows: NetworkChanges) -> Tensor:
        """Return [T, h]. The first layer is linear: it maps the few sources, not the many rows they reach."""
        assert rows.joint is not None
        delta = self.first.of(network, given.delta, bias=False)
        own = (1 + self.eps[network]) * delta[: len(given.values)]
        y = rows.joint.sum(torch.cat([state[0][network], delta, own]))
        for layer in self.rest:
            y = layer.of(network, self.activation(y))
        return y


class GATv2(Convolution):
    """Attention over neighbours that scores after the non-linearity; no self-loops.

    Heads are concatenated to the full width. A gene without neighbours gets the bias alone.
    Source: Brody et al. 2022, arXiv 2105.14491.
    """

    needs = ("attention",)

    def __init__(self, num_networks: int, width: int, *, heads: int = 4, negative_slope: float = 0.2) -> None:
        super().__init__()
        self.heads, self.negative_slope = heads, negative_slope
        self.source = NetworkLinear(num_networks, width, width)
        self.target = NetworkLinear(num_networks, width, width)
        self.attention = nn.Parameter(torch.empty(num_networks, heads, width // heads))
        self.bias = nn.Parameter(torch.zeros(num_networks, 1, width))
        nn.init.xavier_uniform_(self.attention)

    def propagate(self, x: Tensor, neighbours: Neighbours, *, keep: bool = False) -> tuple[Slabs, State]:
        """Map [N, h] to [G, N, h]; keeps nothing."""
        num_networks, num_genes, width = neighbours.num_networks, neighbours.num_genes, x.shape[-1]
        stacked = x.expand(num_networks, -1, -1)
        sources = self.source(stacked)
        network = torch.div(neighbours.row, num_genes, rounding_mode="floor")
        total = self._attend(
            sources.view(-1, width),
            self.target(stacked).view(-1, width),
            neighbours.source + network * num_genes,
            neighbours.row,
            neighbours.offsets,
            self.attention[network],
        )
        return slabs(total.view(num_networks, num_genes, width) + self.bias), ()

    def changed(self, network: int, state: State, given: ChangedInput, rows: NetworkChanges) -> Tensor:
        """Return [T, h]. A softmax over neighbours is taken anew wherever one of them changed."""
        edges = rows.attention
        assert edges is not None
        table = torch.cat([given.wild, given.values])
        total = self._attend(
            self.source.of(network, table),
            self.target.of(network, table).index_select(0, edges.own),
            edges.source,
            edges.target,
            edges.offsets,
            self.attention[network],
        )
        return total + self.bias[network]

    def _attend(
        self,
        sources: Tensor,
        targets: Tensor,
        source: Tensor,
        target: Tensor,
        offsets: Tensor,
        attention: Tensor,
    ) -> Tensor:
        """Sum source features over the edges of each target row, weighted by attention.

        Args:
            sources: [rows, h]; a row per source.
            targets: [T, h].
            source: int64 [E], the source row of every edge, sorted by target.
            target: int64 [E], its target row.
            offsets: int64 [T + 1], where each target starts.
            attention: the scoring vectors, per edge [E, heads, h / heads] or of all [heads, h / heads].
        """
        # Imported where it is used: the library takes seconds to import, and GIN does without it.
        from torch_geometric.utils import softmax

        from_rows = sources.index_select(0, source).unflatten(-1, (self.heads, -1))
        to_rows = targets.index_select(0, target).unflatten(-1, (self.heads, -1))
        hidden = nn.functional.leaky_relu(from_rows + to_rows, self.negative_slope)
        weights = softmax((hidden * attention).sum(-1), ptr=offsets)
        messages = (from_rows * weights.unsqueeze(-1)).flatten(1)
        total: Tensor = messages.new_zeros(targets.shape).index_add(0, target, messages)
        return total


class SAGE(Convolution):
    """A gene and the mean of its neighbours, each through a linear layer per network.

    The mean makes hubs and peripheral genes alike in scale, and genes with the same partners alike.
    Source: Hamilton et al. 2017, arXiv 1706.02216.
    """

    needs = ("own", "sources", "kept_degree")

    def __init__(self, num_networks: int, width: int) -> None:
        super().__init__()
        self.own = NetworkLinear(num_networks, width, width)
        self.mean = NetworkLinear(num_networks, width, width)

    def propagate(self, x: Tensor, neighbours: Neighbours, *, keep: bool = False) -> tuple[Slabs, State]:
        """Map [N, h] to [G, N, h]; keeps the gene's own part and the mapped sum of its neighbours."""
        sums = slabs(neighbours.sum(x))
        alone = are_alone(sums)
        features, degrees, biases = (
            each(stacked, alone=alone)
            for stacked in (x.expand(neighbours.num_networks, -1, -1), neighbours.degree, self.mean.bias)
        )
        layers = self.own.each(alone=alone), self.mean.each(alone=alone, bias=False)
        outputs, owns, totals = list[Tensor](), list[Tensor](), list[Tensor]()
        for slab, own_of, mean_of, own_x, degree, bias in zip(
            sums, *layers, features, degrees, biases, strict=True
        ):
            own, total = own_of(own_x), mean_of(slab)
            outputs.append(own + total / degree + bias)
            if keep:
                owns += each(own, alone=not alone)
                totals += each(total, alone=not alone)
        return outputs, (owns, totals)

    def changed(self, network: int, state: State, given: ChangedInput, rows: NetworkChanges) -> Tensor:
        """Return [T, h]."""
        assert rows.own is not None
        assert rows.sources is not None
        assert rows.kept_degree is not None
        own = self.own.of(network, given.delta[: len(given.values)], bias=False)
        delta = self.mean.of(network, given.delta, bias=False)
        total = rows.sources.sum(torch.cat([state[1][network], delta]))
        mean = _mean(total, rows.kept_degree)
        return rows.own.sum(torch.cat([state[0][network], own])) + mean + self.mean.bias[network]


class LightGCN(Convolution):
    """The mean of a gene's neighbours and nothing else: no weights, no non-linearity.

    What learns is the embeddings, which the networks smooth: the strongest prior for screens with few
    genotypes per gene. Source: He et al. 2020, arXiv 2002.02126.
    """

    needs = ("sources", "kept_degree")

    def propagate(self, x: Tensor, neighbours: Neighbours, *, keep: bool = False) -> tuple[Slabs, State]:
        """Map [N, h] to [G, N, h]; keeps the sum of the neighbours."""
        total = neighbours.sum(x)
        return slabs(total / neighbours.degree), (total.unbind(),)

    def changed(self, network: int, state: State, given: ChangedInput, rows: NetworkChanges) -> Tensor:
        """Return [T, h]."""
        assert rows.sources is not None
        assert rows.kept_degree is not None
        return _mean(rows.sources.sum(torch.cat([state[0][network], given.delta])), rows.kept_degree)


def _mean(total: Tensor, degree: Tensor) -> Tensor:
    """Divide by the degree; a sum over nobody is zero, whatever rounding has left of it."""
    return torch.where(degree > 0, total / degree.clamp_min(1), 0.0)
