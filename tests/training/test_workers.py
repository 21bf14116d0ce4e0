"""The group of workers itself; tests/contracts trains every model in one."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
import torch
from torch import nn

from gisearch.errors import NonFiniteError
from gisearch.models.layers.stages import StageMonitor
from gisearch.models.whole_batch import WholeBatch
from gisearch.training.workers import SharedBatch, WorkerGroup
from tests.training.processes import ROWS, case, contrastive, worker


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What each of two processes saw."""
    folder = tmp_path_factory.mktemp("two")
    torch.multiprocessing.spawn(worker, (2, str(folder)), nprocs=2)
    return [pickle.loads((folder / f"seen{rank}.pickle").read_bytes()) for rank in range(2)]


class TestAlone:
    def test_it_has_everything_itself(self) -> None:
        group, rows = WorkerGroup(), case()[0]
        assert (group.rank, group.size) == (0, 1)
        assert torch.equal(group.share(rows), rows)
        assert group.gather(rows) is rows
        assert group.exchange("x") == ["x"]
        assert group.on_first(lambda: 5) == 5
        assert torch.equal(group.total(torch.tensor(2.0)), torch.tensor(2.0))
        assert torch.equal(group.broadcast(torch.tensor(2.0)), torch.tensor(2.0))

    def test_any_error_of_the_first_is_raised(self) -> None:
        def fail() -> None:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            WorkerGroup().on_first(fail)

    def test_a_non_finite_stage_is_named(self) -> None:
        monitor = StageMonitor()
        monitor.watch("encoder", torch.tensor([float("inf")]))
        with pytest.raises(NonFiniteError, match="stage 'encoder'"):
            WorkerGroup().check(monitor)

    def test_a_shared_batch_of_one_process_is_the_whole_batch(self) -> None:
        rows, weights = case()
        results = []
        for batch in (WholeBatch(), SharedBatch(WorkerGroup(), [ROWS])):
            torch.manual_seed(11)
            parameter = nn.Parameter(weights)
            loss = contrastive(batch, rows, parameter)
            loss.backward()
            results.append((loss.item(), parameter.grad))
        assert results[0][0] == results[1][0]
        torch.testing.assert_close(results[0][1], results[1][1], rtol=0, atol=0)


@pytest.mark.slow
class TestTwo:
    def test_rows_are_shared_without_overlap_and_gathered_in_order(self, seen: list[dict[str, Any]]) -> None:
        rows = case()[0]
        assert [one["group"] for one in seen] == [(0, 2), (1, 2)]
        assert torch.equal(seen[0]["share"], rows[:4])
        assert torch.equal(seen[1]["share"], rows[4:])
        for one in seen:
            assert torch.equal(one["gathered"], rows)
            assert torch.equal(one["gathered with sizes"], rows)
            assert torch.equal(one["gathered none of one"], rows[4:6])

    def test_plain_values(self, seen: list[dict[str, Any]]) -> None:
        for one in seen:
            assert one["total"].tolist() == [2.0, 10.0]
            assert one["broadcast"].tolist() == [5.0]
            assert one["exchange"] == [{"rank": 0}, {"rank": 1}]

    def test_the_first_acts_and_all_hear_what_came_of_it(self, seen: list[dict[str, Any]]) -> None:
        assert [one["on_first"] for one in seen] == [("by 0", "the first one cannot.")] * 2
        assert [one["called"] for one in seen] == [[0, 0], []]

    def test_a_bad_stage_of_one_is_named_in_all(self, seen: list[dict[str, Any]]) -> None:
        for one in seen:
            assert one["fine"] is None
            assert one["bad in the second"] == "stage 'loss' produced NaN or infinite values."
            assert one["bad in both"] == "stage 'encoder' produced NaN or infinite values."
            assert one["after it"] is None

    def test_gradients_of_a_shared_batch_are_those_of_the_whole(self, seen: list[dict[str, Any]]) -> None:
        rows, weights = case()
        parameter = nn.Parameter(weights)
        # The first process draws for all what it would draw alone.
        torch.manual_seed(11)
        loss = contrastive(WholeBatch(), rows, parameter)
        loss.backward()
        for one in seen:
            assert one["gradients"]["loss"] == pytest.approx(loss.item(), rel=1e-6)
            torch.testing.assert_close(one["gradients"]["gradient"], parameter.grad, rtol=1e-5, atol=1e-6)
