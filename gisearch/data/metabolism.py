"""Metabolism: reactions, metabolites, gene rules and signed stoichiometry.

Shapes: N genes, R reactions, M metabolites, K metabolite-reaction incidences.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gisearch.errors import DataError


@dataclass(frozen=True)
class Metabolism:
    """The metabolic network of a cell.

    A gene rule is kept as alternatives: a reaction runs while at least one of its enzyme complexes
    is complete. That is the disjunctive normal form of the rule, as flux-balance tools evaluate it.

    Attributes:
        reactions: reaction identifiers, R of them.
        metabolites: metabolite identifiers, M of them.
        incidence: int64 [2, K], metabolite row then reaction row.
        stoichiometry: float32 [K], signed: negative is consumed, positive produced.
        complex_reaction: int64 [C], the reaction that each enzyme complex catalyses.
        complex_genes: int64 [G], gene indices of the complexes, concatenated.
        complex_offsets: int64 [C + 1], where each complex starts in ``complex_genes``.
    """

    reactions: tuple[str, ...]
    metabolites: tuple[str, ...]
    incidence: npt.NDArray[np.int64]
    stoichiometry: npt.NDArray[np.float32]
    complex_reaction: npt.NDArray[np.int64]
    complex_genes: npt.NDArray[np.int64]
    complex_offsets: npt.NDArray[np.int64]

    def __post_init__(self) -> None:
        if self.incidence.shape != (2, len(self.stoichiometry)):
            raise DataError(
                f"metabolism: expected incidence of shape [2, {len(self.stoichiometry)}], "
                f"got {list(self.incidence.shape)}."
            )
        if len(self.complex_offsets) != len(self.complex_reaction) + 1:
            raise DataError("metabolism: complex_offsets must have one entry more than complex_reaction.")
        if not np.isfinite(self.stoichiometry).all() or (self.stoichiometry == 0).any():
            raise DataError("metabolism: stoichiometric coefficients must be finite and non-zero.")

    @property
    def gene_reaction(self) -> npt.NDArray[np.int64]:
        """Unique gene-reaction incidences, int64 [2, L], gene row then reaction row."""
        size = np.diff(self.complex_offsets)
        pairs = np.stack([self.complex_genes, np.repeat(self.complex_reaction, size)])
        return np.unique(pairs, axis=1)

    def disabled_reactions(self, deleted: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Return the reactions that cannot run once the genes ``deleted`` are gone, int64 [n].

        A reaction without a gene rule is never disabled.
        """
        gone = np.isin(self.complex_genes, np.asarray(deleted, dtype=np.int64))
        broken = np.zeros(len(self.complex_reaction), dtype=bool)
        owner = np.repeat(np.arange(len(self.complex_reaction)), np.diff(self.complex_offsets))
        broken[owner[gone]] = True
        alive = np.zeros(len(self.reactions), dtype=bool)
        alive[self.complex_reaction[~broken]] = True
        ruled = np.zeros(len(self.reactions), dtype=bool)
        ruled[self.complex_reaction] = True
        return np.flatnonzero(ruled & ~alive)

    def digest(self) -> str:
        """Return a hash of the content."""
        hasher = hashlib.blake2b("\n".join((*self.reactions, *self.metabolites)).encode(), digest_size=8)
        for array in (
            self.incidence,
            self.stoichiometry,
            self.complex_reaction,
            self.complex_genes,
            self.complex_offsets,
        ):
            hasher.update(np.ascontiguousarray(array).tobytes())
        return hasher.hexdigest()
