"""Gene names: systematic names, standard names and aliases resolve to one index, once."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from gisearch.errors import DataError, nearest_name

# Characters that look like a hyphen, and those that cannot be seen: both come from PDFs and spreadsheets.
_LOOK_ALIKES = {ord(dash): "-" for dash in "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\u00ad"}
_LOOK_ALIKES |= dict.fromkeys(map(ord, "\u200b\u200c\u200d\u200e\u200f\u2060\ufeff"), "")
# STRING writes the taxon before the name.
_TAXON = re.compile(r"\d{3,7}\.(?=[A-Za-z])")
# Metabolic models and R, whose names know no hyphen, write YHR001W_A or YHR001W.A for YHR001W-A.
_SUFFIX = re.compile(r"(Y[A-P][LR]\d{3}[WC])[_.]([A-Z])", re.IGNORECASE)


def canonical_name(text: str) -> str:
    """Return a gene's name as gene tables spell it, without regard to how a file came to write it.

    Spaces around it, characters that look like others or like nothing, STRING's taxon (``4932.YAL001C``)
    and the spelling ``YHR001W_A`` of metabolic models are mended. Case is kept.
    """
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text).translate(_LOOK_ALIKES)
    text = text.strip()
    if taxon := _TAXON.match(text):
        text = text[taxon.end() :]
    if suffix := _SUFFIX.fullmatch(text):
        text = f"{suffix[1]}-{suffix[2]}"
    return text


def shown(name: str) -> str:
    """Return a name for a message in quotation marks; a character outside ASCII as its code."""
    return ascii(name)


@dataclass(frozen=True)
class Resolution:
    """The outcome of resolving a column of gene names.

    Attributes:
        indices: int64 [n], the gene's index, or -1 where the name is unknown.
        unresolved: how often each unknown name occurred.
    """

    indices: npt.NDArray[np.int64]
    unresolved: Counter[str]


@dataclass(frozen=True)
class GeneNames:
    """The genes of one organism, in index order.

    Names are matched without regard to case. A systematic name always wins; a standard name
    or alias that two genes claim is ambiguous and resolves to neither.

    Attributes:
        systematic: one unique name per gene; the position is the gene's index.
        standard: the common name per gene, empty where there is none.
        aliases: further names, each mapped to the systematic names that claim it.

    Raises:
        DataError: a systematic name occurs twice, or the lengths differ.
    """

    systematic: tuple[str, ...]
    standard: tuple[str, ...] = ()
    aliases: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.standard and len(self.standard) != len(self.systematic):
            raise DataError(
                f"gene names: expected {len(self.systematic)} standard names, got {len(self.standard)}."
            )
        repeated = [name for name, n in Counter(map(str.upper, self.systematic)).items() if n > 1]
        if repeated:
            raise DataError(f"gene names: systematic name {repeated[0]!r} occurs more than once.")
        object.__setattr__(self, "_index", self._build_index())

    def _build_index(self) -> dict[str, int]:
        index = {canonical_name(name).upper(): i for i, name in enumerate(self.systematic)}
        index |= {name.upper(): i for i, name in enumerate(self.systematic)}
        claims: dict[str, set[int]] = {}
        for i, name in enumerate(self.standard):
            if name:
                claims.setdefault(canonical_name(name).upper(), set()).add(i)
        standard = dict(claims)
        for alias, owners in self.aliases.items():
            if (spelt := canonical_name(alias).upper()) not in standard:
                claims.setdefault(spelt, set()).update(
                    index[owner.upper()] for owner in owners if owner.upper() in index
                )
        for name, owners_of_name in claims.items():
            if len(owners_of_name) == 1:
                index.setdefault(name, next(iter(owners_of_name)))
        return index

    def __len__(self) -> int:
        return len(self.systematic)

    def resolve(self, names: Iterable[str]) -> Resolution:
        """Resolve many names at once; unknown ones are counted, never dropped silently."""
        index: dict[str, int] = self._index  # type: ignore[attr-defined]
        wanted: Sequence[str] = [canonical_name(name).upper() for name in names]
        indices = np.fromiter((index.get(name, -1) for name in wanted), dtype=np.int64, count=len(wanted))
        unresolved = Counter(wanted[i] for i in np.flatnonzero(indices < 0).tolist())
        return Resolution(indices, unresolved)

    def index_of(self, name: str) -> int:
        """Return the index of one name.

        Raises:
            DataError: the name is unknown; the message gives the nearest one.
        """
        index: dict[str, int] = self._index  # type: ignore[attr-defined]
        try:
            return index[canonical_name(name).upper()]
        except KeyError:
            known = [*self.systematic, *filter(None, self.standard)]
            raise DataError(f"unknown gene {shown(name)}.{nearest_name(name, known)}") from None

    def knows(self, name: str) -> bool:
        """Return whether a name is one gene's."""
        index: dict[str, int] = self._index  # type: ignore[attr-defined]
        return canonical_name(name).upper() in index

    def same_gene(self, first: str, second: str) -> str:
        """Return, for a message, why two names are one gene."""
        gene = self.index_of(first)
        systematic = self.systematic[gene]
        if canonical_name(first).upper() == canonical_name(second).upper():
            return f"the same gene is deleted twice ({shown(first)})"
        how = [f"{shown(name)} as {self._kind(name, gene)}" for name in (first, second)]
        return f"the same gene is deleted twice: {how[0]} and {how[1]} are both {systematic}"

    def _kind(self, name: str, gene: int) -> str:
        spelt = canonical_name(name).upper()
        if spelt == canonical_name(self.systematic[gene]).upper():
            return "the systematic name"
        standard = self.standard[gene] if self.standard else ""
        return "the standard name" if spelt == canonical_name(standard).upper() else "an alias"

    def label(self, index: int) -> str:
        """Return the name people read: the standard name where there is one."""
        return (self.standard[index] if self.standard else "") or self.systematic[index]
