"""The notation of rhythms, meters and feels made from bars of four, grooves, and the forms of parts."""

from __future__ import annotations

from pathlib import Path

import pytest

from resonantgen.errors import PresetError
from resonantgen.generators.dice import Dice
from resonantgen.generators.form import Form
from resonantgen.generators.grammars.drums import Backbeat
from resonantgen.generators.grammars.fills import FILLS
from resonantgen.generators.grammars.patterns import parse_pattern
from resonantgen.generators.groove import Groove, beat_position, straight_onsets
from resonantgen.generators.metre import bar_strokes, borrowed_beats
from resonantgen.generators.style import read_style
from resonantgen.music.notes import DrumPiece, Note, Score
from resonantgen.music.time import Meter
from resonantgen.presets import presets_folder
from resonantgen.prompt.intent import Feel
from rhythm import METERS, STYLES, plan_of

TWO_AND_FOUR, THREE = Backbeat.TWO_AND_FOUR, Backbeat.THREE


def ticks(
    text: str, meter: str, backbeat: Backbeat = TWO_AND_FOUR, feel: Feel = Feel.NORMAL, bar: int = 0
) -> list[int]:
    strokes = bar_strokes(parse_pattern(text), Meter.parse(meter), bar, backbeat, feel)
    return [place.tick for place in strokes]


