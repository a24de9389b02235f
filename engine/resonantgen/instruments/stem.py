"""Notes to the sound of one track: instrument, effects, the loop's folded tail, loudness.

A `StemStream` gives the first pass of a clip bar by bar, as it is played in real time. `render_stem` is the same
stream, whole, with what sounds on after the clip's end laid over its start, so that it loops as if it had always been
playing.
"""

from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from resonantgen.instruments.base import Instrument, NoteEvent, Samples, Sound
from resonantgen.instruments.chain import Chain, track_chain
from resonantgen.instruments.effects.inserts import AnyInsert
from resonantgen.instruments.kit import KitInstrument, load_kit
from resonantgen.instruments.limiter import Limiter
from resonantgen.instruments.loudness import block_powers, gated_loudness, integrated_loudness
from resonantgen.instruments.patch import load_patch
from resonantgen.instruments.synth import PatchInstrument
from resonantgen.music.notes import Note, Role, Score
from resonantgen.music.time import TempoMap

SILENT_LEVEL = 1e-5  # -100 dBFS
TAIL_BLOCK_SECONDS = 0.25
LONGEST_TAIL_SECONDS = 8.0
FADE_SECONDS = 0.05

LARGEST_GAIN_DB = 40.0  # a track that is nearly nothing is not blown up to its noise
LOUDNESS_TOLERANCE_LU = 0.1
LIMITER_ROUNDS = 8
LIMITER_RELEASE_SECONDS = 0.015  # quick: it shaves a drum's stroke and lets its body be
LIMITER_RANGE_DB = 12.0  # how far the limiter may be driven to make up for what it takes away


def note_event(note: Note, tempo: TempoMap) -> NoteEvent:
    """The note in samples. Its seed comes from its fields, so that the same note always sounds the same."""
    frame = tempo.sample_at(note.start_ticks)
    fields = struct.pack("<4q", note.start_ticks, note.pitch, note.duration_ticks, note.velocity)
    return NoteEvent(
        frame=frame,
        duration_frames=tempo.sample_at(note.end_ticks) - frame,
        pitch=note.pitch,
        velocity=note.velocity / 127,
        seed=int.from_bytes(hashlib.blake2b(fields, digest_size=4).digest(), "little"),
    )


def load_instrument(
    role: Role, sound: Sound, tempo: TempoMap, inserts: Sequence[AnyInsert] = ()
) -> tuple[Instrument, Chain]:
    """The instrument that a sound names, and the effects after it: its own, then `inserts`.

    Raises BadValue and PresetError.
    """
    if role is Role.DRUMS:
        kit = load_kit(sound.preset)
        chain = track_chain(role, [*kit.inserts, *inserts], sound.macros, tempo)
        return KitInstrument(kit, sound.macros, tempo.sample_rate), chain
    patch = load_patch(role, sound.preset)
    instrument = PatchInstrument(patch, sound.macros, tempo.sample_rate, float(tempo.tempo_bpm))
    return instrument, track_chain(role, [*patch.inserts, *inserts], sound.macros, tempo)


class StemStream:
    """The sound of one track, bar by bar, before its tail is folded and its loudness set. One thread at a time."""

    def __init__(
        self, role: Role, sound: Sound, tempo: TempoMap, inserts: Sequence[AnyInsert] = (), first_bar: int = 0
    ) -> None:
        """`inserts` are those of the style. The stream begins at `first_bar`, out of silence.

        Raises BadValue for an unknown preset and PresetError for one that is not valid.
        """
        self.tempo = tempo
        self._bar = first_bar  # the next one
        self._instrument, self._chain = load_instrument(role, sound, tempo, inserts)
        self._instrument_state = self._instrument.start()
        self._chain_state = self._chain.start()
        for state in (self._instrument_state, *self._chain_state.states):
            if hasattr(state, "frame"):  # what keeps to the tempo, such as a pump, knows where it stands
                state.frame = tempo.bar_sample(first_bar)

    def next_bar(self, notes: Sequence[Note]) -> Samples:
        """The next bar, [frames, 2], with the notes that start in it (counted from the clip's start)."""
        bar = self._bar
        self._bar += 1
        events = sorted((note_event(note, self.tempo) for note in notes), key=lambda event: (event.frame, event.pitch))
        return self.render(events, self.tempo.bar_sample(bar + 1) - self.tempo.bar_sample(bar))

    def tail(self) -> Samples:
        """What sounds after the last bar, until it is silent (or fades, after 8 s), [frames, 2]."""
        rate = self.tempo.sample_rate
        step, longest = round(TAIL_BLOCK_SECONDS * rate), round(LONGEST_TAIL_SECONDS * rate)
        blocks: list[Samples] = []
        frames, silent_frames = 0, 0
        while frames < longest and silent_frames <= self._chain.gap_frames:
            blocks.append(self.render([], step))
            frames += step
            silent_frames = silent_frames + step if np.abs(blocks[-1]).max() < SILENT_LEVEL else 0
        tail = np.concatenate(blocks)
        fade = round(FADE_SECONDS * rate)
        tail[-fade:] *= np.linspace(1.0, 0.0, fade)[:, None]
        return tail

    def render(self, events: Sequence[NoteEvent], frames: int) -> Samples:
        """The next frames, [frames, 2], with the notes that start in them: for those who do not go by bars."""
        return self._chain.render(self._chain_state, self._instrument.render(self._instrument_state, events, frames))


