"""Supervised contrastive regression: embeddings in the order of their labels."""

from __future__ import annotations

import torch
from torch import Tensor


def supervised_contrastive_regression(embeddings: Tensor, labels: Tensor, temperature: float) -> Tensor:
    """Return a loss that is least where embeddings are in the order of their labels, a scalar.

    The mean over ordered pairs (i, j) of

        -log( exp(s_ij) / sum over k with |y_i - y_k| >= |y_i - y_j|, k != i, of exp(s_ik) )

    with s_ij = -|v_i - v_j| / temperature: of all that are at least as far from i in label as j is, j should
    be the nearest in embedding. O(n^2 (h + log n)) time and O(n^2) memory. Fewer than two give zero.
    Source: Zha et al. 2022, arXiv 2210.01189, equation 1, on one view of every sample.

    Args:
        embeddings: [n, h].
        labels: [n], finite.
        temperature: in units of embedding distance, above zero.
    """
    size = len(labels)
    if size < 2:
        return embeddings.sum() * 0.0
    # The difference itself instead of a matrix product: that would lose the digits of close embeddings.
    distance = torch.cdist(embeddings, embeddings, compute_mode="donot_use_mm_for_euclid_dist")
    others = ~torch.eye(size, dtype=torch.bool, device=labels.device)
    similarity = (-distance / temperature)[others].view(size, size - 1)
    apart = (labels.unsqueeze(1) - labels).abs()[others].view(size, size - 1)
    apart, order = apart.sort(dim=1, descending=True)
    similarity = similarity.gather(1, order)
    at_least_as_far = similarity.logcumsumexp(dim=1)
    # Where several are equally far, each is compared with all of them: read the sum at the last.
    position = torch.arange(size - 1, device=labels.device).expand_as(apart)
    is_last = torch.ones_like(apart, dtype=torch.bool)
    is_last[:, :-1] = apart[:, :-1] != apart[:, 1:]
    last = position.masked_fill(~is_last, size).flip(1).cummin(dim=1).values.flip(1)
    return (at_least_as_far.gather(1, last) - similarity).mean()
