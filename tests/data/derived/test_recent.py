"""What was asked for last is kept."""

from __future__ import annotations

from gisearch.data.derived.recent import Recent


def test_keeps_what_was_asked_for_last() -> None:
    made: list[str] = []

    def get(key: str) -> str:
        return recent.get(key, lambda: made.append(key) or key.upper())  # type: ignore[func-returns-value]

    recent = Recent[str](2)
    assert [get(key) for key in "abacab"] == list("ABACAB")
    assert made == ["a", "b", "c", "b"]
