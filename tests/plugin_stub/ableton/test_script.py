"""The Remote Script in a strict Live: what it tells, what it does, and that it leaves nothing behind."""

from __future__ import annotations

import random
from pathlib import Path
from time import monotonic

import pytest

from fake_live import Control, World
from remote_script import HANG_SECONDS, EngineEnd, connected, loaded, running

BAND = (("Drums", "midi", True), ("Band", "group"), ("Bass", "audio"))
EVERYTHING = [
    ("/daw/tempo", 120.0),
    ("/daw/meter", 4, 4),
    ("/daw/key", 0, "Major"),
    ("/daw/position", 0.0),
    ("/daw/playing", 0),
    ("/daw/tracks", 3),
    ("/daw/track", 1, "Drums", 1, 1),
    ("/daw/track", 2, "Band", 0, 0),
    ("/daw/track", 3, "Bass", 1, 0),
]


def test_a_new_engine_is_told_everything_and_only_once() -> None:
    world, end = World((12, 0, 5), BAND), EngineEnd()
    with running(world, end.port) as script:
        script.update_display()
        assert end.greeted()[:2] == ("live", "12.0.5")
        world.song._set("tempo", 121.0)
        world.song._set("tempo", 120.0)
        script.update_display()
        assert end.got() == []  # nobody has answered
        end.send("/daw/welcome", 7)
        script.update_display()
        assert end.got() == EVERYTHING
        end.send("/daw/welcome", 7)
        script.update_display()
        assert end.got() == []
        end.send("/daw/welcome", 8)  # the engine was started anew
        script.update_display()
        assert end.got() == EVERYTHING
    assert end.got() == [("/daw/bye",)]
    end.close()


def test_an_engine_that_is_silent_has_gone() -> None:
    world = World(tracks=BAND)
    with connected(world, gone=0.05) as (script, end):
        before = monotonic()
        while "ResonantGen: the engine has gone." not in world.logged:
            script.update_display()
            assert monotonic() - before < HANG_SECONDS
        assert monotonic() - before >= 0.04
        end.got()
        world.song._set("tempo", 99.0)
        assert end.got() == []
        end.send("/daw/welcome", 1)
        script.update_display()
        assert len(end.got()) == len(EVERYTHING)


def test_what_changes_in_live_is_told() -> None:
    world = World(tracks=BAND)
    with connected(world) as (_, end):
        world.song._set("tempo", 97.5)
        world.song._set("signature_numerator", 7)
        world.song._set("signature_denominator", 8)
        world.song._set("root_note", 2)
        world.song._set("scale_name", "Dorian")
        world.song._set("is_playing", True)
        world.song._set("current_song_time", 17.25)
        world.arm(world.tracks[2])
        world.tracks[1]._set("name", "Rhythm")
        assert end.got() == [
            ("/daw/tempo", 97.5),
            ("/daw/meter", 7, 4),
            ("/daw/meter", 7, 8),
            ("/daw/key", 2, "Major"),
            ("/daw/key", 2, "Dorian"),
            ("/daw/playing", 1),
            ("/daw/position", 17.25),
            ("/daw/track", 3, "Bass", 1, 1),
            ("/daw/track", 2, "Rhythm", 0, 0),
        ]
    assert world.changed == []


def test_what_the_engine_asks_is_done_on_the_tick_and_confirmed() -> None:
    world = World(tracks=BAND)
    with connected(world) as (script, end):
        for _ in range(2):  # the second time there is nothing to do
            end.send("/daw/tempo", 97.25)
            end.send("/daw/play", 1)
            script.update_display()
            assert world.changed == ["Song.tempo", "start_playing"]
            assert world.song.tempo == 97.25 and world.song.is_playing
            assert end.got() == [("/daw/tempo", 97.25), ("/daw/playing", 1)]
        world.song._set("is_playing", False)  # by hand
        world.song._set("tempo", 120.0)
        assert end.got() == [("/daw/playing", 0), ("/daw/tempo", 120.0)]
        end.send("/daw/play", 1)
        end.send("/daw/play", 0)
        script.update_display()
        assert not world.song.is_playing and end.got() == [("/daw/playing", 1), ("/daw/playing", 0)]


