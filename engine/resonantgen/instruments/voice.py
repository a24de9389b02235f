"""One sounding note of a patch.

A voice renders whole ticks (32 frames of its own age) and keeps what a block did not need yet, so that what it plays
cannot depend on how its time is cut into blocks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from resonantgen.instruments import filters, fm, modal, modulation, noise, oscillators, plucked
from resonantgen.instruments.base import NoteEvent, Samples
from resonantgen.instruments.patch import Envelope, Oscillator, Patch

TICK = modulation.TICK
MIDDLE_C = 60.0
USUAL_VELOCITY = 0.8  # at which a patch sounds as its file says
HELD_S = 1e6  # the release of what only the amplitude ends
CHOKE_S = 0.006  # in which a note gives way to the next in a mono patch
NO_TABLES: oscillators.Tables = np.zeros((0, oscillators.LEVELS, oscillators.TABLE_SIZE + 1), np.float32)
WOBBLE_SHAPES = {"sine": 0.0, "triangle": 1.0, "saw": 2.0}


@dataclass(frozen=True, slots=True)
class Bank:
    """A patch's oscillators, unison unrolled, as `oscillate` wants them."""

    tables: oscillators.Tables
    wave: NDArray[np.int64]
    pulse: NDArray[np.bool_]
    ratio: NDArray[np.float64]
    gain: NDArray[np.float64]  # [oscillators, channels]
    random_phase: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Routing:
    """A patch's operators for one note, as `operate` wants them."""

    ratio: NDArray[np.float64]
    offset: NDArray[np.float64]
    target: NDArray[np.int64]
    amount: NDArray[np.float64]
    own: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class VoiceSettings:
    """What all voices of an instrument share."""

    patch: Patch
    sample_rate: int
    tempo_bpm: float
    channels: int  # of the sources
    bank: Bank
    envelopes: NDArray[np.float64]  # [envelopes, 5], see modulation
    modes: tuple[NDArray[np.float64], NDArray[np.float64]]  # ratios and levels

    @classmethod
    def of(cls, patch: Patch, sample_rate: int, tempo_bpm: float) -> VoiceSettings:
        channels = 2 if patch.stereo else 1
        shapes = [
            patch.amplitude,
            patch.filter.envelope if patch.filter else Envelope(),
            patch.noise.envelope if patch.noise else Envelope(),
        ]
        rows = [[s.attack_s, s.decay_s, s.sustain, s.release_s, 0.0] for s in shapes]
        for operator in patch.operators:
            rows.append([operator.envelope.attack_s, operator.envelope.decay_s, operator.envelope.sustain, HELD_S, 0.0])
        envelopes = np.array(rows)
        return cls(
            patch, sample_rate, tempo_bpm, channels, _bank(patch.oscillators, channels), envelopes, _modes_of(patch)
        )


def _bank(parts: list[Oscillator], channels: int) -> Bank:
    tables, wave, pulse, ratio, gain, random_phase = [], [], [], [], [], []
    for part in parts:
        name = "saw" if part.wave == "pulse" else part.wave
        tables.append(oscillators.wave_tables(name, tuple(part.harmonics)))
        for number in range(part.unison):
            place = 2.0 * number / (part.unison - 1) - 1.0 if part.unison > 1 else 0.0
            # Neighbours in pitch sit on opposite sides, so that the image does not lean as they beat.
            pan = place * part.spread * (-1.0) ** number
            cents = part.cents + part.detune_cents * place
            level = part.level / math.sqrt(part.unison)
            wave.append(len(tables) - 1)
            pulse.append(part.wave == "pulse")
            ratio.append(2.0 ** ((part.semitones + cents / 100.0) / 12.0))
            angle = (pan + 1.0) * math.pi / 4.0
            sides = [math.cos(angle) * math.sqrt(2.0), math.sin(angle) * math.sqrt(2.0)]
            gain.append([level * side for side in sides] if channels == 2 else [level])
            random_phase.append(part.phase == "random")
    return Bank(
        np.stack(tables) if tables else NO_TABLES,
        np.array(wave, np.int64),
        np.array(pulse, np.bool_),
        np.array(ratio, np.float64),
        np.array(gain, np.float64).reshape(len(gain), channels),
        np.array(random_phase, np.bool_),
    )


