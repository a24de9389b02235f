"""Actions as texts, values in their ranges, and mapping files."""

from __future__ import annotations

import string
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge_fakes import default_state
from resonantgen.errors import BadValue, PresetError, StorageError
from resonantgen.presets import presets_folder
from resonantgen_bridge.calls import Call
from resonantgen_bridge.midi_actions import chosen, parse_action, scaled
from resonantgen_bridge.midi_map import (
    Binding,
    MidiMap,
    Source,
    Trigger,
    learned_path,
    load_learned,
    load_map,
    load_named_map,
    save_learned,
)
from resonantgen_bridge.protocol import COMMANDS
from resonantgen_bridge.schema import Kind

REST = {"seed": None, "generators": None}  # what an action leaves out


@pytest.mark.parametrize(
    ("text", "value", "call"),
    [
        ("regenerate", None, Call("regenerate", {"prompt": "", "track": None} | REST)),
        ("regenerate bass", None, Call("regenerate", {"prompt": "", "track": "bass"} | REST)),
        ("regenerate 2 more notes", None, Call("regenerate", {"prompt": "more notes", "track": "bass"} | REST)),
        ("lock drums", True, Call("lock", {"track": "drums", "locked": True})),
        ("lock drums 0", None, Call("lock", {"track": "drums", "locked": False})),
        ("density bass", -0.5, Call("adjust", {"attribute": "density", "value": -0.5, "track": "bass"})),
        ("adjust density bass", 0.5, Call("adjust", {"attribute": "density", "value": 0.5, "track": "bass"})),
        ("Energy", 1, Call("adjust", {"attribute": "energy", "value": 1.0, "track": None})),
        ("swing melody 0.25", None, Call("adjust", {"attribute": "swing", "value": 0.25, "track": "melody"})),
        ("gain 2", -6, Call("gain", {"track": "bass", "gain": -6.0})),
        ("style", "house", Call("style", {"style": "house"})),
        ("style techno", None, Call("style", {"style": "techno"})),
        ("key A minor", None, Call("key", {"key": "A minor"})),
        ("tempo", 90, Call("tempo", {"tempo": 90.0})),
        ("play", False, Call("play", {"on": False})),
        ("undo", None, Call("undo", {"track": None})),
        ("mute harmony", True, Call("mute", {"track": "harmony", "on": True})),
        ("seek 5", None, Call("seek", {"bar": 5, "beat": 1.0})),
    ],
)
def test_an_action_is_a_call(text: str, value: object, call: Call) -> None:
    assert parse_action(text).call(value) == call


@pytest.mark.parametrize(
    "text",
    [
        *("", "   ", "dance", "lock", "lock 9", "lock tuba", "key", "generate", "undo bass now", "adjust"),
        *("gain 2 99", "export /tmp", "status", "midi_learn x", "tempo 5", "density bass 3", "play\0"),
        "style " + "x" * 1001,
    ],
)
def test_what_is_no_action_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(BadValue) as error:
        parse_action(text)
    assert "\n" not in str(error.value) and len(str(error.value)) < 500


@given(st.text(alphabet=string.printable + "äß\0\u2028", max_size=60))
def test_any_text_is_an_action_or_a_bad_value(text: str) -> None:
    try:
        action = parse_action(text)
    except BadValue:
        return
    assert parse_action(action.text) == action


def test_every_command_of_control_surfaces_can_be_an_action() -> None:
    examples: dict[str, str] = {"generate": "generate techno", "key": "key C major", "meter": "meter 3/4"}
    examples["generator"] = "generator drums musicgen-small"
    for command in COMMANDS:
        if command.osc and command.name != "adjust":
            track = " drums" if any(f.kind is Kind.TRACK and f.required for f in command.fields) else ""
            assert parse_action(examples.get(command.name, command.name + track)).command == command.name


def test_toggles_look_at_the_state() -> None:
    state: dict[str, Any] = default_state() | {"track/drums/lock": True, "play": True}

    assert parse_action("lock drums").is_on(state)
    assert not parse_action("lock bass").is_on(state)
    assert parse_action("play").is_on(state)
    assert not parse_action("loop").is_on(state)


def test_controllers_are_scaled_into_the_range() -> None:
    density, gain, tempo, auto = (parse_action(text).driven for text in ("density", "gain 1", "tempo", "auto"))
    assert density and gain and tempo and auto

    assert [scaled(density, value) for value in (0, 32, 64, 127)] == [-1, -0.5, 0, 1]
    assert [scaled(gain, value) for value in (0, 1, 100, 127)] == [-60, -60, 0, 6]
    assert scaled(gain, 64) == pytest.approx(-7.75, abs=0.01)  # General MIDI's curve for volume
    assert [scaled(tempo, value) for value in (0, 127)] == [20, 400]
    assert [scaled(auto, value) for value in (0, 127)] == [0, 64]
    for field in (density, gain, tempo, auto):
        values = [scaled(field, value) for value in range(128)]
        assert values == sorted(values)
        assert all(field.low <= value <= field.high for value in values if field.low is not None and field.high)


