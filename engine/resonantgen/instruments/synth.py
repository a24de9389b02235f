"""The pitched instrument: plays a patch, any number of notes at a time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from resonantgen.instruments import tone
from resonantgen.instruments.base import Macros, NoteEvent, Samples
from resonantgen.instruments.macros import with_macros
from resonantgen.instruments.patch import Patch
from resonantgen.instruments.voice import TICK, Voice, VoiceSettings

BLOCK_FRAMES = 4096  # rendered at a time, so that memory stays small however long a block is asked for
REST_S = 0.5  # for which the filters after the voices may ring
CLEAN_DB = -18.0  # drive at or below this is left out
DC_HZ = 5.0  # below which nothing passes
USUAL_PEAK = 0.25  # the level at which drive changes the tone and not the loudness


@dataclass(slots=True)
class SynthState:
    """The sounding voices, in the order in which they began, and the memory of what follows them."""

    frame: int
    tone: NDArray[np.float64]
    voices: list[Voice] = field(default_factory=list)


class PatchInstrument:
    """A patch with its macros, at a sample rate (Hz) and a tempo (quarter notes per minute)."""

    def __init__(self, patch: Patch, macros: Macros, sample_rate: int, tempo_bpm: float) -> None:
        self.patch = with_macros(patch, macros)
        self.sample_rate = sample_rate
        self._voice = VoiceSettings.of(self.patch, sample_rate, float(tempo_bpm))
        self._tone, self._formants = tone_settings(self.patch, sample_rate)

    @property
    def tail_frames(self) -> int:
        """After the last note is let go, the instrument is silent within this many frames."""
        return math.ceil((self.patch.amplitude.release_s + REST_S) * self.sample_rate) + 4 * TICK

    def start(self) -> SynthState:
        memory = np.zeros((3, tone.FORMANTS + 2 * len(self._formants)))
        for channel in memory[:2]:
            tone.rest(channel, self._tone.bias)
        return SynthState(0, memory)

    def render(self, state: SynthState, events: Sequence[NoteEvent], frames: int) -> Samples:
        """The next `frames` frames; `events` start within them, sorted by frame."""
        out = np.zeros((2, frames))
        block_start = state.frame
        due = list(events)
        while state.frame < block_start + frames:
            while due and due[0].frame <= state.frame:
                self._begin(state, due.pop(0))
            stop = min(block_start + frames, state.frame + BLOCK_FRAMES, due[0].frame if due else block_start + frames)
            self._advance(state, out[:, state.frame - block_start : stop - block_start])
        return out.T

    def _begin(self, state: SynthState, event: NoteEvent) -> None:
        if self.patch.mono:
            for voice in state.voices:
                if voice.choke_frame is not None:
                    continue
                if voice.released_frame > event.frame > voice.start_frame and self.patch.pitch.glide_s > 0.0:
                    voice.tie(event)
                    return
                voice.choke_frame = event.frame
        state.voices.append(Voice(self._voice, event))

    def _advance(self, state: SynthState, out: NDArray[np.float64]) -> None:
        """Fill `out` [2, frames], in which no note begins except at its start."""
        frames = out.shape[1]
        for voice in state.voices:
            rendered = voice.render(frames).T
            if voice.choke_frame is not None:
                left = voice.end_frame - np.arange(state.frame, state.frame + frames)
                rendered = rendered * np.clip(left / (voice.end_frame - voice.choke_frame), 0.0, 1.0)
            out += rendered
        state.frame += frames
        state.voices = [voice for voice in state.voices if voice.end_frame > state.frame]
        tone.finish(self._tone, self._formants, state.tone, out)


def tone_settings(patch: Patch, sample_rate: int) -> tuple[tone.ToneSettings, NDArray[np.float64]]:
    """The coefficients of a patch's end, and of its formants [formants, 3]."""
    settings = patch.tone

    def g(hz: float) -> float:
        return math.tan(math.pi * min(hz / sample_rate, 0.45)) if hz > 0.0 else 0.0

    drive = 10.0 ** (settings.drive_db / 20.0) if settings.drive_db > CLEAN_DB else 0.0
    bias = settings.bias if drive else 0.0
    pushed = [(drive * level + bias) / math.hypot(1.0, drive * level + bias) for level in (-USUAL_PEAK, USUAL_PEAK)]
    formants = [[g(f.hz), 1.0 / f.q, 10.0 ** (f.gain_db / 20.0)] for f in patch.formants]
    return (
        tone.ToneSettings(
            level_in=10.0 ** (patch.level_db / 20.0),
            low_cut_g=g(settings.low_cut_hz),
            drive=drive,
            bias=bias,
            makeup=2.0 * USUAL_PEAK / (pushed[1] - pushed[0]) if drive else 1.0,
            dry=settings.dry,
            tilt_pole=1.0 - math.exp(-2.0 * math.pi * settings.pivot_hz / sample_rate),
            tilt_low=10.0 ** (-settings.tilt_db / 40.0),
            tilt_high=10.0 ** (settings.tilt_db / 40.0),
            high_cut_g=g(settings.high_cut_hz),
            high_cut_steep=float(settings.high_cut_slope == 24),
            blocker=math.exp(-2.0 * math.pi * DC_HZ / sample_rate),
            width=settings.width,
            side_g=g(settings.mono_below_hz),
            level_out=10.0 ** (settings.level_db / 20.0),
            rest_frames=REST_S * sample_rate,
        ),
        np.array(formants, np.float64).reshape(len(formants), 3),
    )
