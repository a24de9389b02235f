"""How the plugin goes from one epoch to the next: on the bar line, or not at all."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from plugin_host import Block
from plugin_hosts import FORMATS, Loaded, loaded, needs_plugin, song
from scripted_engine import AT_ONCE, FADE, Announced, Connection, ScriptedEngine, read_sound, scripted_engine, sound

pytestmark = needs_plugin

RATE = 48_000
BAR = 2 * RATE  # frames, at 120 bpm
STARTED = 20 * 512  # frames that have been played when a test begins


@pytest.fixture(params=FORMATS)
def started(request: pytest.FixtureRequest) -> Iterator[tuple[ScriptedEngine, Connection, Loaded]]:
    """A plugin that waits for its engine, and has played epoch 1 up to STARTED."""
    with scripted_engine() as engine, loaded(request.param, engine.address, RATE) as plugin:
        plugin.set(Wait_for_engine=1)
        plugin.play(song([512] * 20, RATE))
        connection = engine.connection()
        connection.wait_until_it_is_heard()
        yield engine, connection, plugin


def crossfaded(first: int, second: Announced, frames: NDArray[np.int64]) -> NDArray[np.float64]:
    """As docs/plugin-link.md says: the first epoch, the crossfade, the second one."""
    old, new = (sound(epoch, 1, frames).astype(np.float64) for epoch in (first, second.epoch))
    place = np.clip((frames - (second.start - second.fade) + 0.5) / max(second.fade, 1), 0, 1)
    gain = np.where(frames >= second.start, 1.0, np.where(frames < second.start - second.fade, 0, ramp(place)))
    return old + (new - old) * gain[:, None]


def ramp(place: NDArray[np.float64]) -> NDArray[np.float64]:
    return 0.5 - 0.5 * np.cos(np.pi * place)


def after(start: int, frames: int, size: int = 512) -> tuple[list[Block], NDArray[np.int64]]:
    """Blocks from there on, and their frames."""
    return song([size] * (frames // size), RATE, start=start), np.arange(start, start + frames // size * size)


Started = tuple[ScriptedEngine, Connection, Loaded]


@pytest.mark.parametrize(("fade", "size"), [(FADE, 512), (FADE, 16), (FADE, 8192), (0, 512), (5000, 511), (1, 64)])
def test_a_new_epoch_is_crossfaded_to_on_its_bar_line(started: Started, fade: int, size: int) -> None:
    _, connection, plugin = started
    blocks, frames = after(STARTED, 9 * BAR // 8, size)
    second = connection.announce(BAR, fade=fade)
    connection.wait_until_it_is_heard()
    samples = plugin.play(blocks).samples
    model = crossfaded(1, second, frames)
    assert np.abs(samples - model).max() < 1e-6
    fading = (frames >= BAR - fade) & (frames < BAR)
    assert np.array_equal(samples[~fading], model[~fading].astype(np.float32))
    assert connection.wait_for_status("epoch 2", lambda status: status.epoch == 2)
    assert connection.underruns() == 0


def test_one_that_comes_too_late_changes_nothing_until_it_is_told_again(started: Started) -> None:
    _, connection, plugin = started
    late = connection.announce(STARTED - 1)
    connection.wait_until_it_is_heard()
    blocks, frames = after(STARTED, BAR // 2)
    assert np.array_equal(plugin.play(blocks).samples, sound(1, 1, frames))
    assert connection.status.epoch == 1
    again = connection.announce(BAR, epoch=late.epoch)
    connection.wait_until_it_is_heard()
    blocks, frames = after(int(frames[-1]) + 1, BAR)
    assert np.abs(plugin.play(blocks).samples - crossfaded(1, again, frames)).max() < 1e-6


def test_one_whose_crossfade_would_have_begun_is_too_late(started: Started) -> None:
    _, connection, plugin = started
    connection.announce(STARTED + FADE - 1)
    connection.wait_until_it_is_heard()
    blocks, frames = after(STARTED, BAR // 4)
    assert np.array_equal(plugin.play(blocks).samples, sound(1, 1, frames))


def test_of_one_that_waits_and_is_replaced_nobody_hears(started: Started) -> None:
    _, connection, plugin = started
    connection.announce(BAR)
    connection.wait_until_it_is_heard()
    second = connection.announce(BAR)
    assert second.epoch == 4  # of the same parity as the one that it replaces
    connection.wait_until_it_is_heard()
    blocks, frames = after(STARTED, 9 * BAR // 8)
    assert np.abs(plugin.play(blocks).samples - crossfaded(1, second, frames)).max() < 1e-6


@pytest.mark.parametrize("jump_to", [3 * BAR + 5, 0, STARTED + 3, BAR - FADE + 7], ids=str)
def test_a_jump_takes_the_new_one_at_once(started: Started, jump_to: int) -> None:
    _, connection, plugin = started
    second = connection.announce(BAR)
    connection.wait_until_it_is_heard()
    blocks, frames = after(jump_to, BAR // 4)
    assert np.array_equal(plugin.play(blocks).samples, sound(second.epoch, 1, frames))


def test_so_does_a_start(started: Started) -> None:
    _, connection, plugin = started
    plugin.play([block._replace(playing=False) for block in after(STARTED, 2048)[0]])
    second = connection.announce(BAR)
    connection.wait_until_it_is_heard()
    blocks, frames = after(STARTED, BAR // 4)
    assert np.array_equal(plugin.play(blocks).samples, sound(second.epoch, 1, frames))


def test_one_that_need_not_wait_plays_from_the_next_block_on(started: Started) -> None:
    _, connection, plugin = started
    second = connection.announce(BAR, flags=AT_ONCE)
    connection.wait_until_it_is_heard()
    blocks, frames = after(STARTED, BAR // 4)
    assert np.array_equal(plugin.play(blocks).samples, sound(second.epoch, 1, frames))


def test_one_of_the_same_parity_is_not_gone_over_to(started: Started) -> None:
    """It would lie where what plays lies: it plays on, without a gap."""
    _, connection, plugin = started
    connection.announce(BAR, epoch=3)
    connection.wait_until_it_is_heard()
    blocks, frames = after(STARTED, 9 * BAR // 8)
    assert np.array_equal(plugin.play(blocks).samples, sound(1, 1, frames))


def test_one_for_another_clock_is_not_gone_over_to(started: Started) -> None:
    engine, connection, plugin = started
    engine.manners.announces = False  # it would put that right
    connection.announce(BAR, clocks_on=7)
    connection.wait_for_more(2)
    blocks, frames = after(STARTED, 9 * BAR // 8)
    assert np.array_equal(plugin.play(blocks).samples, sound(1, 1, frames))


def test_one_whose_sound_does_not_come_is_not_gone_over_to(started: Started) -> None:
    """While the plugin does not wait for its engine."""
    engine, connection, plugin = started
    engine.manners.withheld = frozenset({2})
    plugin.set(Wait_for_engine=0)
    connection.announce(STARTED + 24 * 512)
    connection.wait_for_more(3)
    blocks, frames = after(STARTED, 32 * 512)  # less than is there
    assert np.array_equal(plugin.play(blocks).samples, sound(1, 1, frames))
    assert connection.underruns() == 0


@pytest.mark.parametrize("started", ["vst3", "clap"], indirect=True)  # as LV2, minihost tells bars of one tempo only
@pytest.mark.parametrize(
    ("tempo", "meter"), [(90.0, (4, 4)), (171.123, (4, 4)), (120.0, (3, 4)), (97.3, (7, 8)), (120.0, (3, 16))]
)
def test_a_new_tempo_or_meter_is_heard_from_its_next_bar_line_on(
    started: Started, tempo: float, meter: tuple[int, int]
) -> None:
    _, connection, plugin = started
    quarters = STARTED * 120 / (60 * RATE)
    per_frame = tempo / (60 * RATE)
    blocks = [Block(STARTED + at, 512, quarters + at * per_frame, tempo, *meter) for at in range(0, 5 * BAR // 2, 512)]
    samples = plugin.play(blocks).samples
    second = connection.epochs[1]
    assert len(connection.epochs) == 2 and second.clock != connection.epochs[0].clock
    bars = ((second.start - STARTED) * per_frame + quarters) / (4 * meter[0] / meter[1])
    assert abs(bars - round(bars)) < 1e-4  # on a bar line of the new clock
    at = second.start - STARTED
    frames = np.arange(STARTED, STARTED + len(samples))
    assert np.array_equal(samples[: at - FADE], sound(1, 1, frames[: at - FADE]))
    assert np.array_equal(samples[at:], sound(second.epoch, 1, frames[at:] - second.origin))
    assert (read_sound(samples)[0][at - FADE : at] > 0).all()
    assert connection.underruns() == 0