def _modes_of(patch: Patch) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    modes = patch.modes
    if modes is None:
        return np.zeros(0), np.zeros(0)
    if modes.ratios:
        return np.array(modes.ratios), np.array(modes.levels)
    number = np.arange(1.0, modes.count + 1)
    return number, np.sin(np.pi * number * modes.position) if modes.position > 0.0 else np.ones(len(number))


class Voice:
    """One note, or in mono patches a chain of tied notes."""

    def __init__(self, settings: VoiceSettings, event: NoteEvent) -> None:
        self.settings = settings
        self.start_frame = event.frame
        self.ticks = 0  # rendered since the start
        self.note_tick = 0  # the tick at which the note that sounds now began; differs from 0 after a tie
        self.choke_frame: int | None = None
        self.left_over: Samples = np.zeros((0, 2))
        patch, channels = settings.patch, settings.channels
        rng = np.random.default_rng(event.seed)
        self._event = event
        self._envelopes = settings.envelopes.copy()
        self._filter_state = filters.at_rest(channels)
        self._phase = np.where(settings.bank.random_phase, rng.integers(0, 1 << 32, len(settings.bank.ratio)), 0)
        self._operator_phase = np.zeros(len(patch.operators))
        self._feedback = np.zeros((len(patch.operators), 2))
        self._noise_seed = rng.integers(0, 1 << 32, channels)
        self._noise_state = np.zeros((channels, 2))
        self._chance = rng.uniform(size=3)
        self._motion = self._motion_of(event, glide_from=None)
        self._levels = np.zeros((len(self._envelopes), 1))
        self._routing = _routing(settings, event)
        self._string = self._pluck(event)
        self._powers, self._mode_state = self._strike(event)

    @property
    def sounding_key(self) -> float:
        """The key, with fractions, at which the next tick will start."""
        age_s = (self.ticks - self.note_tick) * self._motion.seconds_per_tick
        if self._motion.glide_s == 0.0:
            return self._motion.key
        left = math.exp(-modulation.FALL * age_s / self._motion.glide_s)
        return self._motion.key + (self._motion.glide_from - self._motion.key) * left

    @property
    def released_frame(self) -> int:
        return self._event.frame + self._event.duration_frames

    @property
    def end_frame(self) -> int:
        """The first frame from which the voice is silent for good."""
        if self.choke_frame is not None:
            return self.choke_frame + round(CHOKE_S * self.settings.sample_rate)
        release_s = self.settings.patch.amplitude.release_s
        return self.released_frame + math.ceil(release_s * self.settings.sample_rate) + 2 * TICK

    def tie(self, event: NoteEvent) -> None:
        """Go on with another note: the pitch glides there, phases and filter run on, envelopes start where they are."""
        glide_from = self.sounding_key
        before = self._motion.gain
        self.note_tick = self.ticks
        self._motion = self._motion_of(event, glide_from)
        self._event = event
        self._envelopes = self.settings.envelopes.copy()
        self._envelopes[:, modulation.START] = np.minimum(1.0, self._levels[:, -1])
        self._envelopes[modulation.AMPLITUDE, modulation.START] = min(
            1.0, self._levels[modulation.AMPLITUDE, -1] * before / self._motion.gain
        )
        self._routing = _routing(self.settings, event)

    def render(self, frames: int) -> Samples:
        """The voice's next `frames` frames, [frames, 2]."""
        ticks = -(-(frames - len(self.left_over)) // TICK)
        fresh = self._render_ticks(ticks) if ticks > 0 else np.zeros((0, 2))
        ready = np.concatenate([self.left_over, fresh]) if len(self.left_over) else fresh
        self.left_over = ready[frames:].copy()
        return ready[:frames]

    def _render_ticks(self, ticks: int) -> Samples:
        settings, patch, bank = self.settings, self.settings.patch, self.settings.bank
        self._levels = levels = np.empty((len(self._envelopes), ticks + 1))
        tracks = np.empty((modulation.TRACKS, ticks + 1))
        modulation.modulate(self._motion, self._envelopes, self.ticks - self.note_tick, levels, tracks)
        source = np.zeros((settings.channels, ticks * TICK))
        increment = tracks[modulation.INCREMENT]
        if len(bank.ratio):
            oscillators.oscillate(
                bank.tables, bank.wave, bank.pulse, bank.ratio, bank.gain,
                self._phase, increment, tracks[modulation.WIDTH], source,
            )  # fmt: skip
        if patch.operators:
            routing = self._routing
            fm.operate(
                fm.SINE, routing.ratio, routing.offset, routing.target, routing.amount, routing.own,
                levels[modulation.NOISE + 1 :], increment, self._operator_phase, self._feedback, source,
            )  # fmt: skip
        if self._string is not None and patch.string is not None:
            string = self._string
            plucked.ring_string(
                string.line, string.excitation, string.pole, string.loop_gain, string.fraction,
                string.at, string.memory, patch.string.level, source,
            )  # fmt: skip
        if len(self._mode_state):
            modal.ring_modes(self._powers, self._mode_state, source)
        if patch.noise is not None:
            hz = patch.noise.hz * 2.0 ** (patch.noise.key_tracking * (self._event.pitch - MIDDLE_C) / 12.0)
            noise.add_noise(
                self._noise_seed, math.tan(math.pi * min(0.4, hz / settings.sample_rate)), 1.0 / patch.noise.q,
                1.0 if patch.noise.kind == "bandpass" else 0.0, patch.noise.level,
                levels[modulation.NOISE], self._noise_state, source,
            )  # fmt: skip
        out = np.empty((2, ticks * TICK))
        kind = filters.KINDS[patch.filter.kind] if patch.filter else filters.NONE
        resonance = patch.filter.resonance if patch.filter else 0.0
        filters.shape_voice(
            kind, resonance, tracks[modulation.CUTOFF], tracks[: modulation.GAIN_RIGHT + 1],
            self._filter_state, source, out,
        )  # fmt: skip
        self.ticks += ticks
        return out.T

    def _motion_of(self, event: NoteEvent, glide_from: float | None) -> modulation.Motion:
        patch, rate = self.settings.patch, self.settings.sample_rate
        key = event.pitch + patch.pitch.semitones
        louder = (event.velocity / USUAL_VELOCITY) ** (1.5 * patch.velocity)
        cutoff_hz, filter_octaves = 20_000.0, 0.0
        if patch.filter is not None:
            octaves = patch.filter.key_tracking * (key - MIDDLE_C) / 12.0
            octaves += patch.filter.velocity_octaves * (event.velocity - USUAL_VELOCITY)
            cutoff_hz = patch.filter.cutoff_hz * 2.0**octaves
            filter_octaves = patch.filter.envelope_octaves
        wobble = patch.wobble
        return modulation.Motion(
            seconds_per_tick=TICK / rate,
            sample_rate=float(rate),
            started_s=(self.start_frame + self.note_tick * TICK) / rate,
            hold_s=event.duration_frames / rate,
            gain=louder,
            pan=patch.pan_spread * (2.0 * float(self._chance[0]) - 1.0),
            key=float(key),
            glide_from=float(key) if glide_from is None else glide_from,
            glide_s=0.0 if glide_from is None else patch.pitch.glide_s,
            sweep_semitones=patch.pitch.sweep_semitones if glide_from is None else 0.0,
            sweep_s=patch.pitch.sweep_s,
            vibrato_cents=patch.pitch.vibrato_cents,
            vibrato_hz=patch.pitch.vibrato_hz,
            vibrato_delay_s=patch.pitch.vibrato_delay_s,
            vibrato_phase=float(self._chance[1]),
            drift_cents=patch.pitch.drift_cents,
            drift_phase=float(self._chance[2]),
            cutoff_hz=cutoff_hz,
            filter_octaves=filter_octaves,
            wobble_hz=self.settings.tempo_bpm / 60.0 / wobble.beats if wobble else 0.0,
            wobble_octaves=wobble.octaves if wobble else 0.0,
            wobble_shape=WOBBLE_SHAPES[wobble.shape] if wobble else 0.0,
            tremolo_hz=patch.tremolo.hz,
            tremolo_depth=patch.tremolo.depth,
            tremolo_pan=patch.tremolo.pan,
            pulse_width=patch.pulse.width,
            pulse_depth=patch.pulse.depth,
            pulse_hz=patch.pulse.hz,
        )

    def _pluck(self, event: NoteEvent) -> plucked.StringState | None:
        string = self.settings.patch.string
        if string is None:
            return None
        key = event.pitch + self.settings.patch.pitch.semitones
        octaves = (key - MIDDLE_C) / 12.0
        return plucked.pluck_string(
            440.0 * 2.0 ** ((key - 69.0) / 12.0),
            self.settings.sample_rate,
            decay_s=string.decay_s * 2.0 ** (-0.5 * octaves),
            treble_s=string.treble_s,
            hardness_hz=min(string.hardness_hz * 2.0 ** (2.0 * (event.velocity - USUAL_VELOCITY)), 20_000.0),
            position=string.position,
            noise=string.noise,
            seed=event.seed,
        )

    def _strike(self, event: NoteEvent) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        modes, rate = self.settings.patch.modes, self.settings.sample_rate
        if modes is None:
            return np.zeros((0, 2, TICK + 1)), np.zeros((0, 2))
        key = event.pitch + self.settings.patch.pitch.semitones
        octaves = (key - MIDDLE_C) / 12.0
        ratio, level = self.settings.modes
        # A stiff string's partials; the first is kept in tune.
        stiff = modes.stretch * 2.0**octaves
        stretched = ratio * np.sqrt((1.0 + stiff * ratio**2) / (1.0 + stiff))
        frequency = 440.0 * 2.0 ** ((key - 69.0) / 12.0) * stretched
        hardness = modes.hardness_hz * 2.0 ** (2.0 * (event.velocity - USUAL_VELOCITY) + 0.4 * octaves)
        amplitude = modes.level * level * np.exp(-frequency / hardness)
        decay = modes.decay_s * 2.0 ** (-modes.decay_key * octaves) * ratio**-modes.decay_slope
        heard = (frequency < 0.46 * rate) & (np.abs(amplitude) > 1e-5)
        frequency, amplitude, decay = frequency[heard], amplitude[heard], decay[heard]
        if modes.beating_cents > 0.0:
            apart = 2.0 ** (modes.beating_cents / 1200.0)
            frequency = np.concatenate([frequency / apart, frequency * apart])
            amplitude = np.concatenate([0.65 * amplitude, 0.35 * amplitude])
            decay = np.concatenate([decay, 2.2 * decay])
        # Each starts as a rising sine: the real part of -i.
        state = np.stack([np.zeros(len(amplitude)), -amplitude], axis=1)
        return modal.turning(frequency, decay, rate), state


def _routing(settings: VoiceSettings, event: NoteEvent) -> Routing:
    operators = settings.patch.operators
    amounts = []
    for operator in operators:
        amount = operator.level * (1.0 - operator.velocity + operator.velocity * event.velocity / USUAL_VELOCITY)
        if operator.to >= 0:
            amount *= 2.0 ** (-operator.key_scaling * (event.pitch - MIDDLE_C) / 12.0) / (2.0 * math.pi)
        amounts.append(amount)
    return Routing(
        np.array([operator.ratio for operator in operators]),
        np.array([operator.offset_hz / settings.sample_rate for operator in operators]),
        np.array([operator.to for operator in operators], np.int64),
        np.array(amounts),
        np.array([0.5 * operator.feedback / (2.0 * math.pi) for operator in operators]),
    )
