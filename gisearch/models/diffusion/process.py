"""The diffusion process: noising, what the denoiser predicts, and the loss it learns from."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from gisearch.models.diffusion.config import ProcessConfig
from gisearch.models.diffusion.schedules import alpha_bars


class DiffusionProcess(nn.Module):
    """Noises values by step and reads the denoiser's outputs.

    x_t = signal_t x_0 + noise_t eps, with signal_t² = alpha_bar_t and noise_t² = 1 - alpha_bar_t.

    Attributes:
        signal: [T + 1]; the first is 1.
        noise: [T + 1]; the first is 0.
    """

    signal: Tensor
    noise: Tensor

    def __init__(self, config: ProcessConfig) -> None:
        super().__init__()
        self.config = config
        kept = alpha_bars(config.schedule, config.steps)
        # The roots in double precision: near step 0 and step T single precision would lose one of them.
        self.register_buffer("signal", kept.sqrt().float(), persistent=False)
        self.register_buffer("noise", (1 - kept).sqrt().float(), persistent=False)

    def draw_steps(self, batch: int) -> Tensor:
        """Draw the steps to train at, int64 [B, D], each between 1 and T.

        Stratified: the B * D draws fall into as many equal parts of the range, one in each, and the D draws
        of a genotype lie far apart. The mean loss then varies far less than with independent draws (Kingma
        et al. 2021, arXiv 2107.00630).
        """
        device, draws = self.signal.device, self.config.draws
        within = (torch.randperm(batch, device=device) + torch.rand(batch, device=device)) / batch
        share = (torch.arange(draws, device=device) + within.unsqueeze(1)) / draws
        return 1 + (share * self.config.steps).long().clamp_max(self.config.steps - 1)

    def noised(self, label: Tensor, noise: Tensor, step: Tensor) -> tuple[Tensor, Tensor]:
        """Return x_t, and the clean value that it gives reason to expect; any common shape.

        A genotype has one measurement, which says nothing of its spread: a denoiser that learns it by heart
        is certain of what it never saw. So the density to learn is the labels' kernel density, x_0 ~
        N(label, bandwidth²). Drawing x_0 is not needed: x_t given the label is Gaussian, and so is x_0 given
        both, whose mean is the noise-free target (bandwidth 0: the label itself).

        Args:
            label: the measured value.
            noise: standard normal.
            step: int64, between 1 and T.
        """
        a, b = self.signal[step], self.noise[step]
        kernel = self.config.bandwidth**2
        variance = a.square() * kernel + b.square()
        deviation = variance.sqrt() * noise
        return a * label + deviation, label + a * kernel / variance * deviation

    def clean_from(self, output: Tensor, x: Tensor, step: Tensor | int) -> Tensor:
        """Return the clean value that the denoiser's output F on x_t means.

        Without any context the best guess of a standardised label is x_0 = signal_t x_t, eps = noise_t x_t
        and v = 0. The denoiser says what is missing in it (a skip connection; Karras et al. 2022, arXiv
        2206.00364): x_0 = signal_t x_t + F, eps = noise_t x_t + signal_t F, or v = F. So samples start
        wide and become narrower as it learns, and no output is divided by a signal that is almost zero.
        """
        a, b = self.signal[step], self.noise[step]
        return a * x + output if self.config.parameterisation == "x0" else a * x - b * output

    def loss(self, output: Tensor, clean: Tensor, x: Tensor, step: Tensor) -> Tensor:
        """Return the mean squared error of what the parameterisation predicts: x_0, eps or v.

        Args:
            output: the denoiser's, on ``x``.
            clean: the clean value to expect.
            x: noisy values.
            step: int64, between 1 and T.
        """
        predicted, wanted = (self._quantity(c, x, step) for c in (self.clean_from(output, x, step), clean))
        return mse_loss(predicted, wanted)

    def _quantity(self, clean: Tensor, x: Tensor, step: Tensor) -> Tensor:
        a, b = self.signal[step], self.noise[step]
        match self.config.parameterisation:
            case "x0":
                return clean
            case "epsilon":
                return (x - a * clean) / b
            case "v":
                # Salimans and Ho 2022, arXiv 2202.00512: v = signal eps - noise x_0.
                return (a * x - clean) / b