def test_signs_say_when_and_how_strongly() -> None:
    ((beat, *_),) = parse_pattern("X.5c .... .... ....")
    assert [stroke.tick for stroke in beat] == [0, 240, 360]
    assert [stroke.chance for stroke in beat] == [1.0, 0.5, 0.2]
    assert [stroke.ghost for stroke in beat] == [False, False, True]
    assert beat[0].strength > beat[1].strength > beat[2].strength


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("X... .... ....", "must have 4 beats"),
        ("X.... .... .... ....", "1, 2, 3, 4, 6 or 8 steps"),
        ("X... ..?. .... ....", "is none of X O x o"),
    ],
)
def test_wrong_notation_says_what_is_wrong(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        parse_pattern(text)


def test_what_sounds_when_sparse_sounds_when_busy() -> None:
    strokes = [stroke for beat in parse_pattern("XxOo y059 agjx ...3")[0] for stroke in beat]
    for stroke in strokes:
        for roll in (0.0, 0.3, 0.6, 0.9):
            heard = [stroke.sounds(level / 10, 1, roll) for level in range(-10, 11)]
            assert heard == sorted(heard)


def test_usual_strokes_thin_out_from_the_weakest() -> None:
    ((beat, *_),) = parse_pattern("xxxx .... .... ....")
    gone = [
        next(-level for level in range(100) if not beat[0].sounds(-level / 100, metric, 0.5)) for metric in (0, 1, 2)
    ]
    assert gone == sorted(gone)
    assert gone[0] < gone[1] < gone[2] < 0


@pytest.mark.parametrize(
    ("meter", "beats"),
    [("2/4", (0, 1)), ("3/4", (0, 2, 3)), ("4/4", (0, 1, 2, 3)), ("5/4", (0, 2, 3, 2, 3)), ("7/8", (0, 2, 3))],
)
def test_a_backbeat_survives_in_every_meter(meter: str, beats: tuple[int, ...]) -> None:
    assert borrowed_beats(Meter.parse(meter), TWO_AND_FOUR) == beats


@pytest.mark.parametrize("meter", METERS)
@pytest.mark.parametrize("backbeat", list(Backbeat))
def test_each_felt_beat_borrows_one_and_the_downbeat_the_first(meter: str, backbeat: Backbeat) -> None:
    borrowed = borrowed_beats(Meter.parse(meter), backbeat)
    assert len(borrowed) == len(Meter.parse(meter).groups)
    assert borrowed[0] == 0
    if len(borrowed) > 1:
        assert set(borrowed) & ({1, 3} if backbeat is TWO_AND_FOUR else {2})


def test_beats_of_three_eighths_become_triplets_or_longer() -> None:
    assert ticks("X.x. .... .... ....", "12/8") == [0, 480]
    assert ticks("XxXx .... .... ....", "6/8") == [0, 240, 480, 600]
    assert ticks("X.x .... .... ....", "12/8") == [0, 480]
    hats = bar_strokes(parse_pattern("x.x. x.x. x.x. x.x."), Meter(7, 8), 0, TWO_AND_FOUR, keeps_time=True)
    assert [place.tick for place in hats] == [240 * eighth for eighth in range(7)]


def test_feels_stretch_and_squeeze() -> None:
    backbeat = ".... X... .... X..."
    assert ticks(backbeat, "4/4") == [480, 1440]
    assert [ticks(backbeat, "4/4", feel=Feel.HALF_TIME, bar=bar) for bar in (0, 1)] == [[960], [960]]
    assert ticks(backbeat, "4/4", feel=Feel.DOUBLE_TIME) == [240, 720, 1200, 1680]


def test_swing_is_a_triplet_at_most() -> None:
    style = plan_of("jazz").style
    assert Groove.of_style(style, 1.0).eighth_ticks == 80
    assert Groove.of_style(style, -1.0).eighth_ticks < Groove.of_style(style).eighth_ticks
    assert Groove(eighth_ticks=80).place(Meter(), 240) == 320
    assert Groove(sixteenth_ticks=40).place(Meter(), 1920 + 120) == 1920 + 160


@pytest.mark.parametrize("meter", METERS)
@pytest.mark.parametrize("groove", [Groove(eighth_ticks=80), Groove(sixteenth_ticks=30)])
def test_swing_keeps_order_beats_and_triplets(meter: str, groove: Groove) -> None:
    parsed = Meter.parse(meter)
    placed = [groove.place(parsed, tick) for tick in range(0, parsed.bar_ticks, 60)]
    assert placed == sorted(placed)
    for start in parsed.beats_ticks:
        assert groove.place(parsed, start) == start
        assert groove.place(parsed, start + 160) == start + 160


@pytest.mark.parametrize("groove", [Groove(), Groove(eighth_ticks=66), Groove(sixteenth_ticks=25)])
def test_a_groove_is_found_in_what_was_played(groove: Groove) -> None:
    meter = Meter()
    notes = [Note(groove.place(meter, tick), DrumPiece.CLOSED_HAT, 30, 90) for tick in range(0, 4 * 1920, 120)]
    score = Score.of(notes, 4 * 1920)
    assert Groove.of_score(score, meter) == groove
    assert sorted(straight_onsets(score, meter, groove)) == list(range(0, 4 * 1920, 120))


def test_a_position_is_counted_from_its_felt_beat() -> None:
    assert beat_position(Meter(7, 8), 1000) == (40, 720)
    assert beat_position(Meter(), 1920 + 500) == (20, 480)


def test_sections_lift_in_their_second_half_and_close() -> None:
    form = Form.of(["AABA"], 16, Dice(1))
    assert [bar for bar in range(16) if form.lifted(bar)] == [4, 5, 6, 7, 12, 13, 14, 15]
    assert [bar for bar in range(16) if form.closes_section(bar)] == [7, 15]
    assert [form.letter(bar) for bar in (0, 2, 8, 10)] == ["A", "B", "A", "B'"]
    assert not Form(1, "AAAB").closes_section(0)


def test_fills_name_pieces_that_exist() -> None:
    words = {piece.word for piece in DrumPiece}
    for fill in FILLS.values():
        assert {word for word, _ in fill.lines} | set(fill.mutes) <= words


def test_every_style_has_several_ways_to_play() -> None:
    for style_id in STYLES:
        grammar = plan_of(style_id).style
        assert len(grammar.drums.lines["kick"].patterns) >= 2, style_id
        assert len(grammar.bass.patterns) >= 3, style_id
        assert grammar.drums.fills, style_id


@pytest.mark.parametrize(
    ("right", "wrong", "problem"),
    [
        ('fills = ["kick_stop"', 'fills = ["kick_stopp"', "drums.*kick_stopp.* is no fill"),
        ("[drums.lines.rim]", "[drums.lines.gong]", "gong"),
        ("crash = 0.3", "crash = 3", "drums.crash.*<= 1"),
        ('tones = "R.RR R.R8 R.RR R.R5"', 'tones = "R.RR R.R8 R.RR R.RH"', "bass.patterns.1.*is no tone"),
        ('tones = "R.RR R.R8 R.RR R.R5"', 'tones = "R.RR R.R8"', "bass.patterns.1.*shape"),
    ],
)
def test_a_wrong_style_file_is_refused_with_its_line(tmp_path: Path, right: str, wrong: str, problem: str) -> None:
    text = (presets_folder() / "styles" / "techno.toml").read_text(encoding="utf-8")
    assert right in text
    path = tmp_path / "techno.toml"
    path.write_text(text.replace(right, wrong), encoding="utf-8")
    with pytest.raises(PresetError, match=rf"techno\.toml:\d+: .*{problem}"):
        read_style(path)
