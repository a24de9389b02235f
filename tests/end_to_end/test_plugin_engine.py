"""The plugin in a host, and a real engine: what the host gets is what the engine exports, frame by frame."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from engine_process import EngineProcess, engine_process, make_project, needs_linux, wait_for
from plugin_host import Block
from plugin_hosts import FORMATS, RATES, HostProcess, journey, loaded, needs_plugin, song
from resonantgen.music.notes import Role
from resonantgen.music.time import TempoMap, parse_tempo
from resonantgen.realtime.transport import fade_frames
from resonantgen.session.session import Session

pytestmark = [needs_linux, needs_plugin]

TEMPO = 170.0  # of the project
OTHER = 97.3
SILENT = 10 ** (-60 / 20)  # no click is louder
ROLES = tuple(Role)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineProcess]:
    """One whose session stays as it is, whatever hosts do."""
    with engine_process(make_project(tmp_path_factory.mktemp("plugin") / "one.rg"), "--no-follow") as running:
        yield running
        assert not running.errors


class Model:
    """What a track plays on a host's bars, by docs/plugin-link.md: the stem, over and over."""

    def __init__(self, project: Path, role: Role, rate: int, tempo: float | Fraction, take: str | None = None) -> None:
        with Session.open(project, readonly=True) as session:
            settings = session.settings
            assert settings is not None
            chosen = next(one for one in session.takes(role) if one.id == (take or session.playing[role].id))
            self.tempo = TempoMap(parse_tempo(tempo), settings.meter, rate)
            self.stem = session.rendition(chosen, self.tempo)
            if self.tempo == settings.tempo and chosen == session.playing[role]:  # what is exported
                assert session.stems()[role] == session.rendition_wav(chosen, self.tempo)
            self.quarter_frames = 60 * rate / self.tempo.tempo_bpm
            self.loop_frames = Fraction(settings.length_ticks, 480) * self.quarter_frames

    def sound(self, places: NDArray[np.int64], origin: Fraction = Fraction(0)) -> NDArray[np.float32]:
        """At frames of the host, whose quarter note 0 is at `origin`."""
        passes = {round(origin + k * self.loop_frames) for k in self._passes(places, origin)}
        starts = np.array(sorted(passes))
        begun = starts[np.searchsorted(starts, places, side="right") - 1]
        laid: NDArray[np.float32] = self.stem[(places - begun) % len(self.stem)].astype(np.float32)
        return laid

    def _passes(self, places: NDArray[np.int64], origin: Fraction) -> set[int]:
        first = np.floor((places - float(origin)) / float(self.loop_frames)).astype(np.int64)
        return {int(k) + step for k in np.unique(first) for step in (-1, 0, 1)}


def expected(model: Model, blocks: Sequence[Block]) -> NDArray[np.float32]:
    """Of a song that begins at frame 0; silence where the host stands still."""
    places = np.concatenate([np.arange(block.frame, block.frame + block.size) for block in blocks])
    playing = np.concatenate([np.full(block.size, block.playing) for block in blocks])
    return np.where(playing[:, None], model.sound(places), np.float32(0))


def assert_equal(heard: NDArray[np.float32], model: NDArray[np.float32]) -> None:
    wrong = np.flatnonzero((heard != model).any(axis=1))
    assert not len(wrong), f"{len(wrong)} of {len(heard)} frames are wrong, first {wrong[:5]}"


@pytest.mark.parametrize("tempo", [TEMPO, OTHER])
@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("kind", FORMATS)
def test_every_sample_equals_the_exported_stem(engine: EngineProcess, kind: str, rate: int, tempo: float) -> None:
    """Through seeks, loops and all block sizes, at the session's tempo and at the host's own."""
    track = 1 + (rate + FORMATS.index(kind)) % 4
    blocks = journey(rate, tempo, seed=rate)
    with loaded(kind, engine.addresses["plugin"], rate) as plugin:
        plugin.set(Track=track, Wait_for_engine=1)
        heard = plugin.play(blocks).samples
    model = Model(engine.project, ROLES[track - 1], rate, tempo)
    assert np.abs(model.stem).max() > 0.01
    assert_equal(heard, expected(model, blocks))
    assert engine.state["tempo"] == TEMPO


