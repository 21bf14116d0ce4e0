"""A cluster's file for ``ray up``: checked before Ray reads it, and what the launcher takes from it."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml

from gisearch.errors import ConfigError

LOCAL = "local"
# What Ray imports for a provider, and the extra of gisearch that has it.
_LIBRARIES = {"aws": ("boto3", "aws"), "gcp": ("googleapiclient", "gcp")}
_OF_ONES_OWN = {
    "provider.head_ip": "the address of the machine that leads",
    "provider.worker_ips": "the addresses of the other machines, [] for none",
    "auth.ssh_user": "the user on the machines",
}


@dataclass(frozen=True)
class ClusterFile:
    """A cluster's file that was read and checked.

    Attributes:
        path: where it is.
        text: its content as it stands.
        values: its content.
    """

    path: Path
    text: str
    values: dict[str, Any]

    @property
    def cluster_name(self) -> str:
        """The cluster's name, by which Ray keeps it apart from others."""
        return str(self.values["cluster_name"])

    @property
    def provider(self) -> str:
        """Who provides the machines: ``local``, ``aws``, ``gcp``."""
        return str(self.values["provider"]["type"])

    @property
    def machines(self) -> int | None:
        """How many machines the cluster has at once; None where they start when trials wait."""
        if self.provider != LOCAL:
            return None
        others = len(self.values["provider"]["worker_ips"])
        wanted = (int(self.values.get(key, others)) for key in ("min_workers", "max_workers"))
        return 1 + min(others, *wanted)


def read_cluster_file(path: Path) -> ClusterFile:
    """Read a cluster's file, and check what Ray would find out late, or say with a traceback.

    Args:
        path: the file; paths in it are relative to the working directory, as they are for ``ray up``.

    Raises:
        ConfigError: what is wrong with it, or missing here.
    """
    text = path.read_text(encoding="utf-8")
    try:
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise ConfigError(f"{path}{where}: not YAML: {getattr(error, 'problem', None) or error}.") from None
    provider = values.get("provider") if isinstance(values, dict) else None
    if not isinstance(provider, dict) or not provider.get("type") or not values.get("cluster_name"):
        raise ConfigError(f"{path}: expected a file for `ray up`, with cluster_name and provider.type.")
    _check_filled_in(path, values)
    _check_library(path, str(provider["type"]))
    _check_local_files(path, values)
    return ClusterFile(path, text, values)


def _check_filled_in(path: Path, values: dict[str, Any]) -> None:
    wanted = dict(_OF_ONES_OWN) if values["provider"]["type"] == LOCAL else {}
    for group in ("provider", "auth"):
        nulls = [key for key, value in (values.get(group) or {}).items() if value is None]
        wanted = {**{f"{group}.{key}": "a value" for key in nulls}, **wanted}
    for key, meaning in wanted.items():
        group, _, name = key.partition(".")
        if (values.get(group) or {}).get(name) is None:
            raise ConfigError(f"{path}: {key} is not filled in; expected {meaning}.")


def _check_library(path: Path, provider: str) -> None:
    library, extra = _LIBRARIES.get(provider, (None, None))
    if library is not None and find_spec(library) is None:
        raise ConfigError(
            f"{path}: provider {provider!r} needs {library}, which is not installed; "
            f"expected `pip install 'gisearch[{extra}]'` before."
        )


def _check_local_files(path: Path, values: dict[str, Any]) -> None:
    key = (values.get("auth") or {}).get("ssh_private_key")
    if key is not None and not Path(key).expanduser().is_file():
        raise ConfigError(f"{path}: auth.ssh_private_key: no file {key!r} here.")
    for source in (values.get("file_mounts") or {}).values():
        if not Path(source).expanduser().exists():
            raise ConfigError(
                f"{path}: file_mounts: no {source!r} in {Path.cwd()}; expected to be launched from the "
                "folder of the project."
            )
