"""A search-space file: its sections, and errors that say where in it something is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gisearch.config import flatten
from gisearch.errors import ConfigError, nearest_name
from gisearch.search.compilation import Fail
from gisearch.search.composing import hydra_value
from gisearch.search.yaml_lines import Lines, read_yaml

FILE_KEYS = ("name", "question", "base", "objective", "space", "baselines", "search", "tracking", "results")
_SECTIONS = ("objective", "search", "tracking", "results")
SEED = "seed"
HELD_EQUAL = ("data", "objective", SEED, "trainer.workers")


@dataclass(frozen=True)
class SpaceFile:
    """A search-space file and where everything in it stands."""

    path: Path
    document: Mapping[str, Any]
    lines: Lines

    @classmethod
    def read(cls, path: Path) -> SpaceFile:
        """Read a file and check its keys.

        Raises:
            ConfigError: it cannot be read, is no valid YAML mapping, or has an unknown or missing key.
        """
        file = cls(path, *read_yaml(path, texts=("name", "question")))
        for key in file.document:
            if key not in FILE_KEYS:
                raise file.fail((str(key),), f"unknown key {key!r}.{nearest_name(str(key), FILE_KEYS)}")
        if "space" not in file.document:
            raise ConfigError(f"{path}: the key 'space' is missing; expected the parameters to search.")
        # A comparison names every trial; nothing is searched there that luck with a seed could win.
        named = len(file.section("baselines", list)) == file.section("search", dict).get("trials")
        for key in file.space:
            if key == SEED and named:
                continue
            section = next((s for s in HELD_EQUAL if f"{key}.".startswith(f"{s}.")), None)
            if section is not None:
                raise file.fail(
                    ("space", str(key)),
                    f"{key}: a sweep holds {section!r} equal for all trials, so that they can be compared; "
                    "expected a key of model, optimizer, trainer or derived",
                )
        return file

    @property
    def space(self) -> dict[str, Any]:
        """The parameters, by path."""
        space: dict[str, Any] = self.section("space", dict)
        return space

    def section(self, key: str, kind: type) -> Any:
        """Return a section of the file, empty where it is not there.

        Raises:
            ConfigError: it is not of this kind, a mapping or a list.
        """
        value = self.document.get(key) or kind()
        if not isinstance(value, kind):
            what = "a mapping" if kind is dict else "a list"
            raise self.fail((key,), f"expected {what}, got {value!r}")
        return value

    def choices(self) -> list[str]:
        """Return the overrides of ``base``.

        Raises:
            ConfigError: an item is no override.
        """
        choices: list[str] = self.section("base", list)
        for i, choice in enumerate(choices):
            if not isinstance(choice, str) or "=" not in choice:
                raise self.fail(
                    ("base", str(i)), f"expected overrides such as model=dango_gi, got {choice!r}"
                )
        return choices

    def settings(self) -> list[str]:
        """Return the file's name and its settings as overrides, which the command line's come after."""
        own = [f"name={hydra_value(self.document.get('name', self.path.stem))}"]
        for section in _SECTIONS:
            for key, value in flatten(self.section(section, dict)).items():
                own.append(f"{section}.{key}={hydra_value(value)}")
        return own

    def fail(self, place: tuple[str, ...], message: str) -> ConfigError:
        """Return an error that says in which line of the file."""
        line = self.lines.get(place)
        where = f"{self.path}, line {line}" if line else str(self.path)
        end = "" if message.endswith(("?", ".")) else "."
        return ConfigError(f"{where}: {message}{end}")

    def fail_in(self, section: str) -> Fail:
        """Return a function that makes an error from a key of the section and a message."""

        def fail(key: str, message: str) -> ConfigError:
            place = (section, key) if key else (section,)
            prefix = f"{key}: " if key and not message.startswith(("unknown", key, "'")) else ""
            return self.fail(place, f"{prefix}{message}")

        return fail
