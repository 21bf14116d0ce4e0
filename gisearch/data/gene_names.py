"""Gene names: systematic names, standard names and aliases resolve to one index, once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from gisearch.errors import DataError, nearest_name


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
        index = {name.upper(): i for i, name in enumerate(self.systematic)}
        claims: dict[str, set[int]] = {}
        for i, name in enumerate(self.standard):
            if name:
                claims.setdefault(name.upper(), set()).add(i)
        standard = dict(claims)
        for alias, owners in self.aliases.items():
            if alias.upper() not in standard:
                claims.setdefault(alias.upper(), set()).update(
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
        wanted: Sequence[str] = [name.strip().upper() for name in names]
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
            return index[name.strip().upper()]
        except KeyError:
            known = [*self.systematic, *filter(None, self.standard)]
            raise DataError(f"unknown gene {name!r}.{nearest_name(name, known)}") from None

    def label(self, index: int) -> str:
        """Return the name people read: the standard name where there is one."""
        return (self.standard[index] if self.standard else "") or self.systematic[index]
