"""GeneInteractionDiff: a diffusion head on GeneInteractionDango's encoder, which predicts a distribution.

A genotype's context is a handful of tokens: the pooled mutant, the pooled wild type, their difference and
the deleted genes. A denoiser that attends to them turns noise into samples of the label; their mean is the
score and their spread the predictive standard deviation.
Sources: Ho et al. 2020, arXiv 2006.11239 (diffusion); Han et al. 2022, arXiv 2206.07275 (for regression).
"""

from __future__ import annotations

import torch
from torch import Tensor

from gisearch.data.cell_graph import CellGraph
from gisearch.data.dataset import Target
from gisearch.models.base import Model, Prediction, Scorer
from gisearch.models.batch import GenotypeBatch
from gisearch.models.config.gene_interaction_diff import GeneInteractionDiffConfig
from gisearch.models.diffusion.context import ContextTokens
from gisearch.models.diffusion.denoiser import Context, Denoiser
from gisearch.models.diffusion.process import DiffusionProcess
from gisearch.models.diffusion.samplers import Sampler
from gisearch.models.layers.encoder import Encoder
from gisearch.models.layers.mlp import robust_init
from gisearch.models.layers.perturbation import PerturbedCells, perturbation_encoding
from gisearch.models.layers.pooling import AttentionalPooling
from gisearch.models.layers.pooling_tables import PoolingTables
from gisearch.models.targets import Targets

# Values denoised at a time. At width 64 an intermediate value of 2**12 is 1 MB and stays in a core's cache:
# little more than half of the processor time of 2**17, which a GPU needs to be busy.
VALUES_AT_A_TIME = {"cpu": 2**12, "cuda": 2**17}
PROBABILITY_MARGIN = 1e-4


class GeneInteractionDiff(Model):
    """Samples the distribution of genotypes' labels by diffusion, conditioned on gene embeddings."""

    def __init__(self, cell: CellGraph, target: Target, config: GeneInteractionDiffConfig) -> None:
        super().__init__()
        width = config.hidden_dim
        self.config = config
        self.binary = target.kind == "binary"
        self.encode = perturbation_encoding(config.perturbation)
        self.encoder = Encoder(cell, width, config.encoder)
        self.pooling = AttentionalPooling(width)
        self.tokens = ContextTokens(width, cell.num_genes)
        self.denoiser = Denoiser(width, config.denoiser)
        self.process = DiffusionProcess(config.process)
        self.sampler = Sampler(config.sampler, self.process)
        robust_init(self)

    def forward(self, batch: GenotypeBatch) -> Prediction:
        """Score B genotypes by the mean of S samples each; details hold ``samples``, [B, S].

        A binary target is diffused as -1 and 1, and the score is the logit of the samples' mean as a
        probability; the spread of such samples is no standard deviation of the label and is not returned.

        In training mode nothing is sampled: the score is what the denoiser expects in one step of a state
        in the middle of the noise, and the loss does not use it.
        """
        tokens, present = self.context_tokens(batch)
        if self.training:
            return Prediction(self._logit(self._one_step(self.denoiser.read(tokens, present))))
        samples = self.monitor.watch("samples", self.sample(tokens, present))
        mean = samples.mean(1)
        if self.binary:
            return Prediction(self._logit(mean), details={"samples": samples})
        return Prediction(mean, samples.std(1, correction=0), details={"samples": samples})

    def scorer(self) -> Scorer:
        """Estimate scores by denoising one state in the middle of the noise once, instead of S samples.

        The wild type is encoded once where the encoding of deletions allows it (``index``).
        """
        table: PoolingTables | None = None
        if self.config.perturbation == "index":
            genes = self.encoder(self.monitor).embeddings
            table = PoolingTables(self.pooling, genes)

        def context(batch: GenotypeBatch) -> tuple[Tensor, Tensor]:
            if table is None:
                return self.context_tokens(batch)
            deleted = batch.deleted
            tokens: tuple[Tensor, Tensor] = self.tokens(
                PerturbedCells(table.wild_type, table(deleted), genes[deleted], None), batch.present
            )
            return tokens

        def score(deleted: Tensor) -> Tensor:
            tokens = context(GenotypeBatch.complete(deleted))
            return self._logit(self._one_step(self.denoiser.read(*tokens)))

        return Scorer(score, is_estimate=True)

    def training_loss(self, batch: GenotypeBatch, targets: Targets) -> Tensor:
        """Return the denoising loss of one training batch: each genotype at several noise levels."""
        tokens, present = self.context_tokens(batch)
        labels = 2 * targets.main - 1 if targets.is_binary else targets.main
        step = self.whole_batch.draw(self.process.draw_steps, len(batch))
        levels = step.shape[1:]
        noise = self.whole_batch.draw(
            lambda count: torch.randn(count, *levels, dtype=labels.dtype, device=labels.device), len(batch)
        )
        x, clean = self.process.noised(labels.unsqueeze(1), noise, step)
        output = self.denoise(x, step, self.denoiser.read(tokens, present))
        return self.process.loss(output, clean, x, step)

    def context_tokens(self, batch: GenotypeBatch) -> tuple[Tensor, Tensor]:
        """Return the tokens that the denoiser attends to, [B, 3 + K, h], and which exist, bool [B, 3 + K]."""
        cells = self.encode(self.encoder, self.pooling, batch, self.monitor)
        self.monitor.watch("pooling", cells.wild_type)
        tokens, present = self.tokens(cells, batch.present)
        return self.monitor.watch("context", tokens), present

    def sample(self, tokens: Tensor, present: Tensor) -> Tensor:
        """Return samples of the label on the model's scale, [B, S]; the tokens are read once.

        Genotypes are taken in chunks of bounded memory; they do not depend on each other.
        """
        chunk = max(1, VALUES_AT_A_TIME[tokens.device.type] // self.config.sampler.samples)
        parts = []
        for some, exist in zip(tokens.split(chunk), present.split(chunk), strict=True):
            context = self.denoiser.read(some, exist)

            def denoise(x: Tensor, step: int, context: Context = context) -> Tensor:
                return self.denoise(x, torch.full((1, 1), step, device=x.device), context)

            parts.append(self.sampler(denoise, len(some)))
        return torch.cat(parts)

    def denoise(self, x: Tensor, step: Tensor, context: Context) -> Tensor:
        """Return the denoiser's output on noisy values [B, S] at steps [B, S] or [1, 1]."""
        time = step.to(x.dtype) / self.config.process.steps
        return self.monitor.watch("denoiser", self.denoiser(x, time, context))

    def _one_step(self, context: Context) -> Tensor:
        values = context[0].values
        step = torch.full((1, 1), self.config.process.steps // 2, device=values.device)
        x = values.new_zeros(len(values), 1)
        return self.process.clean_from(self.denoise(x, step, context), x, step).squeeze(1)

    def _logit(self, value: Tensor) -> Tensor:
        if not self.binary:
            return value
        bound = 1 - 2 * PROBABILITY_MARGIN
        within = value.clamp(-bound, bound)
        # Beyond the bound on goes a straight line, so that no two genotypes tie.
        return torch.logit((within + 1) / 2) + (value - within)
