"""Scores to Standard MIDI Files and back.

What a file can hold and what it cannot:

- Ticks are exact: 480 per quarter note, as in a `Score`. Files with another resolution are rescaled, rounded to a tick.
- The tempo is a whole number of microseconds per quarter note in MIDI, so 97.3 bpm reads back as 97.29992 bpm. The
  exact tempo is in `session.json`.
- The key signature knows major and minor only. A mode is written as the major or minor key with the same accidentals
  (by its third), so D dorian is written and read back as A minor, F lydian as C major.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from io import BytesIO
from pathlib import Path

import mido
from mido.midifiles.meta import KeySignatureError

from resonantgen.errors import BadValue, StorageError, quoted
from resonantgen.music.notes import Note, Role, Score
from resonantgen.music.theory import Key, name_at_fifth
from resonantgen.music.time import TICKS_PER_QUARTER, Meter

DRUM_CHANNEL = 9  # "channel 10"
_CHANNELS = {Role.DRUMS: DRUM_CHANNEL, Role.BASS: 0, Role.HARMONY: 1, Role.MELODY: 2}
# General MIDI programs counted from 0: standard kit, synth bass 1, electric piano 1, saw lead.
_PROGRAMS = {Role.DRUMS: 0, Role.BASS: 38, Role.HARMONY: 4, Role.MELODY: 81}
_MICROSECONDS_PER_MINUTE = 60_000_000
_DEFAULT_TEMPO_BPM = Fraction(120)  # what the standard says of a file that sets none


@dataclass(frozen=True, slots=True)
class MidiTrack:
    """The notes of one channel, with the name and General MIDI program (from 0) that the file gives them."""

    name: str
    channel: int  # 0 to 15
    program: int  # 0 to 127
    score: Score

    @classmethod
    def of(cls, role: Role, score: Score, program: int | None = None) -> MidiTrack:
        """A role's track: drums on channel 10, bass, harmony and melody on 1, 2 and 3."""
        return cls(role.value.capitalize(), _CHANNELS[role], _PROGRAMS[role] if program is None else program, score)

    @property
    def role(self) -> Role | None:
        """The role that the name says, or drums for channel 10."""
        named = next((role for role in Role if role.value == self.name.strip().lower()), None)
        return named or (Role.DRUMS if self.channel == DRUM_CHANNEL else None)


@dataclass(frozen=True, slots=True)
class MidiClip:
    """What a file holds. Every track is `length_ticks` long, a whole number of bars."""

    tracks: tuple[MidiTrack, ...]
    tempo_bpm: Fraction  # the first tempo, 120 if there is none; may lie outside what can be played here
    meter: Meter  # the first one, or one with bars of the same length; 4/4 if there is none or it cannot be played here
    key: Key | None  # the first key signature
    length_ticks: int


def encode_midi(
    tracks: Sequence[MidiTrack], tempo_bpm: Fraction, meter: Meter, key: Key, title: str = "ResonantGen"
) -> bytes:
    """A Standard MIDI File; the same arguments give the same bytes.

    One track makes a file of format 0, so that it drops onto one track of a DAW; several make one of format 1, which
    starts with a conductor track. Every track ends exactly where its score does.
    """
    conductor = list(_conductor(tempo_bpm, meter, key))
    if len(tracks) == 1:
        parts = [[mido.MetaMessage("track_name", name=tracks[0].name), *conductor, *_messages(tracks[0])]]
    else:
        length_ticks = max((track.score.length_ticks for track in tracks), default=0)
        end = mido.MetaMessage("end_of_track", time=length_ticks)
        parts = [[mido.MetaMessage("track_name", name=title), *conductor, end]]
        parts += [[mido.MetaMessage("track_name", name=track.name), *_messages(track)] for track in tracks]
    file = mido.MidiFile(
        type=0 if len(parts) == 1 else 1,
        ticks_per_beat=TICKS_PER_QUARTER,
        charset="utf-8",
        tracks=[mido.MidiTrack(part) for part in parts],
    )
    data = BytesIO()
    file.save(file=data)
    return data.getvalue()


def write_midi(
    path: Path, tracks: Sequence[MidiTrack], tempo_bpm: Fraction, meter: Meter, key: Key, title: str = "ResonantGen"
) -> None:
    """`encode_midi` to a file. Raises StorageError."""
    try:
        path.write_bytes(encode_midi(tracks, tempo_bpm, meter, key, title))
    except OSError as error:
        raise StorageError(
            f"{path} cannot be written: {error.strerror}. Free some space or choose another folder."
        ) from None


def _conductor(tempo_bpm: Fraction, meter: Meter, key: Key) -> Iterator[mido.MetaMessage]:
    clocks_per_unit = 24 * 4 // meter.denominator
    yield mido.MetaMessage("set_tempo", tempo=round(_MICROSECONDS_PER_MINUTE / tempo_bpm))
    yield mido.MetaMessage(
        "time_signature",
        numerator=meter.numerator,
        denominator=meter.denominator,
        clocks_per_click=clocks_per_unit * meter.groups[0],
    )
    minor = key.mode.is_minor
    yield mido.MetaMessage("key_signature", key=name_at_fifth(key.fifths + 3 * minor) + "m" * minor)


