"""What waits to be written keeps its order, wherever it waits, and never fills the memory."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from gisearch.tracking.backlog import Backlog
from gisearch.tracking.operations import Operation
from gisearch.tracking.spool import Spool, read_spool


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "s.jsonl", "parent", "test", "sqlite:///m.db")


def tags(number: int) -> Operation:
    return Operation("tags", number, {"a": str(number)})


def drain(backlog: Backlog) -> list[int | None]:
    """Deliver everything, a trial at a time."""
    delivered = []
    while len(backlog):
        backlog.advance()
        while backlog.queue:
            group = backlog.next_group()
            delivered += [operation.number for operation in group]
            backlog.remove(group)
            backlog.settle(group)
    return delivered


def in_memory(backlog: Backlog) -> int:
    return len(backlog.queue) + len(backlog._incoming)


@pytest.mark.parametrize("every", [1, 7, 1000])
def test_order_holds_and_memory_is_bounded(spool: Spool, every: int) -> None:
    backlog = Backlog(spool, 10)
    delivered: list[int | None] = []
    for number in range(95):
        backlog.add(tags(number))
        assert in_memory(backlog) <= 20
        if number % every == 0:  # a store that takes one write while `every` come in
            backlog.advance()
            assert in_memory(backlog) <= 20
            group = backlog.next_group()
            delivered += [operation.number for operation in group]
            backlog.remove(group)
            backlog.settle(group)
    assert len(backlog) == 95 - len(delivered)
    assert delivered + drain(backlog) == list(range(95))
    assert spool.path.exists() == (every > 1)
    if spool.path.exists():
        assert read_spool(spool.path)[1] == []
        assert spool.path.stat().st_size > 1000
        backlog.clear_spool()
        assert read_spool(spool.path) == ({**spool._header}, [])


def test_another_process_finds_what_is_left_in_the_same_order(spool: Spool) -> None:
    backlog = Backlog(spool, 4)
    for number in range(3):
        backlog.add(tags(number))
    backlog.advance()  # 0 to 2 wait in the queue, in memory alone
    for number in range(3, 21):
        backlog.add(tags(number))
    assert backlog.keep_all() == 21
    assert [operation.number for operation in read_spool(spool.path)[1]] == list(range(21))


def test_what_an_earlier_process_left_comes_first_and_alone(spool: Spool) -> None:
    earlier = [Operation("metrics", number, {"values": []}) for number in (0, 0, 0, 1, 1)]
    spool.keep(earlier)
    backlog = Backlog(spool, 2, earlier)
    assert in_memory(backlog) == 2
    backlog.add(Operation("metrics", 1, {"values": []}))
    groups = []
    while len(backlog):
        backlog.advance()
        while backlog.queue:
            groups.append(backlog.next_group())
            backlog.remove(groups[-1])
            backlog.settle(groups[-1])
    # It may have been written before: whatever fails then fails alone.
    assert [len(group) for group in groups] == [1] * 6
    assert [group[0].id for group in groups[:5]] == [operation.id for operation in earlier]
    assert read_spool(spool.path)[1] == []


def test_a_disk_without_room_costs_memory_and_nothing_else(
    spool: Spool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(operations: object) -> None:
        raise OSError(28, "No space left on device")

    backlog = Backlog(spool, 5)
    monkeypatch.setattr(spool, "keep", full)
    with caplog.at_level(logging.WARNING, "gisearch"):
        for number in range(23):
            backlog.add(tags(number))
    assert "cannot be written (No space left on device)" in caplog.text
    assert len(backlog) == 23
    assert drain(backlog) == list(range(23))


def test_a_spool_that_vanished_is_told_and_counted(spool: Spool, caplog: pytest.LogCaptureFixture) -> None:
    backlog = Backlog(spool, 5)
    for number in range(7):
        backlog.add(tags(number))
    spool.path.unlink()
    with caplog.at_level(logging.WARNING, "gisearch"):
        assert drain(backlog) == [5, 6]
    assert backlog.lost == 5
    assert "cannot be read back" in caplog.text


def test_a_group_is_what_waits_of_one_trial(spool: Spool) -> None:
    backlog = Backlog(spool, 100)
    kinds = [
        ("start", 0),
        ("metrics", 1),
        ("text", 0),
        ("metrics", None),
        ("end", 0),
        ("start", 0),
        ("end", 0),
    ]
    for kind, number in kinds:
        backlog.add(Operation(kind, number, {"values": []}))
    backlog.advance()
    groups = []
    while backlog.queue:
        groups.append([(o.kind, o.number) for o in backlog.next_group()])
        backlog.remove(backlog.next_group())
    assert groups == [
        [("start", 0), ("text", 0), ("end", 0)],
        [("metrics", 1)],
        [("metrics", None)],
        [("start", 0), ("end", 0)],
    ]
