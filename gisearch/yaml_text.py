"""YAML as version 1.2 reads it (core schema), whoever writes it: files that people write are read here.

PyYAML follows version 1.1, where ``12:00`` is 720, ``010`` is 8, ``no`` is false and ``2026-03-01`` a date.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, ClassVar

import yaml

from gisearch.errors import ConfigError

_PREFIX = "tag:yaml.org,2002:"
_NUMBERS = "-+.0123456789"
_CORE = (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", _NUMBERS),
    (
        "float",
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        _NUMBERS,
    ),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("merge", r"<<", "<"),
)
# What version 1.1 takes for numbers and nobody else does.
_OLD_NUMBER = re.compile(r"[-+]?(0[0-9_]+|0b[01_]+|[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?)")


class Loader(yaml.SafeLoader):
    """Plain values only: text, numbers, true and false, null, lists, mappings."""

    yaml_implicit_resolvers: dict[Any, Any] = {}  # noqa: RUF012
    yaml_constructors: ClassVar[dict[str | None, Any]] = {
        tag: constructor
        for tag, constructor in yaml.SafeLoader.yaml_constructors.items()
        if tag is None or tag.removeprefix(_PREFIX) in ("null", "bool", "float", "seq", "map", "str")
    }


class Dumper(yaml.SafeDumper):
    """Quotes text that either version would take for something else."""


def _whole_number(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> int:
    text = loader.construct_scalar(node)
    return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))


Loader.add_constructor(f"{_PREFIX}int", _whole_number)
for _tag, _pattern, _first in _CORE:
    for _class in (Loader, Dumper):
        _class.add_implicit_resolver(f"{_PREFIX}{_tag}", re.compile(rf"^(?:{_pattern})$"), list(_first))


def dump(document: Any) -> str:
    """Return plain values as YAML that both versions read alike."""
    return yaml.dump(document, Dumper=Dumper, sort_keys=False)


def refuse_old_numbers(path: Path) -> None:
    """Check a file that something else reads, by version 1.1: its numbers must be numbers to everybody.

    Raises:
        ConfigError: one is not; the message has its line. A file that is no YAML is left to its reader.
    """
    try:
        tokens = list(yaml.scan(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return
    for token in tokens:
        if isinstance(token, yaml.ScalarToken) and token.plain and _OLD_NUMBER.fullmatch(token.value):
            raise ConfigError(
                f"{path}, line {token.start_mark.line + 1}: {token.value} is another number to some readers "
                f"of YAML; expected a number in decimal digits, or text in quotes: '{token.value}'."
            )
