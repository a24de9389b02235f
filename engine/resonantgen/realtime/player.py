"""The player: transport and mixer in a thread of the engine, which keeps the ring to the audio process filled.

Any thread may call its public methods. They leave their wishes in a queue, which the player's thread empties before
each block that it mixes. What the listener is told comes in the player's thread, after the block has been written.
"""

from __future__ import annotations

import gc
import sys
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Protocol

import numpy as np

from resonantgen.instruments.mix import MixStream
from resonantgen.music.notes import Role
from resonantgen.realtime.heard import Heard, Position, Problem
from resonantgen.realtime.lines import Region
from resonantgen.realtime.material import Change, Frames
from resonantgen.realtime.mixer import Mixer
from resonantgen.realtime.transport import Transport, fade_frames
from resonantgen.realtime.waiting import Arrangement
from resonantgen.session.setup import Strip

DEPTH_SECONDS = 0.06  # what the ring holds if it is not told otherwise
WAKE_SECONDS = 0.004
MOST_FRAMES = 1024  # mixed at a time
LEAST_FRAMES = 64
# A thread that wants to go on waits so long for one that computes in Python. numpy lets others go on in the midst of
# each operation on more than 500 numbers; with 40 of them in a block, a busy thread would starve this one.
SWITCH_SECONDS = 0.0005
PASSAGE_FRAMES = 240


class RingLike(Protocol):
    """What the player needs of a ring."""

    @property
    def written_frames(self) -> int: ...

    def free_frames(self) -> int: ...

    def fill_frames(self) -> int: ...

    def write(self, block: Frames) -> None: ...

    def time_of(self, frame: int) -> float | None:
        """When the frame of that number is heard (`time.monotonic`); None: not known yet."""
        ...


