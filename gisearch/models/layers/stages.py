"""Non-finite values are reported by the stage that made them, without a device sync per stage."""

from __future__ import annotations

import torch
from torch import Tensor

from gisearch.errors import NonFiniteError


class StageMonitor:
    """Remembers, on the device, whether every named stage stayed finite.

    :meth:`watch` adds one reduction and never waits for the device; :meth:`check` waits once.
    """

    def __init__(self) -> None:
        self._finite: dict[str, Tensor] = {}

    def watch(self, stage: str, value: Tensor) -> Tensor:
        """Record whether ``value`` is finite under the name ``stage``; return ``value`` unchanged."""
        # A sum is finite only if every entry is: one pass, no temporary of the size of the value.
        finite = torch.isfinite(value.detach().sum(dtype=torch.float32))
        known = self._finite.get(stage)
        self._finite[stage] = finite if known is None else known & finite
        return value

    def check(self) -> None:
        """Wait for the device and raise if any stage was ever non-finite; then start afresh.

        Raises:
            NonFiniteError: names the first stage, in the order of computation.
        """
        if not self._finite:
            return
        names, flags = list(self._finite), torch.stack(list(self._finite.values())).tolist()
        self._finite = {}
        for name, finite in zip(names, flags, strict=True):
            if not finite:
                raise NonFiniteError(f"stage {name!r} produced NaN or infinite values.")
