"""Being told to go: Ctrl-C, the signal that a machine is about to be taken away, or a full disk."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from types import FrameType, TracebackType


class GraceOverError(Exception):
    """The time that running trials were given to end their epoch is over."""


class Leaving:
    """While entered, turns the first SIGINT or SIGTERM into a wish to leave; another one leaves at once.

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
            for number in (signal.SIGINT, signal.SIGTERM):
                found = signal.signal(number, self._handle)
                self._previous.setdefault(number, found)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        self._previous.clear()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.wanted:
            raise KeyboardInterrupt
        self.signal = signal.Signals(number)
        self._deadline = time.monotonic() + self.grace_seconds
        again = "; Ctrl-C again to leave at once" if number == signal.SIGINT else ""
        self.tell(
            f"{self.signal.name}: trials end their epoch, in at most {self.grace_seconds:g} s, "
            f"and the sweep can be resumed{again}."
        )
