"""The literal form: one copy of the cell per genotype, without the deleted genes and their edges."""

from __future__ import annotations

import torch
from torch import Tensor

from gisearch.models.batch import GenotypeBatch
from gisearch.models.layers.encoder import Encoder, WildTypeLayer
from gisearch.models.layers.neighbours import Neighbours
from gisearch.models.layers.perturbation.interface import PerturbationEncoding, PerturbedCells, in_parts
from gisearch.models.layers.pooling import AttentionalPooling
from gisearch.models.layers.stages import StageMonitor


class MaskedEncoding(PerturbationEncoding):
    """Encodes B * N rows. Slow; what ``exact`` is tested against, and what the notes' lazy model does.

    Dropout drops the same features of a gene in every copy, so that copies differ by deletions alone.
    """

    def __call__(
        self, encoder: Encoder, pooling: AttentionalPooling, batch: GenotypeBatch, monitor: StageMonitor
    ) -> PerturbedCells:
        """Encode the wild type and a masked copy of it per genotype."""
        wild = encoder(monitor, keep=True)
        num_genes = encoder.neighbours.num_genes

        def difference(part: GenotypeBatch) -> Tensor:
            kept = kept_genes(part, num_genes)
            copies = encode_copies(encoder, wild.layers, kept)
            return pooling.masked(wild.embeddings, copies, kept).difference

        return PerturbedCells(
            wild_type=pooling.wild_type(wild.embeddings),
            difference=monitor.watch("pooling", in_parts(difference, batch, num_genes)),
            deleted=wild.embeddings[batch.deleted],
            attention=wild.attention,
        )


def kept_genes(batch: GenotypeBatch, num_genes: int) -> Tensor:
    """Return which genes each genotype still has, bool [B, N]."""
    lost = torch.zeros(len(batch), num_genes + 1, dtype=torch.bool, device=batch.deleted.device)
    # What is not present goes to a column of its own, which is cut off.
    lost.scatter_(1, torch.where(batch.present, batch.deleted, num_genes), True)
    return ~lost[:, :num_genes]


def encode_copies(encoder: Encoder, layers: tuple[WildTypeLayer, ...], kept: Tensor) -> Tensor:
    """Encode B copies of the cell, [B, N, h]; the rows of genes that a copy lacks mean nothing.

    Args:
        encoder: the encoder.
        layers: the wild type's passage through it, which gives the input and the dropout.
        kept: which genes each copy has, bool [B, N].
    """
    batch, num_genes = kept.shape
    neighbours = copies_without(encoder.neighbours, kept)
    x = layers[0].input.repeat(batch, 1)
    for layer, wild in zip(encoder.layers, layers, strict=True):
        noise = None if wild.noise is None else wild.noise.repeat(1, batch, 1)
        x, _, _ = layer(x, neighbours, noise)
    out: Tensor = encoder.norm(x)
    return out.view(batch, num_genes, -1)


def copies_without(neighbours: Neighbours, kept: Tensor) -> Neighbours:
    """Return B copies of all networks as one, without the edges of genes that a copy lacks.

    Args:
        neighbours: G networks over N genes.
        kept: bool [B, N].

    Returns:
        G networks over B * N genes; gene n of copy b is row b * N + n.
    """
    batch, num_genes = kept.shape
    network = torch.div(neighbours.row, num_genes, rounding_mode="floor")
    target = neighbours.row - network * num_genes
    copy, edge = (kept[:, neighbours.source] & kept[:, target]).nonzero(as_tuple=True)
    # Sorted by network, then copy, then target, as a single cell's edges are.
    order = torch.argsort(network[edge], stable=True)
    copy, edge = copy[order], edge[order]
    row = (network[edge] * batch + copy) * num_genes + target[edge]
    source = copy * num_genes + neighbours.source[edge]
    return Neighbours.from_rows(source, row, neighbours.num_networks, batch * num_genes)
