"""Where a sweep is launched: typed configurations, one per kind; presets are in ``conf/cluster``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import field
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import urlsplit

import yaml
from pydantic import Field
from pydantic.dataclasses import dataclass

from gisearch.composition import compose, defaults_of, group_options, text_kept
from gisearch.config import STRICT, build
from gisearch.errors import ConfigError, nearest_name
from gisearch.files import local_path
from gisearch.resources import preset_file, resource_folder

Count = Annotated[int, Field(ge=1)]
Amount = Annotated[int, Field(ge=0)]
_TIME = re.compile(r"(\d+-)?\d+(:\d\d){0,2}")


@dataclass(frozen=True, kw_only=True, config=STRICT)
class SlurmCluster:
    """A cluster that SLURM schedules, used from a machine with ``sbatch`` and the shared file system.

    Attributes:
        kind: which kind of cluster this is.
        nodes: machines of one job.
        cpus_per_node: processors of each; null takes what the partition gives to a task.
        gpus_per_node: GPUs of each, as ``--gpus-per-node``.
        gpu_type: the kind of GPU, such as ``a100``; null takes any.
        memory: memory of each, such as ``64G``; null takes the partition's default.
        time: time limit, as SLURM writes it: ``HH:MM:SS`` or ``D-HH:MM:SS``.
        partition: the partition; null takes the cluster's default.
        account: the account that pays; null takes the user's default.
        qos: the quality of service; null takes the default.
        exclusive: whether the job has its machines for itself.
        warning_seconds: how long before its end (time limit or preemption) the job is told to save and leave.
        max_requeues: how often a job that was told to leave is queued again and goes on.
        setup: shell lines that run on every machine first, such as ``module load cuda``.
        options: further options of ``sbatch``, such as ``--constraint=h100``.
        python: the interpreter of the environment; null takes the one that launches.
        sweep: overrides for every sweep launched here, such as ``search.gpus_per_worker=1``.
    """

    kind: Literal["slurm"] = "slurm"
    nodes: Count = 1
    cpus_per_node: Count | None = None
    gpus_per_node: Amount = 0
    gpu_type: str | None = None
    memory: str | None = None
    time: str = "24:00:00"
    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    exclusive: bool = True
    warning_seconds: Amount = 180
    max_requeues: Amount = 20
    setup: list[str] = field(default_factory=list)
    options: list[str] = field(default_factory=list)
    python: str | None = None
    sweep: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not _TIME.fullmatch(self.time):
            raise ValueError(f"time: expected HH:MM:SS or D-HH:MM:SS, got {self.time!r}")


@dataclass(frozen=True, kw_only=True, config=STRICT)
class RayCluster:
    """A cluster that ``ray up`` starts from a file: a cloud's machines, or one's own over SSH.

    Attributes:
        kind: which kind of cluster this is.
        file: the cluster's file for ``ray up``: a path, or the name of a shipped one in ``clusters/``.
        project: the folder on the cluster's machines into which the file copies this project.
        python: the interpreter there, from ``project``.
        results: the folder that all machines of the cluster share; sweeps are kept in it.
        tracking_uri: the MLflow store as the head sees it, without a password; null keeps one in ``results``.
        machines_minutes: how long a sweep waits for machines that the file names to join the cluster.
        sweep: overrides for every sweep launched here, such as ``search.gpus_per_worker=1``.
    """

    kind: Literal["ray"] = "ray"
    file: str = "onprem.yaml"
    project: str = "~/gisearch"
    python: str = ".venv/bin/python"
    results: Annotated[str, Field(pattern="^/")] = "/shared/results"
    tracking_uri: str | None = None
    machines_minutes: Amount = 30
    sweep: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        # It would be read in the record of the launch, on the head's command line and in Ray's dashboard.
        if self.tracking_uri is not None and urlsplit(self.tracking_uri).password:
            raise ValueError(
                "tracking_uri: expected an address without a password, which MLflow takes from "
                "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD in the head's ~/.bashrc"
            )


Cluster = SlurmCluster | RayCluster
C = TypeVar("C", bound=SlurmCluster | RayCluster)
_PRESETS: dict[type, str] = {SlurmCluster: "slurm", RayCluster: "onprem"}


def compose_cluster(cls: type[C], overrides: Sequence[str]) -> C:
    """Compose the configuration of a cluster of kind ``cls``.

    Args:
        cls: the kind.
        overrides: Hydra overrides of the group ``cluster`` alone: ``cluster=gpu``, ``cluster.nodes=4``.

    Raises:
        ConfigError: an unknown preset or one of another kind, an unknown key, a value outside its limits.
    """
    kind: str = defaults_of(cls)["kind"]
    chosen = [o.partition("=")[2] for o in overrides if o.startswith("cluster=")]
    presets = [name for name in group_options("cluster", {}) if _kind_of(name) == kind]
    for name in chosen:
        if name not in presets:
            raise ConfigError(
                f"cluster={name}: expected one of {', '.join(presets)} for `launch {kind}`."
                f"{nearest_name(name, presets)}"
            )
    nodes = {f"cluster/{kind}_defaults": defaults_of(cls)}
    primary: dict[str, Any] = {"defaults": [{"cluster": _PRESETS[cls]}, "_self_"]}
    values = compose(text_kept(overrides, cls, "cluster"), nodes, primary)
    return build(cls, values["cluster"], "cluster")


def _kind_of(preset: str) -> str | None:
    """Return the kind of a preset: that of the defaults it begins with."""
    try:
        values = yaml.safe_load(preset_file("cluster", preset).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return None
    if not isinstance(values, dict):
        return None
    for entry in values.get("defaults", []):
        if isinstance(entry, str) and entry.endswith("_defaults"):
            return entry.removesuffix("_defaults")
    return None


def cluster_file(cluster: RayCluster) -> Path:
    """Return the file that ``ray up`` is given.

    Raises:
        ConfigError: there is none.
    """
    path = local_path(cluster.file)
    if path.is_file():
        return path
    folder = resource_folder("clusters")
    shipped = sorted(p.name for p in folder.glob("*.yaml"))
    if path.name in shipped and path.parent in (Path(), Path("clusters")):
        return folder / path.name
    raise ConfigError(
        f"cluster.file: no file {cluster.file!r}; shipped with gisearch: {', '.join(shipped)}."
        f"{nearest_name(path.name, shipped)}"
    )
