"""What a host gets from the plugin is what the engine made, each sample at its place: in VST3, LV2 and CLAP."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from plugin_host import Block
from plugin_hosts import FORMATS, RATES, HostProcess, journey, loaded, needs_plugin, places_of, song
from scripted_engine import read_sound, scripted_engine, sound

pytestmark = needs_plugin


def expected(blocks: list[Block], rate: int, track: int) -> NDArray[np.float32]:
    """The sound of epoch 1, and silence where the host stands still."""
    playing = np.concatenate([np.full(block.size, block.playing) for block in blocks])
    return np.where(playing[:, None], sound(1, track, places_of(blocks, rate)), np.float32(0))


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("kind", FORMATS)
def test_every_sample_is_at_its_place_through_seeks_loops_and_all_block_sizes(kind: str, rate: int) -> None:
    tempo = {44_100: 120.0, 48_000: 97.3, 96_000: 171.123}[rate]
    blocks = journey(rate, tempo, seed=rate)
    with scripted_engine() as engine, loaded(kind, engine.address, rate) as plugin:
        plugin.set(Track=3, Wait_for_engine=1)
        played = plugin.play(blocks)
        assert not np.isnan(played.samples).any()
        wrong = np.flatnonzero((played.samples != expected(blocks, rate, track=3)).any(axis=1))
        assert not len(wrong), (
            f"{len(wrong)} of {len(played.samples)} are wrong; at {wrong[:5]}: {tell(played.samples[wrong[:5]])}"
        )
        assert engine.connection().underruns() == 0
        assert len(engine.connection().epochs) == 1  # all of that is one clock


def tell(samples: NDArray[np.float32]) -> list[tuple[int, int, int]]:
    """(epoch, track, place) of each."""
    return [(int(e), int(t), int(p)) for e, t, p in zip(*read_sound(samples), strict=True)]


@pytest.mark.parametrize("block", [16, 512, 8192])
@pytest.mark.parametrize("rate", RATES)
def test_an_offline_render_is_complete_to_the_sample(rate: int, block: int) -> None:
    """By dawdreamer, with nothing before it: the render starts when the plugin has barely been loaded."""
    with scripted_engine() as engine, HostProcess(engine.address) as host:
        samples = host.render(rate, block, 2.0, settings={"Track": 2, "Wait for engine": 1})
        assert len(samples) == 2 * rate
        assert np.array_equal(samples, sound(1, 2, range(2 * rate)))


@pytest.mark.parametrize("kind", FORMATS)
def test_each_instance_plays_its_own_track(kind: str) -> None:
    with scripted_engine() as engine, HostProcess(engine.address) as host:
        instances = [host.load(kind) for _ in range(4)]
        blocks = song([512] * 40, 48_000)
        for track, instance in enumerate(instances, 1):
            instance.set(Track=track, Wait_for_engine=1)
        for track, instance in enumerate(instances, 1):
            assert np.array_equal(instance.play(blocks).samples, expected(blocks, 48_000, track))
        for instance in instances:
            instance.close()


@pytest.mark.parametrize("kind", FORMATS)
def test_gain_scales_what_is_heard_and_nothing_else(kind: str) -> None:
    blocks = song([512] * 20, 48_000)
    with scripted_engine() as engine, loaded(kind, engine.address) as plugin:
        plugin.set(Wait_for_engine=1)
        whole = plugin.play(blocks).samples
        assert np.array_equal(whole, expected(blocks, 48_000, track=1))
        plugin.set(Gain=-12.0)
        quieter = plugin.play(blocks).samples[1024:]  # it glides there
        assert np.allclose(quieter, whole[1024:] * 10 ** (-12 / 20), rtol=1e-5)


@pytest.mark.parametrize("kind", FORMATS)
def test_a_change_of_track_is_heard_from_a_bar_line_on(kind: str) -> None:
    rate = 48_000
    with scripted_engine() as engine, loaded(kind, engine.address, rate) as plugin:
        plugin.set(Wait_for_engine=1)
        plugin.play(song([512] * 10, rate))
        connection = engine.connection()
        plugin.set(Track=4)
        plugin.play(song([512], rate, start=5120))
        connection.wait_for_status("track 4", lambda status: status.track == 4)
        connection.wait_until_it_is_heard()
        blocks = song([512] * 200, rate, start=5632)
        epochs, tracks, _ = read_sound(plugin.play(blocks).samples)
        at = connection.epochs[-1].start - 5632
        assert (at + 5632) % (2 * rate) == 0
        assert set(tracks[: at - 480]) == {1} and set(tracks[at:]) == {4}
        assert set(epochs[at:]) == {connection.epochs[-1].epoch}
