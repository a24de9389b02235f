"""What the codec is trained by: how far the decoded sound is from the original, as samples and as spectra."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

MEL_BANDS = {512: 40, 1024: 64, 2048: 80}  # of each window, in samples
WORST, BEST = 1e-2, 1e-4  # ratios of power
SMALLEST = 1e-4  # of a band's magnitude: what is softer is silence


def si_sdr_db(decoded: Tensor, original: Tensor) -> Tensor:
    """Scale-invariant signal-to-distortion ratio [B] in dB (J. Le Roux et al., "SDR - half-baked or well done?", 2019).

    It does not depend on how loud the decoded sound is.
    """
    scale = (decoded * original).sum(dim=1, keepdim=True) / original.pow(2).sum(dim=1, keepdim=True).clamp_min(1e-12)
    target = scale * original
    distortion = (decoded - target).pow(2).sum(dim=1).clamp_min(1e-12)
    return 10 * torch.log10(target.pow(2).sum(dim=1).clamp_min(1e-12) / distortion)


def bounded_si_sdr_db(decoded: Tensor, original: Tensor) -> Tensor:
    """SI-SDR [B] in dB between about -20 and 40, to learn by: at the bounds its gradient vanishes.

    Unlike the ratio of signal to noise, it is steep where little of a sound is right yet: cymbals, high leads.
    """
    shared = (decoded * original).sum(dim=1).pow(2)
    alike = shared / (decoded.pow(2).sum(dim=1) * original.pow(2).sum(dim=1)).clamp_min(1e-12)  # cosine, squared
    return 10 * torch.log10((alike + WORST) / (1 - alike + BEST))


class MelDistance(nn.Module):
    """Distance of mel spectrograms over several windows: of logarithms, and of magnitudes over their mean."""

    def __init__(self, sample_rate: int) -> None:
        super().__init__()
        for size, bands in MEL_BANDS.items():
            self.register_buffer(f"filters_{size}", _mel_filters(size, bands, sample_rate), persistent=False)
            self.register_buffer(f"window_{size}", torch.hann_window(size), persistent=False)

    def forward(self, decoded: Tensor, original: Tensor) -> Tensor:
        """Of signals [B, T], a scalar."""
        total = decoded.new_zeros(())
        for size in MEL_BANDS:
            mine, wanted = self._mel(decoded, size), self._mel(original, size)
            total = total + (mine - wanted).abs().mean() / (wanted.mean() + 1e-3) * 0.3
            total = total + ((mine + SMALLEST).log10() - (wanted + SMALLEST).log10()).abs().mean()
        return total

    def _mel(self, x: Tensor, size: int) -> Tensor:
        window = self.get_buffer(f"window_{size}")
        spectrum = torch.view_as_real(torch.stft(x, size, size // 4, window=window, return_complex=True))
        return self.get_buffer(f"filters_{size}") @ (spectrum.pow(2).sum(dim=-1) + 1e-12).sqrt()


def _mel_filters(size: int, bands: int, sample_rate: int) -> Tensor:
    """Triangles on the mel scale (O'Shaughnessy's formula), [bands, size / 2 + 1]."""
    frequencies = torch.linspace(0, sample_rate / 2, size // 2 + 1)
    top = 2595 * math.log10(1 + sample_rate / 2 / 700)
    centres = 700 * (10 ** (torch.linspace(0, top, bands + 2) / 2595) - 1)
    low, middle, high = centres[:-2, None], centres[1:-1, None], centres[2:, None]
    rising, falling = (frequencies - low) / (middle - low), (high - frequencies) / (high - middle)
    return torch.minimum(rising, falling).clamp_min(0)
