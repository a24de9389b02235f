"""The transport: which deck sounds at each frame of the output, and how one fades into the next. No sound in here.

A fade lasts `fade_frames` and is over exactly where its target begins: from a bar line on only the new material sounds,
so that a downbeat is whole. What is to happen on a bar line is therefore decided `fade_frames` before it. Jumps (seek,
play, stop, align) begin at once, but never within a fade or so close before a bar line that they would cross it.

One thread at a time: the player's. `Player` brings the callers' wishes here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from resonantgen.music.notes import Role
from resonantgen.music.time import TICKS_PER_QUARTER
from resonantgen.realtime.deck import NO_TRACKS, ROLES, Deck, Passage, Voice
from resonantgen.realtime.heard import BarLine, Beat, Heard, Moved, NotesOff, Stopped, Swapped
from resonantgen.realtime.lines import Region
from resonantgen.realtime.waiting import Arrangement, Waiting

FADE_SECONDS = 0.005
ALIGN_TOLERANCE_SECONDS = 0.008


def fade_frames(sample_rate: int) -> int:
    """How long a fade from one material or place to another lasts."""
    return round(FADE_SECONDS * sample_rate)


@dataclass(frozen=True, slots=True)
class _Place:
    bar: int
    ticks: int


@dataclass(frozen=True, slots=True)
class _Shift:
    frames: int  # from where it would be


@dataclass(frozen=True, slots=True)
class Standing:
    """Where the transport stands between two passages: for others to look at."""

    deck: Deck | None
    landing_frames: int  # until a fade is over and the deck is there; 0: it is
    frame: int  # of the output stream
    region: Region
    waiting_to_play: bool

    @property
    def playing(self) -> bool:
        return self.deck.playing if self.deck is not None else self.waiting_to_play

    def next_line(self, fade_frames: int, after_frames: int) -> tuple[int, int]:
        """The bar behind the first line that is decided in `after_frames` or later, and the frames until it is."""
        deck, region = self.deck, self.region
        if deck is None:
            return region.first, 0
        lines = deck.lines
        if not deck.playing:
            return lines.bar_at(deck.frame), 0
        place = (deck.frame + self.landing_frames) % lines.frames
        bar = lines.bar_at(place)
        frames = self.landing_frames + lines.until_bar(place) - fade_frames
        while True:
            following = region.after(bar, lines.bar_count)
            if following is None:  # it stops there, and changes take effect at once
                return region.span(lines.bar_count)[0], max(frames, 0)
            if frames >= max(after_frames, 1):
                return following, frames
            bar = following
            frames += lines.bars[bar + 1] - lines.bars[bar]


class Transport:
    """Gives the output's passages one after another, and tells what happens in them."""

    def __init__(self, sample_rate: int, first_frame: int, tell: Callable[[Heard], None]) -> None:
        self.frame = first_frame  # of the output stream; where the next passage begins
        self._sample_rate = sample_rate
        self._fade_frames = fade_frames(sample_rate)
        self._tell = tell
        self._region = Region()
        self._waiting = Waiting()
        self._deck: Deck | None = None
        self._leaving: Deck | None = None
        self._faded = 0
        self._fading = (False,) * len(ROLES)
        self._wants_to_play = False
        self._goal: _Place | _Shift | None = None
        self._bar_lines = 0

    # -- wishes -------------------------------------------------------------------------------------------------------
    def play(self, on: bool) -> None:
        self._wants_to_play = on

    def seek(self, bar: int, ticks: int) -> None:
        self._goal = _Place(bar, ticks)

    def set_region(self, region: Region) -> None:
        self._region = region

    def change(self, arrangement: Arrangement) -> None:
        self._waiting.add(arrangement)

    def align(self, quarters: float, frame: int) -> None:
        """Be so many quarter notes into the loop, modulo its length, at that frame of the output."""
        deck = self._deck
        if deck is None or not self._wants_to_play or isinstance(self._goal, _Place):
            return
        tempo = deck.lines.grid.tempo
        first, end = self._region.span(deck.lines.bar_count)
        start, length = deck.lines.bars[first], deck.lines.bars[end] - deck.lines.bars[first]
        loop_quarters = (end - first) * tempo.meter.bar_ticks / TICKS_PER_QUARTER
        frames_per_quarter = 60 * self._sample_rate / float(tempo.tempo_bpm)
        wanted = start + (round(quarters % loop_quarters * frames_per_quarter) + self.frame - frame) % length
        here = deck.frame if deck.playing else deck.frame - self._fade_frames
        difference = wanted - here
        if start <= deck.frame < start + length:  # then the shorter way round
            difference = (difference + length // 2) % length - length // 2
        if not deck.playing or abs(difference) > ALIGN_TOLERANCE_SECONDS * self._sample_rate:
            self._goal = _Shift(difference)
        else:
            self._goal = None

    # -- time ---------------------------------------------------------------------------------------------------------
    @property
    def standing(self) -> Standing:
        landing = 0 if self._leaving is None else self._fade_frames - self._faded
        return Standing(self._deck, landing, self.frame, self._region, self._wants_to_play)

    def next(self, most: int) -> Passage:
        """The next passage, of at most so many frames."""
        if self._leaving is None:
            self._announce()
            self._decide()
        frames = min(most, self._steady_frames(most))
        passage = Passage(self.frame, frames, self._deck, self._leaving, self._faded, self._fading)
        self._advance(frames)
        return passage

    def _steady_frames(self, most: int) -> int:
        """How long nothing happens from here on."""
        deck, leaving = self._deck, self._leaving
        if leaving is not None:
            to_ends = [each.lines.frames - each.frame for each in (deck, leaving) if each is not None and each.playing]
            return min(self._fade_frames - self._faded, *to_ends)
        if deck is None or not deck.playing:
            return most
        to_decision = deck.lines.until_bar(deck.frame) - self._fade_frames
        to_beat = deck.lines.until_beat(deck.frame)
        return min(to_beat, to_decision) if to_decision > 0 else to_beat

    def _advance(self, frames: int) -> None:
        self.frame += frames
        if self._deck is not None:
            self._deck = self._deck.moved(frames)
        if self._leaving is not None:
            self._leaving = self._leaving.moved(frames)
            self._faded += frames
            if self._faded == self._fade_frames:
                self._land()

    def _announce(self) -> None:
        """Tell the beat or bar line that is here."""
        deck = self._deck
        beat = deck.lines.beat_at(deck.frame) if deck is not None and deck.playing else None
        if beat is None:
            return
        if beat[1] == 0:
            self._bar_lines += 1
            self._tell(BarLine(beat[0], self.frame, self._bar_lines))
        self._tell(Beat(beat[0], beat[1], self.frame))

    # -- decisions ----------------------------------------------------------------------------------------------------
    def _decide(self) -> None:
        """Begin what is to begin here."""
        deck = self._deck
        if deck is None or not deck.playing:
            self._change_at_once()
            deck = self._deck
            if deck is None:
                return
        if deck.playing:
            to_line = deck.lines.until_bar(deck.frame)
            if to_line == self._fade_frames:
                self._approach_line(deck)
            if to_line <= self._fade_frames:
                return  # jumps wait until the line is crossed
        if self._goal is not None or self._wants_to_play != deck.playing:
            self._jump(deck)

    def _change_at_once(self) -> None:
        """While nothing plays, changes need no bar line."""
        before = self._deck
        after = self._waiting.take_all(before)
        if after is None or after is before:
            return
        if before is None:
            first, _ = self._region.span(after.lines.bar_count)
            after = Deck.at(after.lines, after.tracks, after.lines.bars[first], False)
            before = Deck.at(after.lines, NO_TRACKS, after.frame, False)
        self._deck = after
        self._tell_swaps(before, after)

    def _approach_line(self, deck: Deck) -> None:
        """A fade from here is over at the next bar line: decide what sounds from it on."""
        bar = self._region.after(deck.lines.bar_at(deck.frame), deck.lines.bar_count)
        if bar is None:
            self._wants_to_play = False
            self._begin(deck, Deck.at(deck.lines, deck.tracks, self._region_start(deck), False))
            return
        lines, tracks, bar = self._waiting.take_for(deck, bar)
        self._begin(deck, Deck.at(lines, tracks, lines.bars[bar], True))

    def _jump(self, deck: Deck) -> None:
        goal, self._goal = self._goal, None
        if isinstance(goal, _Place):
            frame = deck.lines.place(goal.bar, goal.ticks)
        else:
            shift = 0 if goal is None else goal.frames
            frame = deck.moved(self._fade_frames).frame + shift
        target = Deck.at(deck.lines, deck.tracks, self._kept_off_lines(deck, frame), self._wants_to_play)
        if deck.playing or target.playing:
            self._begin(deck, target)
        else:
            self._deck = target
            self._tell_swaps(deck, target)

    def _kept_off_lines(self, deck: Deck, frame: int) -> int:
        """A place from which the next bar line can be approached: one that is too close before it is taken as it."""
        frame %= deck.lines.frames
        if deck.lines.until_bar(frame) >= self._fade_frames:
            return frame
        bar = self._region.after(deck.lines.bar_at(frame), deck.lines.bar_count)
        return self._region_start(deck) if bar is None else deck.lines.bars[bar]

    def _region_start(self, deck: Deck) -> int:
        return deck.lines.bars[self._region.span(deck.lines.bar_count)[0]]

    # -- fades --------------------------------------------------------------------------------------------------------
    def _begin(self, deck: Deck, target: Deck) -> None:
        """Fade from a deck to a target that is reached in `fade_frames`, for the tracks that do not simply go on."""
        run_up = target.moved(-self._fade_frames)
        together = run_up.continues(deck)
        pairs = [(deck.sounding(i), run_up.sounding(i)) for i in range(len(ROLES))]
        self._deck = run_up
        self._fading = tuple(not _goes_on(old, new) or (old is not None and not together) for old, new in pairs)
        if together and not any(self._fading):
            return
        self._leaving, self._faded = deck, 0
        for role, fades, (old, _) in zip(ROLES, self._fading, pairs, strict=True):
            if fades and old is not None:
                self._tell(NotesOff(role, self.frame))

    def _land(self) -> None:
        leaving, deck = self._leaving, self._deck
        assert leaving is not None and deck is not None
        self._leaving, self._faded, self._fading = None, 0, (False,) * len(ROLES)
        self._tell_swaps(leaving, deck)
        if not deck.continues(leaving):
            self._tell(Moved(deck.playing, deck.frame, self.frame, deck.lines.grid))
        if leaving.playing and not deck.playing:
            self._tell(Stopped(self.frame))

    def _tell_swaps(self, before: Deck, after: Deck) -> None:
        bar = after.lines.bar_at(after.frame)
        for role, old, new in zip(ROLES, before.voices, after.voices, strict=True):
            if not _goes_on(old, new):
                self._tell(_swapped(role, new, bar, self.frame))


def _goes_on(old: Voice | None, new: Voice | None) -> bool:
    """Whether nobody hears when one takes over from the other."""
    return new is None if old is None else old.goes_on_as(new)


def _swapped(role: Role, voice: Voice | None, bar: int, frame: int) -> Swapped:
    if voice is None or not voice.material.partial:
        return Swapped(role, "" if voice is None else voice.material.name, bar, frame)
    part = voice.material
    return Swapped(role, part.name, bar, frame, part.gain_db, part.first_frame, len(part.samples))
