"""The metrics there are, and the one that a search optimises."""

from __future__ import annotations

from typing import Literal

from pydantic.dataclasses import dataclass

from gisearch.config import STRICT
from gisearch.data.dataset import Target
from gisearch.errors import ConfigError, nearest_name

# What a trial can cost; always minimised.
Cost = Literal["seconds", "parameters"]


# Whether more is better, per metric; these are all the metrics there are.
METRICS: dict[str, dict[str, Literal["max", "min"]]] = {
    "regression": {"pearson": "max", "spearman": "max", "rmse": "min", "r2": "max", "loss": "min"},
    "binary": {"auroc": "max", "average_precision": "max", "loss": "min"},
}


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ObjectiveConfig:
    """What decides which epoch and which trial is best.

    Attributes:
        metric: a validation metric such as ``val/pearson``; ``auto`` takes ``val/pearson`` for a
            regression target and ``val/auroc`` for a binary one.
        mode: ``max`` or ``min``; ``auto`` knows it for every metric.
        cost: the second objective of a search, always minimised: a trial's training ``seconds`` or its
            trainable ``parameters``; ``none`` searches by the metric alone. A single training run has
            nothing to compare and ignores it.
    """

    metric: str = "auto"
    mode: Literal["auto", "max", "min"] = "auto"
    cost: Literal["none", "seconds", "parameters"] = "none"


@dataclass(frozen=True)
class Objective:
    """A resolved objective: a metric that the target really has, its direction, and a search's cost."""

    metric: str
    mode: Literal["max", "min"]
    cost: Cost | None = None

    @classmethod
    def resolve(cls, config: ObjectiveConfig, target: Target) -> Objective:
        """Resolve ``auto`` and check the metric against the target.

        Raises:
            ConfigError: the metric does not exist for this kind of target, or the mode contradicts it.
        """
        metric = target.metric if config.metric == "auto" else config.metric
        valid = {f"val/{name}": mode for name, mode in METRICS[target.kind].items()}
        if metric not in valid:
            raise ConfigError(
                f"objective.metric: {metric!r} is not measured for the {target.kind} target "
                f"{target.name!r}; expected one of {', '.join(valid)}.{nearest_name(metric, valid)}"
            )
        if config.mode not in ("auto", valid[metric]):
            raise ConfigError(
                f"objective.mode: {config.mode!r} contradicts {metric!r}; expected {valid[metric]!r}."
            )
        return cls(metric, valid[metric], None if config.cost == "none" else config.cost)

    def better(self, value: float, than: float | None) -> bool:
        """Whether ``value`` beats ``than`` (anything beats None)."""
        if than is None:
            return True
        return value > than if self.mode == "max" else value < than
