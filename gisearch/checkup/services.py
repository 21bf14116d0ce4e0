"""What a sweep uses: results folder, study, Ray, tracking store, GPU, data."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gisearch.checkup.finding import State
from gisearch.composition import parse_overrides, text_kept
from gisearch.config import build
from gisearch.errors import ConfigError, nearest_name
from gisearch.processors import allowed_processors
from gisearch.search.cluster import Node, WorkerNeeds, concurrency, ray_session
from gisearch.search.config import ResultsConfig, SearchConfig
from gisearch.search.disk import OTHER_BYTES, room_for_large_models
from gisearch.search.folders import check_results_dir
from gisearch.search.ray_start import check_ray
from gisearch.tracking.config import TrackingConfig
from gisearch.tracking.provenance import driver_gpus

_SECTIONS: Mapping[str, type] = {
    "results": ResultsConfig,
    "search": SearchConfig,
    "tracking": TrackingConfig,
}


@dataclass(frozen=True)
class Settings:
    """How the sweep would run that is asked about.

    Attributes:
        results: where its results would go.
        search: what its trials would need.
        tracking: where it would be recorded.
    """

    results: ResultsConfig
    search: SearchConfig
    tracking: TrackingConfig

    @classmethod
    def of(cls, overrides: Sequence[str]) -> Settings:
        """Return the settings that overrides give, the defaults of a sweep otherwise.

        Raises:
            ConfigError: an unknown key, or a value that it does not take.
        """
        values: dict[str, dict[str, object]] = {name: {} for name in _SECTIONS}
        for override in overrides:
            section, _, rest = override.lstrip("+").partition(".")
            if section not in _SECTIONS or not rest.partition("=")[0]:
                raise ConfigError(
                    f"{override}: expected keys of {', '.join(_SECTIONS)}, such as search.gpus_per_worker=1."
                    f"{nearest_name(section, _SECTIONS)}"
                )
        for section, kind in _SECTIONS.items():
            own = [o for o in overrides if o.lstrip("+").startswith(f"{section}.")]
            given = parse_overrides(text_kept(own, kind, section))
            values[section] = {key.partition(".")[2]: value for key, value in given.items()}
        return cls(**{name: build(kind, values[name], name) for name, kind in _SECTIONS.items()})


def check_results(settings: Settings) -> tuple[State, str]:
    """Hold a folder where the results would go, open a study there as a sweep does, and remove both."""
    from gisearch.search.lock import locked
    from gisearch.search.study import open_study
    from gisearch.training.objective import Objective

    existing = check_results_dir(settings.results.dir)
    with tempfile.TemporaryDirectory(dir=existing, prefix=".gisearch-") as made:
        folder = Path(made)
        with locked(folder):
            open_study(folder, "doctor", Objective("val/pearson", "max"))
    free, large = shutil.disk_usage(existing).free, room_for_large_models(settings.search).total
    text = f"{settings.results.dir} can be written, {free / 1e9:,.1f} GB free"
    if free < OTHER_BYTES:
        return State.PROBLEM, (
            f"{text}, but a study and its figures alone need {OTHER_BYTES / 1e6:.0f} MB; free some space, or "
            "set results.dir to another folder."
        )
    if free < large:
        return State.NOTE, (
            f"{text}; a sweep checks what its own models need ({large / 1e9:,.1f} GB where they have 100 "
            "million parameters); set results.dir to another folder where that is too little."
        )
    return State.OK, text


def check_ray_start(settings: Settings, *, start: bool) -> tuple[State, str]:
    """Check what can be told of Ray beforehand; with ``start``, start or join it, and leave it."""
    check_ray()
    address = os.environ.get("RAY_ADDRESS")
    if not start:
        if address:
            return State.OK, f"the cluster of RAY_ADDRESS={address} answers; --start joins and leaves it"
        return State.OK, "nothing stands against starting it; --start does, and stops it again"
    with ray_session() as nodes:
        parallel = concurrency(settings.search, WorkerNeeds.of(settings.search, 1), nodes)
    how = f"joined the cluster of RAY_ADDRESS={address}" if address else "started and stopped"
    return State.OK, f"{how}; room for {parallel} trials at a time"


def check_trials(settings: Settings) -> tuple[State, str]:
    """Count the trials that this machine has room for at a time; a cluster that is joined tells its own."""
    if address := os.environ.get("RAY_ADDRESS"):
        return State.OK, f"the cluster of RAY_ADDRESS={address} decides"
    wanted = settings.search.gpus_per_worker
    gpus = 0
    if wanted:
        import torch

        gpus = torch.cuda.device_count()
    here: Node = {"CPU": allowed_processors(), "GPU": gpus}
    needs = WorkerNeeds.of(settings.search, 1)
    return State.OK, f"{concurrency(settings.search, needs, [here])} at a time, each with {needs}"


def check_store(settings: Settings) -> tuple[State, str]:
    """Look at the tracking store without writing to it."""
    from gisearch.tracking.store import look_at_store

    return State.OK, look_at_store(settings.tracking)


def check_gpu() -> tuple[State, str]:
    """Compare the GPUs that the driver knows with those that PyTorch can use, and use one."""
    import torch

    known = driver_gpus()
    if not torch.cuda.is_available():
        if not known:
            return State.OK, "none; trials train on processors"
        return State.NOTE, f"the driver has {', '.join(known)}, but {_why_unusable()}"
    names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    shown = f"{', '.join(names)} with PyTorch for CUDA {torch.version.cuda}"
    try:
        for index in range(len(names)):
            torch.ones(1, device=f"cuda:{index}").sum().item()
    except RuntimeError as error:
        return State.PROBLEM, (
            f"{shown} cannot be used ({str(error).strip().splitlines()[0]}); install a PyTorch that fits "
            "(docs/installation.md), or train on processors: export CUDA_VISIBLE_DEVICES=''."
        )
    return State.OK, f"{shown}; trials reserve them with search.gpus_per_worker=1"


def _why_unusable() -> str:
    import torch

    if torch.version.cuda is None:
        return (
            f"this PyTorch ({torch.__version__}) is built for processors alone; install a build for CUDA "
            "(docs/installation.md)."
        )
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
    if hidden is not None:
        return f"CUDA_VISIBLE_DEVICES={hidden!r} hides it; unset it to train there."
    try:
        torch.cuda.init()
    except (RuntimeError, AssertionError) as error:
        said = str(error).strip().splitlines()[0]
        return f"PyTorch for CUDA {torch.version.cuda} cannot use it ({said}); upgrade the driver."
    return "PyTorch cannot use it; see `nvidia-smi`."


def check_data() -> tuple[State, str]:
    """Generate the smallest demo cell."""
    from gisearch.data.config import compose_data
    from gisearch.data.load import load_dataset

    dataset = load_dataset(compose_data(["data=demo_tiny"]))
    return State.OK, f"the demo cell has {len(dataset.genotypes)} genotypes"