def test_styles_are_chosen_by_program_or_spread_over_a_knob() -> None:
    styles = ("house", "techno", "trance")

    assert [chosen(styles, value, spread=False) for value in (0, 2, 3, 127)] == ["house", "trance", None, None]
    assert [chosen(styles, value, spread=True) for value in (0, 42, 43, 127)] == ["house", "house", "techno", "trance"]


@pytest.mark.parametrize("path", sorted((presets_folder() / "midi").glob("*.toml")), ids=lambda path: path.stem)
def test_mappings_that_come_along_are_valid(path: Path) -> None:
    mapping = load_map(path)

    assert len(mapping.bindings) >= 30
    assert set(mapping.styles) == {style.stem for style in (presets_folder() / "styles").glob("*.toml")}
    assert load_named_map(path.stem) == mapping
    assert load_named_map(path) == mapping


def test_the_default_mapping_leaves_keyboards_alone() -> None:
    mapping = load_named_map()

    assert all(mapping.find(Source.NOTE, note, channel) is None for note in range(128) for channel in range(1, 10))
    found = mapping.find(Source.NOTE, 40, 10)
    assert found is not None and found[1].action == parse_action("lock drums")


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("colour = 3\n", 1, "unknown field"),
        ('\n[[note]]\nnote = 36\naction = "dance"\n', 4, "no action"),
        ('[[note]]\nnote = 128\naction = "undo"\n', 2, "127"),
        ('[[note]]\nnote = 1\nchannel = 0\naction = "undo"\n', 3, "1"),
        ('[[note]]\nnote = 1\naction = "gain 2"\n', 3, "controller"),
        ('[[program]]\naction = "density"\n', 2, "controller"),
        ('[[note]]\nnote = 1\naction = "undo"\n[[note]]\nnote = 1\naction = "redo"\n', 4, "twice"),
        ('styles = ["house", "polka"]\n', 1, "polka"),
        ("[[note]\n", 1, "array"),
        ('[[control]]\ncontrol = 1\naction = "undo"\nlatch = true\n', 4, "latch"),
    ],
)
def test_a_mistake_in_a_file_is_named_with_its_line(tmp_path: Path, text: str, line: int, words: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text, encoding="utf-8")

    with pytest.raises(PresetError, match=words) as error:
        load_map(path)
    assert str(error.value).startswith(f"{path}:{line}:")


def test_unknown_mappings_are_refused_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(BadValue, match="korg_nanokontrol2"):
        load_named_map("moog")
    with pytest.raises(StorageError):
        load_map(tmp_path)


def test_the_narrower_binding_comes_first() -> None:
    undo, redo, play, stop = (Binding(parse_action(text)) for text in ("undo", "redo", "play", "stop"))
    mapping = MidiMap(
        {
            Trigger(Source.NOTE, None, None): undo,
            Trigger(Source.NOTE, None, 2): redo,
            Trigger(Source.NOTE, 5, None): play,
            Trigger(Source.NOTE, 5, 2): stop,
        }
    )

    def found(number: int, channel: int) -> Binding:
        result = mapping.find(Source.NOTE, number, channel)
        assert result is not None
        return result[1]

    assert [found(1, 1), found(1, 2), found(5, 1), found(5, 2)] == [undo, redo, play, stop]
    assert mapping.find(Source.CONTROL, 5, 2) is None


def test_what_is_learned_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "midi.toml"
    assert load_learned(path).bindings == {}
    learned = (
        MidiMap()
        .with_binding(Trigger(Source.NOTE, 36, 10), Binding(parse_action('regenerate bass more "notes" \\ äß')))
        .with_binding(Trigger(Source.CONTROL, 7, None), Binding(parse_action("mute 1"), latching=True))
        .with_binding(Trigger(Source.PROGRAM, None, 3), Binding(parse_action("style")))
    )
    save_learned(path, learned)

    assert load_learned(path).bindings == learned.bindings
    assert [file.name for file in path.parent.iterdir()] == ["midi.toml"]


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(StorageError, match="cannot be written"):
        save_learned(tmp_path / "file" / "midi.toml", MidiMap())


def test_the_users_file_is_in_their_own_folder() -> None:
    assert learned_path().name == "midi.toml"
    assert "resonantgen" in str(learned_path().parent).lower()
