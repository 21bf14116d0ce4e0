"""Errors a user can act on: one sentence, exit code 2, nothing started."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


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


class NonFiniteError(GisearchError):
    """A value became NaN or infinite; the message names the stage."""


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
