"""The files that come with gisearch, in a checkout and in an installed wheel alike."""

from __future__ import annotations

from pathlib import Path

from gisearch.errors import ConfigError, nearest_name
from gisearch.files import local_path

# Others belong to a project that uses Hydra itself.
OWN_GROUPS = ("data", "model", "cluster")
_PACKAGE = Path(__file__).resolve().parent


def resource_folder(name: str) -> Path:
    """Return the shipped folder ``name``: ``conf`` or ``search_spaces``."""
    packaged = _PACKAGE / "_resources" / name
    return packaged if packaged.is_dir() else _PACKAGE.parent / name


def preset_file(group: str, name: str) -> Path:
    """Return the file of a preset: of ``conf/`` in the working folder, else the shipped one.

    Args:
        group: ``data``, ``model`` or ``cluster``.
        name: the preset's name.
    """
    own = own_presets(group)
    return own[name] if name in own else resource_folder("conf") / group / f"{name}.yaml"


def own_presets(group: str) -> dict[str, Path]:
    """Return the presets in the working folder's ``conf/`` by name; none where that is the shipped one."""
    folder = Path.cwd() / "conf" / group
    if group not in OWN_GROUPS or folder.resolve() == (resource_folder("conf") / group).resolve():
        return {}
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def find_search_space(given: str) -> Path:
    """Return a search-space file: a path, or the name or path of a shipped one.

    Raises:
        ConfigError: there is no such file; the message gives the nearest shipped one.
    """
    path = local_path(given)
    if path.is_file():
        return path
    shipped = {p.stem: p for p in sorted(resource_folder("search_spaces").glob("*.yaml"))}
    is_shipped_path = path.parent in (Path(), Path("search_spaces"))
    if is_shipped_path and path.suffix in ("", ".yaml") and path.stem in shipped:
        return shipped[path.stem]
    raise ConfigError(
        f"no search-space file {given!r}; shipped with gisearch: {', '.join(shipped)}."
        f"{nearest_name(path.stem, shipped)}"
    )
