"""Being told to go: Ctrl-C, a closed terminal, the signal that a machine is taken away, or a full disk."""

from __future__ import annotations

import os
import signal
import stat
import sys
import termios
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType, TracebackType


class GraceOverError(Exception):
    """The time that running trials were given to end their epoch is over."""


class Leaving:
    """While entered, turns the first SIGINT, SIGTERM or SIGHUP into a wish to leave; another leaves at once.

    A SIGHUP that is ignored, as ``nohup`` has it, stays ignored.

    Args:
        grace_seconds: time that running trials are given to end their epoch.
        tell: called with a sentence for the user.

    Attributes:
        signal: the signal that came.
        trouble: what kept the sweep from going on, where no signal did.
    """

    def __init__(self, grace_seconds: float, tell: Callable[[str], None] = lambda _: None) -> None:
        self.grace_seconds, self.tell = grace_seconds, tell
        self.signal: signal.Signals | None = None
        self.trouble: str | None = None
        self._deadline = float("inf")
        self._previous: dict[signal.Signals, object] = {}

    @property
    def wanted(self) -> bool:
        """Whether a signal or trouble came."""
        return self.signal is not None or self.trouble is not None

    def because(self, trouble: str) -> None:
        """Leave because the sweep cannot go on here; the user is told once."""
        if self.trouble is not None:
            return
        self.trouble = trouble
        if self.signal is None:
            self._deadline = time.monotonic() + self.grace_seconds
        self.tell(f"The sweep stops: {trouble}")

    def check(self) -> None:
        """Raise once the time to end an epoch is over.

        Raises:
            GraceOverError: it is.
        """
        if time.monotonic() > self._deadline:
            raise GraceOverError

    def __enter__(self) -> Leaving:
        self.listen()
        return self

    def listen(self) -> None:
        """Handle the signals; again where something else has taken them, as Ray does when it starts."""
        # Python lets the main thread alone handle signals.
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                if number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN:
                    continue
                found = signal.signal(number, self._handle)
                self._previous.setdefault(number, found)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        self._previous.clear()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGHUP:
            _let_go_of_terminal()
        if self.wanted:
            # A shell that ends sends it to its jobs, and so does the terminal: that is told once.
            if number == self.signal == signal.SIGHUP:
                return
            raise KeyboardInterrupt
        self.signal = signal.Signals(number)
        self._deadline = time.monotonic() + self.grace_seconds
        again = "; Ctrl-C again to leave at once" if number == signal.SIGINT else ""
        self.tell(
            f"{self.signal.name}: trials end their epoch, in at most {self.grace_seconds:g} s, "
            f"and the sweep can be resumed{again}."
        )


def _let_go_of_terminal() -> None:
    """Write to nowhere what would go to a terminal that is gone: every attempt would be an error."""
    for stream in (sys.stdout, sys.stderr):
        try:
            descriptor = stream.fileno()
            if not stat.S_ISCHR(os.fstat(descriptor).st_mode) or os.fstat(descriptor).st_rdev == _NOWHERE:
                continue
            termios.tcgetattr(descriptor)
        # A terminal that hung up answers nothing any more.
        except termios.error:
            os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)
        # No file at all, as under a test.
        except (OSError, ValueError):
            continue


_NOWHERE = Path(os.devnull).stat().st_rdev
