"""One stroke of a drum: from a piece's layers, the macros, the velocity and a seed to samples.

A stroke is a pure function of these, made whole, so how a stream is cut into blocks cannot change it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from resonantgen.instruments import drum_kernels as kernels
from resonantgen.instruments.base import Macros, Samples
from resonantgen.instruments.drum_pieces import Kit, Layer, Metal, Noise, Piece, Texture, Tone
from resonantgen.instruments.half_band import half_band
from resonantgen.music.notes import DrumPiece

Array = NDArray[np.float64]

USUAL_VELOCITY = 0.8  # at which a piece has the tone of its preset
TAIL_OF_DECAY = 1.05  # a layer is heard for this many T60s: to -63 dB
TILTS_HZ = np.array([900.0, 6_000.0])  # the first moves the kit's balance, the second what is bright already
TILTS_DB = np.array([2.0, 3.0])  # at full brightness, each way
TOUCH_DB = 8.0  # of both tilts, by which the softest strokes are darker at full touch
SIDE_HZ = 260.0
ECHO_MS = (1.9, 2.9, 6.7)  # delay and all-passes of the diffuse side
ECHO_TAIL_MS = 30.0
SUBSONIC_HZ = 20.0
ATTACK_DB, ATTACK_MS = 9.0, 8.0  # what the attack macro takes from the first moments, and for how long
SOFT_MS = 5.0  # fade-in of a stroke at full attack
DRIVE_RANGE = 2.7  # full drive is a gain of e^2.7 - 1, 23 dB
DRIVE_REACH = 0.6  # how far from a piece's own drive to full the macro goes; at -1 it takes all drive out


HALF_BAND = half_band(4, 0.04)  # folds back only above 20 kHz, at 48 kHz, and rejects 64 dB


def _scrambled(number: int) -> int:
    """64 bits that look random (the finaliser of splitmix64, as `drum_kernels.uniform` has it)."""
    number &= 0xFFFFFFFFFFFFFFFF
    number = (number ^ number >> 30) * 0xBF58476D1CE4E5B9 & 0xFFFFFFFFFFFFFFFF
    number = (number ^ number >> 27) * 0x94D049BB133111EB & 0xFFFFFFFFFFFFFFFF
    return number ^ number >> 31


@dataclass(frozen=True, slots=True)
class _Chance:
    """How this stroke differs from the piece as its maker left it, and where its noise starts."""

    level_db: float
    pitch: float
    decay: float
    cutoff: float
    counter: int

    @classmethod
    def of(cls, seed: int, piece: DrumPiece, variation: float) -> _Chance:
        start = _scrambled((seed & 0xFFFFFFFF) << 8 | piece)
        numbers = [_scrambled(start + draw * 0x9E3779B97F4A7C15) for draw in range(1, 6)]
        level, pitch, decay, cutoff = (number / 2.0**63 - 1.0 for number in numbers[:4])
        return cls(
            level_db=0.8 * variation * level,
            pitch=1.0 + 0.006 * variation * pitch,
            decay=1.0 + 0.08 * variation * decay,
            cutoff=1.0 + 0.06 * variation * cutoff,
            counter=numbers[4],
        )


def decibels(db: float) -> float:
    return float(10.0 ** (db / 20.0))


@dataclass(frozen=True, slots=True)
class DrumVoice:
    """A piece of a kit under given macros at a sample rate in Hz."""

    kit: Kit
    which: DrumPiece
    macros: Macros
    sample_rate: int

    @property
    def piece(self) -> Piece:
        return self.kit.piece(self.which)

    @property
    def _longer(self) -> float:
        """What the release macro multiplies decays by."""
        return float(2.0**self.macros.release)

    def _frames(self, ms: float) -> float:
        return ms * self.sample_rate / 1000.0

    def _layer_frames(self, layer: Layer, decay: float) -> int:
        bursts = (layer.bursts - 1) * layer.burst_ms * decay if isinstance(layer, Texture) else 0.0
        heard = bursts + layer.attack_ms + layer.hold_ms + layer.decay_ms * decay * TAIL_OF_DECAY
        return 64 + int(self._frames(heard))

    def _dry_frames(self, decay: float) -> int:
        return max(self._layer_frames(layer, decay) for layer in self.piece.layers)

    @property
    def longest_frames(self) -> int:
        """No stroke of this piece is longer."""
        return self._dry_frames(self._longer * (1.0 + 0.08 * self.kit.variation)) + int(self._frames(ECHO_TAIL_MS))

    def stroke(self, velocity: float, seed: int) -> Samples:
        """The sound of one stroke, [frames, 2], from its first frame to its last; it ends at exactly zero."""
        piece, macros, rate = self.piece, self.macros, float(self.sample_rate)
        chance = _Chance.of(seed, self.which, self.kit.variation)
        decay = self._longer * chance.decay
        signal = np.zeros(self._dry_frames(decay))
        for tone in piece.tone:
            self._add_tone(signal, tone, velocity, decay, chance)
        textures: tuple[Noise | Metal, ...] = (*piece.noise, *piece.metal)
        for index, texture in enumerate(textures):
            self._add_texture(signal, texture, velocity, decay, chance, index)
        signal *= velocity**self.kit.dynamics * decibels(chance.level_db)
        if piece.tone:  # noise and metal have low cuts of their own
            # Before the saturation: after it, it would turn the phases of a flattened kick and bring its peaks back.
            kernels.cut_lows(signal, SUBSONIC_HZ, rate)
        if macros.attack:
            boost = decibels(-ATTACK_DB * macros.attack) - 1.0
            soft = self._frames(SOFT_MS * max(macros.attack, 0.0))
            kernels.shape_transient(signal, boost, self._frames(ATTACK_MS), soft)
        drive = piece.drive + macros.drive * (piece.drive if macros.drive < 0.0 else DRIVE_REACH * (1.0 - piece.drive))
        if drive > 0.0:
            kernels.saturate(signal, math.expm1(DRIVE_RANGE * drive), HALF_BAND)
        tilts_db = TILTS_DB * macros.brightness + TOUCH_DB * piece.touch * (velocity - USUAL_VELOCITY)
        high_cut_hz = min(piece.high_cut_hz, self.kit.high_cut_hz)
        kernels.colour(signal, high_cut_hz, TILTS_HZ, 10.0 ** (tilts_db / 20.0), rate)
        signal *= decibels(piece.level_db)
        return self._placed(signal)

    def _add_tone(self, signal: Array, tone: Tone, velocity: float, decay: float, chance: _Chance) -> None:
        harder = 1.0 + 0.5 * self.piece.touch * (velocity - USUAL_VELOCITY)
        sweeps = [(semitones * harder, self._frames(ms)) for semitones, ms in tone.sweep]
        level = decibels(tone.level_db) * velocity**tone.touch
        kernels.add_tone(
            signal[: self._layer_frames(tone, decay)],
            np.array([(ratio, level * decibels(db), share) for ratio, db, share in tone.partials]),
            tone.hz * chance.pitch,
            np.array(sweeps).reshape(-1, 2),
            self._frames(tone.attack_ms),
            self._frames(tone.hold_ms),
            self._frames(tone.decay_ms) * decay,
            tone.phase,
            float(self.sample_rate),
        )

    def _add_texture(
        self, signal: Array, texture: Noise | Metal, velocity: float, decay: float, chance: _Chance, index: int
    ) -> None:
        rate = float(self.sample_rate)
        source = np.empty(self._layer_frames(texture, decay))
        counter = np.uint64((chance.counter + index * 0x632BE59BD9B4E019) % 2**64)
        # What passes the filters is made about as loud as a full-scale tone, so that levels mean the same everywhere:
        # white noise has its power spread evenly to 24 kHz, and that of squares falls with the square of the frequency.
        if isinstance(texture, Noise):
            falling = math.exp(-1.0 / self._frames(texture.grain_ms))
            kernels.fill_noise(source, counter, texture.grains_hz / rate, falling)
            band_hz = max(texture.high_cut_hz - texture.low_cut_hz, 0.3 * texture.low_cut_hz)
            gain = math.sqrt(rate / 48_000.0 * 24_000.0 / band_hz)
        else:
            steps = np.array(texture.ratios) * texture.hz * chance.pitch / rate
            kernels.fill_metal(source, steps, counter, texture.ring)
            gain = math.sqrt(max(1.0, texture.low_cut_hz / texture.hz))
        between = self._frames(texture.burst_ms)
        kernels.add_texture(
            signal[: len(source)],
            source,
            gain * decibels(texture.level_db) * velocity**texture.touch,
            np.array([round(between * burst * chance.decay) for burst in range(texture.bursts)], dtype=np.float64),
            self._frames(texture.attack_ms),
            self._frames(texture.hold_ms),
            self._frames(texture.decay_ms) * decay,
            texture.low_cut_hz * chance.cutoff,
            texture.high_cut_hz * chance.cutoff,
            1.0 / texture.resonance,
            texture.closing_octaves,
            rate,
        )

    def _placed(self, signal: Array) -> Samples:
        piece, width = self.piece, self.macros.width
        wider = 1.0 + (width if width < 0.0 else 0.7 * width)
        spread = min(piece.spread * wider, 1.0)
        return kernels.place(
            signal,
            int(self._frames(ECHO_TAIL_MS)) if spread > 0.0 else 0,
            min(max(piece.pan * wider, -1.0), 1.0),
            spread,
            np.array([round(self._frames(ms)) for ms in ECHO_MS], dtype=np.float64),
            SIDE_HZ,
            float(self.sample_rate),
        )
