"""Whatever arrives becomes a checked call, or a BadValue or UnknownCommand in one line."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest

from resonantgen.errors import BadValue, UnknownCommand
from resonantgen_bridge.parsing import parse_call, parse_field, parse_positional
from resonantgen_bridge.protocol import COMMAND, COMMANDS, MAX_SEED, MAX_TEXT
from resonantgen_bridge.schema import Field, Kind

INT = Field("bars", Kind.INT, "how many", low=1, high=64, unit="bars")
SEED = Field("seed", Kind.INT, "which", low=0, high=MAX_SEED)
FLOAT = Field("gain", Kind.FLOAT, "how loud", low=-60, high=6, unit="dB")
FREE = Field("value", Kind.FLOAT, "any number")
BOOL = Field("on", Kind.BOOL, "whether")
TEXT = Field("prompt", Kind.TEXT, "words")
CHOICE = Field("stage", Kind.TEXT, "which", choices=("notes", "sound"))
TRACK = Field("track", Kind.TRACK, "which")
TRACKS = Field("tracks", Kind.TRACKS, "which")
GENERATORS = Field("generators", Kind.GENERATORS, "who plays what")

DEEP: Any = []
for _ in range(5000):
    DEEP = [DEEP]

HOSTILE: list[Any] = [
    None, True, False, 0, 1, -1, 2**63, 2**64, -(2**70), 10**400, 10**5000, 0.5, 1e308, -0.0, 2.0, 2.5,
    math.nan, math.inf, -math.inf, "nan", "inf", "1e999", "½", "٣", "1_000", "0x10", "-", "--1", "9" * 39, "9" * 5000,
    "", " ", "0", "1", "-1", "1.0", "01", "5", "bass ", "BASS", "٢", "bass,drums", ",", "bass,,drums",
    "x" * 5000, "a\0b", "\ud800", "line\nbreak", "\x1b[31m", b"", b"bytes", b"\xff" * 100, object(),
    [], [[]], ["bass", 7], ["bass"], ["x" * 5000] * 50, (), ("1",), {}, {"a": 1}, {1: 2}, DEEP,
    {1: "x"}, {1: DEEP}, "1=x", ["1=x", "2="], "=" * 5000,
]  # fmt: skip


@pytest.mark.parametrize(
    ("field", "given", "parsed"),
    [
        (INT, 8, 8),
        (INT, 8.0, 8),
        (INT, "8", 8),
        (INT, " 8 ", 8),
        (INT, "8.0", 8),
        (INT, True, 1),
        (SEED, MAX_SEED, MAX_SEED),
        (SEED, str(MAX_SEED), MAX_SEED),
        (SEED, "9007199254740993", 9007199254740993),  # more than a float can tell apart
        (FLOAT, -6, -6.0),
        (FLOAT, "-6.5", -6.5),
        (BOOL, 1, True),
        (BOOL, 0, False),
        (BOOL, 0.0, False),
        (BOOL, 0.3, True),
        (BOOL, "on", True),
        (BOOL, "No", False),
        (BOOL, " 1 ", True),
        (TEXT, "dark techno", "dark techno"),
        (TEXT, 4, "4"),
        (TEXT, "", ""),
        (TEXT, "x" * MAX_TEXT, "x" * MAX_TEXT),
        (CHOICE, "notes", "notes"),
        (TRACK, "Bass", "bass"),
        (TRACK, 1, "drums"),
        (TRACK, 4.0, "melody"),
        (TRACK, "3", "harmony"),
        (TRACKS, "bass, 1", ["bass", "drums"]),
        (TRACKS, ["bass", 2, "BASS"], ["bass"]),
        (TRACKS, "melody", ["melody"]),
    ],
    ids=repr,
)
def test_values_that_make_sense_are_taken(field: Field, given: object, parsed: object) -> None:
    result = parse_field(field, given)
    assert result == parsed
    assert type(result) is type(parsed)


@pytest.mark.parametrize(
    ("field", "given", "message"),
    [
        (INT, 0, "bars cannot be 0. Use 1 to 64."),
        (INT, 65, "bars cannot be 65. Use 1 to 64."),
        (INT, 2.5, 'bars is a whole number, not "2.5".'),
        (INT, "many", 'bars is a number, not "many".'),
        (SEED, 2**63, "seed cannot be 9.22337e+18. Use 0 to 9.22337e+18."),
        (FLOAT, 7, "gain cannot be 7 dB. Use -60 to 6 dB."),
        (FLOAT, math.nan, 'gain is a number, not "nan".'),
        (FLOAT, "inf", 'gain is a number, not "inf".'),
        (BOOL, "perhaps", 'on is 0 or 1, not "perhaps".'),
        (TEXT, True, 'prompt is text, not "True".'),
        (CHOICE, "dinner", '"dinner" is no stage. There are: notes, sound.'),
        (TRACK, "kazoo", '"kazoo" is no track. Tracks: drums, bass, harmony, melody, or 1 to 4.'),
        (TRACK, 5, '"5" is no track. Tracks: drums, bass, harmony, melody, or 1 to 4.'),
        (TRACK, True, '"True" is no track. Tracks: drums, bass, harmony, melody, or 1 to 4.'),
        (TRACKS, [], "tracks are names of tracks: drums, bass, harmony, melody."),
    ],
    ids=repr,
)
def test_values_that_do_not_are_refused(field: Field, given: object, message: str) -> None:
    with pytest.raises(BadValue) as refused:
        parse_field(field, given)
    assert str(refused.value) == message


@pytest.mark.parametrize(
    "field", [INT, SEED, FLOAT, FREE, BOOL, TEXT, CHOICE, TRACK, TRACKS, GENERATORS], ids=lambda f: f.name
)
@pytest.mark.parametrize("number", range(len(HOSTILE)))
def test_nothing_that_arrives_does_worse_than_be_refused(field: Field, number: int) -> None:
    try:
        parsed = parse_field(field, HOSTILE[number])
    except BadValue as error:
        message = str(error)
        assert message.isprintable()
        assert len(message) < 300
    else:
        kinds = {Kind.INT: int, Kind.FLOAT: float, Kind.BOOL: bool, Kind.TRACKS: list, Kind.GENERATORS: dict}
        assert type(parsed) is kinds.get(field.kind, str)
        if field.low is not None and field.high is not None:
            assert field.low <= parsed <= field.high
        assert parse_field(field, parsed) == parsed


def test_random_calls_are_parsed_or_refused() -> None:
    dice = random.Random(20261122)
    names = [*COMMAND, "", "lock ", "LOCK", 7, None, ["lock"], DEEP, "x" * 5000]
    arguments = ["track", "prompt", "on", "locked", "tempo", "generators", "", 3, None, ("a",), "x" * 5000]
    parsed = 0
    for _ in range(20_000):
        given = {dice.choice(arguments): dice.choice(HOSTILE) for _ in range(dice.randrange(4))}
        try:
            call = parse_call(dice.choice(names), dice.choice([given, given, given, None, [], 7]))
        except (BadValue, UnknownCommand) as error:
            assert str(error).isprintable(), str(error)
        else:
            assert set(call.arguments) == {field.name for field in COMMAND[call.command].fields}
            parsed += 1
    assert parsed > 100


def test_fields_that_are_left_out_have_their_defaults() -> None:
    call = parse_call("loop", {})
    assert call.arguments == {"on": True, "first": 1, "bars": 0}
    assert parse_call("lock", {"track": 2, "locked": None}).arguments == {"track": "bass", "locked": True}


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_fields_that_are_needed_are_asked_for(command: object) -> None:
    assert any(command is known for known in COMMANDS)
    needed = [field for field in command.fields if field.required]  # type: ignore[attr-defined]
    if needed:
        with pytest.raises(BadValue, match=f"needs {needed[0].name}: "):
            parse_call(command.name, {})  # type: ignore[attr-defined]
    else:
        assert parse_call(command.name, {}).command == command.name  # type: ignore[attr-defined]


def test_unknown_names_are_told_what_there_is() -> None:
    with pytest.raises(UnknownCommand, match=r'There is no command "loock". Commands: generate, '):
        parse_call("loock", {})
    with pytest.raises(UnknownCommand, match=r'lock has no argument "trck". It has: track, locked.'):
        parse_call("lock", {"trck": 1})
    with pytest.raises(UnknownCommand, match=r'stop has no argument "now". It has none.'):
        parse_call("stop", {"now": 1})
    with pytest.raises(BadValue, match="The arguments of lock are no mapping of names to values"):
        parse_call("lock", ["bass"])


def test_values_in_order_fill_what_the_address_does_not_hold() -> None:
    assert parse_positional(COMMAND["lock"], {"track": "2"}, [1.0]).arguments == {"track": "bass", "locked": True}
    assert parse_positional(COMMAND["lock"], {"track": 2}, []).arguments == {"track": "bass", "locked": True}
    assert parse_positional(COMMAND["adjust"], {"attribute": "density"}, [0.5]).arguments == {
        "attribute": "density",
        "value": 0.5,
        "track": None,
    }
    with pytest.raises(BadValue, match="lock was given 2 values, and takes 1: locked"):
        parse_positional(COMMAND["lock"], {"track": 2}, [1, 2])
    with pytest.raises(BadValue, match="stop was given 1 values, and takes 0: none"):
        parse_positional(COMMAND["stop"], {}, [1])
