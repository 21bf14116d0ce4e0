"""Few configurations that show whatever does not fit together in a search space."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from random import Random
from typing import Any

from gisearch.search.domains import same
from gisearch.search.space import Assignment, SearchSpace, expand


def covering_assignments(space: SearchSpace, seed: int = 0) -> Iterator[Assignment]:
    """Yield configurations in which every value meets every other value that it can meet.

    A limit that one value breaks, or two values together (heads and a width that they do not divide),
    shows in at least one of them; a finite space of up to a thousand configurations is yielded whole.
    """
    values = _representatives(space)
    if math.prod(map(len, values.values())) <= 1000:
        yield from expand(space, lambda parameter: values[parameter.path])
        return
    random = Random(seed)
    pairs = [
        ((a.path, i), (b.path, j))
        for n, a in enumerate(space.parameters)
        for b in space.parameters[n + 1 :]
        for i in range(len(values[a.path]))
        for j in range(len(values[b.path]))
    ]
    covered: set[tuple[tuple[str, int], tuple[str, int]]] = set()
    for pair in pairs:
        if pair in covered:
            continue
        forced = _completion(space, values, dict(pair))
        if forced is None:
            continue
        indices = {path: random.randrange(len(options)) for path, options in values.items()} | forced
        assignment = space.sample(lambda p, chosen=indices: values[p.path][chosen[p.path]])  # type: ignore[misc]
        yield assignment
        chosen = [(path, indices[path]) for path in assignment]
        covered.update((a, b) for n, a in enumerate(chosen) for b in chosen[n + 1 :])


def _representatives(space: SearchSpace) -> dict[str, tuple[Any, ...]]:
    """Return the values to try of every parameter: its domain's, and those that conditions name."""
    values = {p.path: list(p.domain.representatives) for p in space.parameters}
    for parameter in space.parameters:
        for key, allowed in parameter.when.items():
            if key in values:
                domain = space[key].domain
                known = values[key]
                known += [v for v in allowed if v in domain and not any(same(v, other) for other in known)]
    return {path: tuple(options) for path, options in values.items()}


def _completion(
    space: SearchSpace, values: Mapping[str, Sequence[Any]], forced: Mapping[str, int]
) -> dict[str, int] | None:
    """Add values that make the forced parameters exist together; None where nothing does."""
    needed, pending = set(forced), list(forced)
    while pending:
        above = {key for key in space[pending.pop()].when if key in values} - needed
        needed |= above
        pending += above
    chain = [p for p in space.parameters if p.path in needed]

    def extend(n: int, indices: dict[str, int]) -> dict[str, int] | None:
        if n == len(chain):
            return indices
        path = chain[n].path
        if not space.is_active(chain[n], {key: values[key][i] for key, i in indices.items()}):
            return None
        options = [forced[path]] if path in forced else range(len(values[path]))
        tried = (extend(n + 1, {**indices, path: i}) for i in options)
        return next((found for found in tried if found is not None), None)

    return extend(0, {})
