"""The mixer: passages of the transport to sound, through each track's strip (gain, pan, mute, solo), and its meters.

Without a fade, at unity gain and pan 0, a track's samples pass exactly. One thread at a time: the player's.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from resonantgen.instruments.base import Samples
from resonantgen.music.notes import Role
from resonantgen.realtime.deck import ROLES, Passage, Voice
from resonantgen.realtime.heard import Heard, Level, Levels, NotePlayed, NotesOff
from resonantgen.realtime.transport import fade_frames
from resonantgen.session.setup import SILENT_GAIN_DB, Strip

METER_HZ = 20
RAMP_SECONDS = 0.01


def rise(frames: int) -> Samples:
    """From 0 to 1 along half a cosine; it would reach 1 on the frame behind the last, [frames]."""
    return np.asarray(0.5 - 0.5 * np.cos(np.pi * (np.arange(frames) + 0.5) / frames), np.float64)


def strip_gains(strip: Strip) -> tuple[float, float]:
    """Factors of the left and the right channel. 0 dB in the middle is exactly 1."""
    gain = 0.0 if strip.gain_db <= SILENT_GAIN_DB else 10 ** (strip.gain_db / 20)
    return gain * min(1.0, 1.0 - strip.pan), gain * min(1.0, 1.0 + strip.pan)


class _Fader:
    """The gains of one track on their way to where they shall be."""

    def __init__(self, ramp: Samples) -> None:
        self._ramp = ramp
        self._from = self._to = np.ones(2)
        self._done = len(ramp)
        self._unity, self._nothing = True, False  # where it goes

    @property
    def _settled(self) -> bool:
        return self._done >= len(self._ramp)

    @property
    def silent(self) -> bool:
        return self._settled and self._nothing

    def aim(self, left: float, right: float) -> None:
        """Go there from wherever it is."""
        if self._to[0] == left and self._to[1] == right:
            return
        if not self._settled:
            at = self._ramp[self._done - 1] if self._done else 0.0
            self._from = self._from + (self._to - self._from) * at
        else:
            self._from = self._to
        self._to, self._done = np.array([left, right]), 0
        self._unity, self._nothing = left == right == 1.0, left == right == 0.0

    def apply(self, sound: Samples) -> None:
        """To the next frames, in place; [frames, 2]."""
        if not self._settled:
            moving = self._ramp[self._done : self._done + len(sound), None]
            sound[: len(moving)] *= self._from + (self._to - self._from) * moving
            self._done += len(moving)
            sound = sound[len(moving) :]
        if len(sound) and not self._unity:
            sound *= self._to

    def skip(self, frames: int) -> None:
        """Move on while there is no sound."""
        self._done = min(self._done + frames, len(self._ramp))


class Mixer:
    """Adds the tracks up in stereo, or with `stems` beside each other: two channels for each role in order."""

    def __init__(self, sample_rate: int, stems: bool, tell: Callable[[Heard], None]) -> None:
        self._stems = stems
        self._tell = tell
        self._fade = rise(fade_frames(sample_rate))[:, None]
        ramp = rise(round(RAMP_SECONDS * sample_rate))
        self._faders = [_Fader(ramp) for _ in ROLES]
        self._strips = {role: Strip() for role in ROLES}
        self._audible = [True] * len(ROLES)
        self._meter_frames = sample_rate // METER_HZ
        self._metered = 0
        self._peaks = [0.0] * len(ROLES)
        self._energies = [0.0] * len(ROLES)

    @property
    def channels(self) -> int:
        return 2 * len(ROLES) if self._stems else 2

    @property
    def frames_to_meter(self) -> int:
        """A passage may not be longer than this."""
        return self._meter_frames - self._metered

    def set_strip(self, role: Role, strip: Strip, frame: int) -> None:
        """From that frame of the output on, which is the next to be mixed."""
        self._strips[role] = strip
        soloed = any(each.soloed for each in self._strips.values())
        for i, each in enumerate(ROLES):
            settings = self._strips[each]
            audible = not settings.muted and (settings.soloed or not soloed)
            if self._audible[i] and not audible:
                self._tell(NotesOff(each, frame))
            self._audible[i] = audible
            self._faders[i].aim(*(strip_gains(settings) if audible else (0.0, 0.0)))

    def add(self, passage: Passage, out: Samples) -> None:
        """A passage's sound to `out` [frames, channels], which is silent; and tell its notes."""
        self._tell_notes(passage)
        for i, fader in enumerate(self._faders):
            sound = self._sound(passage, i)
            if sound is None or fader.silent:
                fader.skip(passage.frames)
                continue
            fader.apply(sound)
            self._peaks[i] = max(self._peaks[i], float(sound.max()), -float(sound.min()))
            flat = sound.reshape(-1)
            self._energies[i] += float(flat @ flat)
            channels = out[:, 2 * i : 2 * i + 2] if self._stems else out
            channels += sound
        self._metered += passage.frames
        if self._metered == self._meter_frames:
            self._tell_levels(passage.frame + passage.frames)

    def _sound(self, passage: Passage, index: int) -> Samples | None:
        """A track's own, [frames, 2]; None: silence."""
        new = None if passage.deck is None else passage.deck.sounding(index)
        if passage.leaving is None or not passage.fading[index]:
            return None if new is None or passage.deck is None else new.read(passage.deck.frame, passage.frames)
        old = passage.leaving.sounding(index)
        before = _read(old, passage.leaving.frame, passage.frames)
        after = _read(new, 0 if passage.deck is None else passage.deck.frame, passage.frames)
        return before + (after - before) * self._fade[passage.faded : passage.faded + passage.frames]

    def _tell_notes(self, passage: Passage) -> None:
        deck = passage.deck
        if deck is None or not deck.playing:
            return
        played = []
        for i, role in enumerate(ROLES):
            voice = deck.voices[i]
            if voice is None or not self._audible[i]:
                continue
            for offset, note, duration in voice.notes(deck.frame, passage.frames):
                played.append(NotePlayed(role, note, passage.frame + offset, duration))
        for event in sorted(played, key=lambda event: event.frame):
            self._tell(event)

    def _tell_levels(self, frame: int) -> None:
        count = 2 * self._meter_frames
        levels = {
            role: Level(peak, math.sqrt(energy / count))
            for role, peak, energy in zip(ROLES, self._peaks, self._energies, strict=True)
        }
        self._tell(Levels(levels, frame))
        self._metered = 0
        self._peaks = [0.0] * len(ROLES)
        self._energies = [0.0] * len(ROLES)


def _read(voice: Voice | None, frame: int, frames: int) -> Samples:
    return np.zeros((frames, 2)) if voice is None else voice.read(frame, frames)
