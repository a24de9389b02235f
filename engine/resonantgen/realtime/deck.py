"""What sounds, and where in the loop: voices (materials made ready to play), tracks, decks. Frozen values."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from resonantgen.instruments.base import Samples
from resonantgen.music.notes import Note, Role
from resonantgen.realtime.lines import Lines
from resonantgen.realtime.material import Material

ROLES: tuple[Role, ...] = tuple(Role)


@dataclass(frozen=True, slots=True, eq=False)
class Voice:
    """A material on the lines of its loop, with the frames of its notes."""

    material: Material
    lines: Lines
    onsets: tuple[int, ...]  # of each note, in frames of the loop
    durations: tuple[int, ...]

    @classmethod
    def of(cls, material: Material, lines: Lines) -> Voice:
        """Takes a few milliseconds for hundreds of notes: for callers, not for the player's thread."""
        samples, sample_at = material.samples, lines.grid.tempo.sample_at
        assert samples.ndim == 2 and samples.shape[1] == 2 and samples.dtype == np.float32, material.name
        assert material.partial or (material.first_frame == 0 and len(samples) == lines.frames), material.name
        assert len(samples) <= lines.frames, material.name
        notes = [(sample_at(note.start_ticks), sample_at(note.end_ticks)) for note in material.notes]
        return cls(material, lines, tuple(start for start, _ in notes), tuple(end - start for start, end in notes))

    def with_more(self, material: Material) -> Voice:
        """With a material that extends its own."""
        return replace(self, material=material)

    def goes_on_as(self, new: Voice | None) -> bool:
        """Whether nobody hears when the new one takes over."""
        return new is not None and (
            new is self or (new.lines.grid == self.lines.grid and new.material.extends(self.material))
        )

    def covers(self, bar: int) -> bool:
        """Whether it has all of a bar's sound."""
        start, end = self.lines.bars[bar], self.lines.bars[bar + 1]
        return (start - self.material.first_frame) % self.lines.frames + end - start <= len(self.material.samples)

    def read(self, frame: int, frames: int) -> Samples:
        """Its sound from a frame of the loop on, [frames, 2]; silence where it has none."""
        samples, length = self.material.samples, self.lines.frames
        start = (frame - self.material.first_frame) % length
        if start + frames <= len(samples):
            return samples[start : start + frames].astype(np.float64)
        sound = np.zeros((frames, 2))
        done = 0
        while done < frames:
            part = samples[start : start + frames - done]
            sound[done : done + len(part)] = part
            done += min(length - start, frames - done)
            start = 0
        return sound

    def notes(self, frame: int, frames: int) -> Iterator[tuple[int, Note, int]]:
        """The notes that start in frames that do not cross the loop's end: how far in, note, duration in frames."""
        index = bisect_left(self.onsets, frame)
        while index < len(self.onsets) and self.onsets[index] < frame + frames:
            yield self.onsets[index] - frame, self.material.notes[index], self.durations[index]
            index += 1


@dataclass(frozen=True, slots=True)
class Track:
    """What a track has to play: a whole loop, and before it some bars of the next one while that is rendered."""

    whole: Voice | None = None
    preview: Voice | None = None

    def given(self, voice: Voice | None) -> Track:
        """With new sound, or with silence. What it has already goes on as it is."""
        if voice is None:
            return Track()
        voice = next((each for each in self.voices if each.material is voice.material), voice)
        return Track(self.whole, voice) if voice.material.partial else Track(voice)

    def has_begun(self, voice: Voice) -> bool:
        """Whether it has that already, or less of the same."""
        return any(each.goes_on_as(voice) for each in self.voices)

    @property
    def voices(self) -> tuple[Voice, ...]:
        """What it has."""
        return tuple(voice for voice in (self.whole, self.preview) if voice is not None)

    def voice(self, bar: int) -> Voice | None:
        """What sounds in a bar."""
        return self.preview if self.preview is not None and self.preview.covers(bar) else self.whole


Tracks: TypeAlias = tuple[Track, ...]  # in the order of ROLES
NO_TRACKS: Tracks = (Track(),) * len(ROLES)


@dataclass(frozen=True, slots=True, eq=False)
class Deck:
    """The tracks at a place in the loop. `voices` are those of the bar that it is in, or is about to reach."""

    lines: Lines
    tracks: Tracks
    frame: int
    playing: bool
    voices: tuple[Voice | None, ...]

    @classmethod
    def at(cls, lines: Lines, tracks: Tracks, frame: int, playing: bool) -> Deck:
        bar = lines.bar_at(frame)
        return cls(lines, tracks, frame, playing, tuple(track.voice(bar) for track in tracks))

    def moved(self, frames: int) -> Deck:
        """Later by so many frames, or earlier; one that stands still stays where it is."""
        return replace(self, frame=(self.frame + frames) % self.lines.frames) if self.playing else self

    def sounding(self, index: int) -> Voice | None:
        """The voice of a track, if it is to be heard."""
        return self.voices[index] if self.playing else None

    def continues(self, other: Deck) -> bool:
        """Whether it is where the other one is, going on as that one does."""
        return self.playing == other.playing and self.frame == other.frame and self.lines.grid == other.lines.grid


@dataclass(frozen=True, slots=True)
class Passage:
    """A stretch of the output in which nothing begins or ends. Decks are as they are at its start.

    While one deck fades into the other, `fading` says for which tracks: the others go on in `deck` untouched.
    """

    frame: int  # of the output stream
    frames: int
    deck: Deck | None  # None: there is no music yet
    leaving: Deck | None = None
    faded: int = 0  # frames of the fade that are done
    fading: tuple[bool, ...] = (False,) * len(ROLES)
