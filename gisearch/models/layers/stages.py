"""Non-finite values are reported by the stage that made them, without a device sync per stage."""

from __future__ import annotations

import torch
from torch import Tensor

from gisearch.errors import NonFiniteError

_NEVER = 2**62


class StageMonitor:
    """Remembers, on the device, when each named stage first became non-finite.

    :meth:`watch` adds one reduction and never waits for the device; :meth:`check` waits once.
    """

    def __init__(self) -> None:
        self._calls = 0
        self._first_bad: dict[str, Tensor] = {}

    def watch(self, stage: str, value: Tensor) -> Tensor:
        """Record whether ``value`` is finite under the name ``stage``; return ``value`` unchanged."""
        self._calls += 1
        # A sum is finite only if every entry is: one pass, no temporary of the size of the value.
        finite = torch.isfinite(value.detach().sum(dtype=torch.float32))
        first = torch.where(finite, _NEVER, self._calls)
        known = self._first_bad.get(stage)
        self._first_bad[stage] = first if known is None else torch.minimum(known, first)
        return value

    def check(self) -> None:
        """Wait for the device and raise if any stage was ever non-finite; then start afresh.

        Raises:
            NonFiniteError: names the stage that was the first in time. After it a training step carries NaN
                into every weight, so that in the next step every stage is bad.
        """
        if not self._first_bad:
            return
        names, first = list(self._first_bad), torch.stack(list(self._first_bad.values())).tolist()
        self._calls, self._first_bad = 0, {}
        call, name = min(zip(first, names, strict=True))
        if call < _NEVER:
            raise NonFiniteError(f"stage {name!r} produced NaN or infinite values.")
