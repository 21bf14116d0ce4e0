"""The models that a sweep can produce, each with its own preset and the overrides that it has a key for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gisearch.composition import defaults_of
from gisearch.config import build, flatten, to_plain
from gisearch.errors import ConfigError, nearest_name
from gisearch.models.registry import MODELS
from gisearch.search.compilation import Branches
from gisearch.search.composing import compose_sweep
from gisearch.search.config import SweepConfig
from gisearch.search.domains import Choice, parse_domain
from gisearch.search.space_file import SpaceFile

MODEL = "model.name"
_CHOOSES = ("model", MODEL)


@dataclass(frozen=True)
class ModelOptions:
    """What a sweep varies: the whole configuration of every model that it can produce.

    Attributes:
        configs: the configurations by model; the first one stands for what all have in common.
        branches: where the model is searched, the paths and values of each, also of models that the
            command line took out.
        pinned: the model that the command line chose where the file searches it, as a pinned key.
    """

    configs: Mapping[str, SweepConfig]
    branches: Branches | None
    pinned: Mapping[str, Any]

    @property
    def config(self) -> SweepConfig:
        """The first model's configuration."""
        return next(iter(self.configs.values()))


def compose_models(file: SpaceFile, overrides: Sequence[str]) -> ModelOptions:
    """Compose the configuration of every model that the file and the command line leave open.

    An override below ``model.`` goes to every model that has its key.

    Raises:
        ConfigError: an unknown model, or an override that no model has a key for; what
            :func:`compose_sweep` raises.
    """
    own = [*file.choices(), *file.settings()]
    if MODEL not in file.space:
        config = build(SweepConfig, compose_sweep([*own, *overrides]))
        return ModelOptions({config.model.name: config}, None, {})
    listed = _listed_models(file)
    chosen = [o.partition("=")[2] for o in overrides if _key(o) in _CHOOSES]
    # A preset's name is not always its model's.
    presets = {_model_of(chosen[-1]): chosen[-1]} if chosen else {name: name for name in listed}
    for i, choice in enumerate(file.choices()):
        if not any(_has(name, choice) for name in [*listed, *presets]):
            raise file.fail(("base", str(i)), f"unknown key {_key(choice)!r}.{_hint(choice, listed)}")
    for override in overrides:
        if not any(_has(name, override) for name in presets):
            raise ConfigError(
                f"unknown key {_key(override)!r} on the command line.{_hint(override, presets)}"
            )
    default = next((o.partition("=")[2] for o in file.choices() if _key(o) in _CHOOSES), None)
    configs = {}
    for name, preset in sorted(presets.items(), key=lambda item: item[1] != default):
        fitting = [o for o in (*own, *overrides) if _key(o) not in _CHOOSES and _has(name, o)]
        configs[name] = build(SweepConfig, compose_sweep([f"model={preset}", *fitting]))
    bases = {name: flatten(to_plain(config.experiment)) for name, config in configs.items()}
    common = {path: v for path, v in next(iter(bases.values())).items() if not path.startswith("model.")}
    # Models that the command line took out: their paths are known, their values are never used.
    others = {name: common | _paths(name) for name in listed if name not in bases}
    pinned = {MODEL: next(iter(configs))} if chosen else {}
    return ModelOptions(configs, Branches(MODEL, {**others, **bases}), pinned)


def _listed_models(file: SpaceFile) -> list[str]:
    """Return the models that the file lists under ``model.name``."""
    fail = file.fail_in("space")
    spec = file.space[MODEL]
    domain = parse_domain(
        {k: v for k, v in spec.items() if k != "when"} if isinstance(spec, Mapping) else spec,
        lambda message: fail(MODEL, message),
    )
    if not isinstance(domain, Choice) or (isinstance(spec, Mapping) and "when" in spec):
        raise fail(MODEL, f"expected a list of models without conditions; got {spec!r}")
    for name in domain.values:
        if name not in MODELS:
            known = f"expected some of {', '.join(MODELS)}"
            raise fail(MODEL, f"unknown model {name!r}; {known}.{nearest_name(str(name), MODELS)}")
    return list(domain.values)


def _model_of(preset: str) -> str:
    return str(compose_sweep([f"model={preset}"])["model"]["name"])


def _key(override: str) -> str:
    return override.partition("=")[0].lstrip("+~")


def _paths(name: str) -> dict[str, Any]:
    return flatten({"model": defaults_of(MODELS[name])})


def _has(name: str, override: str) -> bool:
    """Whether a model has the key of an override, or a section of that name; other keys belong to all."""
    key = _key(override)
    if key == MODEL or not key.startswith("model."):
        return True
    return any(path == key or path.startswith(f"{key}.") for path in _paths(name))


def _hint(override: str, names: Iterable[str]) -> str:
    """Return the nearest key of the same section, or the nearest path, as for keys of other sections."""
    key, paths = _key(override), {path for name in names for path in _paths(name)}
    parent, _, leaf = key.rpartition(".")
    siblings = {path.rpartition(".")[2] for path in paths if path.rpartition(".")[0] == parent}
    return nearest_name(leaf, sorted(siblings)) or nearest_name(key, sorted(paths))
