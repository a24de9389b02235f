"""What is written as MIDI reads back exactly; what others wrote is read, and what is no MIDI is refused in one line."""

from __future__ import annotations

from fractions import Fraction
from io import BytesIO
from pathlib import Path

import mido
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from resonantgen.errors import BadValue, StorageError
from resonantgen.music.midi import MidiTrack, decode_midi, encode_midi, read_midi, write_midi
from resonantgen.music.notes import DrumPiece, Note, Role, Score
from resonantgen.music.theory import Key, Mode
from resonantgen.music.time import Meter

LENGTH = 4 * 1920
ANY_KEY = Key(9, Mode.MINOR)

notes = st.builds(
    Note,
    start_ticks=st.one_of(st.integers(0, LENGTH - 1), st.integers(0, 15).map(lambda n: 480 * n)),
    pitch=st.one_of(st.integers(0, 127), st.integers(60, 62)),
    duration_ticks=st.one_of(st.integers(1, LENGTH), st.just(480)),
    velocity=st.integers(1, 127),
)
scores = st.lists(notes, max_size=30).map(lambda given_notes: Score.of(given_notes, LENGTH))
meters = st.builds(Meter, st.integers(2, 12), st.sampled_from([4, 8]))
keys = st.builds(Key, st.integers(0, 11), st.sampled_from(Mode))
tempos = st.decimals(20, 400, places=2).map(Fraction)


def clip_of(score: Score, role: Role = Role.MELODY, meter: Meter = Meter()) -> bytes:  # noqa: B008 - a frozen value
    return encode_midi([MidiTrack.of(role, score)], Fraction(120), meter, ANY_KEY)


@given(st.lists(scores, min_size=4, max_size=4), tempos, keys)
def test_a_session_round_trip_is_exact(four: list[Score], tempo_bpm: Fraction, key: Key) -> None:
    tracks = [MidiTrack.of(role, score) for role, score in zip(Role, four, strict=True)]
    clip = decode_midi(encode_midi(tracks, tempo_bpm, Meter(), key))
    assert clip.length_ticks == LENGTH
    assert clip.tracks == tuple(track for track in tracks if len(track.score))
    assert [track.role for track in clip.tracks] == [role for role, score in zip(Role, four, strict=True) if len(score)]


@given(scores, st.sampled_from(Role))
def test_a_single_track_is_a_file_of_its_own(score: Score, role: Role) -> None:
    data = clip_of(score, role)
    assert mido.MidiFile(file=BytesIO(data)).type == 0
    clip = decode_midi(data)
    assert clip.length_ticks == LENGTH
    assert [track.score for track in clip.tracks] == ([score] if len(score) else [])


@given(tempos, meters, keys, st.integers(1, 8))
def test_tempo_meter_key_and_length_read_back(tempo_bpm: Fraction, meter: Meter, key: Key, bars: int) -> None:
    score = Score.of([Note(0, 60, 100, 90)], bars * meter.bar_ticks)
    clip = decode_midi(encode_midi([MidiTrack.of(Role.BASS, score)], tempo_bpm, meter, key))
    # A whole number of microseconds a quarter note: at 400 bpm (150,000 us) half of one is 3 in a million.
    assert abs(clip.tempo_bpm / tempo_bpm - 1) < Fraction(4, 1_000_000)
    assert clip.meter == meter
    assert clip.length_ticks == bars * meter.bar_ticks
    assert clip.key is not None and clip.key.mode in (Mode.MAJOR, Mode.MINOR)
    assert clip.key.fifths % 12 == key.fifths % 12 and clip.key.mode.is_minor == key.mode.is_minor
    if key.mode in (Mode.MAJOR, Mode.MINOR):
        assert clip.key == key


def test_a_key_struck_again_at_once_ends_before_it_starts() -> None:
    score = Score.of([Note(0, 60, 480, 90), Note(480, 60, 480, 91), Note(960, 60, 960, 92)], 1920)
    data = clip_of(score)
    kinds = [message.type for message in mido.MidiFile(file=BytesIO(data)).tracks[0] if message.type.startswith("note")]
    assert kinds == ["note_on", "note_off"] * 3
    assert decode_midi(data).tracks[0].score == score


