"""A batch of genotypes: indices only. The cell graph lives in the model, once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from gisearch.data.genotypes import Genotypes


@dataclass(frozen=True)
class GenotypeBatch:
    """B genotypes with up to K deleted genes each.

    Attributes:
        deleted: deleted gene indices, int64 [B, K]; 0 where ``present`` is False.
        present: which entries of ``deleted`` count, bool [B, K].
    """

    deleted: Tensor
    present: Tensor

    def __len__(self) -> int:
        return int(self.deleted.shape[0])

    def __getitem__(self, rows: Tensor | slice) -> GenotypeBatch:
        """Return the genotypes at ``rows`` as a batch."""
        return GenotypeBatch(self.deleted[rows], self.present[rows])

    def to(self, device: torch.device | str) -> GenotypeBatch:
        """Return the batch on ``device``."""
        return GenotypeBatch(self.deleted.to(device), self.present.to(device))

    @property
    def deleted_or_none(self) -> Tensor:
        """Deleted gene indices, int64 [B, K], -1 where there is none."""
        return self.deleted.masked_fill(~self.present, -1)

    @classmethod
    def complete(cls, deleted: Tensor) -> GenotypeBatch:
        """Build from int64 [B, K], in which every genotype lacks K genes."""
        return cls(deleted, torch.ones_like(deleted, dtype=torch.bool))

    @classmethod
    def from_table(cls, table: npt.NDArray[np.int64]) -> GenotypeBatch:
        """Build from int64 [B, K], padded with -1."""
        deleted = torch.from_numpy(np.array(table, dtype=np.int64))
        return cls(deleted.clamp_min(0), deleted >= 0)

    @classmethod
    def from_genotypes(cls, genotypes: Genotypes) -> GenotypeBatch:
        """Build from a genotype table."""
        return cls.from_table(genotypes.padded())