@pytest.mark.parametrize("kind", ["vst3", "clap"])
def test_a_tempo_of_a_third_of_a_bpm_is_exact_after_an_hour(engine: EngineProcess, kind: str) -> None:
    """Taken to a thousandth, it would be 592 frames late."""
    rate, tempo = 48_000, Fraction(292, 3)
    places = (0, 3600 * rate, 300 * rate)
    blocks = [
        Block(at + i * 512, 512, float((at + i * 512) * tempo / 60 / rate), float(tempo))
        for at in places
        for i in range(60)
    ]
    with loaded(kind, engine.addresses["plugin"], rate) as plugin:
        plugin.set(Track=2, Wait_for_engine=1)
        heard = plugin.play(blocks).samples
    assert_equal(heard, expected(Model(engine.project, Role.BASS, rate, tempo), blocks))


def test_an_offline_render_through_a_ramp_of_tempos_goes_on_exactly(engine: EngineProcess) -> None:
    """From the bar line after the ramp on; of its tempos, which are one for each block, none has to be rendered."""
    rate, frame, quarters, tempo = 48_000, 0, 0.0, TEMPO
    blocks = []
    for i in range(400):
        tempo = TEMPO + min(max(i - 20, 0), 60) / 4
        blocks.append(Block(frame, 512, quarters, tempo))
        frame, quarters = frame + 512, quarters + 512 * tempo / 60 / rate
    with loaded("vst3", engine.addresses["plugin"], rate) as plugin:
        plugin.set(Track=2, Wait_for_engine=1)
        heard = plugin.play(blocks).samples
        assert plugin.get("Underruns") == 0
    last = blocks[80]
    quarter_frames = 60 * rate / Fraction(tempo)
    origin = Fraction(round((last.frame - Fraction(last.quarters) * quarter_frames) * 64), 64)
    bar = round(origin + (int(last.quarters / 4) + 1) * 4 * quarter_frames)
    assert bar < frame - 50_000
    model = Model(engine.project, Role.BASS, rate, tempo)
    assert_equal(heard[bar:], model.sound(np.arange(bar, frame), origin))


@pytest.mark.parametrize(("rate", "block"), [(44_100, 64), (48_000, 512), (96_000, 4096)])
def test_an_offline_render_equals_the_exported_stem(engine: EngineProcess, rate: int, block: int) -> None:
    with HostProcess(engine.addresses["plugin"]) as host:
        heard = host.render(rate, block, 8.0, TEMPO, {"Track": 4, "Wait for engine": 1})
    model = Model(engine.project, ROLES[3], rate, TEMPO)
    assert_equal(heard, model.sound(np.arange(8 * rate)))


def test_tracks_that_do_not_exist_are_silent(engine: EngineProcess) -> None:
    with loaded("vst3", engine.addresses["plugin"]) as plugin:
        plugin.set(Track=9, Wait_for_engine=1)
        assert not plugin.play(song([512] * 100, 48_000)).samples.any()


@pytest.mark.parametrize("kind", ["vst3", "clap"])  # as LV2, minihost tells bars of one tempo only
def test_a_tempo_change_is_followed_from_the_next_bar_line_without_a_click(engine: EngineProcess, kind: str) -> None:
    rate, change = 48_000, 100 * 512
    quarters = change * TEMPO / (60 * rate)
    ahead = [Block(change + at, 512, quarters + at * OTHER / (60 * rate), OTHER) for at in range(0, 8 * rate, 512)]
    with loaded(kind, engine.addresses["plugin"], rate) as plugin:
        plugin.set(Track=2, Wait_for_engine=1)
        heard = plugin.play([*song([512] * 100, rate, tempo=TEMPO), *ahead]).samples
    old, new = (Model(engine.project, Role.BASS, rate, tempo) for tempo in (TEMPO, OTHER))
    origin = change - Fraction(quarters) * new.quarter_frames
    line = round(origin + 4 * new.quarter_frames)
    assert change < line
    frames, fade = np.arange(len(heard)), fade_frames(rate)
    place = np.clip((frames - (line - fade) + 0.5) / fade, 0, 1)
    gain = np.where(frames >= line, 1.0, 0.5 - 0.5 * np.cos(np.pi * place))[:, None]
    before = old.sound(frames).astype(np.float64)
    model = before + (new.sound(frames, origin) - before) * gain
    assert np.abs(heard - model).max() < SILENT
    assert_equal(heard[: line - fade], model[: line - fade].astype(np.float32))
    assert_equal(heard[line:], model[line:].astype(np.float32))


# -- an engine of its own for each ------------------------------------------------------------------------------------


