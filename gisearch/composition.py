"""Hydra composes: presets from ``conf/``, every key known from the typed configuration, overrides last."""

from __future__ import annotations

import dataclasses
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic_core import PydanticUndefined

from gisearch.config import is_text
from gisearch.errors import ConfigError, nearest_name
from gisearch.resources import OWN_GROUPS, own_presets, resource_folder
from gisearch.yaml_text import refuse_old_numbers

MISSING = "???"


def defaults_of(cls: type) -> dict[str, Any]:
    """Return the default value of every field of a configuration class; required ones as ``???``."""
    fields: Mapping[str, Any] = cls.__pydantic_fields__  # type: ignore[attr-defined]
    values: dict[str, Any] = {}
    for name, info in fields.items():
        value = info.get_default(call_default_factory=True)
        if value is PydanticUndefined:
            value = MISSING
        elif dataclasses.is_dataclass(value) and not isinstance(value, type):
            value = dataclasses.asdict(value)
        values[name] = value
    return values


def text_kept(overrides: Sequence[str], cls: Any, section: str = "") -> list[str]:
    """Return overrides in which what is given to a key of text is text: ``name=4711`` is no number.

    Args:
        overrides: Hydra overrides.
        cls: the configuration class, or union of classes, that knows its keys.
        section: where in the whole configuration it stands.
    """
    kept = []
    for override in overrides:
        key, equals, value = override.partition("=")
        path = key.lstrip("+").removeprefix(f"{section}." if section else "")
        if equals and _LOOKS_LIKE_NO_TEXT.fullmatch(value) and is_text(cls, path):
            override = f"{key}={quoted_value(value)}"
        kept.append(override)
    return kept


# What Hydra takes for a number or a truth value.
_LOOKS_LIKE_NO_TEXT = re.compile(r"[-+]?[0-9._]+(e[-+]?[0-9_]+)?|[-+]?(inf|nan)|true|false", re.IGNORECASE)


def compose(
    overrides: Sequence[str], nodes: Mapping[str, Any], primary: str | Mapping[str, Any]
) -> dict[str, Any]:
    """Compose a configuration and return it as plain nested values.

    Args:
        overrides: Hydra overrides, the later ones winning: ``data=yeast``, ``model.hidden_dim=32``.
        nodes: configuration nodes by ``group/name``, such as ``trainer/default``, beside ``conf/``'s files.
        primary: the name of the primary file in ``conf/``, or the primary node itself.

    Raises:
        ConfigError: an unknown group, option or key (with the nearest valid name), or broken syntax.
    """
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir
    from hydra.core.config_store import ConfigStore
    from hydra.core.global_hydra import GlobalHydra
    from hydra.errors import HydraException
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    store = ConfigStore.instance()
    for path, node in nodes.items():
        group, _, name = path.rpartition("/")
        store.store(name=name, group=group or None, node=dict(node))
    given = primary
    if not isinstance(primary, str):
        store.store(name="primary", node=dict(primary))
        primary = "primary"
    chosen = with_own_presets(_last_choices(overrides), _chosen_first(given))
    folder = resource_folder("conf")
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(folder.resolve()), version_base="1.3"):
            composed = hydra_compose(primary, overrides=chosen)
        values = OmegaConf.to_container(composed, resolve=True)
    # Hydra reports an option that is no name, such as data=3, as a plain ValueError.
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        raise ConfigError(_explain(error, overrides, nodes, primary)) from None
    assert isinstance(values, dict)
    return _without_missing({str(key): value for key, value in values.items()})


def with_own_presets(overrides: Sequence[str], defaults: Mapping[str, str]) -> list[str]:
    """Make the working folder's presets known to Hydra, and choose them where shipped ones have their names.

    Hydra would take every group from a folder that it searches, also those of another project there.

    Args:
        overrides: Hydra overrides.
        defaults: the preset of every group that nobody chose.

    Returns:
        The overrides with the names by which Hydra knows the presets.

    Raises:
        ConfigError: a chosen preset is no YAML mapping, or holds a number that is none to everybody.
    """
    from hydra.core.config_store import ConfigStore

    given = {o.partition("=")[0]: o.partition("=")[2] for o in overrides}
    result = list(overrides)
    for group in OWN_GROUPS:
        choice, own = given.get(group, defaults.get(group)), own_presets(group)
        for name, path in own.items():
            node = _read_preset(path, needed=name == choice)
            if node is None:
                continue
            is_shipped = (resource_folder("conf") / group / path.name).is_file()
            known = f"{name}{_OWN}" if is_shipped else name
            ConfigStore.instance().store(name=known, group=group, node=node)
            if is_shipped and name == choice:
                result = [*(o for o in result if o.partition("=")[0] != group), f"{group}={known}"]
    return result


_OWN = "_of_this_folder"


def _read_preset(path: Path, *, needed: bool) -> dict[str, Any] | None:
    from omegaconf import OmegaConf

    try:
        if needed:
            refuse_old_numbers(path)
        node = OmegaConf.to_container(OmegaConf.load(path))
    except (OSError, ValueError, yaml.YAMLError) as error:
        node, problem = None, str(error).splitlines()[0]
    else:
        problem = "expected a mapping of keys to values"
    if isinstance(node, dict):
        return {str(key): value for key, value in node.items()}
    if needed:
        raise ConfigError(f"{path}: cannot be read: {problem}.")
    return None