def test_what_a_daw_sees() -> None:
    tracks = [MidiTrack.of(role, Score.of([Note(0, DrumPiece.KICK, 120, 100)], LENGTH)) for role in Role]
    file = mido.MidiFile(file=BytesIO(encode_midi(tracks, Fraction("97.3"), Meter(7, 8), Key(2, Mode.DORIAN), "Night")))
    assert (file.type, file.ticks_per_beat, len(file.tracks)) == (1, 480, 5)
    assert [track.name for track in file.tracks] == ["Night", "Drums", "Bass", "Harmony", "Melody"]
    conductor = {message.type: message for message in file.tracks[0]}
    assert conductor["set_tempo"].tempo == 616_650  # 60e6 / 97.3 = 616649.54
    assert (conductor["time_signature"].numerator, conductor["time_signature"].denominator) == (7, 8)
    assert conductor["key_signature"].key == "Am"  # the accidentals of D dorian
    channels = [next(m.channel for m in track if m.type == "note_on") for track in file.tracks[1:]]
    assert channels == [9, 0, 1, 2]
    assert all(track[-1].type == "end_of_track" and sum(m.time for m in track) == LENGTH for track in file.tracks)
    assert all(any(m.type == "program_change" for m in track) for track in file.tracks[1:])


@given(scores)
def test_the_same_notes_give_the_same_bytes(score: Score) -> None:
    assert clip_of(score) == clip_of(Score.of(reversed(score.notes), LENGTH))


def foreign(tracks: list[list[mido.Message]], ticks_per_beat: int = 480, kind: int = 1) -> bytes:
    data = BytesIO()
    mido.MidiFile(type=kind, ticks_per_beat=ticks_per_beat, tracks=[mido.MidiTrack(t) for t in tracks]).save(file=data)
    return data.getvalue()


def on(note: int, velocity: int = 80, time: int = 0, channel: int = 0) -> mido.Message:
    return mido.Message("note_on", note=note, velocity=velocity, time=time, channel=channel)


def test_velocity_0_ends_a_note() -> None:
    # mido writes the repeated status byte once: this also reads running status.
    data = foreign([[on(60), on(60, 0, 240), on(62, 70), on(62, 0, 240)]])
    assert data.count(b"\x90") == 1
    assert list(decode_midi(data).tracks[0].score) == [Note(0, 60, 240, 80), Note(240, 62, 240, 70)]


def test_overlapping_notes_on_one_key() -> None:
    data = foreign([[on(60, 80), on(60, 90, 240), on(60, 0, 240), on(60, 0, 240)]])
    # The first off ends the older note; a score lets one note sound on a key at a time, so it is cut at the second.
    assert list(decode_midi(data).tracks[0].score) == [Note(0, 60, 240, 80), Note(240, 60, 480, 90)]


def test_a_note_that_is_never_ended_lasts_to_the_end_of_the_bar() -> None:
    assert list(decode_midi(foreign([[on(60, time=480)]])).tracks[0].score) == [Note(480, 60, 1440, 80)]


def test_stray_note_offs_are_left_out() -> None:
    data = foreign([[mido.Message("note_off", note=60), on(61), on(61, 0, 480), on(61, 0, 480)]])
    assert list(decode_midi(data).tracks[0].score) == [Note(0, 61, 480, 80)]


@pytest.mark.parametrize("ticks_per_beat", [24, 96, 100, 384, 960, 15_360])
def test_other_resolutions_are_rescaled_without_drift(ticks_per_beat: int) -> None:
    events = [message for step in range(64) for message in (on(60, time=0), on(60, 0, ticks_per_beat))]
    score = decode_midi(foreign([events], ticks_per_beat)).tracks[0].score
    assert list(score) == [Note(480 * step, 60, 480, 80) for step in range(64)]


def test_triplets_at_a_resolution_that_does_not_divide_round_to_the_nearest_tick() -> None:
    # 960 ticks a quarter: 321 of them are 160.5 of ours, 323 are 161.5.
    data = foreign([[on(60, time=321), on(60, 0, 2)]], 960)
    assert list(decode_midi(data).tracks[0].score) == [Note(160, 60, 2, 80)]


def test_a_track_with_several_channels_becomes_several() -> None:
    name = mido.MetaMessage("track_name", name="Everything")
    data = foreign([[name, on(36, channel=9), on(60, channel=3), on(36, 0, 480, 9), on(60, 0, 0, 3)]], kind=0)
    clip = decode_midi(data)
    assert [(track.name, track.channel, track.role) for track in clip.tracks] == [
        ("Everything", 3, None),
        ("Everything", 9, Role.DRUMS),
    ]


