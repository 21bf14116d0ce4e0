"""Gene rules of reactions: genes joined by ``and`` and ``or``, as alternatives of enzyme complexes."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable

from gisearch.errors import DataError

MAX_COMPLEXES = 10_000

Complexes = frozenset[frozenset[str]]

_TOKEN = re.compile(r"[()]|&+|\|+|[^\s()&|]+")
_AND, _OR = {"and", "&", "&&"}, {"or", "|", "||"}


def complexes_of_rule(rule: str) -> Complexes:
    """Return the minimal disjunctive normal form of a gene rule: the sets of genes that each suffice.

    ``and`` binds more closely than ``or``; ``&`` and ``|`` mean the same. The empty rule gives the empty set.

    Raises:
        DataError: the rule cannot be read, or more than 10,000 alternatives arise.
    """
    # Last things first, because the parser takes from the end.
    tokens: list[str] = _TOKEN.findall(rule)[::-1]
    if not tokens:
        return frozenset()
    try:
        complexes = _any_of(tokens)
        if tokens:
            raise ValueError(f"{tokens[-1]!r} follows a complete rule")
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"malformed gene rule {_short(rule)!r} ({error}); expected genes joined by 'and' and 'or'."
        ) from None
    return complexes


def _any_of(tokens: list[str]) -> Complexes:
    parts = [_all_of(tokens)]
    while tokens and tokens[-1].lower() in _OR:
        tokens.pop()
        parts.append(_all_of(tokens))
    return parts[0] if len(parts) == 1 else _minimal(itertools.chain.from_iterable(parts))


def _all_of(tokens: list[str]) -> Complexes:
    product = _one(tokens)
    while tokens and tokens[-1].lower() in _AND:
        tokens.pop()
        part = _one(tokens)
        if len(product) * len(part) > MAX_COMPLEXES:
            raise DataError(
                f"the gene rule has more than {MAX_COMPLEXES:,} alternative enzyme complexes; simplify it."
            )
        product = _minimal(left | right for left in product for right in part)
    return product


def _one(tokens: list[str]) -> Complexes:
    if not tokens:
        raise ValueError("a gene is missing at the end")
    token = tokens.pop()
    if token == "(":
        inside = _any_of(tokens)
        if not tokens or tokens.pop() != ")":
            raise ValueError("a parenthesis is not closed")
        return inside
    if token == ")" or token.lower() in _AND | _OR:
        raise ValueError(f"a gene is missing before {token!r}")
    return frozenset([frozenset([token])])


def _minimal(complexes: Iterable[frozenset[str]]) -> Complexes:
    """Drop complexes that hold another one: whenever they are complete, so is the smaller."""
    kept: list[frozenset[str]] = []
    for _, same_size in itertools.groupby(sorted(set(complexes), key=len), key=len):
        kept += [candidate for candidate in same_size if not any(smaller <= candidate for smaller in kept)]
    return frozenset(kept)


def _short(rule: str) -> str:
    return rule if len(rule) <= 80 else f"{rule[:80]}..."
