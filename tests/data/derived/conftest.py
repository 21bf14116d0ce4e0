"""A small screen whose labels are written out by hand or planted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from gisearch.config import assign, build
from gisearch.data.cell_graph import CellGraph, Network
from gisearch.data.dataset import Target
from gisearch.data.derived.config import DerivedConfig
from gisearch.data.gene_names import GeneNames
from gisearch.data.genotypes import Genotypes

GENES = 12
TARGET = Target("score", "regression")
BINARY = Target("sick", "binary")


@pytest.fixture(scope="session")
def cell() -> CellGraph:
    """Twelve genes in a ring and in a star."""
    names = tuple(f"YAL{i:03d}C" for i in range(GENES))
    ring = np.stack([np.arange(GENES), (np.arange(GENES) + 1) % GENES])
    star = np.stack([np.zeros(GENES - 1, dtype=int), np.arange(1, GENES)])
    networks = {
        "ring": Network.from_pairs("ring", ring, directed=False, num_genes=GENES),
        "star": Network.from_pairs("star", star, directed=True, num_genes=GENES),
    }
    return CellGraph(GeneNames(names, names, {}), networks)


@pytest.fixture(scope="session")
def genotypes() -> Genotypes:
    """Single deletions, 50 of the pairs and some triples; the last pair has no label."""
    pairs = [(a, b) for a in range(GENES) for b in range(a + 1, GENES)][:50]
    deletions = [(0,), (5,), *pairs, (0, 1, 2), (3, 4, 5)]
    generator = np.random.default_rng(3)
    score = generator.normal(size=len(deletions))
    score[51] = np.nan
    sick = np.where(np.isnan(score), np.nan, score < 0)
    labels = {"score": score, "sick": sick, "other": np.full(len(score), np.nan)}
    return Genotypes.build(deletions, labels, binary=frozenset({"sick"}), num_genes=GENES)


@pytest.fixture(scope="session")
def config() -> Callable[..., DerivedConfig]:
    """Return a configuration from dotted paths: ``config({"profile.top_k": 3})``."""

    def make(changes: dict[str, Any] | None = None) -> DerivedConfig:
        return build(DerivedConfig, assign({}, changes or {}))

    return make
