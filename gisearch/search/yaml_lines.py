"""YAML with line numbers, so that an error can say where."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from gisearch.errors import ConfigError
from gisearch.yaml_text import Loader

Lines: TypeAlias = dict[tuple[str, ...], int]


def read_yaml(path: Path, texts: Collection[str] = ()) -> tuple[dict[str, Any], Lines]:
    """Read a mapping and the line of every key (and list item, by its index).

    Args:
        path: the file.
        texts: keys of the mapping whose value is text, whatever it looks like.

    Raises:
        ConfigError: the file cannot be read, is no valid YAML mapping, or repeats a key.
    """
    lines: Lines = {}
    try:
        loader = Loader(path.read_text(encoding="utf-8"))
        node = loader.get_single_node()
        if not isinstance(node, yaml.MappingNode):
            raise ConfigError(f"{path}: expected a mapping with keys such as name, base and space.")
        _collect(path, node, (), lines)
        for key, value in node.value:
            if key.value in texts and isinstance(value, yaml.ScalarNode) and value.value:
                value.tag = "tag:yaml.org,2002:str"
        values: dict[str, Any] = loader.construct_document(node)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {path}: {error}.") from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(f"{path}, line {line}: not valid YAML: {error.problem}.") from None
    except RecursionError:
        raise ConfigError(f"{path}: something in it contains itself, or is nested too deeply.") from None
    except ValueError as error:
        raise ConfigError(f"{path}: a value is not what its tag says: {error}.") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not valid YAML: {str(error).splitlines()[0]}.") from None
    return values, lines


def _collect(path: Path, node: yaml.Node, keys: tuple[str, ...], lines: Lines) -> None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            place = (*keys, str(key.value))
            if place in lines:
                raise ConfigError(
                    f"{path}, line {key.start_mark.line + 1}: the key {key.value!r} is given twice "
                    f"(first in line {lines[place]})."
                )
            lines[place] = key.start_mark.line + 1
            _collect(path, value, place, lines)
    elif isinstance(node, yaml.SequenceNode):
        for i, item in enumerate(node.value):
            lines[(*keys, str(i))] = item.start_mark.line + 1
            _collect(path, item, (*keys, str(i)), lines)
