"""What Tune is given lives in this process alone."""

from __future__ import annotations

from typing import Any, Self


class StaysHere:
    """Tune keeps copies for its own way of restoring, which is never used: the study is the truth."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (object, ())

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self