@dataclass(frozen=True, slots=True, eq=False)
class Stem:
    """A track's finished loop."""

    samples: Samples  # [frames, 2]
    loudness_lufs: float  # as measured; -inf for silence
    gain_db: float  # from the stream's level to this


def stream_bars(score: Score, role: Role, sound: Sound, tempo: TempoMap, bars: int) -> Iterator[Samples]:
    """The first pass of a score, bar by bar."""
    stream = StemStream(role, sound, tempo)
    for bar in range(bars):
        yield stream.next_bar(_bar_notes(score, tempo, bar))


def render_stem(
    score: Score,
    role: Role,
    sound: Sound,
    tempo: TempoMap,
    bars: int,
    lufs: float,
    inserts: Sequence[AnyInsert] = (),
    on_bar: Callable[[], None] | None = None,
) -> Stem:
    """A score as a loop of exactly `tempo.frames(bars)` frames at a loudness. Raises BadValue and PresetError.

    `on_bar` is called before each bar; what it raises ends the work.
    """
    stream = StemStream(role, sound, tempo, inserts)

    def blocks() -> Iterator[Samples]:
        for bar in range(bars):
            if on_bar is not None:
                on_bar()
            yield stream.next_bar(_bar_notes(score, tempo, bar))
        yield stream.tail()

    return at_loudness(fold(blocks(), tempo.frames(bars)), tempo.sample_rate, lufs)


def fold(blocks: Iterable[Samples], frames: int) -> Samples:
    """Lay what comes after the first `frames` frames over the start, as often as it takes, [frames, 2]."""
    loop = np.zeros((frames, 2))
    at = 0
    for block in blocks:
        while len(block):
            fitting, block = block[: frames - at], block[frames - at :]
            loop[at : at + len(fitting)] += fitting
            at = (at + len(fitting)) % frames
    return loop


def at_loudness(loop: Samples, sample_rate: int, lufs: float) -> Stem:
    """A loop [frames, 2] brought to a loudness, its true peaks held below -1 dBTP; silence stays silent.

    Where peaks have to be limited, the loop is driven into the limiter until its loudness is right again.
    """
    powers = block_powers(loop, sample_rate)
    loudness = gated_loudness(powers)
    if not math.isfinite(loudness):
        return Stem(loop, loudness, 0.0)
    gain_db = min(lufs - loudness, LARGEST_GAIN_DB)
    samples = loop * 10 ** (gain_db / 20)
    del loop  # 100 MB if it is long, and this was the last use of it
    limiter = Limiter(sample_rate, release_seconds=LIMITER_RELEASE_SECONDS)
    if not limiter.surely_below(float(np.abs(samples).max())):
        peaks = limiter.loop_peaks(samples, LIMITER_RANGE_DB)
        if float(peaks.max()) > limiter.ceiling:
            return _limited(samples, peaks, limiter, gain_db, lufs)
    return Stem(samples, gated_loudness(powers * 10 ** (gain_db / 10)), gain_db)


def _limited(scaled: Samples, peaks: Samples, limiter: Limiter, scaled_db: float, lufs: float) -> Stem:
    """A loop that is at its loudness but for its peaks, limited; `scaled_db` is the gain that it has had."""
    extra_db = 0.0
    tried: list[tuple[float, float]] = []  # extra gain and the loudness it gave
    samples = np.empty_like(scaled)
    for _ in range(LIMITER_ROUNDS):
        extra = 10 ** (extra_db / 20)
        np.multiply(scaled, (extra * limiter.loop_gains(peaks * extra))[:, None], out=samples)
        loudness = integrated_loudness(samples, limiter.sample_rate)
        if abs(lufs - loudness) < LOUDNESS_TOLERANCE_LU or extra_db >= LIMITER_RANGE_DB:
            break
        tried.append((extra_db, loudness))
        extra_db = min(_next_gain_db(tried, lufs), LIMITER_RANGE_DB)
    return Stem(samples, loudness, scaled_db + extra_db)


def _next_gain_db(tried: Sequence[tuple[float, float]], lufs: float) -> float:
    """Where the line through the last two tries meets the loudness that is wanted (the secant method)."""
    gain_db, loudness = tried[-1]
    slope = 0.7  # of loudness over gain, before there are two tries; 1 where nothing is limited
    if len(tried) > 1:
        earlier_gain_db, earlier_loudness = tried[-2]
        slope = min(max((loudness - earlier_loudness) / (gain_db - earlier_gain_db), 0.2), 1.0)
    return gain_db + (lufs - loudness) / slope


def _bar_notes(score: Score, tempo: TempoMap, bar: int) -> tuple[Note, ...]:
    return score.between(bar * tempo.meter.bar_ticks, (bar + 1) * tempo.meter.bar_ticks)
