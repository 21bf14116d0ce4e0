"""Several trained models as one: the weighted mean of what they predict, and how far they disagree.

An ensemble is a :class:`Model` whose parts are the members' models, so that what scores, screens or packages
a trained model does so with an ensemble too.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from gisearch.data.dataset import Dataset
from gisearch.errors import CheckpointError
from gisearch.files import write_whole
from gisearch.models.base import Model, Prediction, Scorer
from gisearch.models.batch import GenotypeBatch
from gisearch.training.config import CONFIG_FILE, MEMBERS_FILE, ExperimentConfig, load_config
from gisearch.training.experiment import TrainedModel, load_trained
from gisearch.training.target import TargetScale


class Ensemble(Model):
    """The weighted mean of its members: of predictions in label units, or of probabilities.

    The score is on a scale of its own: the label's units for a measured label, the logit of the mean
    probability for a binary one. The standard deviation is that of the mixture of the members (law of total
    variance): the weighted mean of (prediction - mean)^2 and, of members that have a standard deviation of
    their own, of its square. It is in label units, of a binary label in units of the probability. This is how
    Lakshminarayanan, Pritzel and Blundell 2017 (Deep Ensembles, NeurIPS 30) combine Gaussians.
    """

    weights: Tensor

    def __init__(self, members: Sequence[TrainedModel], weights: Sequence[float]) -> None:
        """Combine models of the same label.

        Args:
            members: at least one.
            weights: of each; positive, their sum is 1.
        """
        super().__init__()
        self.members = nn.ModuleList(member.model for member in members)
        self.scales = [member.scale for member in members]
        self.register_buffer("weights", torch.tensor(weights, dtype=torch.float64), persistent=False)

    @property
    def is_binary(self) -> bool:
        """Whether the label is one of two classes."""
        return self.scales[0].kind == "binary"

    def forward(self, batch: GenotypeBatch) -> Prediction:
        """Score B genotypes."""
        found = [model(batch) for model in self._models]
        score = self._mean([prediction.score for prediction in found])
        means = torch.stack(
            [
                scale.from_model(prediction.score.double())
                for scale, prediction in zip(self.scales, found, strict=True)
            ]
        )
        own = torch.stack(
            [
                torch.zeros_like(mean) if prediction.std is None else prediction.std.double() * scale.std
                for scale, prediction, mean in zip(self.scales, found, means, strict=True)
            ]
        )
        spread = (means - self.weights @ means).square() + own.square()
        for i, model in enumerate(self._models):
            model.monitor.check()
            self.monitor.watch(f"members.{i}", found[i].score)
        return Prediction(score, (self.weights @ spread).sqrt())

    def scorer(self) -> Scorer:
        """Return the mean of the members' scorers."""
        scorers = [model.scorer() for model in self._models]
        return Scorer(
            lambda deleted: self._mean([scorer.score(deleted) for scorer in scorers]),
            any(scorer.is_estimate for scorer in scorers),
        )

    @property
    def _models(self) -> list[Model]:
        return [model for model in self.members if isinstance(model, Model)]

    def _mean(self, scores: Sequence[Tensor]) -> Tensor:
        """Return the members' mean on the ensemble's scale, [B], from their scores on their own, [B] each."""
        logits = torch.stack([score.double() for score in scores])
        if not self.is_binary:
            values = [scale.from_model(score) for scale, score in zip(self.scales, logits, strict=True)]
            return self.weights @ torch.stack(values)
        # In logarithms: probabilities near 1 would tie, and their order would be lost.
        shares = self.weights.log()[:, None]
        yes = torch.logsumexp(shares + nn.functional.logsigmoid(logits), dim=0)
        no = torch.logsumexp(shares + nn.functional.logsigmoid(-logits), dim=0)
        return yes - no


def combine(members: Sequence[TrainedModel], weights: Sequence[float]) -> TrainedModel:
    """Return an ensemble as one trained model, with the configuration of its first member."""
    first = members[0]
    # A batch must suit the member with the least room.
    size = min(member.config.trainer.eval_batch_size for member in members)
    config = replace(first.config, trainer=replace(first.config.trainer, eval_batch_size=size))
    return TrainedModel(config, Ensemble(members, weights), TargetScale(first.scale.kind))


def write_members(folder: Path, weights: dict[str, float]) -> None:
    """Write which folders in ``folder`` hold an ensemble's members, and what each weighs.

    Raises:
        DiskFullError: there is no space left.
        ConfigError: the folder cannot be written.
    """
    write_whole(folder / MEMBERS_FILE, json.dumps({"weights": weights}, indent=1))


def read_members(folder: Path) -> dict[Path, float]:
    """Return the members' folders with their weights.

    Raises:
        CheckpointError: the list is missing or damaged.
    """
    path = folder / MEMBERS_FILE
    try:
        weights = json.loads(path.read_text(encoding="utf-8"))["weights"]
        members = {folder / Path(name).name: float(weight) for name, weight in weights.items()}
    except FileNotFoundError:
        raise CheckpointError(f"{folder} holds no ensemble: it has no {MEMBERS_FILE}.") from None
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise CheckpointError(f"{path} is damaged: {error}.") from None
    if not members or min(members.values()) <= 0 or not math.isclose(sum(members.values()), 1.0):
        raise CheckpointError(f"{path} is damaged: expected positive weights whose sum is 1.")
    return members


def load_model_config(folder: Path) -> ExperimentConfig:
    """Return the configuration of the trained model in a folder; of an ensemble, that of its first member.

    Raises:
        CheckpointError: the list of members is damaged.
        ConfigError: the configuration is missing or not valid.
    """
    if (folder / MEMBERS_FILE).is_file():
        folder = next(iter(read_members(folder)))
    return load_config(folder / CONFIG_FILE)


def load_model(folder: Path, dataset: Dataset) -> TrainedModel:
    """Load a run's best model, or an ensemble.

    Args:
        folder: of a run, or of an ensemble's list of members.
        dataset: what it was trained on.

    Raises:
        CheckpointError: the model or a member is missing, cannot be read, or its weights do not fit.
        DataError: the data is not what it was trained on.
    """
    if not (folder / MEMBERS_FILE).is_file():
        return load_trained(folder, dataset)
    members = read_members(folder)
    return combine([load_trained(member, dataset) for member in members], list(members.values()))
