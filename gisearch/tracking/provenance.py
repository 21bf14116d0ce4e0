"""What produced a result: code, libraries, machine and command, without naming the machine."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import gisearch
from gisearch.memory import allowed_memory
from gisearch.processors import allowed_processors
from gisearch.tracking.redact import redact_command

# Set where the code was copied without its repository: a commit, with a "+" where files had been changed.
COMMIT_VARIABLE = "GISEARCH_COMMIT"
_LIBRARIES = {
    "torch": "torch",
    "torch-geometric": "pyg",
    "ray": "ray",
    "optuna": "optuna",
    "mlflow": "mlflow",
}


def collect_provenance(arguments: Sequence[str] | None = None) -> dict[str, str]:
    """Return what produced a result, ready for tags; what cannot be known is left out.

    Keys: ``git.commit``, ``git.dirty`` (of the checkout that gisearch runs from; absent for an installed
    wheel), ``version.*``, ``machine.*`` (no host name), ``started`` (UTC), ``command`` (secrets masked).

    Args:
        arguments: the command line; this process's own unless given.
    """
    facts = _commit()
    facts["version.gisearch"] = gisearch.__version__
    facts["version.python"] = platform.python_version()
    for package, name in _LIBRARIES.items():
        try:
            facts[f"version.{name}"] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    facts |= _machine()
    facts["started"] = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    facts["command"] = redact_command(command_line() if arguments is None else arguments)
    return facts


def command_line() -> list[str]:
    """Return the command a user would type to start this process again."""
    main = sys.modules.get("__main__")
    spec = getattr(main, "__spec__", None)
    if spec is not None and spec.name:
        return ["python", "-m", spec.name.removesuffix(".__main__"), *sys.argv[1:]]
    script = Path(sys.argv[0] or "python").name
    return [script, *sys.argv[1:]]


def known_commit() -> str | None:
    """Return the commit of the code that runs, as :data:`COMMIT_VARIABLE` holds it; None if unknown."""
    facts = _commit()
    changed = facts.get("git.dirty") == "true"
    return facts["git.commit"] + ("+" if changed else "") if facts else None


def _commit() -> dict[str, str]:
    facts = _git(Path(gisearch.__file__).resolve().parent)
    told = os.environ.get(COMMIT_VARIABLE)
    if facts or not told:
        return facts
    return {"git.commit": told.rstrip("+"), "git.dirty": str(told.endswith("+")).lower()}


def _git(folder: Path) -> dict[str, str]:
    # A wheel may lie in a virtual environment inside someone's own repository: only a checkout that
    # tracks this very package counts.
    tracked = _run_git(folder, "ls-files", "--error-unmatch", "__init__.py")
    commit = _run_git(folder, "rev-parse", "HEAD")
    if tracked is None or commit is None:
        return {}
    changes = _run_git(folder, "status", "--porcelain", "--untracked-files=no")
    return {"git.commit": commit, "git.dirty": str(bool(changes)).lower()}


def _run_git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "--no-optional-locks", "-C", str(folder), *arguments],
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _machine() -> dict[str, str]:
    facts = {"machine.platform": platform.platform(terse=True)}
    cores = allowed_processors()
    facts["machine.cores"] = str(cores)
    model = _cpu_model()
    if model:
        facts["machine.cpu"] = model
    facts["machine.memory_gb"] = f"{allowed_memory() / 2**30:.1f}"
    gpus = _gpus()
    if gpus:
        facts["machine.gpus"] = gpus
    return facts


def _cpu_model() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor()


def _gpus() -> str:
    # Importing torch takes seconds; the driver of a sweep, whose trials use the GPUs, has not done so.
    # Another thread may be importing it at this moment.
    torch = sys.modules.get("torch")
    if torch is None or not hasattr(torch, "cuda"):
        names = driver_gpus()
    elif torch.cuda.is_available():
        names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    else:
        names = []
    return ", ".join(f"{names.count(name)} x {name}" for name in dict.fromkeys(names))


def driver_gpus() -> list[str]:
    """Return the names of the machine's NVIDIA GPUs, as the driver's own tool tells them."""
    try:
        done = subprocess.run(
            ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return []
    return [line.strip() for line in done.stdout.splitlines() if line.strip()]
