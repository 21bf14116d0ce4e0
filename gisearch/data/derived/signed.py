"""Signed interaction networks: the pairs whose label is low, and those whose label is high."""

from __future__ import annotations

import numpy as np

from gisearch.data.cell_graph import Network
from gisearch.data.derived.evidence import Evidence


def signed_network(name: str, evidence: Evidence, num_genes: int, *, high: bool, threshold: float) -> Network:
    """Link the genes of every pair with a high, or with a low label.

    Args:
        name: the network's name.
        evidence: the pairs.
        num_genes: N.
        high: which of the two.
        threshold: standard deviations beyond which a measured label is high or low; of a binary label 1 is
            high and 0 is low. The scores of a measured label's edges are its deviations, the largest being 1.
    """
    if evidence.binary:
        chosen = evidence.labels == (1.0 if high else 0.0)
        return Network.from_pairs(name, evidence.pairs[:, chosen], directed=False, num_genes=num_genes)
    deviation = evidence.centred if high else -evidence.centred
    chosen = (deviation > 0) & (deviation >= threshold)
    scores = deviation[chosen] / max(float(deviation.max(initial=0.0)), np.finfo(float).tiny)
    return Network.from_pairs(name, evidence.pairs[:, chosen], scores, directed=False, num_genes=num_genes)