def _chosen_first(primary: str | Mapping[str, Any]) -> dict[str, str]:
    """Return the primary configuration's own choice in every group."""
    if isinstance(primary, str):
        path = resource_folder("conf") / f"{primary}.yaml"
        primary = yaml.safe_load(path.read_text(encoding="utf-8"))
    defaults = primary.get("defaults", []) if isinstance(primary, Mapping) else []
    return {group: name for entry in defaults if isinstance(entry, Mapping) for group, name in entry.items()}


def parse_overrides(overrides: Sequence[str]) -> dict[str, Any]:
    """Return ``key=value`` overrides in Hydra's syntax as dotted paths and plain values.

    Raises:
        ConfigError: broken syntax.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException, OverrideParseException

    try:
        parsed = OverridesParser.create().parse_overrides(list(overrides))
    except OverrideParseException as error:
        raise ConfigError(_broken(error.override)) from None
    except HydraException as error:
        raise ConfigError(f"cannot read the overrides: {str(error).splitlines()[0]}.") from None
    for override in parsed:
        if override.is_sweep_override():
            raise ConfigError(f"{override.input_line}: several values; expected one, or a list in brackets.")
    return {override.get_key_element().lstrip("+"): override.value() for override in parsed}


def group_options(group: str, nodes: Mapping[str, Any]) -> list[str]:
    """Return the options of a configuration group."""
    shipped = {path.stem for path in (resource_folder("conf") / group).glob("*.yaml")} | {*own_presets(group)}
    known = {path.rpartition("/")[2] for path in nodes if path.startswith(f"{group}/")}
    return sorted(name for name in shipped | known if not name.endswith("_defaults"))


def _last_choices(overrides: Sequence[str]) -> list[str]:
    """Keep the last of several overrides of one key: a file's own choice gives way to the command line."""
    last = {override.partition("=")[0]: override for override in overrides}
    return [o for o in overrides if last[o.partition("=")[0]] is o]


def _without_missing(values: Mapping[str, Any]) -> dict[str, Any]:
    """Drop required keys that nobody set, so that the typed configuration names them."""
    return {
        key: _without_missing(value) if isinstance(value, Mapping) else value
        for key, value in values.items()
        if value != MISSING
    }


def _explain(error: Exception, overrides: Sequence[str], nodes: Mapping[str, Any], primary: str) -> str:
    from hydra.errors import OverrideParseException

    message = str(error)
    if isinstance(error, OverrideParseException):
        return _broken(error.override)
    if match := re.search(r"Could not find '([^']+)'|In '.*': Could not find '([^']+)'", message):
        group, _, option = (match[1] or match[2]).partition("/")
        options = group_options(group, nodes)
        return (
            f"{group}={option}: unknown option; expected one of {', '.join(options)}."
            f"{nearest_name(option, options)}"
        )
    if match := re.search(r"Could not override '([^']+)'", message):
        path = match[1]
        valid = _known_paths(path, overrides, nodes, primary)
        if path in valid:
            return f"{path}: the keys of a mapping are given one by one, as in +{path}.KEY=VALUE."
        parent, _, key = path.rpartition(".")
        siblings = [p.rpartition(".")[2] for p in valid if p.rpartition(".")[0] == parent]
        hint = nearest_name(key, siblings) or nearest_name(path, valid)
        return f"unknown key {path!r} on the command line.{hint}"
    first = message.strip().splitlines()[0] if message.strip() else type(error).__name__
    return f"cannot compose the configuration: {first}"


def _broken(override: str) -> str:
    key, equals, value = override.partition("=")
    if equals and re.fullmatch(r"\+{0,2}[\w.]+", key) and value and value[0] not in "[{(":
        quoted = shlex.quote(f"{key}={quoted_value(value.strip(chr(39)))}")
        return f"cannot read {override!r}: expected a value with quotes of its own, as in {quoted}."
    return f"cannot read {override!r}: expected key=value, such as model.hidden_dim=32 or data=demo."


def quoted_value(text: str) -> str:
    """Return text in Hydra's override syntax: it stays text, whatever it contains."""
    # Backslashes count only before a quote, and at the end.
    escaped = re.sub(r"(\\*)('|$)", lambda found: found[1] * 2 + ("\\'" if found[2] else ""), text)
    return f"'{escaped}'"


def _known_paths(wrong: str, overrides: Sequence[str], nodes: Mapping[str, Any], primary: str) -> list[str]:
    """Return every dotted path of the configuration without the values that were overridden."""
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir
    from hydra.errors import HydraException
    from omegaconf import OmegaConf

    choices = [o for o in overrides if "." not in o.partition("=")[0] and o.partition("=")[0] != wrong]
    try:
        with initialize_config_dir(str(resource_folder("conf").resolve()), version_base="1.3"):
            values = OmegaConf.to_container(hydra_compose(primary, overrides=choices), resolve=False)
    except HydraException:
        return []

    def walk(level: Any, prefix: str) -> list[str]:
        if not isinstance(level, dict):
            return []
        return [p for k, v in level.items() for p in (f"{prefix}{k}", *walk(v, f"{prefix}{k}."))]

    return walk(values, "")