def _messages(track: MidiTrack) -> Iterator[mido.Message]:
    """Program, notes and end of track, with delta times. At one tick, notes end before others start."""
    yield mido.Message("program_change", channel=track.channel, program=track.program)
    events = [(note.start_ticks, True, note.pitch, note.velocity) for note in track.score]
    events += [(note.end_ticks, False, note.pitch, 64) for note in track.score]
    position = 0
    for tick, starts, pitch, velocity in sorted(events):
        kind = "note_on" if starts else "note_off"
        yield mido.Message(kind, channel=track.channel, note=pitch, velocity=velocity, time=tick - position)
        position = tick
    yield mido.MetaMessage("end_of_track", time=track.score.length_ticks - position)


def read_midi(path: Path) -> MidiClip:
    """Read a Standard MIDI File. Raises BadValue if it is none or cannot be read."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BadValue(f"{path} cannot be read: {error.strerror}.") from None
    return decode_midi(data, path.name)


def decode_midi(data: bytes, name: str = "the data") -> MidiClip:
    """The notes, tempo, meter and key of a Standard MIDI File of format 0 or 1. Raises BadValue, naming `name`.

    A track that uses several channels becomes several. A note-off ends the oldest note that sounds on its key; a note
    that is never ended lasts to the end of the clip. Pedals, controllers and changes of tempo and meter are left out.
    """
    try:
        # latin1 decodes any bytes; `_text` looks for UTF-8 afterwards.
        file = mido.MidiFile(file=BytesIO(data), charset="latin1")
    except (OSError, EOFError, ValueError, LookupError, TypeError, struct.error, KeySignatureError) as error:
        raise BadValue(
            f"{quoted(name)} is no MIDI file that can be read ({str(error) or 'it ends too early'})."
        ) from None
    if file.type not in (0, 1) or file.ticks_per_beat <= 0 or not file.tracks:
        raise BadValue(f"{quoted(name)} has no tracks on a common beat. Save it as a MIDI file of format 0 or 1.")
    ticks = Fraction(TICKS_PER_QUARTER, file.ticks_per_beat)
    tracks = [_absolute(track, ticks) for track in file.tracks]
    meta = sorted((event for track in tracks for event in track), key=lambda event: event[0])
    tempo_us = next((message.tempo for _, message in meta if message.type == "set_tempo"), None)
    meter = _meter(next((message for _, message in meta if message.type == "time_signature"), None))
    signature = next((message.key for _, message in meta if message.type == "key_signature"), None)
    bars = -(-max((tick for tick, _ in meta), default=0) // meter.bar_ticks)
    length_ticks = max(bars, 1) * meter.bar_ticks
    return MidiClip(
        tuple(part for track in tracks for part in _parts(track, length_ticks)),
        Fraction(_MICROSECONDS_PER_MINUTE, tempo_us) if tempo_us else _DEFAULT_TEMPO_BPM,
        meter,
        Key.parse(signature) if signature else None,
        length_ticks,
    )


def _absolute(track: Iterable[mido.Message], ticks: Fraction) -> list[tuple[int, mido.Message]]:
    """A track's messages with their position in our ticks."""
    position, events = 0, []
    for message in track:
        position += message.time
        events.append((round(position * ticks), message))
    return events


def _parts(events: Sequence[tuple[int, mido.Message]], length_ticks: int) -> Iterator[MidiTrack]:
    """One track for each channel that has notes, in order of the channels' numbers."""
    name = next((_text(message.name) for _, message in events if message.type == "track_name"), "")
    channels = sorted({message.channel for _, message in events if message.type == "note_on"})
    for channel in channels:
        own = [(tick, m) for tick, m in events if not m.is_meta and getattr(m, "channel", None) == channel]
        program = next((message.program for _, message in own if message.type == "program_change"), 0)
        notes = list(_notes(own, length_ticks))
        if notes:
            yield MidiTrack(name, channel, program, Score.of(notes, length_ticks))


def _notes(events: Iterable[tuple[int, mido.Message]], length_ticks: int) -> Iterator[Note]:
    sounding: dict[int, list[tuple[int, int]]] = {}  # key -> (start, velocity), oldest first
    for tick, message in events:
        if message.type == "note_on" and message.velocity > 0:
            sounding.setdefault(message.note, []).append((tick, message.velocity))
        elif message.type in ("note_on", "note_off") and sounding.get(message.note):
            start, velocity = sounding[message.note].pop(0)
            yield Note(start, message.note, max(1, tick - start), velocity)
    for pitch, unended in sounding.items():
        for start, velocity in unended:
            yield Note(start, pitch, max(1, length_ticks - start), velocity)


def _text(latin1: str) -> str:
    try:
        return latin1.encode("latin1").decode("utf-8")
    except UnicodeDecodeError:
        return latin1


def _meter(message: mido.MetaMessage | None) -> Meter:
    if message is not None:
        bar = Fraction(message.numerator, message.denominator)
        for denominator in (message.denominator, 4, 8):
            try:
                if (bar * denominator).denominator == 1:
                    return Meter(int(bar * denominator), denominator)
            except BadValue:
                continue
    return Meter()
