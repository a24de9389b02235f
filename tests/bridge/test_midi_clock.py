"""MIDI clock: simulated masters with jitter, lost ticks, tempo changes and coarse times."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection

import pytest

from resonantgen_bridge.midi_clock import Align, ClockAction, MidiClock, Play, Seek, Tempo

JITTER_SECONDS = 0.001


def told(
    tempo: Callable[[float], float],
    beats: int,
    seed: int,
    *,
    jitter_seconds: float = JITTER_SECONDS,
    lost: Collection[int] = (),
    block_seconds: float = 0.0,
) -> list[tuple[float, float]]:
    """(beat, tempo) of what the clock tells of a master whose tempo at each beat is `tempo(beat)`."""
    print(f"seed {seed}")
    dice, clock, at, result = random.Random(seed), MidiClock(), 1000.0, []
    for index in range(beats * 24):
        at += 60 / (24 * tempo(index / 24)) if index else 0
        if index in lost:
            continue
        seen = at + dice.uniform(-jitter_seconds, jitter_seconds)
        if block_seconds:
            seen = (seen // block_seconds + 1) * block_seconds
        result += [(index / 24, action.bpm) for action in clock.tick(seen) if isinstance(action, Tempo)]
    return result


@pytest.mark.parametrize("bpm", [60, 87, 90, 100, 120, 128, 133, 140, 174, 200])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_whole_tempos_are_known_within_two_beats_and_never_told_again(bpm: int, seed: int) -> None:
    result = told(lambda _: bpm, 40, seed)

    assert [tempo for _, tempo in result] == [bpm]
    assert result[0][0] <= 2


@pytest.mark.parametrize("seed", range(20))
def test_tenths_are_found_and_kept(seed: int) -> None:
    bpm = round(random.Random(seed).uniform(60, 200), 1)
    result = told(lambda _: bpm, 40, seed)

    assert abs(result[0][1] - bpm) <= 0.5 and result[0][0] <= 2
    assert result[-1][1] == pytest.approx(bpm, abs=0.001)
    assert len(result) <= 4


@pytest.mark.parametrize(("before", "after"), [(120, 126), (120, 60), (60, 180), (120, 121), (174, 87)])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_tempo_change_is_followed(before: int, after: int, seed: int) -> None:
    result = told(lambda beat: before if beat < 16 else after, 32, seed)

    assert result[0][1] == before
    first_beat, _ = result[1]
    assert 16 < first_beat <= 20
    assert result[-1][1] == after


@pytest.mark.parametrize("lost", [{5}, {30}, {60}, {100, 101}, {700}])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_lost_ticks_change_nothing(lost: set[int], seed: int) -> None:
    assert [tempo for _, tempo in told(lambda _: 120, 40, seed, lost=lost)] == [120]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_times_in_blocks_of_a_tick_are_measured_over_longer(seed: int) -> None:
    result = told(lambda _: 120, 48, seed, block_seconds=1024 / 48_000)

    assert result[-1][1] == 120
    assert result[-1][0] <= 16
    assert len(result) <= 2


def run(clock: MidiClock, first: int, count: int, period: float = 60 / (24 * 120)) -> list[ClockAction]:
    """Exact ticks; tick n is at n periods."""
    return [action for index in range(first, first + count) for action in clock.tick(index * period)]


def aligned(actions: list[ClockAction]) -> list[Align]:
    return [action for action in actions if isinstance(action, Align)]


def test_nothing_is_aligned_before_the_master_plays() -> None:
    assert aligned(run(MidiClock(), 0, 100)) == []


def test_start_goes_to_the_beginning_and_aligns_each_beat() -> None:
    clock = MidiClock()
    run(clock, 0, 30)

    assert clock.start() == [Seek(0.0), Play(True)]
    beats = aligned(run(clock, 30, 49))

    assert [beat.quarters for beat in beats] == [0, 1, 2]
    assert [beat.at_seconds for beat in beats] == pytest.approx([30 / 48, 54 / 48, 78 / 48], abs=1e-6)


def test_stop_and_continue_go_on_where_it_was() -> None:
    clock = MidiClock()
    clock.start()
    run(clock, 0, 36)  # one beat and a half

    assert clock.stop() == [Play(False)]
    assert aligned(run(clock, 36, 100)) == []
    assert clock.resume() == [Play(True)]
    assert [beat.quarters for beat in aligned(run(clock, 136, 30))] == [2]


def test_a_song_position_is_where_it_continues() -> None:
    clock = MidiClock()
    run(clock, 0, 30)

    assert clock.song_position(16) == [Seek(4.0)]
    clock.resume()
    assert [beat.quarters for beat in aligned(run(clock, 30, 25))] == [4, 5]


def test_a_lost_tick_leaves_the_song_position_right() -> None:
    clock = MidiClock()
    clock.start()
    run(clock, 0, 100)
    beats = aligned(run(clock, 101, 60))

    assert [beat.quarters for beat in beats] == [5, 6]
    assert [beat.at_seconds for beat in beats] == pytest.approx([120 / 48, 144 / 48], abs=1e-6)


def test_after_a_pause_the_tempo_is_measured_anew() -> None:
    clock = MidiClock()
    assert [action.bpm for action in run(clock, 0, 60) if isinstance(action, Tempo)] == [120]
    later = [a for i in range(60) for a in clock.tick(10 + i * 60 / (24 * 90)) if isinstance(a, Tempo)]

    assert [action.bpm for action in later] == [90]


def test_tempos_that_cannot_be_played_are_not_told() -> None:
    clock = MidiClock()
    assert run(clock, 0, 200, period=60 / (24 * 900)) == []


def test_a_burst_of_ticks_at_one_time_is_survived() -> None:
    clock = MidiClock()
    assert run(clock, 0, 100, period=0.0) == []
    told = [a.bpm for i in range(100) for a in clock.tick(1 + i * 60 / (24 * 120)) if isinstance(a, Tempo)]

    assert told == [120]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_any_times_and_messages_are_survived(seed: int) -> None:
    print(f"seed {seed}")
    dice, clock, at = random.Random(seed), MidiClock(), 0.0
    for _ in range(5_000):
        at += dice.choice([0.0, 0.0, 1e-6, 0.01, 0.02, 0.02, 0.021, 0.5, 2.0, -0.01])
        match dice.randrange(12):
            case 0:
                actions = clock.start()
            case 1:
                actions = clock.stop()
            case 2:
                actions = clock.resume()
            case 3:
                actions = clock.song_position(dice.randrange(1 << 14))
            case _:
                actions = clock.tick(at)
        assert all(20 <= action.bpm <= 400 for action in actions if isinstance(action, Tempo))