def test_defaults_of_a_bare_file() -> None:
    clip = decode_midi(foreign([[on(60), on(60, 0, 100)]]))
    assert (clip.tempo_bpm, clip.meter, clip.key, clip.length_ticks) == (Fraction(120), Meter(4, 4), None, 1920)


@pytest.mark.parametrize(
    ("written", "read"), [((2, 2), Meter(4, 4)), ((6, 16), Meter(3, 8)), ((3, 2), Meter(6, 4)), ((13, 16), Meter(4, 4))]
)
def test_meters_that_cannot_be_played_here(written: tuple[int, int], read: Meter) -> None:
    signature = mido.MetaMessage("time_signature", numerator=written[0], denominator=written[1])
    assert decode_midi(foreign([[signature, on(60), on(60, 0, 100)]])).meter == read


@pytest.mark.parametrize("name", ["Bässe", "ベース"])
def test_names_in_any_script(name: str) -> None:
    track = MidiTrack(name, 0, 38, Score.of([Note(0, 40, 100, 80)], 1920))
    assert decode_midi(encode_midi([track], Fraction(120), Meter(), ANY_KEY)).tracks == (track,)


def test_names_in_latin1() -> None:
    data = BytesIO()
    track = mido.MidiTrack([mido.MetaMessage("track_name", name="Bässe"), on(40), on(40, 0, 100)])
    mido.MidiFile(charset="latin1", tracks=[track]).save(file=data)
    assert decode_midi(data.getvalue()).tracks[0].name == "Bässe"


def assert_one_line(error: BadValue) -> None:
    assert str(error).isprintable() and len(str(error)) < 250


@given(st.binary(max_size=200))
def test_garbage_is_refused_in_one_line(data: bytes) -> None:
    assume(not data.startswith(b"MThd"))
    with pytest.raises(BadValue, match=r"x\.mid") as caught:
        decode_midi(data, "x.mid")
    assert_one_line(caught.value)


@given(st.binary(max_size=200))
def test_garbage_after_a_header_gives_notes_or_one_line(data: bytes) -> None:
    for garbage in (b"MThd" + data, b"MThd\0\0\0\6\0\1\0\1\1\xe0MTrk\0\0\0\x20" + data):
        try:
            decode_midi(garbage, "x.mid")
        except BadValue as error:
            assert_one_line(error)


def whole() -> bytes:
    score = Score.of([Note(240 * n, 60 + n, 240, 80) for n in range(8)], 1920)
    return encode_midi([MidiTrack.of(role, score) for role in Role], Fraction(120), Meter(), ANY_KEY)


@pytest.mark.parametrize("length", [0, 1, 13, 14, 20, len(whole()) // 2, len(whole()) - 1])
def test_a_truncated_file_is_refused(length: int) -> None:
    with pytest.raises(BadValue, match=r"x\.mid") as caught:
        decode_midi(whole()[:length], "x.mid")
    assert_one_line(caught.value)


@given(st.integers(0, len(whole()) - 1), st.integers(0, 255))
def test_a_flipped_byte_gives_notes_or_one_line(position: int, value: int) -> None:
    data = bytearray(whole())
    data[position] = value
    try:
        decode_midi(bytes(data))
    except BadValue as error:
        assert_one_line(error)


def test_smpte_time_is_refused() -> None:
    data = bytearray(whole())
    data[12:14] = b"\xe7\x28"  # 25 frames a second, 40 ticks a frame
    with pytest.raises(BadValue, match="common beat"):
        decode_midi(bytes(data))


def test_files(tmp_path: Path) -> None:
    score = Score.of([Note(0, 60, 100, 80)], 1920)
    path = tmp_path / "a.mid"
    write_midi(path, [MidiTrack.of(Role.BASS, score)], Fraction(120), Meter(), ANY_KEY)
    assert read_midi(path).tracks[0].score == score
    with pytest.raises(BadValue, match="cannot be read"):
        read_midi(tmp_path / "none.mid")
    with pytest.raises(BadValue, match="cannot be read"):
        read_midi(tmp_path)
    with pytest.raises(StorageError, match="cannot be written"):
        write_midi(tmp_path / "no folder" / "a.mid", [], Fraction(120), Meter(), ANY_KEY)
