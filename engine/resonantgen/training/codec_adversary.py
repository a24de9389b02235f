"""An adversary of the codec: told what is original and what was decoded, it learns to tell them apart, the codec not to
be told.

Convolutions over complex spectrograms of several windows, hinge losses and feature matching (A. Défossez et al., "High
Fidelity Neural Audio Compression", 2022, section 3.4), small enough for a CPU.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

WINDOWS = (512, 1024, 2048)  # samples
CHANNELS = (2, 16, 24, 32, 32)  # of real and imaginary parts, then of each layer
FEATURES = 2.0  # weight of feature matching over that of the hinge loss
SLOPE = 0.2


class SpectrumJudge(nn.Module):
    """Says of each part of a spectrogram whether it is original, above 0, or decoded."""

    window: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size
        self.register_buffer("window", torch.hann_window(size), persistent=False)
        self.layers = nn.ModuleList(
            nn.Conv2d(before, after, (9, 3), stride=(4, 1) if number else (2, 1), padding=(4, 1))
            for number, (before, after) in enumerate(pairwise(CHANNELS))
        )
        self.verdict = nn.Conv2d(CHANNELS[-1], 1, 3, padding=1)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Signals [B, T] -> what each layer makes of them, [B, C, bands, frames]; the verdict is last."""
        spectrum = torch.stft(x, self.size, self.size // 4, window=self.window, normalized=True, return_complex=True)
        y = torch.view_as_real(spectrum).permute(0, 3, 1, 2)
        features = []
        for layer in self.layers:
            y = functional.leaky_relu(layer(y), SLOPE)
            features.append(y)
        return [*features, self.verdict(y)]


class Adversary(nn.Module):
    """Judges of several windows."""

    def __init__(self) -> None:
        super().__init__()
        self.judges = nn.ModuleList(SpectrumJudge(size) for size in WINDOWS)

    def forward(self, x: Tensor) -> list[list[Tensor]]:
        return [judge(x) for judge in self.judges]

    def losses(self, decoded: Tensor, original: Tensor) -> tuple[Tensor, Tensor]:
        """Of the adversary, whose gradients leave the codec alone, and of the codec, the other way round: scalars."""
        own = original.new_zeros(())
        for real, made in zip(self(original), self(decoded.detach()), strict=True):
            own = own + functional.relu(1 - real[-1]).mean() + functional.relu(1 + made[-1]).mean()
        fixed = {name: parameter.detach() for name, parameter in self.named_parameters()}
        codecs = original.new_zeros(())
        with torch.no_grad():
            wanted = self(original)
        for real, made in zip(wanted, functional_call(self, fixed, (decoded,)), strict=True):
            alike = [
                (m - r).abs().mean() / r.abs().mean().clamp_min(1e-6) for r, m in zip(real[:-1], made[:-1], strict=True)
            ]
            codecs = codecs + functional.relu(1 - made[-1]).mean() + FEATURES * torch.stack(alike).mean()
        return own / len(WINDOWS), codecs / len(WINDOWS)
