"""An ensemble that was made from a sweep, as a file in the sweep's folder that the report reads."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from gisearch.answers.findings import Interval
from gisearch.answers.wording import Verdict
from gisearch.errors import ConfigError
from gisearch.files import write_whole
from gisearch.search.folders import ENSEMBLE_FOLDER

ENSEMBLE_FILE = "ensemble.json"


@dataclass(frozen=True)
class Member:
    """A trained model that an ensemble was selected from.

    Attributes:
        sweep: its sweep.
        trial: its trial, ``t0012``.
        model: the model's name.
        val: its score on the validation part.
        weight: its share in the ensemble; 0 where it was not taken.
    """

    sweep: str
    trial: str
    model: str
    val: float
    weight: float


@dataclass(frozen=True)
class EnsembleFindings:
    """A finished ensemble.

    Attributes:
        asked: the command's options that decide what is selected, and from which trials.
        metric: such as ``auroc``, without a part.
        mode: ``max`` or ``min``.
        noise_ceiling: the best attainable test score, where the data knows it.
        candidates: models that it was selected from.
        left_out: why trials with a score are not among them.
        members: those taken, the heaviest first; their weights sum to 1.
        best: the candidate with the best validation score.
        val: the ensemble's validation score.
        test: the ensemble's test score; its interval is over test genotypes.
        best_test: that of the best candidate.
        difference: the ensemble's minus the best candidate's, on the same genotypes.
        verdict: what the interval of the difference says of the ensemble.
        paths: per bag, the validation score after each round of selection.
        data: digest of the data, the split included.
        split: digest of the split.
        weights: digest of all members' weights, from the packaged model.
        registered: the model's address in MLflow; None where it is not there.
        sentences: the answer in plain words.
        made: time stamp, ISO 8601 in UTC.
    """

    asked: Mapping[str, Any]
    metric: str
    mode: Literal["max", "min"]
    noise_ceiling: float | None
    candidates: int
    left_out: tuple[str, ...]
    members: tuple[Member, ...]
    best: Member
    val: float
    test: Interval
    best_test: Interval
    difference: Interval
    verdict: Verdict
    paths: tuple[tuple[float, ...], ...]
    data: str
    split: str
    weights: str
    registered: str | None
    sentences: tuple[str, ...]
    made: str


def ensemble_path(sweep: Path) -> Path:
    """Return where what is known of a sweep's ensemble lies."""
    return sweep / ENSEMBLE_FOLDER / ENSEMBLE_FILE


def write_ensemble(sweep: Path, findings: EnsembleFindings) -> None:
    """Write findings into the folder of the sweep that the ensemble belongs to.

    Raises:
        DiskFullError: there is no space left.
        ConfigError: the folder cannot be written.
    """
    write_whole(ensemble_path(sweep), json.dumps(asdict(findings), indent=1))


def read_ensemble(sweep: Path) -> EnsembleFindings | None:
    """Read what :func:`write_ensemble` wrote; None where there is no ensemble.

    Raises:
        ConfigError: the file is damaged.
    """
    path = ensemble_path(sweep)
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        fields: dict[str, Any] = {
            **values,
            "left_out": tuple(values["left_out"]),
            "members": tuple(Member(**one) for one in values["members"]),
            "best": Member(**values["best"]),
            "paths": tuple(map(tuple, values["paths"])),
            "sentences": tuple(values["sentences"]),
        }
        fields |= {name: Interval(**values[name]) for name in ("test", "best_test", "difference")}
        return EnsembleFindings(**fields)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ConfigError(f"{path} is damaged: {error}; --again makes a new ensemble.") from None
