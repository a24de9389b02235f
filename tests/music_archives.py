"""Small archives of symbolic music in the layout of the public ones, for tests of what reads them."""

from __future__ import annotations

import tarfile
from io import BytesIO
from pathlib import Path

import mido

QUARTER = 480


def midi_bytes(
    tracks: dict[str, list[tuple[int, int, int, int]]],
    *,
    tempos: tuple[tuple[int, float], ...] = ((0, 120.0),),
    channels: dict[str, int] | None = None,
    programs: dict[str, int] | None = None,
    meter: tuple[int, int] = (4, 4),
) -> bytes:
    """`tracks`: name to notes, each start and length in quarter notes, key, velocity. `tempos`: quarter note, bpm."""
    file = mido.MidiFile(type=1, ticks_per_beat=QUARTER)
    conductor = mido.MidiTrack()
    conductor.append(mido.MetaMessage("time_signature", numerator=meter[0], denominator=meter[1]))
    at = 0
    for quarter, bpm in tempos:
        conductor.append(mido.MetaMessage("set_tempo", tempo=round(60e6 / bpm), time=(quarter - at) * QUARTER))
        at = quarter
    file.tracks.append(conductor)
    for index, (name, notes) in enumerate(tracks.items()):
        track, channel = mido.MidiTrack(), (channels or {}).get(name, index)
        track.append(mido.MetaMessage("track_name", name=name))
        if programs and name in programs:
            track.append(mido.Message("program_change", channel=channel, program=programs[name]))
        events = [(start * QUARTER, 1, key, velocity) for start, _, key, velocity in notes]
        events += [((start + length) * QUARTER, 0, key, 0) for start, length, key, _ in notes]
        tick = 0
        for when, on, key, velocity in sorted(events):
            kind = "note_on" if on else "note_off"
            track.append(
                mido.Message(kind, channel=channel, note=key, velocity=velocity or 64, time=round(when) - tick)
            )
            tick = round(when)
        file.tracks.append(track)
    data = BytesIO()
    file.save(file=data)
    return data.getvalue()


def write_archive(path: Path, files: dict[str, bytes]) -> None:
    with tarfile.open(path, "w:xz") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, BytesIO(data))


def rock_beat(bars: int) -> list[tuple[float, float, int, int]]:
    """Kick, snare and closed hat."""
    notes = []
    for bar in range(bars):
        for eighth in range(8):
            notes.append((bar * 4 + eighth / 2, 0.25, 42, 70))
        notes += [(bar * 4 + beat, 0.25, 36 if beat % 2 == 0 else 38, 100) for beat in range(4)]
    return notes


def write_groove(folder: Path, splits: dict[str, str], bars: int = 8) -> None:
    """Performances by id, such as "drummer1/session1/1", each of a split, at 120 bpm."""
    header = "drummer,session,id,style,bpm,beat_type,time_signature,midi_filename,audio_filename,duration,split\n"
    rows = [
        f"drummer1,s,{name},{'jazz/swing' if index % 2 else 'rock'},120,beat,4-4,{name}.mid,,{bars * 2},{split}\n"
        for index, (name, split) in enumerate(splits.items())
    ]
    rows.append("drummer1,s,fill,rock,120,fill,4-4,fill.mid,,2,train\n")
    data = midi_bytes({"Drums": rock_beat(bars)}, channels={"Drums": 9})
    files = {"groove/info.csv": (header + "".join(rows)).encode(), "groove/fill.mid": data}
    write_archive(folder / "groove-midi.tar.xz", files | {f"groove/{name}.mid": data for name in splits})


def write_pop909(folder: Path, names: tuple[str, ...], bars: int = 8) -> None:
    """Songs at 120 bpm whose bars start 0.5 s in: C major and A minor by turns, a bar each, in C major."""
    files = {}
    for name in names:
        left = [(1 + 4 * bar, 4, 36 if bar % 2 == 0 else 57, 80) for bar in range(bars)]
        chords = [
            (1 + 4 * bar, 4, key, 70) for bar in range(bars) for key in ((60, 64, 67) if bar % 2 == 0 else (60, 64, 69))
        ]
        melody = [(1 + beat, 0.9, 72 + beat % 5, 90) for beat in range(4 * bars)]
        midi = midi_bytes({"MELODY": melody, "BRIDGE": melody[: 2 * bars], "PIANO": left + chords}, meter=(2, 4))
        beats = "".join(f"{0.5 + beat / 2} {float(beat % 2 == 0)} {float(beat % 4 == 0)}\n" for beat in range(4 * bars))
        labels = ("C:maj", "A:min/b3")
        rows = ["0.0 0.5 N\n"] + [f"{0.5 + 2 * bar} {2.5 + 2 * bar} {labels[bar % 2]}\n" for bar in range(bars)]
        files |= {
            f"POP909/{name}/{name}.mid": midi,
            f"POP909/{name}/beat_midi.txt": beats.encode(),
            f"POP909/{name}/chord_midi.txt": "".join(rows).encode(),
            f"POP909/{name}/key_audio.txt": b"0.0\t3.0\tG:maj\n3.0\t99.0\tC:maj\n",
        }
    write_archive(folder / "pop909.tar.xz", files)


def write_freedoom(folder: Path, names: tuple[str, ...], bars: int = 8) -> None:
    """Pieces at 90 bpm with drums, a bass, a guitar in fifths and a lead; and a helicopter."""
    eighths = range(8 * bars)
    tracks = {
        "drums": rock_beat(bars),
        "bass": [(e / 2, 0.5, 40, 90) for e in eighths],
        "low synth": [(e / 2, 0.5, 36, 90) for e in eighths],
        "guitar": [(e / 2, 0.5, key, 90) for e in eighths for key in (52, 59)],
        "lead": [(e / 2, 0.4, 76 + e % 3, 90) for e in eighths],
        "helicopter": [(e / 2, 0.4, 60, 90) for e in eighths],
    }
    programs = {"bass": 33, "low synth": 81, "guitar": 30, "lead": 80, "helicopter": 125}
    data = midi_bytes(tracks, tempos=((0, 90.0),), channels={"drums": 9}, programs=programs)
    write_archive(folder / "freedoom-midi.tar.xz", {f"freedoom/musics/{name}.mid": data for name in names})
