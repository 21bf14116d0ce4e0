"""Splits: which genotypes train, validate and test, with the promise each split makes checked.

``random`` asks how well a model fills in genotypes of known genes. ``unseen_genes`` asks how well it
extrapolates to genes that it never saw deleted: the subgroups of GEARS (Roohani et al., Nature
Biotechnology 2024, "combo seen 0/1/2") and DANGO's splits by unseen genes (Zhang et al., 2020). ``file`` is
somebody's split (``split_file.py``), for numbers that match published ones.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass as config_dataclass

from gisearch.config import STRICT
from gisearch.data.gene_holdout import genes_in, hold_out_genes
from gisearch.data.genotypes import Genotypes
from gisearch.errors import DataError
from gisearch.files import LocalPath
from gisearch.seeding import child_generator

PARTS = ("train", "val", "test")

Rows: TypeAlias = npt.NDArray[np.int64]
Unseen: TypeAlias = Literal[1, 2, 3, "all"]

_ATTEMPTS = 8


@config_dataclass(frozen=True, kw_only=True, config=STRICT)
class SplitConfig:
    """How genotypes are divided.

    Attributes:
        strategy: ``random`` over genotypes; ``unseen_genes``: validation and test genotypes hold genes that
            no training genotype holds; or ``file``: as ``path`` says, whatever the seed.
        val: fraction of the kept genotypes that validate.
        test: fraction of the kept genotypes that test.
        unseen: with ``unseen_genes``, exactly how many genes of every validation and test genotype are
            unseen in training: 1, 2, 3, or ``all`` of them.
        path: with ``file``, a table of genotypes with a column ``part``.
    """

    strategy: Literal["random", "unseen_genes", "file"] = "random"
    val: float = Field(default=0.15, gt=0, lt=1)
    test: float = Field(default=0.15, gt=0, lt=1)
    unseen: Unseen = 1
    path: LocalPath | None = None

    @model_validator(mode="after")
    def _leave_something_to_train_on(self) -> SplitConfig:
        if self.val + self.test >= 1:
            raise ValueError(
                f"val + test must be below 1, to leave training genotypes; got {self.val:g} + {self.test:g}."
            )
        return self

    @model_validator(mode="after")
    def _a_path_with_a_file(self) -> SplitConfig:
        if self.strategy == "file" and not (self.path and self.path.strip()):
            raise ValueError(
                "strategy=file needs path=FILE, a table of genotypes with a column 'part' (written by "
                "'gisearch data split')."
            )
        if self.strategy != "file" and self.path is not None:
            raise ValueError(
                f"path means nothing for the strategy {self.strategy}; set strategy=file, or leave it out."
            )
        return self


@dataclass(frozen=True)
class Split:
    """The genotypes of each part, ascending.

    Attributes:
        train: int64 [n_train], genotype rows.
        val: int64 [n_val], genotype rows.
        test: int64 [n_test], genotype rows.
        unseen: int8 [B], how many genes of each genotype (of any part or none) occur in no training
            genotype: the subgroup that metrics are reported by.
        dropped: eligible genotypes that fit no part.
        promise: the number of unseen genes that every validation and test genotype must have, None
            for a split that promises none.
    """

    train: Rows
    val: Rows
    test: Rows
    unseen: npt.NDArray[np.int8]
    dropped: int = 0
    promise: Unseen | None = None

    def part(self, name: str) -> Rows:
        """Return the genotype rows of ``train``, ``val`` or ``test``.

        Raises:
            DataError: there is no such part.
        """
        if name not in PARTS:
            raise DataError(f"unknown part {name!r} of a split; expected one of {', '.join(PARTS)}.")
        rows: Rows = getattr(self, name)
        return rows

    def digest(self) -> str:
        """Return a hash of the parts: equal splits have equal digests in any process."""
        hasher = hashlib.blake2b(digest_size=8)
        for name in PARTS:
            rows = self.part(name)
            hasher.update(f"{name}/{len(rows)}".encode())
            hasher.update(np.ascontiguousarray(rows, dtype=np.int64).tobytes())
        return hasher.hexdigest()

    def check_leakage(self, genotypes: Genotypes) -> None:
        """Check that nothing of the validation and test parts is in training.

        Raises:
            DataError: the same gene set is in two parts; a validation or test genotype has not the
                promised number of unseen genes; or the two parts share an unseen gene.
        """
        table = genotypes.padded()
        rows = np.concatenate([self.part(name) for name in PARTS])
        part = np.repeat(np.arange(len(PARTS)), [len(self.part(name)) for name in PARTS])
        unique, inverse = np.unique(table[rows], axis=0, return_inverse=True)
        inverse = inverse.reshape(-1)
        first = np.full(len(unique), len(PARTS))
        np.minimum.at(first, inverse, part)
        leaked = np.flatnonzero(part != first[inverse])
        if len(leaked):
            at = leaked[0]
            raise DataError(
                f"leakage: genotype row {rows[at]} of the {PARTS[part[at]]} part deletes the same genes as "
                f"one of the {PARTS[first[inverse[at]]]} part; expected every gene set in one part only."
            )
        if self.promise is not None:
            self._check_promise(genotypes, table)

    def _check_promise(self, genotypes: Genotypes, table: Rows) -> None:
        seen = genes_in(table[self.train])
        missing = ~np.isin(table, seen) & (table >= 0)
        wanted = genotypes.order if self.promise == "all" else np.full(len(table), self.promise)
        for name in ("val", "test"):
            rows = self.part(name)
            broken = rows[missing[rows].sum(1) != wanted[rows]]
            if len(broken):
                raise DataError(
                    f"leakage: genotype row {broken[0]} of the {name} part has "
                    f"{missing[broken[0]].sum()} genes unseen in training; the split promises {self.promise}."
                )
        shared = np.intersect1d(table[self.val][missing[self.val]], table[self.test][missing[self.test]])
        if len(shared):
            raise DataError(
                f"leakage: gene {shared[0]} is unseen in training but in both the val and the test part; "
                "expected each held-out gene in one of them."
            )


def split_genotypes(
    genotypes: Genotypes,
    rows: npt.ArrayLike,
    config: SplitConfig,
    seed: int,
    stratify: npt.ArrayLike | None = None,
) -> Split:
    """Divide genotypes into training, validation and test parts.

    Args:
        genotypes: all B genotypes.
        rows: int [n], the eligible ones (those labelled with the target).
        config: the strategy and the fractions.
        seed: the master seed.
        stratify: binary labels [n] of ``rows``; both classes then occur in every part, in their own
            proportion where the split is random.

    Raises:
        DataError: a part would be empty, or hold one class only; or the result leaks; or the parts are in a
            file.
    """
    if config.strategy == "file":
        raise DataError("data.split.strategy=file: the parts are read from data.split.path, not drawn.")
    eligible: Rows = np.asarray(rows, dtype=np.int64)
    label = None if stratify is None else np.asarray(stratify).astype(bool)
    if label is not None and label.shape != eligible.shape:
        raise DataError(f"data.split: expected {len(eligible)} stratification labels, got {len(label)}.")
    if len(eligible) < len(PARTS):
        raise DataError(
            f"data.split: {len(eligible)} labelled genotypes cannot fill train, val and test; expected at "
            "least 3: choose another data.target or add data."
        )
    generator = child_generator(seed, "split", config.strategy)
    table = genotypes.padded()
    if config.strategy == "random":
        part, promise = _random_parts(label, len(eligible), config, generator), None
    else:
        part, promise = _unseen_parts(table[eligible], label, config, generator), config.unseen
    return split_of_parts(genotypes, eligible, part, promise)


def split_of_parts(genotypes: Genotypes, rows: Rows, part: Rows, promise: Unseen | None = None) -> Split:
    """Return the split that puts every genotype where it is said to be.

    Args:
        genotypes: all B genotypes.
        rows: int64 [n], the eligible ones.
        part: int64 [n], positions in ``PARTS``, -1 for none.
        promise: the number of unseen genes of every validation and test genotype, None for any.

    Raises:
        DataError: the result leaks.
    """
    table = genotypes.padded()
    train, val, test = (np.sort(rows[part == i]) for i in range(len(PARTS)))
    unseen = (~np.isin(table, genes_in(table[train])) & (table >= 0)).sum(1).astype(np.int8)
    split = Split(train, val, test, unseen, dropped=int((part < 0).sum()), promise=promise)
    split.check_leakage(genotypes)
    return split


def _random_parts(
    label: npt.NDArray[np.bool_] | None, num_rows: int, config: SplitConfig, generator: np.random.Generator
) -> Rows:
    part = np.zeros(num_rows, dtype=np.int64)
    classes = [np.arange(num_rows)] if label is None else [np.flatnonzero(~label), np.flatnonzero(label)]
    for value, members in enumerate(classes):
        if len(members) < len(PARTS):
            raise DataError(
                f"data.split: only {len(members)} genotypes have the label {value}; expected at least 3, one "
                "for each of train, val and test: choose another data.target or add data."
            )
        shuffled = generator.permutation(members)
        # At least one genotype per part, however small the fractions.
        num_val = min(max(1, round(config.val * len(members))), len(members) - 2)
        num_test = min(max(1, round(config.test * len(members))), len(members) - 1 - num_val)
        part[shuffled[:num_val]] = 1
        part[shuffled[num_val : num_val + num_test]] = 2
    return part


def _unseen_parts(
    table: Rows, label: npt.NDArray[np.bool_] | None, config: SplitConfig, generator: np.random.Generator
) -> Rows:
    """Return the part of each row of ``table`` (int64 [n, 3], padded with -1), -1 for dropped rows."""
    order = (table >= 0).sum(1)
    wanted = order if config.unseen == "all" else np.full(len(table), config.unseen)
    if (order < wanted).all():
        raise DataError(
            f"data.split.unseen: {config.unseen} genes of a genotype cannot be unseen where genotypes delete "
            f"at most {order.max()}; expected {order.max()} or less, or 'all'."
        )
    best: Rows | None = None
    best_error, problem = np.inf, ""
    for _ in range(_ATTEMPTS):
        part = hold_out_genes(table, wanted, (config.val, config.test), generator)
        problem = _problem(part, label) or problem
        if _problem(part, label):
            continue
        shares = np.bincount(part[part >= 0], minlength=3) / (part >= 0).sum()
        error = abs(shares[1] - config.val) + abs(shares[2] - config.test)
        if error < best_error:
            best, best_error = part, error
        if error < 0.02:
            break
    if best is None:
        raise DataError(
            f"data.split: no choice of held-out genes works ({problem}): raise data.split.val and "
            "data.split.test, ask for fewer unseen genes, or use data.split.strategy=random."
        )
    return best


def _problem(part: Rows, label: npt.NDArray[np.bool_] | None) -> str:
    for i, name in enumerate(PARTS):
        inside = part == i
        if not inside.any():
            return f"the {name} part is empty"
        if label is not None and label[inside].all() == label[inside].any():
            return f"the {name} part holds only one class"
    return ""
