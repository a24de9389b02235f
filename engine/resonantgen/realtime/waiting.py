"""Changes that wait for a bar line that they can take effect on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from resonantgen.realtime.deck import NO_TRACKS, ROLES, Deck, Tracks, Voice
from resonantgen.realtime.lines import Lines, lines_of
from resonantgen.realtime.material import Change, Material


@dataclass(frozen=True, slots=True, eq=False)
class Arrangement:
    """A change made ready to play: the voices of some tracks, by their place among ROLES."""

    lines: Lines
    voices: Mapping[int, Voice | None]

    @classmethod
    def of(cls, change: Change, playing: Deck | None = None) -> Arrangement:
        """Takes some milliseconds, but for what plays already: for callers, not for the player's thread."""
        lines = lines_of(change.grid)
        tracks = playing.tracks if playing is not None and playing.lines.grid == change.grid else ()
        ready = [voice for track in tracks for voice in track.voices]
        voices = {
            ROLES.index(role): None if material is None else _voice_of(material, lines, ready)
            for role, material in change.materials.items()
        }
        return cls(lines, voices)

    def covers(self, bar: int) -> bool:
        return all(voice is None or voice.covers(bar) for voice in self.voices.values())

    def can_begin(self, bar: int, tracks: Tracks) -> bool:
        """Whether tracks can go on with it from a bar on. What they have begun already has no first bar to wait for."""
        return all(voice is None or voice.covers(bar) or tracks[i].has_begun(voice) for i, voice in self.voices.items())

    def without(self, indices: Mapping[int, object]) -> Arrangement:
        return Arrangement(self.lines, {i: voice for i, voice in self.voices.items() if i not in indices})

    def on(self, tracks: Tracks) -> Tracks:
        """The tracks after it."""
        return tuple(track.given(self.voices[i]) if i in self.voices else track for i, track in enumerate(tracks))


class Waiting:
    """What has been asked for and has not begun. All of it is for one grid: that of the newest change."""

    def __init__(self) -> None:
        self._arrangements: list[Arrangement] = []

    def add(self, new: Arrangement) -> None:
        """A newer change to a track replaces an older one, and a change of another grid replaces all."""
        kept = (old.without(new.voices) for old in self._arrangements if old.lines.grid == new.lines.grid)
        self._arrangements = [*(old for old in kept if old.voices), new]

    def take_for(self, deck: Deck, bar: int) -> tuple[Lines, Tracks, int]:
        """What plays from a bar line on where `bar` of the deck's loop would begin: lines, tracks and bar.

        What can begin there waits no more.
        """
        lines, tracks = deck.lines, deck.tracks
        waiting, self._arrangements = self._arrangements, []
        if waiting and waiting[0].lines.grid != lines.grid:
            new = waiting[0].lines
            if all(arrangement.covers(bar % new.bar_count) for arrangement in waiting):
                return new, _after(NO_TRACKS, waiting), bar % new.bar_count
            self._arrangements = waiting
            return lines, tracks, bar
        beginning = [arrangement for arrangement in waiting if arrangement.can_begin(bar, tracks)]
        self._arrangements = [arrangement for arrangement in waiting if arrangement not in beginning]
        return lines, _after(tracks, beginning), bar

    def take_all(self, deck: Deck | None) -> Deck | None:
        """The deck, which does not play, with everything that waits; in another grid at the start of its bar."""
        waiting, self._arrangements = self._arrangements, []
        if not waiting:
            return deck
        lines = waiting[0].lines
        if deck is None:
            return Deck.at(lines, _after(NO_TRACKS, waiting), 0, False)
        if deck.lines.grid == lines.grid:
            return Deck.at(lines, _after(deck.tracks, waiting), deck.frame, False)
        frame = lines.bars[deck.lines.bar_at(deck.frame) % lines.bar_count]
        return Deck.at(lines, _after(NO_TRACKS, waiting), frame, False)


def _voice_of(material: Material, lines: Lines, ready: list[Voice]) -> Voice:
    """Looks no note up again that a voice has looked up."""
    for voice in ready:
        if voice.material is material:
            return voice
        if material.extends(voice.material):
            return voice.with_more(material)
    return Voice.of(material, lines)


def _after(tracks: Tracks, arrangements: list[Arrangement]) -> Tracks:
    for arrangement in arrangements:
        tracks = arrangement.on(tracks)
    return tracks
