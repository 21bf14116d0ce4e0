"""Genome-scale metabolic models such as yeast-GEM: YAML, SBML or JSON, gzip or not.

yeast-GEM: Zhang et al., Molecular Systems Biology 2024; https://github.com/SysBioChalmers/yeast-GEM.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from gisearch.data.dataset import LeftOut
from gisearch.data.gene_names import GeneNames, canonical_name
from gisearch.data.metabolism import Metabolism
from gisearch.data.sources.files import check_file, open_bytes
from gisearch.data.sources.gem_formats import FORMATS, PlainModel
from gisearch.data.sources.gene_rule import complexes_of_rule
from gisearch.data.sources.named_edges import left_out, resolve_codes
from gisearch.data.unknown_names import examples
from gisearch.errors import DataError


@dataclass(frozen=True)
class NamedMetabolism:
    """Metabolism as its file gives it.

    Attributes:
        path: the file.
        reactions: reaction identifiers, R of them.
        metabolites: metabolite identifiers, M of them.
        incidence: int64 [2, K], metabolite row then reaction row.
        stoichiometry: float32 [K], negative is consumed, positive produced.
        vocabulary: the genes of all rules, V of them.
        complex_reaction: int64 [C], the reaction that each enzyme complex catalyses.
        complex_codes: int64 [G], genes of the complexes as positions in ``vocabulary``, concatenated.
        complex_offsets: int64 [C + 1], where each complex starts in ``complex_codes``.
    """

    path: Path
    reactions: tuple[str, ...]
    metabolites: tuple[str, ...]
    incidence: npt.NDArray[np.int64]
    stoichiometry: npt.NDArray[np.float32]
    vocabulary: tuple[str, ...]
    complex_reaction: npt.NDArray[np.int64]
    complex_codes: npt.NDArray[np.int64]
    complex_offsets: npt.NDArray[np.int64]

    def resolve(self, names: GeneNames) -> tuple[Metabolism, Counter[str], str]:
        """Turn names into gene indices; return also the unknown names and one line for the load report.

        An unknown gene can never be deleted, so it leaves its complexes and never breaks them.
        """
        index, unresolved = resolve_codes(self.vocabulary, self.complex_codes, names)
        genes = index[self.complex_codes]
        owner = np.repeat(np.arange(len(self.complex_reaction)), np.diff(self.complex_offsets))
        size = np.bincount(owner[genes >= 0], minlength=len(self.complex_reaction))
        metabolism = Metabolism(
            reactions=self.reactions,
            metabolites=self.metabolites,
            incidence=self.incidence,
            stoichiometry=self.stoichiometry,
            complex_reaction=self.complex_reaction,
            complex_genes=genes[genes >= 0],
            complex_offsets=np.concatenate([[0], np.cumsum(size)]).astype(np.int64),
        )
        ruled = len(np.unique(self.complex_reaction))
        summary = (
            f"metabolism: {self.path.name}; {len(self.reactions):,} reactions, {ruled:,} of them with a gene "
            f"rule; {len(self.metabolites):,} metabolites; {len(self.stoichiometry):,} incidences"
        )
        return metabolism, unresolved, summary

    def immortal(self, unknown: Counter[str]) -> str:
        """Return a note on the unknown genes: no genotype can delete them."""
        codes = [i for i, name in enumerate(self.vocabulary) if name.upper() in unknown]
        owner = np.repeat(np.arange(len(self.complex_reaction)), np.diff(self.complex_offsets))
        reactions = np.unique(self.complex_reaction[owner[np.isin(self.complex_codes, codes)]])
        return (
            f"metabolism: {len(unknown):,} genes of the rules of {len(reactions):,} reactions are unknown "
            f"and can never be deleted ({examples(unknown)})"
        )

    def left_out(self, unknown: Counter[str], names: GeneNames) -> LeftOut | None:
        """Return which of the rules' genes are unknown."""
        return left_out("metabolism", "genes", len(unknown), len(self.vocabulary), unknown, names)


def read_gem(path: str | Path) -> NamedMetabolism:
    """Read a metabolic model; gene rules become alternatives of enzyme complexes.

    Args:
        path: ``.yml``/``.yaml``, ``.xml``/``.sbml`` or ``.json``, and any of them followed by ``.gz``.

    Raises:
        DataError: missing file, unknown format, a file that is no such model, or a gene rule that is
            malformed or has more than 10,000 alternatives.
    """
    path = check_file(path, "a metabolic model (YAML, SBML or JSON)")
    suffix = next((s for s in reversed(path.suffixes) if s.lower() not in (".gz", ".zip")), "").lower()
    if suffix not in FORMATS:
        raise DataError(
            f"{path}: unknown format; expected a name that ends in {', '.join(FORMATS)} (or .gz)."
        )
    with open_bytes(path) as stream:
        try:
            model = FORMATS[suffix](stream.read())
        except DataError as error:
            raise DataError(f"{path}: {error}") from None
        except Exception as error:
            what = " ".join(str(error).split())[:200] or type(error).__name__
            raise DataError(f"{path}: not a readable metabolic model ({what}).") from None
    if not model.reactions:
        raise DataError(f"{path}: the model has no reactions.")
    return _name(path, model)


def _name(path: Path, model: PlainModel) -> NamedMetabolism:
    row = {metabolite: i for i, metabolite in enumerate(model.metabolites)}
    position: dict[str, int] = {}
    incidence: list[tuple[int, int]] = []
    stoichiometry: list[float] = []
    owners: list[int] = []
    codes: list[list[int]] = []
    for number, reaction in enumerate(model.reactions):
        for metabolite, coefficient in reaction.stoichiometry.items():
            incidence.append((row[metabolite], number))
            stoichiometry.append(coefficient)
        try:
            complexes = complexes_of_rule(reaction.rule)
        except DataError as error:
            raise DataError(f"{path}: reaction {reaction.name}: {error}") from None
        for names in sorted(map(sorted, complexes)):
            owners.append(number)
            codes.append([position.setdefault(canonical_name(name), len(position)) for name in names])
    return NamedMetabolism(
        path=path,
        reactions=tuple(reaction.name for reaction in model.reactions),
        metabolites=model.metabolites,
        incidence=np.array(incidence, dtype=np.int64).reshape(-1, 2).T.copy(),
        stoichiometry=np.array(stoichiometry, dtype=np.float32),
        vocabulary=tuple(position),
        complex_reaction=np.array(owners, dtype=np.int64),
        complex_codes=np.array([code for own in codes for code in own], dtype=np.int64),
        complex_offsets=np.concatenate([[0], np.cumsum([len(own) for own in codes])]).astype(np.int64),
    )
