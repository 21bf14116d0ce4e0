"""The training batch as a whole, for losses and draws that are more than a sum over genotypes."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor


class WholeBatch:
    """What a model may ask of the whole training batch while it computes its own genotypes.

    Where one process trains, its genotypes are the whole batch; several share it, and their training
    loop puts its own implementation in this one's place.
    """

    def gather(self, rows: Tensor) -> Tensor:
        """Return the rows of every genotype of the batch, [B, ...]; gradients flow back.

        Args:
            rows: one row per genotype of this process.
        """
        return rows

    def draw(self, sample: Callable[[int], Tensor], count: int) -> Tensor:
        """Return the random rows of this process's genotypes out of one draw for the whole batch.

        Args:
            sample: draws rows for so many genotypes, from PyTorch's global generator.
            count: genotypes of this process.
        """
        return sample(count)
