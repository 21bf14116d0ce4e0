"""The composite loss of the HeteroCell models: error, distribution, contrast, and agreement of the cell."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import mse_loss

from gisearch.models.losses.config import CompositeLossConfig
from gisearch.models.losses.supcr import supervised_contrastive_regression
from gisearch.models.losses.wasserstein import squared_wasserstein
from gisearch.models.targets import label_loss


class CompositeLoss:
    """The terms of the loss, each times its weight."""

    def __init__(self, weights: CompositeLossConfig) -> None:
        self.weights = weights

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
        if self.weights.distribution:
            predicted = torch.sigmoid(scores) if binary else scores
            loss = loss + self.weights.distribution * squared_wasserstein(predicted, values)
        if self.weights.contrast:
            contrast = supervised_contrastive_regression(embeddings, values, self.weights.temperature)
            loss = loss + self.weights.contrast * contrast
        return loss

    def of_cell(self, change: Tensor, perturbed: Tensor) -> Tensor:
        """Return the weighted distance between what the cell lost and the pooled perturbation, a scalar.

        Args:
            change: z_w - z_i, [B, h].
            perturbed: the pooled perturbed representation, [B, h].
        """
        if not self.weights.cell:
            return change.new_zeros(())
        return self.weights.cell * mse_loss(change.float(), perturbed.float())