class Player:
    """Plays what it is given, around, without a gap. `mix_block` steps it; `start` runs it in a thread of its own."""

    def __init__(
        self,
        ring: RingLike,
        sample_rate: int,
        stems: bool = False,
        depth_frames: int | None = None,
        listener: Callable[[Heard], None] = lambda heard: None,
    ) -> None:
        self._ring = ring
        self._sample_rate = sample_rate
        self._depth_frames = round(DEPTH_SECONDS * sample_rate) if depth_frames is None else depth_frames
        self._listener = listener
        self._wishes: deque[Callable[[], None]] = deque()
        self._told: deque[Heard] = deque()
        self._transport = Transport(sample_rate, ring.written_frames, self._told.append)
        self._mixer = Mixer(sample_rate, stems, self._told.append)
        self._limited = not stems
        self._stream: MixStream | None = None  # None: not begun
        self._standing = self._transport.standing
        self._asked_to_play = False
        self._reported = ""
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self._switch_seconds = sys.getswitchinterval()

    @property
    def channels(self) -> int:
        """Of the output: 2, or with stems 2 for each role."""
        return self._mixer.channels

    @property
    def depth_frames(self) -> int:
        """How far ahead of the device it mixes."""
        return self._depth_frames

    @property
    def fade_frames(self) -> int:
        """How long before a bar line a change has to come to be made there."""
        return fade_frames(self._sample_rate)

    # -- from any thread ----------------------------------------------------------------------------------------------
    def change(self, change: Change) -> None:
        """Play this from the next bar line on whose bar all of its materials cover; at once while nothing plays.

        A newer change to a track replaces one that waits; one of another grid than those that wait replaces them all.
        Finding the notes' frames takes the caller some milliseconds.
        """
        assert change.grid.tempo.sample_rate == self._sample_rate, change.grid
        self._wishes.append(partial(self._transport.change, Arrangement.of(change, self._standing.deck)))

    def play(self, on: bool) -> None:
        """Play, or stop where it is."""
        self._asked_to_play = on
        self._wishes.append(partial(self._play, on))

    def seek(self, bar0: int, ticks_in_bar: int = 0) -> None:
        """Go to a place in the loop; modulo its length."""
        self._wishes.append(partial(self._transport.seek, bar0, ticks_in_bar))

    def set_loop(self, around: bool, first_bar0: int = 0, bars: int = 0) -> None:
        """Play these bars around, or once and stop; 0 bars: to the end."""
        self._wishes.append(partial(self._transport.set_region, Region(around, first_bar0, bars)))

    def set_strip(self, role: Role, strip: Strip) -> None:
        self._wishes.append(lambda: self._mixer.set_strip(role, strip, self._transport.frame))

    def align(self, quarters: float, at_seconds: float) -> None:
        """Be heard so many quarter notes into the loop, modulo its length, at that time (`time.monotonic`).

        Differences below 8 ms are left alone. Nothing happens while nothing plays or the ring does not know its times.
        """
        self._wishes.append(partial(self._align, quarters, at_seconds))

    @property
    def asked_to_play(self) -> bool:
        """Whether it plays or soon will: what was asked last, unless it has come to the end of what is played once."""
        return self._asked_to_play

    def position(self) -> Position:
        """Where the mix is."""
        standing = self._standing
        deck = standing.deck
        if deck is None:
            return Position(0, 0, standing.playing, None, standing.frame)
        grid = deck.lines.grid
        bar, tick = divmod(grid.tempo.tick_at(deck.frame), grid.tempo.meter.bar_ticks)
        return Position(bar, tick, standing.playing, grid, standing.frame)

    def next_line(self, after_seconds: float = 0.0) -> tuple[int, float]:
        """The next bar line for which a change can come in so many seconds: the loop's bar that begins there, and the
        seconds from now until it is decided what sounds from it on.

        While nothing plays: the bar that would be played, and 0.
        """
        bar, frames = self._standing.next_line(self.fade_frames, round(after_seconds * self._sample_rate))
        return bar, frames / self._sample_rate

    # -- the player's thread ------------------------------------------------------------------------------------------
    def mix_block(self, frames: int) -> Frames:
        """The next frames of the output, [frames, channels]."""
        block = self._mix(frames)
        self._deliver()
        return block

    def _mix(self, frames: int) -> Frames:
        for _ in range(len(self._wishes)):  # those that come meanwhile can wait: a flood must not hold up the sound
            self._grant(self._wishes.popleft())
        to_play = self._transport.standing.waiting_to_play
        count = frames
        if self._limited and self._stream is None:
            self._stream = MixStream(self._sample_rate)
            count += self._stream.latency_frames  # mixed ahead, so that the limiter's output is on time
        out = np.zeros((count, self.channels))
        done = 0
        while done < count:
            passage = self._transport.next(min(count - done, self._mixer.frames_to_meter, PASSAGE_FRAMES))
            self._mixer.add(passage, out[done : done + passage.frames])
            done += passage.frames
        self._standing = self._transport.standing
        if to_play and not self._standing.waiting_to_play:
            self._asked_to_play = False  # it came to the end
        if self._stream is not None:
            out = self._stream.render([out])[count - frames :]
        return out.astype(np.float32)

    def _grant(self, wish: Callable[[], None]) -> None:
        """One that fails costs no sound."""
        try:
            wish()
        except Exception as error:
            self._report(error)

    def _deliver(self) -> None:
        while self._told:
            self._listener(self._told.popleft())

    def _play(self, on: bool) -> None:
        self._transport.play(on)
        self._asked_to_play = on  # once more: it may have come to the end since it was asked

    def _align(self, quarters: float, at_seconds: float) -> None:
        frame = self._ring.written_frames
        heard_at = self._ring.time_of(frame)
        if heard_at is not None:
            self._transport.align(quarters, frame + round((at_seconds - heard_at) * self._sample_rate))

    # -- the thread ---------------------------------------------------------------------------------------------------
    def start(self) -> None:
        """Run in a thread. It lets threads of this process take turns more often than Python does by itself."""
        assert self._thread is None
        sys.setswitchinterval(min(self._switch_seconds, SWITCH_SECONDS))
        gc.freeze()  # what was made until now is not looked through again in the middle of playing
        self._closing.clear()
        self._thread = threading.Thread(target=self._run, name="player", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread. The ring stays as it is."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
            gc.unfreeze()
            sys.setswitchinterval(self._switch_seconds)

    def _run(self) -> None:
        while True:
            try:
                self._fill()
            except Exception as error:
                self._report(error)
            if self._closing.wait(WAKE_SECONDS):
                return

    def _fill(self) -> None:
        """Mix until the ring is as full as it shall be."""
        while not self._closing.is_set():
            frames = min(self._ring.free_frames(), self._depth_frames - self._ring.fill_frames(), MOST_FRAMES)
            if frames < min(LEAST_FRAMES, self._depth_frames):
                return
            self._ring.write(self._mix_or_silence(frames))
            self._deliver()

    def _mix_or_silence(self, frames: int) -> Frames:
        try:
            return self._mix(frames)
        except Exception as error:
            self._report(error)
            self._transport.frame = self._ring.written_frames + frames
            self._stream = None  # it may be anywhere by now
            return np.zeros((frames, self.channels), np.float32)

    def _report(self, error: Exception) -> None:
        """Tell of an error, once until there is another one."""
        message = f"The player failed at something and goes on: {type(error).__name__}: {error}"
        if message != self._reported:
            self._reported = message
            with suppress(Exception):
                self._listener(Problem(message, self._ring.written_frames))
