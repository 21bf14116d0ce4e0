"""What can keep a Ray from starting or being joined, and what its processes are kept apart from."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from unittest.mock import patch

from gisearch.errors import ConfigError

# Of a session in Ray's temporary folder, to its longest socket; Linux allows 107 bytes in all.
_SOCKET = len("/session_2026-01-01_00-00-00_000000_0000000/sockets/plasma_store.1")
_LONGEST = 107
_ANSWERS_WITHIN = 10.0


def check_ray() -> None:
    """Check what can be told of Ray's start, or of the cluster to join, without trying.

    Raises:
        ConfigError: RAY_ADDRESS is no address, or Ray's temporary folder cannot be used.
    """
    if address := os.environ.get("RAY_ADDRESS"):
        if "://" in address:
            raise ConfigError(
                f"RAY_ADDRESS={address}: expected the address of a cluster's head as HOST:PORT (usually port "
                "6379) or auto, and not that of its dashboard or client server; or RAY_ADDRESS unset."
            )
        if address not in ("auto", "local"):
            _check_head(address)
        return
    check_temporary_folder()


def check_temporary_folder() -> Path:
    """Check the folder that a Ray started here keeps its sockets and logs in; returns its path.

    Raises:
        ConfigError: it cannot be written, or its path is too long for sockets.
    """
    folder = _temporary_folder()
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        raise ConfigError(
            f"Ray cannot start: {existing} cannot be written, for it is another user's or read-only; set"
            " RAY_TMPDIR to a folder of your own, such as /tmp/ray-$USER."
        )
    if len(os.fsencode(folder)) + _SOCKET > _LONGEST:
        raise ConfigError(
            f"Ray cannot start: the path of its temporary folder, {folder}, is longer than sockets may have; "
            f"set RAY_TMPDIR to a folder of at most {_LONGEST - _SOCKET - len('/ray')} bytes, such as /tmp."
        )
    return folder


def _check_head(address: str) -> None:
    """Check that somebody listens: Ray (2.60) would try for minutes, and write lines of its own about it."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise ConfigError(f"RAY_ADDRESS={address}: expected HOST:PORT, auto, or RAY_ADDRESS unset.")
    with start_explained():
        socket.create_connection((host.strip("[]"), int(port)), timeout=_ANSWERS_WITHIN).close()


def _temporary_folder() -> Path:
    # As Ray (2.60) chooses it.
    chosen = os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR") or "/tmp"
    return Path(chosen).absolute() / "ray"


@contextmanager
def start_explained() -> Iterator[None]:
    """Have whatever keeps Ray from starting meanwhile, or from being joined, end in one sentence.

    Raises:
        ConfigError: it does.
    """
    try:
        yield
    # Ray raises whatever comes up, from OSError to plain Exception.
    except Exception as error:
        said = " ".join(str(error).split()) or type(error).__name__
        if address := os.environ.get("RAY_ADDRESS"):
            raise ConfigError(
                f"RAY_ADDRESS={address}: no Ray cluster can be joined there ({said}); start it, correct the "
                "address, or unset RAY_ADDRESS to run on this machine."
            ) from None
        raise ConfigError(
            f"Ray cannot start on this machine ({said}); its temporary folder is {_temporary_folder()} "
            "(RAY_TMPDIR sets another), and limits of memory (ulimit -v) or processes (ulimit -u) "
            "must leave it room."
        ) from None


def removed_at_a_clean_end(session: Path) -> Callable[..., None]:
    """Return what removes a session's folder, in an exit stack, where nothing went wrong.

    Ray keeps all of them; after an error its logs are what tells most.
    """

    def exit(kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            return
        shutil.rmtree(session, ignore_errors=True)
        latest = session.with_name("session_latest")
        with suppress(OSError):
            if latest.is_symlink() and not latest.exists():
                latest.unlink()

    return exit


def token_without_home() -> None:
    """Give Ray a token where it could not keep one: without a home folder that can be written."""
    if any(os.environ.get(f"RAY_AUTH_{name}") for name in ("MODE", "TOKEN", "TOKEN_PATH")):
        return
    try:
        folder = Path.home() / ".ray"
        folder.mkdir(parents=True, exist_ok=True)
        kept = os.access(folder / "auth_token", os.R_OK) or os.access(folder, os.W_OK | os.X_OK)
    except (RuntimeError, OSError):
        kept = False
    if not kept:
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)


@contextmanager
def processes_apart() -> Iterator[None]:
    """Have processes that Ray starts meanwhile stand outside this one's process group.

    A scheduler, ``timeout`` or a terminal signals a whole group: Ray would go before its trials have ended
    their epoch. Ray (2.60) has no option for that.
    """
    from ray._private import services

    if not hasattr(services, "ConsolePopen"):
        yield
        return
    with patch.object(services, "ConsolePopen", partial(services.ConsolePopen, process_group=0)):
        yield
