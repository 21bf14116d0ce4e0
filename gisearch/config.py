"""Typed configuration: dataclasses beside what they configure, checked when built.

Every configuration class is a pydantic dataclass declared with :data:`STRICT`. :func:`build` turns
a plain mapping into one, and turns whatever is wrong with it into one clear sentence.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from functools import cache
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from gisearch.errors import ConfigError, nearest_name

STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

T = TypeVar("T")


@cache
def _adapter(cls: type[T]) -> TypeAdapter[T]:
    return TypeAdapter(cls)


def build(cls: type[T], values: Mapping[str, Any], where: str = "") -> T:
    """Build the configuration ``cls`` from plain values.

    Args:
        cls: a pydantic dataclass, or a union of them told apart by a field.
        values: nested mappings of plain values.
        where: the path of ``values`` in the whole configuration, for messages.

    Raises:
        ConfigError: an unknown key, a wrong type, or a value outside the limits: what, where, what was
            expected, and the nearest valid name.
    """
    try:
        # As JSON, because strict validation of Python values wants instances where files hold mappings.
        return _adapter(cls).validate_json(json.dumps(values))
    except ValidationError as error:
        raise ConfigError(_explain(cls, error.errors()[0], where)) from None


def to_plain(config: Any) -> dict[str, Any]:
    """Return a configuration as nested dictionaries of plain values, ready for YAML."""
    return dataclasses.asdict(config)


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested mappings as one dictionary with dotted paths."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        path = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            flat.update(flatten(value, f"{path}."))
        else:
            flat[path] = value
    return flat


def assign(values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return a deep copy of nested ``values`` with dotted paths replaced."""
    copy: dict[str, Any] = {k: assign(v, {}) if isinstance(v, Mapping) else v for k, v in values.items()}
    for path, value in changes.items():
        *parents, leaf = path.split(".")
        level = copy
        for parent in parents:
            level = level.setdefault(parent, {})
        level[leaf] = value
    return copy


def field_names(cls: Any, path: str = "") -> list[str]:
    """Return the valid keys of the (possibly union) configuration ``cls`` below a dotted path."""
    level: list[type] = list(_dataclasses_in(cls))
    for part in filter(None, path.split(".")):
        level = [inner for outer in level for inner in _dataclasses_in(_hints(outer).get(part))]
    return list(dict.fromkeys(field.name for outer in level for field in dataclasses.fields(outer)))


@cache
def _hints(cls: type) -> dict[str, Any]:
    return get_type_hints(cls, include_extras=True)


def _dataclasses_in(annotation: Any) -> Iterator[type]:
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _dataclasses_in(get_args(annotation)[0])
    elif origin in (Union, UnionType):
        for option in get_args(annotation):
            yield from _dataclasses_in(option)
    elif isinstance(annotation, type) and dataclasses.is_dataclass(annotation):
        yield annotation


def _explain(cls: Any, error: ErrorDetails, where: str) -> str:
    # A union's location carries the tag of the chosen member, which is no key of the file.
    location: list[str] = []
    for part in error["loc"]:
        if isinstance(part, int):
            location.append(str(part))
        elif part in field_names(cls, ".".join(location)) or error["type"] in _KEY_ERRORS:
            location.append(part)
    if error["type"] in _KEY_ERRORS:
        location = _strip_tags(cls, [str(part) for part in error["loc"]])
    path = ".".join(filter(None, [where, *location]))
    if error["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
        valid = field_names(cls, ".".join(location[:-1]))
        parent = ".".join(filter(None, [where, *location[:-1]]))
        hint = nearest_name(location[-1], valid) or f" Valid keys: {', '.join(valid)}."
        return f"unknown key {location[-1]!r} in {parent or 'the configuration'}.{hint}"
    if error["type"] in ("missing", "missing_argument", "missing_keyword_only_argument"):
        return f"{path}: a value is required."
    if error["type"] == "union_tag_invalid":
        context = error["ctx"]
        valid = [tag.strip("' ") for tag in str(context["expected_tags"]).split(",")]
        key = str(context["discriminator"]).strip("'")
        return (
            f"{path}.{key}: unknown value {context['tag']!r}; expected one of {', '.join(valid)}."
            f"{nearest_name(str(context['tag']), valid)}"
        ).lstrip(".")
    if error["type"] == "value_error":
        message = str(error["ctx"]["error"])
        return f"{path}: {message}" if path else message
    hint = ""
    if error["type"] == "literal_error":
        valid = [option.strip("' ") for option in str(error["ctx"]["expected"]).replace(" or ", ",").split(",")]
        hint = nearest_name(str(error["input"]), valid)
    message = error["msg"].replace("Input should be ", "expected ")
    return f"{path}: {message}, got {error['input']!r}.{hint}"


_KEY_ERRORS = frozenset(
    {
        "unexpected_keyword_argument",
        "extra_forbidden",
        "missing",
        "missing_argument",
        "missing_keyword_only_argument",
    }
)


def _strip_tags(cls: Any, location: list[str]) -> list[str]:
    kept: list[str] = []
    for part in location[:-1]:
        if part in field_names(cls, ".".join(kept)):
            kept.append(part)
    return [*kept, location[-1]]
