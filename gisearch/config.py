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
from typing import Annotated, Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from gisearch.errors import ConfigError, nearest_name

STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

T = TypeVar("T")


@cache
def _adapter(cls: Any) -> TypeAdapter[Any]:
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
        # What JSON does not know, such as the dates of YAML, is text to a configuration.
        text = json.dumps(values, default=str)
    except TypeError as error:
        raise ConfigError(f"{where or 'the configuration'}: expected plain values only; {error}.") from None
    try:
        config: T = _adapter(cast(Any, cls)).validate_json(text)
    except ValidationError as error:
        raise ConfigError(_explain(cls, error.errors(), where)) from None
    return config


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
    level = [cls]
    for part in filter(None, path.split(".")):
        level = _below(level, part)
    classes = [inner for annotation in level for inner in _dataclasses_in(annotation)]
    return list(dict.fromkeys(field.name for outer in classes for field in dataclasses.fields(outer)))


def is_text(cls: Any, path: str) -> bool:
    """Return whether the key at a dotted path takes text, and no number or truth value."""
    level = [cls]
    for part in path.split("."):
        level = _below(level, part)
    kinds = {kind for annotation in level for kind in _plain_kinds(annotation)}
    return str in kinds and not kinds & {int, float, bool}


def _plain_kinds(annotation: Any) -> Iterator[Any]:
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _plain_kinds(get_args(annotation)[0])
    elif origin in (Union, UnionType):
        for option in get_args(annotation):
            yield from _plain_kinds(option)
    else:
        yield annotation


def _below(level: list[Any], part: str) -> list[Any]:
    """Return the annotations of what lies under the key or index ``part``; none where nothing does."""
    found: list[Any] = []
    for annotation in level:
        origin, arguments = get_origin(annotation), get_args(annotation)
        if origin is Annotated:
            found += _below([arguments[0]], part)
        elif origin in (Union, UnionType):
            found += _below(list(arguments), part)
        elif origin is dict:
            found.append(arguments[1])
        elif origin is list and part.isdigit():
            found.append(arguments[0])
        else:
            found += [_hints(cls)[part] for cls in _dataclasses_in(annotation) if part in _hints(cls)]
    return found


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


_UNKNOWN = frozenset({"unexpected_keyword_argument", "extra_forbidden"})
_MISSING = frozenset({"missing", "missing_argument", "missing_keyword_only_argument"})


def _explain(cls: Any, errors: list[ErrorDetails], where: str) -> str:
    # A misspelt key is often also a missing one: the misspelling is the more useful thing to hear.
    error = next((error for error in errors if error["type"] in _UNKNOWN), errors[0])
    location = _location(cls, error)
    path = ".".join(filter(None, [where, *location]))
    if error["type"] in _UNKNOWN:
        valid = field_names(cls, ".".join(location[:-1]))
        parent = ".".join(filter(None, [where, *location[:-1]]))
        hint = nearest_name(location[-1], valid) or f" Valid keys: {', '.join(valid)}."
        return f"unknown key {location[-1]!r} in {parent or 'the configuration'}.{hint}"
    if error["type"] in _MISSING:
        return f"{path}: a value is required."
    if error["type"] == "union_tag_invalid":
        context = error["ctx"]
        valid = [tag.strip("' ") for tag in str(context["expected_tags"]).split(",")]
        key = str(context["discriminator"]).strip("'")
        return (
            f"{path}.{key}: unknown value {context['tag']!r}; expected one of {', '.join(valid)}."
            f"{nearest_name(str(context['tag']), valid)}"
        ).lstrip(".")
    if error["type"] == "union_tag_not_found":
        key = ".".join(filter(None, [path, str(error["ctx"]["discriminator"]).strip("'")]))
        return f"{key}: a value is required."
    if error["type"] == "value_error":
        message = str(error["ctx"]["error"])
        return f"{path}: {message}" if path else message
    hint = ""
    if error["type"] == "literal_error":
        valid = [
            option.strip("' ") for option in str(error["ctx"]["expected"]).replace(" or ", ",").split(",")
        ]
        hint = nearest_name(str(error["input"]), valid)
    message = error["msg"].replace("Input should be ", "expected ")
    return f"{path}: {message}, got {error['input']!r}.{hint}"


def _location(cls: Any, error: ErrorDetails) -> list[str]:
    """Return where the error is, without the tags of unions, which are no keys of the file."""
    location: list[str] = []
    level: list[Any] = [cls]
    *parents, last = [str(part) for part in error["loc"]] or [""]
    for part in parents:
        if inner := _below(level, part):
            location.append(part)
            level = inner
    if _below(level, last) or error["type"] in _UNKNOWN | _MISSING:
        location.append(last)
    return location
