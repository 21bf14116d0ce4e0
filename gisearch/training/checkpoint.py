"""Checkpoints: written atomically, loaded without running anybody's code.

PyTorch is imported where a checkpoint is written or read: who only looks for them or removes them needs none.
"""

from __future__ import annotations

import hashlib
import logging
import os
import pickle
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from gisearch.errors import CheckpointError, disk_full

if TYPE_CHECKING:
    import torch

_log = logging.getLogger(__name__)

# Behind the last byte of PyTorch's format, where its readers do not look.
_DIGEST_BYTES = 16

FORMAT = 3
BEST, LAST = "best.pt", "last.pt"


class CheckpointStore:
    """The checkpoints of one run in one folder.

    ``best.pt`` is the best epoch's model, enough to predict; ``last.pt`` is enough to continue. The one
    before it is kept as ``last.pt.previous``, in case the newest cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def save(self, name: str, state: dict[str, Any]) -> None:
        """Write ``state`` so that a reader sees the old file or the new one, never half of one.

        Raises:
            DiskFullError: there is no space left; the old file is still there.
            CheckpointError: the folder cannot be written.
        """
        import torch

        path = self.folder / name
        temporary = path.with_name(f".{name}.{os.getpid()}")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with temporary.open("w+b") as file:
                torch.save({"format": FORMAT, **state}, file)
                file.write(_digest(file, file.tell()))
                file.flush()
                os.fsync(file.fileno())
            if name == LAST and path.exists():
                path.replace(path.with_name(f"{name}.previous"))
            temporary.replace(path)
        # torch reports a failed write as a RuntimeError of its zip writer.
        except (OSError, RuntimeError) as error:
            if full := disk_full(path, error):
                raise full from error
            raise CheckpointError(f"cannot write the checkpoint {path}: {error}.") from error
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)

    def load(self, name: str, device: torch.device | str = "cpu") -> dict[str, Any]:
        """Read a checkpoint: tensors and plain values only.

        Raises:
            CheckpointError: the file is missing, corrupt, of another format, or holds anything else.
        """
        import torch

        path = self.folder / name
        try:
            state = torch.load(path, map_location=device, weights_only=True)
        except FileNotFoundError:
            raise CheckpointError(f"no checkpoint at {path}.") from None
        except pickle.UnpicklingError:
            raise CheckpointError(
                f"the checkpoint {path} is corrupt or holds more than tensors and plain values; "
                "it was not loaded."
            ) from None
        # Damaged bytes make torch raise nearly anything: IndexError and KeyError among others.
        except Exception as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise CheckpointError(f"the checkpoint {path} cannot be read ({reason}).") from None
        if not isinstance(state, dict) or state.get("format") != FORMAT:
            raise CheckpointError(f"the checkpoint {path} is not of format {FORMAT}.")
        if not _is_intact(path):
            raise CheckpointError(f"the checkpoint {path} cannot be read (its checksum is wrong).")
        return state

    def load_last(self, device: torch.device | str = "cpu") -> dict[str, Any] | None:
        """Return the newest readable state to continue from, or None to start afresh.

        A state that cannot be read is passed over with a warning.
        """
        for name in (LAST, f"{LAST}.previous"):
            if (self.folder / name).exists():
                try:
                    return self.load(name, device)
                except CheckpointError as error:
                    _log.warning("%s Continuing from an earlier state.", error)
        return None

    def remove(self) -> None:
        """Remove every checkpoint of this run, keeping its other files."""
        # The last pattern is what a process that was killed while writing left behind.
        for path in (
            p for pattern in ("*.pt", "*.pt.previous", ".*.pt.*") for p in self.folder.glob(pattern)
        ):
            path.unlink(missing_ok=True)


def _digest(file: BinaryIO, size: int) -> bytes:
    """Return the BLAKE2 digest of the first ``size`` bytes; PyTorch does not compare its own checksums."""
    file.flush()
    file.seek(0)
    digest = hashlib.blake2b(digest_size=_DIGEST_BYTES)
    while size > 0 and (block := file.read(min(size, 1 << 20))):
        digest.update(block)
        size -= len(block)
    return digest.digest()


def _is_intact(path: Path) -> bool:
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END) - _DIGEST_BYTES
        found = _digest(file, size)
        return size > 0 and file.read() == found
