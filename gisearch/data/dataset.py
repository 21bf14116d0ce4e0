"""What one experiment learns from: cell graph, genotypes, split and target, loaded once."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from gisearch.data.cell_graph import CellGraph
from gisearch.data.genotypes import Genotypes
from gisearch.data.splits import PARTS, Split
from gisearch.errors import DataError, nearest_name

_NAMED = 3


@dataclass(frozen=True)
class Target:
    """The label that a model learns.

    Attributes:
        name: a label of the genotypes.
        kind: ``regression`` for a measured value, ``binary`` for 0 or 1.
    """

    name: str
    kind: Literal["regression", "binary"]

    @property
    def metric(self) -> str:
        """The metric that a search optimises unless it names another."""
        return "val/pearson" if self.kind == "regression" else "val/auroc"


@dataclass(frozen=True)
class LeftOut:
    """How much of one source was left out, because its genes are unknown.

    Attributes:
        source: the network, or the file of genotypes.
        unit: what is counted, such as ``rows``.
        count: how many were left out.
        total: of how many.
        names: the first unknown names.
        hint: what those names look like, or nothing.
    """

    source: str
    unit: str
    count: int
    total: int
    names: tuple[str, ...] = ()
    hint: str = ""

    @property
    def share(self) -> float:
        """The share that was left out, from 0 to 1."""
        return self.count / self.total if self.total else 0.0

    def __str__(self) -> str:
        share = f"{self.share:.1%}".replace("%", " %")
        return f"{self.count:,} of {self.total:,} {self.unit} of {self.source} ({share})"


@dataclass(frozen=True)
class LoadReport:
    """What happened while loading, for people to check.

    Attributes:
        sources: one line per file or generator read, with row counts.
        unresolved: unknown gene names with their number of occurrences, per source.
        notes: anything else worth telling (duplicates merged, rows filtered and why).
        left_out: what was left out for unknown genes, per source that lost anything.
    """

    sources: tuple[str, ...] = ()
    unresolved: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    left_out: tuple[LeftOut, ...] = ()

    def warnings(self) -> tuple[str, ...]:
        """Return what whoever trains should know at once: what was left out, and what is in doubt.

        The first line counts what unknown genes left out of every source; the notes follow.
        """
        notes = tuple(f"note: {note}" for note in self.notes)
        if not self.left_out:
            return notes
        names = list(dict.fromkeys(name for part in self.left_out for name in part.names))[:_NAMED]
        hint = next((part.hint for part in self.left_out if part.hint), "")
        parts = "; ".join(map(str, self.left_out))
        return (f"left out for unknown genes such as {', '.join(map(ascii, names))}{hint}: {parts}", *notes)


@dataclass(frozen=True)
class Dataset:
    """A cell graph, its genotypes, their split and the target.

    Attributes:
        cell: the cell graph.
        genotypes: every genotype, labelled for ``target`` or not.
        split: which labelled genotypes train, validate and test.
        target: the label to learn.
        noise_ceiling: per part of the split, the best Pearson correlation that any model can reach
            against the noisy measurements; None where the data does not know it.
        report: what happened while loading.
    """

    cell: CellGraph
    genotypes: Genotypes
    split: Split
    target: Target
    noise_ceiling: Mapping[str, float] | None = None
    report: LoadReport = field(default_factory=LoadReport)

    def __post_init__(self) -> None:
        labels = self.genotypes.labels
        if self.target.name not in labels or np.isnan(labels[self.target.name]).all():
            measured = [name for name, values in labels.items() if not np.isnan(values).all()]
            raise DataError(
                f"data.target: {self.target.name!r} is not measured in this data "
                f"(it has: {', '.join(measured) or 'none'}).{nearest_name(self.target.name, measured)}"
            )
        for part in PARTS:
            rows = self.split.part(part)
            if len(rows) == 0:
                raise DataError(f"data.split: the {part} part is empty; expected at least one genotype.")
            if np.isnan(labels[self.target.name][rows]).any():
                raise DataError(f"data.split: the {part} part holds genotypes without {self.target.name!r}.")
        if self.target.kind == "binary":
            for part in PARTS:
                values = labels[self.target.name][self.split.part(part)]
                if values.min() == values.max():
                    raise DataError(
                        f"data.split: the {part} part holds only one class of {self.target.name!r}; "
                        "expected both 0 and 1."
                    )

    def values(self, part: str) -> npt.NDArray[np.float32]:
        """Return the target's values in one part of the split, float32 [n]."""
        return self.genotypes.labels[self.target.name][self.split.part(part)]

    def digest(self) -> str:
        """Return a hash of everything a model can learn from."""
        parts = (self.cell.digest(), self.genotypes.digest(), self.split.digest(), self.target.name)
        return hashlib.blake2b("/".join(parts).encode(), digest_size=8).hexdigest()