def test_what_live_refuses_is_told_as_it_is() -> None:
    world = World(tracks=BAND)
    with connected(world) as (script, end):
        end.send("/daw/tempo", 10.0)
        script.update_display()
        assert end.got() == [("/daw/tempo", 120.0)]
        assert world.wrong == ["tempo out of range"]
        world.wrong.clear()


def test_the_engine_arms_and_hears_which_tracks_are() -> None:
    world = World(tracks=BAND)
    with connected(world) as (script, end):
        end.send("/daw/arm", 3, 1)
        end.send("/daw/arm", 1, 0)
        for number in (0, 2, 4, -1, 2**31 - 1):  # a group, and no tracks
            end.send("/daw/arm", number, 1)
        script.update_display()
        assert world.changed == ["Track.arm", "Track.arm"]
        assert end.got() == [("/daw/track", 3, "Bass", 1, 1), ("/daw/track", 1, "Drums", 1, 0)]


def test_exclusive_arm_is_told_track_by_track() -> None:
    world = World(tracks=BAND)
    with connected(world) as (_, end):
        world.arm(world.tracks[2], exclusive=True)
        assert end.got() == [("/daw/track", 1, "Drums", 1, 0), ("/daw/track", 3, "Bass", 1, 1)]


def test_tracks_come_go_and_move() -> None:
    world = World(tracks=BAND)
    with connected(world) as (script, end):
        drums, band, bass = world.tracks
        lead = world.make("Lead", "audio")
        world.put(bass, drums, lead)
        world.arm(drums, False)  # its number is another one already, which the engine does not know yet
        end.send("/daw/arm", 1, 1)
        assert end.got() == []
        script.update_display()
        assert end.got() == [
            ("/daw/tracks", 3),
            ("/daw/track", 1, "Bass", 1, 0),
            ("/daw/track", 2, "Drums", 1, 0),
            ("/daw/track", 3, "Lead", 1, 0),
        ]
        assert world.changed == [] and band._deleted
        world.arm(lead)
        lead._set("name", "Solo")
        assert end.got() == [("/daw/track", 3, "Lead", 1, 1), ("/daw/track", 3, "Solo", 1, 1)]
        world.put(lead)
        script.update_display()
        assert end.got() == [("/daw/tracks", 1), ("/daw/track", 1, "Solo", 1, 1)]
        lead._set("name", "Last")
        assert len(end.got()) == 1  # it is listened to once


def test_random_sets_are_told_as_they_are() -> None:
    chance = random.Random(4)
    world = World(tracks=BAND)
    with connected(world) as (script, end):
        for step in range(150):
            tracks = world.tracks
            match chance.randrange(5):
                case 0:
                    tracks.insert(
                        chance.randrange(len(tracks) + 1), world.make(f"T{step}", chance.choice(["midi", "group"]))
                    )
                    world.put(*tracks)
                case 1 if len(tracks) > 1:
                    tracks.pop(chance.randrange(len(tracks)))
                    world.put(*tracks)
                case 2:
                    chance.shuffle(tracks)
                    world.put(*tracks)
                case 3:
                    chance.choice(tracks)._set("name", f"N{step}")
                case _:
                    track = chance.choice([each for each in tracks if each.can_be_armed] or [None])
                    if track is not None:
                        world.arm(track, chance.random() < 0.5, exclusive=chance.random() < 0.5)
            if chance.random() < 0.7:
                script.update_display()
        script.update_display()
        end.got()
        end.send("/daw/welcome", 99)
        script.update_display()
        told = [rest for address, *rest in end.got() if address == "/daw/track"]
        assert told == [
            [number, track.name, int(track.can_be_armed), int(track.can_be_armed and track.arm)]
            for number, track in enumerate(world.tracks, start=1)
        ]
    assert world.changed == []


