"""An ensemble as a model: weighted means, the mixture's spread, and what reading one refuses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from gisearch.data.dataset import Dataset
from gisearch.errors import CheckpointError, NonFiniteError
from gisearch.models.base import Model, Prediction, Scorer
from gisearch.models.batch import GenotypeBatch
from gisearch.search.composing import compose_experiment
from gisearch.training.ensemble import combine, load_model, read_members, write_members
from gisearch.training.experiment import TrainedModel, build_model
from gisearch.training.target import TargetScale

BATCH = GenotypeBatch.from_table(torch.tensor([[0, 1, -1], [2, -1, -1], [3, 4, 5]]).numpy())


class Constant(Model):
    """Says the same whatever it is asked."""

    def __init__(self, score: Sequence[float], std: Sequence[float] | None, is_estimate: bool) -> None:
        super().__init__()
        self.values, self.std, self.is_estimate = torch.tensor(score), std, is_estimate

    def forward(self, batch: GenotypeBatch) -> Prediction:
        score = self.monitor.watch("constant", self.values[: len(batch)])
        return Prediction(score, None if self.std is None else torch.tensor(self.std)[: len(batch)])

    def scorer(self) -> Scorer:
        return Scorer(lambda deleted: self.values[: len(deleted)], self.is_estimate)


def constant(
    score: Sequence[float],
    scale: TargetScale,
    std: Sequence[float] | None = None,
    is_estimate: bool = False,
    size: int = 4096,
) -> TrainedModel:
    config, _ = compose_experiment(["data=demo_tiny"])
    config = replace(config, trainer=replace(config.trainer, eval_batch_size=size, device="cpu"))
    return TrainedModel(config, Constant(score, std, is_estimate), scale)


def scored(model: TrainedModel) -> Tensor:
    return model.scale.from_model(model.model.scorer().score(BATCH.deleted))


class TestMeasured:
    scale = TargetScale("regression", 0.5, 2.0)
    one = constant([0.0, 1.0, 2.0], scale)
    two = constant([1.0, 1.0, 0.0], TargetScale("regression", 1.0, 1.0), size=8)

    def test_the_mean_is_in_label_units(self) -> None:
        """Of members with scales of their own: 0.5, 2.5, 4.5 and 2, 2, 1."""
        mean, std = combine([self.one, self.two], [0.25, 0.75]).predict(BATCH)
        assert mean.tolist() == pytest.approx([1.625, 2.125, 1.875])
        assert std is not None
        # sqrt(w1 w2) times how far two members lie apart.
        assert std.tolist() == pytest.approx([1.5 * 0.1875**0.5, 0.5 * 0.1875**0.5, 3.5 * 0.1875**0.5])

    def test_members_own_spread_adds_to_it(self) -> None:
        one = constant([0.0, 1.0, 2.0], self.scale, std=[0.5, 0.0, 1.0])
        _, std = combine([one, self.two], [0.25, 0.75]).predict(BATCH)
        assert std is not None
        expected = [(0.1875 * gap**2 + 0.25 * own**2) ** 0.5 for gap, own in ((1.5, 1), (0.5, 0), (3.5, 2))]
        assert std.tolist() == pytest.approx(expected)

    def test_one_member_does_not_disagree(self) -> None:
        mean, std = combine([self.one], [1.0]).predict(BATCH)
        assert mean.tolist() == [0.5, 2.5, 4.5]
        assert std is not None
        assert std.tolist() == [0, 0, 0]

    def test_the_scorer_says_the_same(self) -> None:
        model = combine([self.one, self.two], [0.25, 0.75])
        torch.testing.assert_close(scored(model).float(), model.predict(BATCH)[0])
        assert not model.model.scorer().is_estimate
        estimate = constant([0.0, 1.0, 2.0], self.scale, is_estimate=True)
        assert combine([self.one, estimate], [0.5, 0.5]).model.scorer().is_estimate

    def test_batches_suit_the_member_with_the_least_room(self) -> None:
        assert combine([self.one, self.two], [0.5, 0.5]).config.trainer.eval_batch_size == 8

    def test_a_member_that_predicts_nan(self) -> None:
        bad = constant([float("nan"), 0.0, 0.0], self.scale)
        with pytest.raises(NonFiniteError, match="'constant'"):
            combine([self.one, bad], [0.5, 0.5]).predict(BATCH)


class TestBinary:
    one = constant([0.0, 40.0, -3.0], TargetScale("binary"))
    two = constant([2.0, 30.0, 3.0], TargetScale("binary"))

    def test_probabilities_are_averaged(self) -> None:
        mean, std = combine([self.one, self.two], [0.5, 0.5]).predict(BATCH)
        high = 1 / (1 + 2.718281828459045**-2)
        assert mean.tolist() == pytest.approx([(0.5 + high) / 2, 1.0, 0.5])
        assert std is not None
        assert std[0].item() == pytest.approx((high - 0.5) / 2)

    def test_the_order_near_one_is_not_lost(self) -> None:
        three = constant([39.0, 40.0, 41.0], TargetScale("binary"))
        score = combine([three, three], [0.5, 0.5]).model.scorer().score(BATCH.deleted)
        assert score.tolist() == pytest.approx([39.0, 40.0, 41.0])


def test_parameters_are_those_of_all_members(tiny_dataset: Dataset) -> None:
    config, _ = compose_experiment(["data=demo_tiny", "model.hidden_dim=8"])
    members = [
        TrainedModel(replace(config, seed=seed), build_model(config, tiny_dataset), TargetScale("regression"))
        for seed in (0, 1)
    ]
    total = members[0].model.num_parameters()["total"]
    assert combine(members, [0.5, 0.5]).model.num_parameters() == {"members": 2 * total, "total": 2 * total}


@pytest.mark.parametrize(
    "text",
    ["", "[]", '{"weights": []}', '{"weights": {"a": "x"}}', '{"weights": {"a": 0.4, "b": 0.5}}'],
)
def test_damaged_lists(text: str, tmp_path: Path) -> None:
    (tmp_path / "members.json").write_text(text)
    with pytest.raises(CheckpointError, match="is damaged"):
        read_members(tmp_path)


def test_lists_of_members(
    tmp_path: Path, tiny_dataset: Dataset, make_dataset: Callable[..., Dataset]
) -> None:
    with pytest.raises(CheckpointError, match=r"holds no ensemble: it has no members\.json"):
        read_members(tmp_path)
    write_members(tmp_path, {"01": 0.25, "02": 0.75})
    assert read_members(tmp_path) == {tmp_path / "01": 0.25, tmp_path / "02": 0.75}
    with pytest.raises(CheckpointError, match=r"no checkpoint at .*01/best\.pt"):
        load_model(tmp_path, tiny_dataset)
    # A name cannot lead out of the folder.
    write_members(tmp_path, {"../../elsewhere": 1.0})
    assert read_members(tmp_path) == {tmp_path / "elsewhere": 1.0}
