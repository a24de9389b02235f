"""The effects of a track: the inserts of its preset, what its macros add, and the filter of its role, as one Effect."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from resonantgen.instruments.base import Effect, Macros, Samples
from resonantgen.instruments.effects import inserts as kinds
from resonantgen.instruments.effects.crush import CrushEffect
from resonantgen.instruments.effects.delay import DelayEffect
from resonantgen.instruments.effects.drive import DriveEffect
from resonantgen.instruments.effects.dynamics import CompressorEffect, RangeKeeper
from resonantgen.instruments.effects.filters import Filter, Sections, butterworth, section, tilt
from resonantgen.instruments.effects.modulation import ChorusEffect, PeriodicGain, PhaserEffect
from resonantgen.instruments.effects.reverb import ReverbEffect
from resonantgen.instruments.effects.stereo import MonoBass, WidthEffect
from resonantgen.music.notes import Role
from resonantgen.music.time import TempoMap

MONO_BELOW_HZ = 180.0  # a filter's corner: the side is 14 dB down at 120 Hz
BASS_RANGE_HZ, BASS_SHARE_ABOVE = 300.0, 0.12
LOW_CUT_HZ = {Role.DRUMS: 26.0, Role.BASS: 24.0, Role.HARMONY: 130.0, Role.MELODY: 170.0}
LOW_CUT_ORDER = {Role.DRUMS: 2, Role.BASS: 2, Role.HARMONY: 4, Role.MELODY: 4}

# What the macros do here comes on top of what the instruments make of them: a kit or patch opens its filters, drives
# its own saturation and spreads its voices.
TILT_DB, TILT_HZ = 3.0, 900.0  # brightness at 1
BITE_DB, BITE_HZ = 11.0, 150.0  # of a driven bass, at 1: saturation alone presses bright attacks flat and dulls it
BITE_CURVE = 0.6  # power of the drive macro, as of the saturation itself
DRIVE_RANGE_DB = 9.0  # added to drive inserts by drive at 1
WIDTH_RANGE = 0.5  # of a width effect, by width at 1
SPACE_RANGE_DB = 9.0  # added to the level of reverbs and delays by space at 1; at -1 it takes twice as much
ADDED_REVERB_MIX = 0.3  # the reverb that space at 1 adds where the preset has none


class StreamingEffect(Effect, Protocol):
    """An Effect that also says how long it can be silent with sound still to come."""

    @property
    def gap_frames(self) -> int: ...


@dataclass(slots=True)
class ChainState:
    states: list[Any]


@dataclass(frozen=True, slots=True)
class Chain:
    """Effects one after another."""

    effects: tuple[StreamingEffect, ...]

    @property
    def gap_frames(self) -> int:
        return sum(effect.gap_frames for effect in self.effects)

    def start(self) -> ChainState:
        return ChainState([effect.start() for effect in self.effects])

    def render(self, state: ChainState, block: Samples) -> Samples:
        for effect, memory in zip(self.effects, state.states, strict=True):
            block = effect.render(memory, block)
        return block


def track_chain(role: Role, inserts: Sequence[kinds.AnyInsert], macros: Macros, tempo: TempoMap) -> Chain:
    """Everything between a track's instrument and its output."""
    effects: list[StreamingEffect] = []
    for insert in with_macros(inserts, macros):
        effects.append(build_effect(insert, tempo))
    if macros.width:
        effects.append(WidthEffect.of(WIDTH_RANGE * macros.width, tempo.sample_rate))
    effects.append(Filter.of(_role_sections(role, macros, tempo.sample_rate)))
    effects.append(MonoBass.of(MONO_BELOW_HZ, tempo.sample_rate))
    if role is Role.BASS:
        effects.append(RangeKeeper(BASS_RANGE_HZ, BASS_SHARE_ABOVE, tempo.sample_rate))
    return Chain(tuple(effects))


def with_macros(inserts: Sequence[kinds.AnyInsert], macros: Macros) -> list[kinds.AnyInsert]:
    """The inserts as the macros `drive` and `space` leave them; more space than none brings a reverb."""
    moved: list[kinds.AnyInsert] = []
    send = 10 ** (SPACE_RANGE_DB * (macros.space if macros.space > 0 else 2 * macros.space) / 20)
    for insert in inserts:
        match insert:
            case kinds.Drive():
                amount_db = min(max(insert.amount_db + DRIVE_RANGE_DB * macros.drive, 0.0), 48.0)
                moved.append(msgspec.structs.replace(insert, amount_db=amount_db))
            case kinds.Delay() | kinds.Reverb():
                moved.append(msgspec.structs.replace(insert, mix=min(insert.mix * send, 1.0)))
            case _:
                moved.append(insert)
    if macros.space > 0 and not any(isinstance(insert, kinds.Reverb) for insert in inserts):
        moved.append(kinds.Reverb(mix=ADDED_REVERB_MIX * macros.space))
    return moved


def build_effect(insert: kinds.AnyInsert, tempo: TempoMap) -> StreamingEffect:
    """The running effect of one insert."""
    rate = tempo.sample_rate
    match insert:
        case kinds.Drive():
            return DriveEffect.of(insert)
        case kinds.Chorus():
            return ChorusEffect.of(insert, tempo)
        case kinds.Delay():
            return DelayEffect.of(insert, tempo)
        case kinds.Reverb():
            return ReverbEffect.of(insert, tempo)
        case kinds.Eq():
            return Filter(section(insert.shape, insert.frequency_hz, rate, insert.gain_db, insert.q))
        case kinds.Compressor():
            return CompressorEffect(insert, rate)
        case kinds.Pump():
            return PeriodicGain.pump(insert, tempo)
        case kinds.Tremolo():
            return PeriodicGain.tremolo(insert, tempo)
        case kinds.Phaser():
            return PhaserEffect(insert, rate)
        case kinds.Crush():
            return CrushEffect(insert, rate)
        case kinds.Width():
            return WidthEffect.of(insert.amount, rate)


def _role_sections(role: Role, macros: Macros, sample_rate: int) -> list[Sections]:
    """The tone that brightness asks for, and the range that the role keeps to."""
    tilted = macros.brightness and role is not Role.DRUMS  # a kit tilts each of its pieces itself, more than enough
    parts = [tilt(TILT_DB * macros.brightness, TILT_HZ, sample_rate)] if tilted else []
    if role is Role.BASS and macros.drive > 0:
        parts.append(section("high_shelf", BITE_HZ, sample_rate, BITE_DB * macros.drive**BITE_CURVE))
    parts.append(butterworth("high_pass", LOW_CUT_ORDER[role], LOW_CUT_HZ[role], sample_rate))
    return parts
