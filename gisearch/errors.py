"""Errors a user can act on: one sentence, exit code 2, nothing started."""

from __future__ import annotations

import difflib
import errno
import shutil
from collections.abc import Iterable
from pathlib import Path


class GisearchError(Exception):
    """Base of every error whose message is meant for the user as it stands."""

    exit_code = 2


class ConfigError(GisearchError):
    """A configuration or search-space file asks for something impossible."""


class DataError(GisearchError):
    """An input file or table is missing, malformed or contradictory."""


class TrackingError(GisearchError):
    """The tracking store cannot be reached or written."""


class CheckpointError(GisearchError):
    """A checkpoint is missing, corrupt, or does not belong to this configuration."""


class DiskFullError(GisearchError):
    """A file could not be written for lack of space: nobody's configuration is at fault."""

    exit_code = 1


class NonFiniteError(GisearchError):
    """A value became NaN or infinite; the message names the stage."""


def disk_full(path: Path, error: BaseException) -> DiskFullError | None:
    """Return what to raise for a failed write of ``path``; None where space, or a quota, did not fail it."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT):
            free = shutil.disk_usage(next(p for p in path.absolute().parents if p.is_dir())).free
            return DiskFullError(
                f"cannot write {path}: {str(cause.strerror).lower()} ({free / 1e6:,.1f} MB are free there)."
            )
        # PyTorch raises an error of its own while it handles that of the file.
        cause = cause.__cause__ or cause.__context__
    return None


def nearest_name(name: str, valid: Iterable[str]) -> str:
    """Return ``" Did you mean 'x'?"`` for the closest valid name, or an empty string."""
    candidates = list(valid)
    close = difflib.get_close_matches(name, candidates, n=1, cutoff=0.5)
    if not close:
        lowered = {candidate.lower(): candidate for candidate in candidates}
        close = [
            lowered[match] for match in difflib.get_close_matches(name.lower(), lowered, n=1, cutoff=0.5)
        ]
    return f" Did you mean {close[0]!r}?" if close else ""
