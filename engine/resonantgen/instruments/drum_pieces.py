"""What a drum kit is made of, as data: the structure of the files in presets/instruments/drums.

A piece is a sum of layers. `tone` layers are decaying partials whose pitch falls after the stroke: drum skins, shells,
bells. `noise` layers are filtered noise with an envelope: snare wires, claps, shakers. `metal` layers are square
oscillators at inharmonic ratios, optionally multiplied with each other (ring modulation): hats, cymbals, cowbells. The
sum is saturated, filtered and placed in the stereo field. Decays are T60: the time to fall by 60 dB.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from resonantgen.instruments.catalog import CatalogEntry
from resonantgen.instruments.effects.inserts import Inserts
from resonantgen.music.notes import DrumPiece

Unit = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]
Signed = Annotated[float, msgspec.Meta(ge=-1.0, le=1.0)]
Decibels = Annotated[float, msgspec.Meta(ge=-60.0, le=24.0)]
DecayMs = Annotated[float, msgspec.Meta(ge=1.0, le=10_000.0)]
ShortMs = Annotated[float, msgspec.Meta(ge=0.0, le=500.0)]
FrequencyHz = Annotated[float, msgspec.Meta(ge=20.0, le=18_000.0)]
Ratio = Annotated[float, msgspec.Meta(ge=0.1, le=40.0)]
Semitones = Annotated[float, msgspec.Meta(ge=-48.0, le=84.0)]
Count = Annotated[int, msgspec.Meta(ge=1, le=8)]

Partial = tuple[
    Ratio, Decibels, Annotated[float, msgspec.Meta(ge=0.01, le=2.0)]
]  # ratio, level in dB, share of the decay
Sweep = tuple[Semitones, Annotated[float, msgspec.Meta(ge=0.1, le=2_000.0)]]  # how far above, time constant in ms

TR_808_RATIOS = (1.0, 1.4828, 1.8003, 2.546, 2.6303, 3.8967)


class Layer(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What every layer has: a level and an envelope (attack, hold, then an exponential decay)."""

    decay_ms: DecayMs
    level_db: Decibels = 0.0
    attack_ms: ShortMs = 0.0
    hold_ms: ShortMs = 0.0
    touch: Signed = 0.0  # how much faster (or slower) than the piece this layer falls away on soft strokes


class Tone(Layer, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Decaying partials over a fundamental that starts higher and settles."""

    hz: FrequencyHz
    sweep: Annotated[tuple[Sweep, ...], msgspec.Meta(max_length=3)] = ()
    partials: Annotated[tuple[Partial, ...], msgspec.Meta(min_length=1, max_length=16)] = ((1.0, 0.0, 1.0),)
    phase: Annotated[float, msgspec.Meta(ge=0.0, le=0.25)] = (
        0.0  # cycles at the stroke: 0 starts from rest, 0.25 with a click
    )


class Texture(Layer, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A bright source, band-limited by two resonant filters; several bursts make a clap or a flam."""

    low_cut_hz: FrequencyHz
    high_cut_hz: FrequencyHz = 18_000.0
    resonance: Annotated[float, msgspec.Meta(ge=0.4, le=12.0)] = 0.7  # Q of both filters
    closing_octaves: Annotated[float, msgspec.Meta(ge=0.0, le=6.0)] = 0.0  # how far the high cut falls during the decay
    bursts: Count = 1
    burst_ms: Annotated[float, msgspec.Meta(ge=1.0, le=100.0)] = 10.0  # from one burst to the next


class Noise(Texture, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """White noise, or with `grains_hz` the noise of so many random collisions a second: beads, jingles, wires."""

    grains_hz: Annotated[float, msgspec.Meta(ge=0.0, le=20_000.0)] = 0.0
    grain_ms: Annotated[float, msgspec.Meta(ge=0.1, le=50.0)] = 2.0


class Metal(Texture, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Square oscillators at inharmonic ratios. The default ratios are those of the six oscillators of a TR-808."""

    hz: FrequencyHz = 205.3
    ratios: Annotated[tuple[Ratio, ...], msgspec.Meta(min_length=1, max_length=8)] = TR_808_RATIOS
    ring: Unit = 0.0  # from the oscillators' sum to the products of neighbours: denser, more like beaten metal


class Piece(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One drum of a kit."""

    level_db: Decibels
    pan: Signed = 0.0  # -1 is left
    spread: Unit = 0.0  # how much of a short, diffuse room is heard at the sides
    drive: Unit = 0.0
    touch: Unit = 0.5  # how much darker soft strokes are
    high_cut_hz: FrequencyHz = 18_000.0
    tone: Annotated[tuple[Tone, ...], msgspec.Meta(max_length=4)] = ()
    noise: Annotated[tuple[Noise, ...], msgspec.Meta(max_length=4)] = ()
    metal: Annotated[tuple[Metal, ...], msgspec.Meta(max_length=4)] = ()

    def __post_init__(self) -> None:
        if not self.layers:
            raise ValueError("needs at least one layer of tone, noise or metal")

    @property
    def layers(self) -> tuple[Layer, ...]:
        return (*self.tone, *self.noise, *self.metal)


class Kit(CatalogEntry, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A whole kit: all pieces, and what they share."""

    dynamics: Annotated[float, msgspec.Meta(ge=0.5, le=2.5)] = 1.5  # level is velocity to this power
    variation: Unit = 0.5  # how much one stroke differs from the next
    high_cut_hz: FrequencyHz = 18_000.0
    inserts: Inserts = msgspec.field(default_factory=list)  # effects on the whole kit

    kick: Piece
    rim: Piece
    snare: Piece
    clap: Piece
    low_tom: Piece
    closed_hat: Piece
    pedal_hat: Piece
    open_hat: Piece
    mid_tom: Piece
    crash: Piece
    high_tom: Piece
    ride: Piece
    tambourine: Piece
    cowbell: Piece
    high_conga: Piece
    low_conga: Piece
    shaker: Piece

    def piece(self, piece: DrumPiece) -> Piece:
        found = getattr(self, piece.word)
        assert isinstance(found, Piece)
        return found