def test_nothing_is_left_behind_even_if_tracks_were_deleted_last() -> None:
    world = World(tracks=BAND)
    with connected(world) as (script, end):
        assert world.listeners == 8 + 3 + 2  # the song's, names, arms
        world.put(world.tracks[2])
        script.disconnect()
        assert world.listeners == 0
        assert end.got() == [("/daw/bye",)]
        script.disconnect()
        script.update_display()
        assert end.got() == []


@pytest.mark.parametrize("seed", range(3))
def test_noise_from_the_network_does_nothing(seed: int) -> None:
    chance = random.Random(seed)
    world = World(tracks=BAND)
    with connected(world) as (script, end):
        valid = b"/daw/tempo\0\0,f\0\0\x42\xc8\0\0"
        for _ in range(300):
            packet = bytearray(valid[: chance.randrange(len(valid))])
            for _ in range(chance.randrange(4)):
                packet.insert(chance.randrange(len(packet) + 1), chance.randrange(256))
            end.send_raw(bytes(packet))
            end.send_raw(chance.randbytes(chance.randrange(60)))
            script.update_display()
        for address in ("/daw/tempo", "/daw/play", "/daw/arm", "/daw/print", "/daw/welcome", "/daw/none", "/rg/tempo"):
            for values in ((), ("x",), (float("nan"),), (float("inf"), 1), (-1, -1), (1 << 40, 0), ("", "")):
                end.send(address, *values)
                script.update_display()
        end.send("/daw/tempo", 80.0)
        script.update_display()
        assert world.song.tempo == 80.0  # it goes on
        assert set(world.wrong) <= {"tempo out of range"}
        world.wrong.clear()
        assert set(world.changed) == {"Song.tempo"} | ({"start_playing"} & set(world.changed))
    lines = [line for line in world.logged if "connected" not in line]
    assert 1 < len(lines) == len(set(lines)) < 40


def test_what_fails_in_live_is_logged_once_and_the_rest_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(tracks=BAND)
    with connected(world) as (script, end):
        monkeypatch.delitem(world.song._values, "scale_name")  # asking for it raises
        for number in (2, 3):
            end.send("/daw/welcome", number)
            script.update_display()
            assert len(end.got()) == len(EVERYTHING) - 1
        assert len([line for line in world.logged if "scale_name" in line]) == 1


@pytest.mark.parametrize(
    ("text", "port"), [("9123\n", 9123), ("", 9010), ("0", 9010), ("x", 9010), ("70000", 9010), ("\udcff", 9010)]
)
def test_the_port_is_in_a_file_beside_the_script_s_folder(tmp_path: Path, text: str, port: int) -> None:
    """What is in the folder is the installer's, which would refuse to replace a folder with the user's file in it."""
    (tmp_path / "ResonantGen.txt").write_bytes(text.encode("utf-8", "surrogateescape"))
    world = World()
    with loaded(world), pytest.MonkeyPatch.context() as patch:
        from ResonantGen import guard, link  # type: ignore[import-not-found]

        patch.setattr(link, "__file__", str(tmp_path / "ResonantGen" / "link.py"))
        assert link.engine_port(guard.Log(Control(world))) == port
    assert len(world.logged) == (port == 9010)


def test_live_calls_what_is_there() -> None:
    world = World()
    with connected(world) as (script, _):
        script.refresh_state()
        script.build_midi_map(None)
        script.receive_midi((1, 2, 3))
        script.receive_midi_chunk(((1, 2, 3),))
        script.connect_script_instances([])
        script.port_settings_changed()
        assert script.can_lock_to_devices() is script.supports_pad_translation() is False
        assert script.suggest_input_port() == script.suggest_output_port() == ""
        assert script.suggest_map_mode(1, 1) == -1
        assert script.suggest_needs_takeover(1, 1) is True