@pytest.fixture
def own(tmp_path: Path) -> Iterator[EngineProcess]:
    with engine_process(make_project(tmp_path / "own.rg")) as running:
        yield running
        assert not running.errors


def test_a_session_that_follows_takes_the_hosts_tempo(own: EngineProcess) -> None:
    blocks = song([512] * 300, 48_000, tempo=OTHER)
    with loaded("vst3", own.addresses["plugin"]) as plugin:
        plugin.set(Track=1, Wait_for_engine=1)
        heard = plugin.play(blocks).samples
        wait_for("the host's tempo", lambda: own.state["tempo"] == OTHER)
    assert_equal(heard, expected(Model(own.project, Role.DRUMS, 48_000, OTHER), blocks))


@pytest.mark.parametrize("kind", FORMATS)
def test_regenerate_changes_the_track_exactly_on_a_bar_line(own: EngineProcess, kind: str) -> None:
    rate, bar = 48_000, 4 * 60 * 48_000 / TEMPO
    line = [round(number * bar) for number in range(20)]
    first = own.state["track/melody/take"]

    def bars(start: int, end: int, **settings: float) -> list[Block]:
        sizes = [512] * ((line[end] - line[start]) // 512)
        blocks = song([*sizes, line[end] - line[start] - sum(sizes)], rate, start=line[start], tempo=TEMPO)
        pressed = tuple((name, value) for name, value in settings.items())
        return [blocks[0], blocks[1]._replace(settings=pressed), *blocks[2:]]

    with loaded(kind, own.addresses["plugin"], rate) as plugin:
        plugin.set(Track=4, Wait_for_engine=1)
        heard = [plugin.play(bars(0, 2)).samples, plugin.play(bars(2, 3, Regenerate=1)).samples]
        wait_for("a new take", lambda: own.state["track/melody/take"] != first)
        heard += [plugin.play(bars(number, number + 1, Regenerate=0)).samples for number in range(3, 9)]
    sound = np.concatenate(heard)
    second = own.state["track/melody/take"]
    frames, fade = np.arange(len(sound)), fade_frames(rate)
    old, new = (Model(own.project, Role.MELODY, rate, TEMPO, take).sound(frames) for take in (first, second))
    assert_equal(sound[: line[2]], old[: line[2]])
    at = next(at for at in line if np.array_equal(sound[at:], new[at:]))  # StopIteration: on no bar line
    assert line[3] <= at <= line[7]
    assert_equal(sound[: at - fade], old[: at - fade])


@pytest.mark.parametrize("kind", FORMATS)
def test_lock_locks_the_track_in_the_engine(own: EngineProcess, kind: str) -> None:
    with loaded(kind, own.addresses["plugin"]) as plugin:
        plugin.set(Track=3)
        plugin.play(song([512] * 2, 48_000))
        assert not own.state["track/harmony/lock"]
        for lock in (1, 0):
            plugin.set(Lock=lock)
            plugin.play(song([512] * 2, 48_000))
            wait_for(f"lock {lock}", lambda lock=lock: own.state["track/harmony/lock"] is bool(lock))  # type: ignore[misc]
        assert not any(own.state[f"track/{role}/lock"] for role in ("drums", "bass", "melody"))


@pytest.mark.slow
def test_an_engine_killed_and_started_again_is_heard_again_while_the_host_plays_on(tmp_path: Path) -> None:
    rate = 48_000
    project = make_project(tmp_path / "killed.rg")
    model, frame = Model(project, Role.DRUMS, rate, TEMPO), 0
    with engine_process(project, "--no-follow") as first:
        address = first.addresses["plugin"]
        with loaded("vst3", address, rate) as plugin:

            def next_half_second() -> str:
                """What is heard of it: the music, silence, or both."""
                nonlocal frame
                blocks = song([512] * 47, rate, start=frame, tempo=TEMPO)
                played = plugin.play(blocks, paced=True)
                frame += len(played.samples)
                right = (played.samples == expected(model, blocks)).all(axis=1)
                silent = ~played.samples.any(axis=1)
                assert (right | silent).all() and not played.waits[1:].any()  # Wait for engine is off
                return "music" if right.all() else "silence" if silent.all() else "both"

            wait_for("music", lambda: next_half_second() == "music")
            first.process.kill()
            first.process.wait()
            wait_for("silence", lambda: next_half_second() == "silence")
            with engine_process(project, "--no-follow", "--plugin-port", address.rpartition(":")[2], ready=False):
                wait_for("music again", lambda: next_half_second() == "music")
