"""Non-finite values are reported by the stage that made them, without a device sync per stage."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from gisearch.errors import NonFiniteError

_NEVER = 2**62
# Sums that wait on the device until they are looked at together.
_WAITING = 256


class StageMonitor:
    """Remembers, on the device, which named stage was the first to become non-finite.

    :meth:`watch` adds one reduction and never waits for the device; :meth:`check` waits once.
    """

    def __init__(self) -> None:
        self._stages: list[str] = []
        self._sums: list[Tensor] = []
        self._looked_at = 0
        self._first_bad: Tensor | None = None

    def watch(self, stage: str, value: Tensor) -> Tensor:
        """Record whether ``value`` is finite under the name ``stage``; return ``value`` unchanged."""
        # A sum is finite only if every entry is: one pass, no temporary of the size of the value.
        self.watch_sums((stage,), value.detach().sum(dtype=torch.float32).view(1))
        return value

    def watch_sums(self, stages: Sequence[str], sums: Tensor) -> None:
        """Record the sums of several stages' values, [stages], in the order of computation."""
        self._stages += stages
        self._sums.append(sums)
        if len(self._sums) == _WAITING:
            self._look()

    def take(self) -> tuple[tuple[str, ...], Tensor]:
        """Return what was watched since the last look, stages and their sums, and forget it."""
        self._stages, stages = self._stages[: self._looked_at], self._stages[self._looked_at :]
        self._sums, sums = [], torch.cat(self._sums)
        return tuple(stages), sums

    def check(self) -> None:
        """Wait for the device and raise if any stage was ever non-finite; then start afresh.

        Raises:
            NonFiniteError: names the stage that was the first in time. After it a training step carries NaN
                into every weight, so that in the next step every stage is bad.
        """
        self._look()
        first = _NEVER if self._first_bad is None else int(self._first_bad)
        stages = self._stages
        self._stages, self._looked_at, self._first_bad = [], 0, None
        if first < _NEVER:
            raise NonFiniteError(f"stage {stages[first]!r} produced NaN or infinite values.")

    def _look(self) -> None:
        """Find the first bad one among the sums that wait; the device is not waited for."""
        if not self._sums:
            return
        start, self._looked_at = self._looked_at, len(self._stages)
        sums, self._sums = torch.cat(self._sums), []
        position = torch.arange(start, self._looked_at, device=sums.device)
        first = torch.where(torch.isfinite(sums), _NEVER, position).min()
        self._first_bad = first if self._first_bad is None else torch.minimum(self._first_bad, first)
