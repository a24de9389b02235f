"""Drum kits put together from one-shots of the folder of samples that Sonic Pi comes with (CC0)."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
import soundfile

from resonantgen.audio.resample import resample
from resonantgen.errors import AudioError, ModelUnusable
from resonantgen.generators.dice import Dice
from resonantgen.music.notes import DrumPiece
from resonantgen.training.corpora.piece import Split, TimedNote
from resonantgen.training.timbres.base import RENDER_RATE, Mono
from resonantgen.training.timbres.general_midi import drum_piece

FOLDER = Path("/usr/share/sonic-pi/samples")
SUFFIX = ".flac"
INSTALL = "apt install sonic-pi-samples"
# No sample is in two pools, so that what is held out is held out everywhere. Breakbeats are left out: they are music.
POOLS: dict[str, tuple[str, ...]] = {
    "kick": (
        *("bd_808", "bd_ada", "bd_boom", "bd_fat", "bd_gas", "bd_haus", "bd_klub", "bd_mehackit", "bd_pure"),
        *("bd_sone", "bd_tek", "bd_zome", "bd_zum", "drum_bass_hard", "drum_bass_soft", "drum_heavy_kick"),
        *("elec_hollow_kick", "elec_soft_kick"),
    ),
    "snare": (
        *("sn_dolf", "sn_dub", "sn_generic", "sn_zome", "drum_snare_hard", "drum_snare_soft", "elec_snare"),
        *("elec_hi_snare", "elec_lo_snare", "elec_mid_snare"),
    ),
    "clap": ("perc_snap", "perc_snap2", "elec_filt_snare", "elec_pop"),
    "rim": ("elec_wood", "elec_plip", "elec_tick", "tabla_ke1", "tabla_ke2", "tabla_ke3", "glitch_perc3"),
    "closed": ("drum_cymbal_closed", "drum_cymbal_pedal", "elec_blip"),
    "open": ("drum_cymbal_open", "elec_cymbal", "drum_splash_soft"),
    "cymbal": ("drum_cymbal_hard", "drum_cymbal_soft", "drum_splash_hard"),
    "tom": (
        *("drum_tom_hi_hard", "drum_tom_hi_soft", "drum_tom_mid_hard", "drum_tom_mid_soft", "drum_tom_lo_hard"),
        *("drum_tom_lo_soft", "elec_fuzz_tom"),
    ),
    "hand": (
        *("tabla_na", "tabla_re", "tabla_tas1", "tabla_tas2", "tabla_tas3", "tabla_te1", "tabla_te2", "tabla_te_m"),
        *("tabla_te_ne", "tabla_tun1", "tabla_tun2", "tabla_tun3"),
    ),
    "bell": ("drum_cowbell", "elec_triangle", "elec_bell", "elec_bong", "perc_bell"),
}
# Pool, and how fast a sample of it is played.
PIECES: dict[DrumPiece, tuple[str, float]] = {
    DrumPiece.KICK: ("kick", 1.0),
    DrumPiece.RIM: ("rim", 1.0),
    DrumPiece.SNARE: ("snare", 1.0),
    DrumPiece.CLAP: ("clap", 1.0),
    DrumPiece.LOW_TOM: ("tom", 0.8),
    DrumPiece.CLOSED_HAT: ("closed", 1.0),
    DrumPiece.PEDAL_HAT: ("closed", 0.9),
    DrumPiece.OPEN_HAT: ("open", 1.0),
    DrumPiece.MID_TOM: ("tom", 1.0),
    DrumPiece.CRASH: ("cymbal", 0.95),
    DrumPiece.HIGH_TOM: ("tom", 1.25),
    DrumPiece.RIDE: ("cymbal", 1.15),
    DrumPiece.TAMBOURINE: ("bell", 1.3),
    DrumPiece.COWBELL: ("bell", 1.0),
    DrumPiece.HIGH_CONGA: ("hand", 1.1),
    DrumPiece.LOW_CONGA: ("hand", 0.85),
    DrumPiece.SHAKER: ("closed", 1.3),
}
HELD_OUT_SHARE = 3  # one sample in so many, of each pool
LEVELS = {"kick": 1.0, "snare": 0.9, "cymbal": 0.45, "open": 0.45, "closed": 0.45}  # others: 0.6
OTHER_LEVEL = 0.6
CHOKE_SECONDS = 0.01
HATS = frozenset({DrumPiece.CLOSED_HAT, DrumPiece.PEDAL_HAT})


def samples_of(pool: str, split: Split) -> tuple[str, ...]:
    """The names of a split: of each pool, those whose CRC-32 is lowest are held out."""
    ranked = sorted(POOLS[pool], key=lambda name: zlib.crc32(name.encode()))
    held_out = len(ranked) // HELD_OUT_SHARE
    return tuple(sorted(ranked[:held_out] if split is Split.HELD_OUT else ranked[held_out:]))


@cache
def one_shot(name: str) -> Mono:
    """A sample at RENDER_RATE, of peak 1. Raises ModelUnusable where it is not installed."""
    path = FOLDER / f"{name}{SUFFIX}"
    try:
        samples, rate = soundfile.read(path, dtype="float64", always_2d=True)
    except (OSError, soundfile.SoundFileError):
        if FOLDER.is_dir():
            raise AudioError(f"{path} cannot be read. Put it right with: {INSTALL} --reinstall") from None
        raise ModelUnusable(f"The drum samples are not installed. Install them with: {INSTALL}") from None
    mono = resample(samples.mean(axis=1, keepdims=True), rate, RENDER_RATE)[:, 0]
    return mono / max(float(np.abs(mono).max()), 1e-9)


@dataclass(frozen=True, slots=True)
class SampledKit:
    """A sample for each piece, tuned by a factor of its speed."""

    pieces: dict[DrumPiece, tuple[str, float, float]] = field(hash=False)  # sample, speed, level

    @classmethod
    def of(cls, dice: Dice, split: Split) -> SampledKit:
        """A kit at random. Pieces of one pool that belong together, such as toms, share a sample."""
        chosen = {pool: dice.choice(samples_of(pool, split), "sample", pool) for pool in POOLS}
        tunings = {pool: 2 ** dice.between(-0.25, 0.25, "tuning", pool) for pool in POOLS}
        levels = {
            pool: LEVELS.get(pool, OTHER_LEVEL) * 10 ** (dice.between(-4, 4, "level", pool) / 20) for pool in POOLS
        }
        return cls(
            {piece: (chosen[pool], speed * tunings[pool], levels[pool]) for piece, (pool, speed) in PIECES.items()}
        )

    @property
    def name(self) -> str:
        return f"samples:{self.pieces[DrumPiece.KICK][0]}+{self.pieces[DrumPiece.SNARE][0]}"

    @property
    def text(self) -> str:
        electronic = sum(sample.startswith(("elec_", "bd_", "sn_")) for sample, _, _ in self.pieces.values())
        return "sampled electronic kit" if electronic > len(self.pieces) // 3 else "sampled kit"

    @property
    def licence(self) -> str:
        return "CC0"

    def render(self, notes: Sequence[TimedNote], seconds: float, tempo_bpm: float) -> Mono:
        """Raises ModelUnusable and AudioError."""
        out = np.zeros(round(seconds * RENDER_RATE))
        strokes = [(note, piece) for note in notes if (piece := drum_piece(note.pitch)) is not None]
        voices = {piece: self._voice(piece) for piece in {piece for _, piece in strokes}}
        closings = [note.start_seconds for note, piece in strokes if piece in HATS]
        for note, piece in strokes:
            voice = voices[piece] * (note.velocity / 127) ** 1.5
            if piece is DrumPiece.OPEN_HAT:
                closing = next((at for at in closings if at > note.start_seconds), None)
                voice = voice if closing is None else _choked(voice, closing - note.start_seconds)
            start = round(note.start_seconds * RENDER_RATE)
            fitting = voice[: max(0, len(out) - start)]
            out[start : start + len(fitting)] += fitting
        return out

    def _voice(self, piece: DrumPiece) -> Mono:
        name, speed, level = self.pieces[piece]
        sample = one_shot(name)
        places = np.arange(0, len(sample) - 1, speed)
        tuned: Mono = np.interp(places, np.arange(len(sample)), sample)
        return level * tuned


def _choked(voice: Mono, after_seconds: float) -> Mono:
    """Faded out where a closing hat stops it."""
    start, fade = round(after_seconds * RENDER_RATE), round(CHOKE_SECONDS * RENDER_RATE)
    cut = voice[: start + fade].copy()
    tail = len(cut) - start
    if tail > 0:
        cut[start:] *= np.linspace(1.0, 0.0, fade)[:tail]
    return cut
