"""Binary labels made from measurements: a score and its P say which genotypes are 1, which 0, which neither.

The practice of the field: Costanzo et al. (Science 2016) call an interaction negative where the score is
below -0.08 with P < 0.05, and positive above 0.08; who learns from them takes those of large P for none.

Shapes: B genotypes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, TypeAlias

import numpy as np
import numpy.typing as npt
from pydantic import AfterValidator, Field, model_validator
from pydantic.dataclasses import dataclass

from gisearch.config import STRICT
from gisearch.data.genotypes import Genotypes
from gisearch.errors import DataError, nearest_name

Values: TypeAlias = npt.NDArray[np.float32]
Mask: TypeAlias = npt.NDArray[np.bool_]

# How a limit reads: before and after the name of the label.
_WORDS = {
    "score_below": ("{}", "<"),
    "score_above": ("{}", ">"),
    "score_within": ("|{}|", "<"),
    "score_beyond": ("|{}|", ">"),
    "p_below": ("{}", "<"),
    "p_above": ("{}", ">"),
}
_EXCLUSIVE = (("score_below", "score_above"), ("score_within", "score_beyond"), ("p_below", "p_above"))


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Condition:
    """Limits that all hold, each strictly; a value that is not measured holds none.

    Attributes:
        score_below: the score is below this.
        score_above: the score is above this.
        score_within: the score's absolute value is below this.
        score_beyond: the score's absolute value is above this.
        p_below: P is below this.
        p_above: P is above this.
    """

    score_below: float | None = None
    score_above: float | None = None
    score_within: Annotated[float, Field(gt=0)] | None = None
    score_beyond: Annotated[float, Field(ge=0)] | None = None
    p_below: Annotated[float, Field(gt=0, le=1)] | None = None
    p_above: Annotated[float, Field(ge=0, lt=1)] | None = None

    @model_validator(mode="after")
    def _can_hold(self) -> Condition:
        limits = self.limits()
        if not limits:
            raise ValueError(f"expected at least one of {', '.join(_WORDS)}.")
        for below, above in _EXCLUSIVE:
            if below in limits and above in limits and limits[below] <= limits[above]:
                raise ValueError(
                    f"nothing is below {limits[below]:g} and above {limits[above]:g}; expected {below} to be "
                    f"larger than {above}."
                )
        return self

    def limits(self) -> dict[str, float]:
        """Return the limits that are set, by name."""
        values = {name: getattr(self, name) for name in _WORDS}
        return {name: value for name, value in values.items() if value is not None}

    def needs(self, kind: str) -> bool:
        """Return whether any limit is on the ``score``, or on ``p``."""
        return any(name.startswith(f"{kind}_") for name in self.limits())

    def holds(self, score: Values, p: Values) -> Mask:
        """Return where all limits hold; ``score`` and ``p`` are float32 [B], NaN where not measured."""
        result: Mask = np.ones(len(score), dtype=bool)
        for name, limit in self.limits().items():
            values = p if name.startswith("p_") else score
            if name in ("score_within", "score_beyond"):
                values = np.abs(values)
            # In the precision of the labels: a value that was written as the limit is not beyond it.
            bound = np.float32(limit)
            result &= values > bound if _WORDS[name][1] == ">" else values < bound
        return result

    def words(self, score: str, p: str) -> str:
        """Return the condition as people write it, of labels that go by these names."""
        parts = []
        for name, limit in self.limits().items():
            spelt, sign = _WORDS[name]
            parts.append(f"{spelt.format(p if name.startswith('p_') else score)} {sign} {limit:g}")
        return " and ".join(parts)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class LabelRule(Condition):
    """What makes a genotype 1, and what makes it 0; one that satisfies neither has no such label.

    Attributes:
        score: the measured label that ``score_...`` is about.
        p: the measured label that ``p_...`` is about; that of the score (``<score>_p``) by default.
        zero_if: what makes a genotype 0; by default whatever does not make it 1, where all that the rule
            names is measured.
    """

    score: str = "gene_interaction"
    p: str | None = None
    zero_if: Condition | None = None

    @property
    def p_label(self) -> str:
        """The label that holds P."""
        return self.p or f"{self.score}_p"

    def leaves_zeros(self, max_p: float) -> bool:
        """Return whether a genotype that is 0 can have a P of at most ``max_p``."""
        above = self.zero_if.p_above if self.zero_if else None
        return above is None or above < max_p


def _plain_names(rules: dict[str, LabelRule]) -> dict[str, LabelRule]:
    for name in rules:
        if not name.strip():
            raise ValueError("expected a name for every label, got an empty one.")
        if name.endswith(("_std", "_p")):
            raise ValueError(
                f"a label {name!r} would be taken for the standard deviation or P of another; rename it."
            )
    return rules


LabelRules = Annotated[dict[str, LabelRule], AfterValidator(_plain_names)]
"""Rules by the names of the labels that they make."""


def make_labels(genotypes: Genotypes, rules: Mapping[str, LabelRule]) -> tuple[Genotypes, list[str]]:
    """Add the binary labels that some rules make.

    Args:
        genotypes: what was measured.
        rules: by the name of the label to make.

    Returns:
        The genotypes with the labels, and one note for each: how many are 1, 0, neither.

    Raises:
        DataError: a label of that name is measured; what a rule names is not measured, or is no number; a
            genotype would be both 1 and 0, or no genotype would be 1, or 0.
    """
    made: dict[str, Values] = {}
    notes = []
    for name, rule in rules.items():
        if name in genotypes.labels:
            raise DataError(f"data.labels.{name}: a label of that name is in the data; rename this one.")
        made[name], note = _make(name, rule, genotypes)
        notes.append(note)
    labels = {**genotypes.labels, **made}
    return replace(genotypes, labels=labels, binary=genotypes.binary | made.keys()), notes


def confident(
    genotypes: Genotypes, target: str, rule: LabelRule | None, max_p: float | None
) -> tuple[Mask, list[str]]:
    """Return which genotypes have no P above ``max_p``, and what to say of the others.

    Args:
        genotypes: B genotypes.
        target: the label that is learned.
        rule: what made it; None where it is measured.
        max_p: the largest P; None for no limit.

    Raises:
        DataError: the target has no P.
    """
    if max_p is None:
        return np.ones(len(genotypes), dtype=bool), []
    name = rule.p_label if rule else f"{target}_p"
    p = _measured(genotypes, name, "data.max_p")
    labelled = ~np.isnan(genotypes.labels[target])
    above = p > np.float32(max_p)
    count, without = int((above & labelled).sum()), int((np.isnan(p) & labelled).sum())
    note = f"target {target}: {count:,} of {labelled.sum():,} genotypes left out: {name} > {max_p:g}"
    if without:
        note += f"; {without:,} without {name} were kept"
    return ~above, [note]


def _make(name: str, rule: LabelRule, genotypes: Genotypes) -> tuple[Values, str]:
    where = f"data.labels.{name}"
    nothing = np.full(len(genotypes), np.nan, dtype=np.float32)
    conditions = [rule, *([rule.zero_if] if rule.zero_if else [])]
    uses_score, uses_p = (any(one.needs(kind) for one in conditions) for kind in ("score", "p"))
    score = _measured(genotypes, rule.score, where) if uses_score else nothing
    p = _measured(genotypes, rule.p_label, where) if uses_p else nothing
    measured: Mask = np.ones(len(genotypes), dtype=bool)
    for values, is_used in ((score, uses_score), (p, uses_p)):
        if is_used:
            measured &= ~np.isnan(values)
    one = rule.holds(score, p)
    zero = rule.zero_if.holds(score, p) if rule.zero_if else measured & ~one
    of_one = rule.words(rule.score, rule.p_label)
    of_zero = rule.zero_if.words(rule.score, rule.p_label) if rule.zero_if else "otherwise"
    if (one & zero).any():
        raise DataError(
            f"{where}: {(one & zero).sum():,} genotypes are 1 ({of_one}) and 0 ({of_zero}) at once; expected "
            "limits that exclude one another."
        )
    for value, chosen, words in ((1, one, of_one), (0, zero, of_zero)):
        if not chosen.any():
            raise DataError(
                f"{where}: no genotype is {value} ({words}){_range(rule, score, p)}; expected limits that "
                "some genotypes meet."
            )
    values = np.where(one, np.float32(1), np.where(zero, np.float32(0), np.float32(np.nan)))
    neither = int((measured & ~one & ~zero).sum())
    note = (
        f"label {name}: 1 where {of_one} ({one.sum():,} genotypes), 0 "
        f"{'where ' if rule.zero_if else ''}{of_zero} ({zero.sum():,}); {neither:,} measured ones are neither"
    )
    return values.astype(np.float32), note


def _range(rule: LabelRule, score: Values, p: Values) -> str:
    """Return between what the measured values lie, as part of a sentence."""
    parts = [
        f"{name} from {np.nanmin(values):.4g} to {np.nanmax(values):.4g}"
        for name, values in ((rule.score, score), (rule.p_label, p))
        if not np.isnan(values).all()
    ]
    return f" where the data has {' and '.join(parts)}" if parts else ""


def _measured(genotypes: Genotypes, name: str, where: str) -> Values:
    """Return a label of numbers.

    Raises:
        DataError: it is not measured, or binary.
    """
    values = genotypes.labels.get(name)
    if values is None or np.isnan(values).all():
        known = [
            label
            for label, found in genotypes.labels.items()
            if label not in genotypes.binary and not np.isnan(found).all()
        ]
        raise DataError(
            f"{where}: {name!r} is not measured in this data (it has: {', '.join(known) or 'none'})."
            f"{nearest_name(name, known)}"
        )
    if name in genotypes.binary:
        raise DataError(f"{where}: {name!r} is 0 or 1; expected a label of numbers.")
    return values
