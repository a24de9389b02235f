"""Training the `resonant` codec: a `Task` for the loop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from resonantgen.codecs.resonant.model import Resonant
from resonantgen.codecs.resonant.net import compress
from resonantgen.training.codec_adversary import Adversary
from resonantgen.training.codec_losses import MelDistance, bounded_si_sdr_db, si_sdr_db
from resonantgen.training.quantizing import LearningQuantizer
from resonantgen.training.sounds import QUIETEST, Sound

TRIES = 20
GAIN_DB = (-12.0, 3.0)  # a crop is made so much louder, at random
SPEED_OCTAVES = (-0.4, 1.0)  # a varied crop is played so much faster
TILT_DB = (-1.0, 4.0)  # and each octave of it is louder than that below
TILT_CENTRES = 12.0  # the highest frequency over that which stays as loud: 1 kHz of 12
COUNTS = (0, 0, 2, 4, 8, 8, 8, 8, 8, 8)  # codebooks of a crop, at random; 0: it is not quantised
UNQUANTIZED_STEPS = 50  # the encoder finds its feet
AGAIN_STEPS = 5000  # a new codec first learns to tell sounds apart, and little by little to find its vectors again
EVALUATION_SECONDS = 6.0


@dataclass(frozen=True, slots=True)
class CodecSettings:
    """How the codec is trained; the weights are those of its losses."""

    batch: int = 8
    crop_seconds: float = 1.0
    mel: float = 0.5
    coefficients: float = 2.0  # L1 of compressed coefficients
    waveform: float = 0.5  # L1 of samples
    si_sdr: float = 0.3  # of dB
    commitment: float = 0.25
    again: float = 15.0  # mean square of what encoding again makes of what was decoded, over the variance
    varied: float = 0.5  # share of crops that are played at another speed, with another colour
    adversarial: float = 0.0
    shares: tuple[tuple[str, float], ...] = ()  # of roles: how often each is drawn, over 1


class CodecTask:
    """Crops of sounds, of all roles alike, through the codec and back."""

    name = "codec"

    def __init__(
        self,
        codec: Resonant,
        sounds: Mapping[str, Sequence[Sound]],  # by role, for training
        held_out: Mapping[str, Sequence[Sound]],
        settings: CodecSettings,
        *,
        resumes: bool = False,  # from weights that were trained before
    ) -> None:
        self.codec, self.settings = codec, settings
        self._held_out = held_out
        self._roles = [role for role in sorted(sounds) if sounds[role]]
        self._sounds = [sounds[role] for role in self._roles]
        weights = torch.tensor([dict(settings.shares).get(role, 1.0) for role in self._roles])
        self._role_weights = weights / weights.sum()
        self._lengths = [torch.tensor([float(len(s)) for s in group]) for group in self._sounds]
        self._quantizer = LearningQuantizer(codec.quantizer)
        self._mel = MelDistance(codec.sample_rate)
        self._resumes = resumes
        if resumes:
            self._quantizer.resume()
        self.module = nn.ModuleDict({"codec": codec, "quantizer": self._quantizer, "mel": self._mel})
        self._adversary = Adversary() if settings.adversarial else None
        if self._adversary is not None:
            self.module["adversary"] = self._adversary

    def describe(self) -> str:
        """ "24.0 min of bass, 1.3 h of drums; 9.1 million parameters"."""
        rate = self.codec.sample_rate
        lengths = (sum(len(sound) for sound in group) / rate for group in self._sounds)
        texts = (
            f"{seconds / 3600:.1f} h of {role}" if seconds >= 3600 else f"{seconds / 60:.1f} min of {role}"
            for role, seconds in zip(self._roles, lengths, strict=True)
        )
        return f"{', '.join(texts)}; {sum(p.numel() for p in self.codec.parameters()) / 1e6:.1f} million parameters"

    def parameter_groups(self) -> list[dict[str, Any]]:
        groups = [{"params": list(self.codec.parameters())}]
        return [*groups, {"params": list(self._adversary.parameters())}] if self._adversary is not None else groups

    def loss(self, step: int, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        """Of one batch. Its parts are in the units of their weights; `SI-SDR` is in dB."""
        s = self.settings
        x = self._batch(generator).to(self._quantizer.sums.device)
        counts = torch.tensor(COUNTS)[torch.randint(len(COUNTS), (len(x),), generator=generator)].to(x.device)
        mdct, *encoder = self.codec.encoder_net.layers
        *decoder, expand, inverse = self.codec.decoder_net.layers
        coefficients = mdct(x[:, :, None])
        vectors = _through(encoder, coefficients)
        if step < UNQUANTIZED_STEPS and not self._resumes:
            passed, off = vectors, vectors.new_zeros(())
        else:
            passed, off = self._quantizer(vectors, counts, generator)
        made = _through(decoder, passed)
        y = inverse(expand(made))[:, : x.shape[1], 0]
        # over the root of their levels: between as loud as they are and all alike
        levels = expand.get_buffer("levels").sqrt()
        wanted, made = compress(coefficients) / levels, made * levels
        parts = {
            "mel": s.mel * self._mel(y, x),
            "coefficients": s.coefficients * _relative(made, wanted),
            "waveform": s.waveform * _relative(y, x),
            "SI-SDR": -s.si_sdr * bounded_si_sdr_db(y, x).mean(),
            "commitment": s.commitment * off,
        }
        asked = s.again * (1.0 if self._resumes else min(1.0, step / AGAIN_STEPS))
        if asked:
            found = _through(encoder, mdct(y[:, :, None]))
            whole = (counts == 0) | (counts == self.codec.codebooks)  # with fewer, it need not find them again
            parts["again"] = asked * _off_again(found[whole], passed.detach()[whole])
        if self._adversary is not None:
            parts["adversary"], codecs = self._adversary.losses(y, x)
            parts["adversarial"] = s.adversarial * codecs
        total = torch.stack(list(parts.values())).sum()
        figures = {name: float(part.detach()) for name, part in parts.items()}
        if s.si_sdr:
            figures["SI-SDR"] = -figures["SI-SDR"] / s.si_sdr
        return total, figures

    def _batch(self, generator: torch.Generator) -> Tensor:
        """Crops [B, T] at random gains."""
        roles = torch.multinomial(self._role_weights, self.settings.batch, replacement=True, generator=generator)
        return torch.stack([self._crop(int(role), generator) for role in roles])

    def _crop(self, role: int, generator: torch.Generator) -> Tensor:
        length = round(self.settings.crop_seconds * self.codec.sample_rate)
        length -= length % self.codec.frame_samples
        varied = float(torch.rand((), generator=generator)) < self.settings.varied
        speed = 2 ** _between(*SPEED_OCTAVES, generator) if varied else 1.0
        taken = round(length * speed)
        for _ in range(TRIES):
            sound = self._sounds[role][int(torch.multinomial(self._lengths[role], 1, generator=generator))]
            at = int(torch.randint(max(1, len(sound) - taken + 1), (1,), generator=generator))
            crop = torch.from_numpy(sound[at : at + taken].astype(np.float32) / 32768)
            if float(crop.abs().max()) >= QUIETEST:
                break
        crop = functional.pad(crop, (0, taken - len(crop)))
        if varied:
            crop = other_sound(crop, length, _between(*TILT_DB, generator))
        gain = min(10 ** (_between(*GAIN_DB, generator) / 20), 1 / max(float(crop.abs().max()), 1e-6))
        return crop * gain

    def evaluate(self) -> dict[str, float]:
        """Mean over held-out sounds of each role, in the middle of each."""
        return evaluate(self.codec, self._held_out, self._mel)


def _between(low: float, high: float, generator: torch.Generator) -> float:
    return low + (high - low) * float(torch.rand((), generator=generator))


def _through(layers: Sequence[nn.Module], x: Tensor) -> Tensor:
    for layer in layers:
        x = layer(x)
    return x


def _off_again(found: Tensor, given: Tensor) -> Tensor:
    """Mean square of vectors [B, F, C] found again from those that were decoded, over their variance. 0 of none."""
    if not found.numel():
        return found.sum()
    return (found - given).pow(2).mean() / given.flatten(0, 1).var(dim=0).mean().clamp_min(1e-6)


def _relative(made: Tensor, wanted: Tensor) -> Tensor:
    """Mean distance, over the mean of what is wanted."""
    distance: Tensor = (made - wanted).abs().mean() / wanted.abs().mean().clamp_min(1e-6)
    return distance


def other_sound(x: Tensor, length: int, tilt_db: float) -> Tensor:
    """Sound [T] played so much faster or slower that it has `length` samples; each octave above 1 kHz is louder by
    `tilt_db`, each below softer. As loud as it was.
    """
    spectrum = torch.fft.rfft(x)
    octaves = torch.linspace(0, 1, length // 2 + 1).mul(TILT_CENTRES).clamp_min(TILT_CENTRES / 512).log2()
    bins = min(len(spectrum), len(octaves))
    tilted = spectrum.new_zeros(len(octaves))
    tilted[:bins] = spectrum[:bins] * 10 ** (tilt_db * octaves[:bins] / 20)
    made: Tensor = torch.fft.irfft(tilted, length)
    as_loud: Tensor = made * (x.pow(2).mean() / made.pow(2).mean().clamp_min(1e-12)).sqrt()
    return as_loud


@torch.inference_mode()
def evaluate(codec: Resonant, sounds: Mapping[str, Sequence[Sound]], mel: MelDistance) -> dict[str, float]:
    """Mean SI-SDR in dB and mel distance of each role, through all codebooks; and with how many tokens of the first
    codebook stay when what was decoded is encoded again, a share.
    """
    length = round(EVALUATION_SECONDS * codec.sample_rate)
    figures, stays = {}, []
    device = codec.quantizer.codebooks.device
    for role, group in sorted(sounds.items()):
        of_role = []
        for sound in group:
            middle = max(0, (len(sound) - length) // 2)
            x = torch.from_numpy(sound[middle : middle + length].astype(np.float32) / 32768)[None].to(device)
            if float(x.abs().max()) < QUIETEST:
                continue
            codes = codec.encode(x[:, None])
            y = codec.decode(codes)[:, :, : x.shape[1]]
            of_role.append((float(si_sdr_db(y[:, 0], x)), float(mel(y[:, 0], x))))
            stays.append(float((codec.encode(y, 1).indices == codes.indices[:, :1]).float().mean()))
        if of_role:
            figures[f"{role} dB"], figures[f"{role} mel"] = (float(v) for v in np.mean(of_role, axis=0))
    if stays:
        figures["tokens stay"] = float(np.mean(stays))
    return figures
