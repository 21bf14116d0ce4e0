"""The models that an ensemble is selected from: trials of one or several sweeps, and what they predict."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gisearch.answers.source import Source
from gisearch.answers.weighted_metrics import Array
from gisearch.data.dataset import Dataset
from gisearch.errors import CheckpointError, ConfigError, DataError, GisearchError, NonFiniteError
from gisearch.models.batch import GenotypeBatch
from gisearch.search.results import TrialRow
from gisearch.training.checkpoint import BEST
from gisearch.training.config import CONFIG_FILE
from gisearch.training.experiment import load_trained

LEAST = 2
# Of trials that reached a score and may still have their model; a reused one's is another trial's.
_TRAINED = ("finished", "stopped_early")
# What lies beside the checkpoints: configurations, examples, the list of members.
_OTHER_BYTES = 10_000_000


@dataclass(frozen=True)
class Candidate:
    """A trial whose model may become a member.

    Attributes:
        sweep: its sweep's name.
        row: the trial.
        folder: holds its ``best.pt`` and ``config.yaml``.
    """

    sweep: str
    row: TrialRow
    folder: Path


@dataclass(frozen=True)
class Library:
    """Candidates and what they predict, in label units (probabilities of a binary label).

    Attributes:
        candidates: K of them, the best score of the search first.
        models: the names of their models.
        left_out: why other trials are not among them.
        val: predictions for the validation part, float64 [K, n_val].
        test: predictions for the test part, float64 [K, n_test].
    """

    candidates: tuple[Candidate, ...]
    models: tuple[str, ...]
    left_out: tuple[str, ...]
    val: Array
    test: Array


def find_sources(names: Sequence[str], results_dir: str) -> list[Source]:
    """Find the sweeps, and check that their models can be compared.

    Raises:
        ConfigError: there is no such sweep, it has no result, is named twice, or was searched by another
            metric.
        DataError: they were not run on the same data and split.
    """
    sources = [Source.find(name, results_dir) for name in names]
    first = sources[0]
    for i, other in enumerate(sources[1:], 1):
        if any(other.folder.samefile(one.folder) for one in sources[:i]):
            raise ConfigError(f"{names[i]}: the sweep is named twice; expected different ones.")
        if other.results.metric != first.results.metric:
            raise ConfigError(
                f"{other.folder} was searched by {other.results.metric}, {first.folder} by "
                f"{first.results.metric}; expected sweeps of the same objective.metric."
            )
        if other.results.facts.get("data") != first.results.facts.get("data"):
            raise DataError(
                f"{other.folder} and {first.folder} differ in {_what_differs(other, first)}; expected sweeps "
                "on the same data and split, or the test part of one could be the training part of another."
            )
    return sources


def _what_differs(other: Source, first: Source) -> str:
    try:
        a, b = other.load_data(), first.load_data()
    except GisearchError:
        return "their data"
    parts: dict[str, Any] = {
        "the split": (a.split.digest(), b.split.digest()),
        "the target": (a.target, b.target),
        "the genotypes": (a.genotypes.digest(), b.genotypes.digest()),
        "the cell graph": (a.cell.digest(), b.cell.digest()),
    }
    return " and ".join(name for name, (one, two) in parts.items() if one != two)


def find_candidates(sources: Sequence[Source], top: int) -> tuple[list[Candidate], list[str]]:
    """Return the best trials that have a model, and why others are left out.

    Args:
        sources: the sweeps.
        top: candidates at most.

    Raises:
        ConfigError: fewer than two have a model.
    """
    found: list[tuple[float, int, int, Source, TrialRow]] = []
    gone = 0
    for i, source in enumerate(sources):
        sign = -1 if source.results.mode == "max" else 1
        for row in source.results.rows:
            if row.value is None or row.status not in _TRAINED:
                continue
            folder = source.results.trial_folder(row)
            if (folder / BEST).is_file() and (folder / CONFIG_FILE).is_file():
                found.append((sign * row.value, i, row.number, source, row))
            else:
                gone += 1
    found.sort(key=lambda one: one[:3])
    left_out = []
    if gone:
        trials = "1 trial has" if gone == 1 else f"{gone} trials have"
        left_out.append(f"{trials} no checkpoint any more (search.keep_top says of how many they are kept).")
    if len(found) > top:
        left_out.append(f"{len(found) - top} of {len(found)} models are beyond the best {top} (--top).")
    if len(found) < LEAST:
        raise _too_few(sources, len(found), left_out)
    candidates = [
        Candidate(source.results.name, row, source.results.trial_folder(row))
        for *_, source, row in found[:top]
    ]
    return candidates, left_out


def predict_candidates(
    sources: Sequence[Source], candidates: Sequence[Candidate], left_out: Sequence[str], dataset: Dataset
) -> Library:
    """Predict the validation and test parts, once per model; no label is looked at.

    A checkpoint that cannot be read, or a model that predicts NaN, is left out, with the reason.

    Raises:
        DataError: a model was trained on other data.
        ConfigError: fewer than two are left.
    """
    batches = [
        GenotypeBatch.from_genotypes(dataset.genotypes.subset(dataset.split.part(name)))
        for name in ("val", "test")
    ]
    usable: list[Candidate] = []
    models: list[str] = []
    predicted: list[list[Array]] = []
    said = list(left_out)
    for one in candidates:
        try:
            trained = load_trained(one.folder, dataset)
            found = [trained.predict(batch)[0].numpy().astype(np.float64) for batch in batches]
        except (CheckpointError, NonFiniteError) as error:
            said.append(f"{one.sweep}/{one.row.trial_id} cannot be used: {error}")
            continue
        usable.append(one)
        models.append(trained.config.model.name)
        predicted.append(found)
    if len(usable) < LEAST:
        raise _too_few(sources, len(usable), said)
    val, test = (np.stack([parts[i] for parts in predicted]) for i in range(len(batches)))
    return Library(tuple(usable), tuple(models), tuple(said), val, test)


def check_room(folder: Path, candidates: Sequence[Candidate], dataset: Dataset) -> None:
    """Check that the disk has room for an ensemble of all candidates.

    Raises:
        ConfigError: it has not.
    """
    cell = sum(network.edges.nbytes for network in dataset.cell.networks.values())
    needed = cell + _OTHER_BYTES + sum((one.folder / BEST).stat().st_size for one in candidates)
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise ConfigError(
            f"{folder}: an ensemble of {len(candidates)} models needs up to {needed / 1e6:,.0f} MB, but "
            f"{free / 1e6:,.0f} MB are free; free some space, or lower --top."
        )


def _too_few(sources: Sequence[Source], count: int, left_out: Sequence[str]) -> ConfigError:
    names = ", ".join(str(source.folder) for source in sources)
    models = "1 model" if count == 1 else f"{count or 'no'} models"
    why = f" {' '.join(left_out)}" if left_out else ""
    return ConfigError(
        f"{names}: an ensemble needs at least {LEAST} trained models with a checkpoint, and there "
        f"{'is' if count == 1 else 'are'} {models}.{why}"
    )
