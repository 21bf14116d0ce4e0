"""The composite loss of the HeteroCell models: error, distribution, contrast, and agreement of the cell."""

from __future__ import annotations

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor
from torch.nn.functional import mse_loss

from gisearch.config import STRICT
from gisearch.models.losses.supcr import supervised_contrastive_regression
from gisearch.models.losses.wasserstein import squared_wasserstein
from gisearch.models.targets import label_loss


@dataclass(frozen=True, kw_only=True, config=STRICT)
class CompositeLossConfig:
    """What is added to each label's error; a weight of 0 computes nothing.

    Attributes:
        distribution: weight of the squared Wasserstein-2 distance between predictions and labels of a batch.
        contrast: weight of the supervised contrastive regression on the embeddings that a head reads.
        cell: weight of the mean squared distance between z_w - z_i and the pooled deleted genes.
        temperature: of the contrast, in units of embedding distance.
    """

    distribution: float = Field(default=0.1, ge=0.0)
    contrast: float = Field(default=0.1, ge=0.0)
    cell: float = Field(default=0.01, ge=0.0)
    temperature: float = Field(default=2.0, gt=0.0)

    def of_label(self, scores: Tensor, embeddings: Tensor, values: Tensor, *, binary: bool) -> Tensor:
        """Return one label's error, distribution and contrast terms over its measured genotypes, a scalar.

        A batch that measures none gives zero.

        Args:
            scores: predictions on the label's scale, or logits of a binary one, [B].
            embeddings: what the scores were read from, [B, h].
            values: the label, NaN where not measured, [B].
            binary: whether the label is 0 or 1.
        """
        measured = ~values.isnan()
        scores, values, embeddings = scores[measured].float(), values[measured], embeddings[measured].float()
        if not len(values):
            return scores.sum() * 0.0
        loss = label_loss(scores, values, binary=binary)
        if self.distribution:
            predicted = torch.sigmoid(scores) if binary else scores
            loss = loss + self.distribution * squared_wasserstein(predicted, values)
        if self.contrast:
            contrast = supervised_contrastive_regression(embeddings, values, self.temperature)
            loss = loss + self.contrast * contrast
        return loss

    def of_cell(self, change: Tensor, perturbed: Tensor) -> Tensor:
        """Return the weighted distance between what the cell lost and the pooled perturbation, a scalar.

        Args:
            change: z_w - z_i, [B, h].
            perturbed: the pooled perturbed representation, [B, h].
        """
        if not self.cell:
            return change.new_zeros(())
        return self.cell * mse_loss(change.float(), perturbed.float())
