"""Which part of a program its time goes to, measured while it runs."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


class Meter:
    """Seconds by part on one thread; a part that another calls does not count for the caller."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.cpu = 0.0
        self._parts: list[str] = []
        self._since = 0.0

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Count what happens inside as ``name``."""
        outermost = not self._parts
        before = time.thread_time()
        self._switch()
        self._parts.append(name)
        try:
            yield
        finally:
            self._switch()
            self._parts.pop()
            if outermost:
                self.cpu += time.thread_time() - before

    def _switch(self) -> None:
        now = time.perf_counter()
        if self._parts:
            self.seconds[self._parts[-1]] += now - self._since
        self._since = now

    @contextmanager
    def watching(self, owner: Any, part: str, *methods: str) -> Iterator[None]:
        """Count calls of an object's, or of a class's, methods as ``part``."""
        mine = {name: name in vars(owner) for name in methods}
        originals = {name: getattr(owner, name) for name in methods}
        for name, original in originals.items():
            setattr(owner, name, self._timed(original, part))
        try:
            yield
        finally:
            for name, original in originals.items():
                if mine[name]:
                    setattr(owner, name, original)
                else:
                    delattr(owner, name)

    def _timed(self, call: Callable[..., Any], part: str) -> Callable[..., Any]:
        def timed(*args: Any, **kwargs: Any) -> Any:
            with self.part(part):
                return call(*args, **kwargs)

        return timed
