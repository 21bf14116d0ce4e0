"""What a table of results compares: data with their splits, and the best known configuration of every model.

The configurations are in ``best_configurations.yaml``, as overrides that ``gisearch train`` takes as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

from benchmarks.results_peers import PEERS
from gisearch.errors import ConfigError, nearest_name
from gisearch.models.registry import MODELS

BEST_CONFIGURATIONS = Path(__file__).with_name("best_configurations.yaml")

# What all models of a table have in common, so that a configuration must not change it.
_HELD = (
    *(f"data.{key}" for key in ("split", "seed", "target", "orders", "root", "source", "cell")),
    *("seed", "objective", "name", "search", "results", "tracking", "trainer.workers"),
)
_GROUPS = ("data", "model", "model.name")


@dataclass(frozen=True)
class Task:
    """Data and a split on which models are compared.

    Attributes:
        name: what ``--splits`` calls it.
        section: the key of ``best_configurations.yaml`` that holds its configurations.
        title: the heading of its table.
        overrides: the data and the split.
        metrics: what the test part is scored with; the first one decides the order.
        needs_folder: whether the overrides lack ``data.root``.
        peers: the references that can learn it.
    """

    name: str
    section: str
    title: str
    overrides: tuple[str, ...]
    metrics: tuple[str, ...]
    needs_folder: bool = True
    peers: tuple[str, ...] = ()


_BINARY = ("auroc", "average_precision")
_MEASURED = ("pearson", "spearman")

TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        Task(
            "random",
            "yeast-random",
            "Yeast, random split",
            ("data=yeast",),
            _BINARY,
            peers=tuple(PEERS),
        ),
        Task(
            "unseen_genes",
            "yeast-unseen_genes",
            "Yeast, one of the two genes unseen in training",
            ("data=yeast", "data.split.strategy=unseen_genes", "data.split.unseen=1"),
            _BINARY,
            peers=tuple(PEERS),
        ),
        Task("demo", "demo", "The demo cell", ("data=demo",), _MEASURED, needs_folder=False),
        Task("demo_tiny", "demo", "A tiny demo cell", ("data=demo_tiny",), _MEASURED, needs_folder=False),
    )
}
# The tiny cell shows that everything works, and nothing about models.
DEFAULT_TASKS = ("random", "unseen_genes", "demo")


def select(option: str, wanted: str | None, valid: Sequence[str], default: Sequence[str]) -> list[str]:
    """Return the names of a list such as ``a,b``.

    Args:
        option: the option's name, for messages.
        wanted: the list; None takes the default.
        valid: every name there is.
        default: what is taken without a list.

    Raises:
        ConfigError: a name is unknown, or there is none.
    """
    if wanted is None:
        return list(default)
    names = list(dict.fromkeys(name.strip() for name in wanted.split(",") if name.strip()))
    for name in names:
        if name not in valid:
            raise ConfigError(
                f"{option}: unknown name {name!r}; expected some of {', '.join(valid)}."
                f"{nearest_name(name, valid)}"
            )
    if not names:
        raise ConfigError(f"{option}: expected some of {', '.join(valid)}, got none.")
    return names


Configurations = Mapping[str, Mapping[str, tuple[str, ...]]]


@cache
def best_configurations(path: Path = BEST_CONFIGURATIONS) -> Configurations:
    """Return the overrides of every model by section.

    Raises:
        ConfigError: the file names a model or a section that there is not, holds anything but lists of
            overrides, or changes what all models have in common.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise ConfigError(f"cannot read {path}: {str(error).splitlines()[0]}.") from None
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: expected models with their configurations.")
    sections = tuple(dict.fromkeys(task.section for task in TASKS.values()))
    found: dict[str, dict[str, tuple[str, ...]]] = {}
    for model, entries in content.items():
        _require_name(f"{path}", model, tuple(MODELS))
        if not isinstance(entries, dict):
            raise ConfigError(
                f"{path}: {model}: expected {', '.join(sections)}, each with a list of overrides."
            )
        for section, overrides in entries.items():
            _require_name(f"{path}: {model}", section, sections)
            found.setdefault(model, {})[section] = _overrides(f"{path}: {model}, {section}", overrides)
    return found


def _require_name(where: str, name: object, valid: Sequence[str]) -> None:
    if name not in valid:
        hint = nearest_name(str(name), valid)
        raise ConfigError(f"{where}: unknown name {name!r}; expected one of {', '.join(valid)}.{hint}")


def _overrides(where: str, values: object) -> tuple[str, ...]:
    if not isinstance(values, list) or not all(isinstance(one, str) and "=" in one for one in values):
        raise ConfigError(
            f"{where}: expected a list of overrides such as [optimizer.lr=1e-2], got {values!r}."
        )
    for one in values:
        key = one.partition("=")[0].lstrip("+~")
        if key in _GROUPS or any(f"{key}.".startswith(f"{held}.") for held in _HELD):
            raise ConfigError(
                f"{where}: {key} is the same for all models; expected a key of model, optimizer, trainer or "
                "what data reads beside the split."
            )
    return tuple(values)


@dataclass(frozen=True)
class Contender:
    """A model with its configuration, or a peer, on one task.

    Attributes:
        name: of the model or peer.
        overrides: what ``gisearch train`` takes; of a peer those of the data alone.
        kind: ``tuned`` for a model with an entry, ``preset`` for one without, ``peer``.
    """

    name: str
    overrides: tuple[str, ...]
    kind: str


def contenders_of(task: Task, names: Sequence[str], configurations: Configurations) -> list[Contender]:
    """Return those of the named models and peers that can learn a task, in that order."""
    found = []
    for name in names:
        if name in PEERS:
            if name in task.peers:
                found.append(Contender(name, task.overrides, "peer"))
            continue
        own = configurations.get(name, {}).get(task.section)
        overrides = (*task.overrides, f"model={name}", *(own or ()))
        found.append(Contender(name, overrides, "preset" if own is None else "tuned"))
    return found
