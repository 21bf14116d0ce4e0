"""Which groups of workers are waited for before Ray is shut down, which else ends the driver too."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from gisearch.search.distributed import GroupPool, TrainingGroup


@pytest.mark.parametrize("is_lost", [True, False])
def test_a_group_that_was_given_back_broken_is_waited_for(
    is_lost: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[tuple[str, str]] = []

    def group(name: str) -> Any:
        return SimpleNamespace(name=name, serves=True, next_run=lambda: (name, 0), end=lambda: None)

    ready = iter([group("free"), group("broken"), group("taken")])
    monkeypatch.setattr("gisearch.search.distributed._start_switchboard", lambda _: None)
    monkeypatch.setattr(GroupPool, "_start", lambda _: next(ready))
    monkeypatch.setattr(GroupPool, "is_lost", is_lost)
    for way in ("wait", "close"):
        monkeypatch.setattr(TrainingGroup, way, lambda own, way=way: ended.append((own.name, way)))
    pool = GroupPool(3, SimpleNamespace(workers=2), None, None)  # type: ignore[arg-type]
    pool._free.append(pool._free.pop(0))
    for trial in ("t0000", "t0001"):
        pool.take(trial)
    pool.give_back("t0000", intact=False)
    pool.close()
    way = "wait" if is_lost else "close"
    assert sorted(ended) == sorted([("broken", "wait"), ("free", way), ("taken", way)])
