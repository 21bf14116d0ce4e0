"""Perturbation encoding: from the wild type to what each genotype's deletions change.

Three encodings behind one interface, so that a model never asks which one it got: ``index`` reads deleted
genes from the wild type's embeddings, ``masked`` encodes a copy of the cell without them per genotype, and
``exact`` gives the numbers of ``masked`` from the rows that differ from the wild type's.
"""

from __future__ import annotations

from gisearch.models.layers.config import PerturbationName
from gisearch.models.layers.perturbation.exact import ExactEncoding
from gisearch.models.layers.perturbation.index import IndexEncoding
from gisearch.models.layers.perturbation.interface import PerturbationEncoding, PerturbedCells
from gisearch.models.layers.perturbation.masked import MaskedEncoding

__all__ = ["PerturbationEncoding", "PerturbationName", "PerturbedCells", "perturbation_encoding"]


def perturbation_encoding(name: PerturbationName) -> PerturbationEncoding:
    """Return the encoding called ``name``."""
    match name:
        case "index":
            return IndexEncoding()
        case "masked":
            return MaskedEncoding()
        case "exact":
            return ExactEncoding()
