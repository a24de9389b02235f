"""How well sound is analysed, for docs/analysis.md: `python tests/benchmarks/analysis.py DATA [--dev] [--sets ...]`.

DATA is the folder that holds `POP909/`, `groove/` and `freedoom/`, unpacked. What is analysed is made here from notes
whose truth is known: every style by our own generators and instruments, and the held-out items of the sets (--dev:
others, to improve the analysis on) through FluidSynth and a soundfont that nothing was trained on.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import subprocess
import sys
import tempfile
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import mido
import numpy as np
import soundfile
from numpy.typing import NDArray

from resonantgen.audio.analysis import Analysis, analyze
from resonantgen.generators.style import load_style, style_ids
from resonantgen.music.notes import Role
from resonantgen.music.theory import Key, Mode, parse_pitch_class
from resonantgen.prompt import understand
from resonantgen.session.jobs import Standing, generation
from resonantgen.session.produce import compose
from resonantgen.session.settings import Options
from resonantgen.session.studio import Studio
from resonantgen.session.values import Recipe

Array = NDArray[np.float64]

SOUNDFONT = "/usr/share/sounds/sf2/TimGM6mb.sf2"
RATE = 44_100
START_SECONDS, EXCERPT_SECONDS = 20.0, 60.0  # of a song
DRUM_SECONDS = 30.0
MERGED_SECONDS = 0.03  # strokes so close together are one onset
WITHIN_SECONDS = 0.05
NEAR_BEAT = 0.15  # of a beat
DEV_REMAINDERS: tuple[int, ...] = (3,)
GROOVE_SPLITS = {False: "test", True: "validation"}


@dataclass(frozen=True, eq=False)
class Item:
    """A piece of sound, and what is true of it; None and empty where that is not known."""

    name: str
    load: Callable[[], tuple[Array, int]]
    tempo_bpm: float | None = None
    beats: tuple[float, ...] = ()
    downbeats: tuple[float, ...] = ()
    key: Key | None = None
    chords: tuple[tuple[float, float, int | None], ...] = ()  # start, end, root
    onsets: tuple[float, ...] = ()
    role: Role | None = None


# Our own styles


def own_items(part: str, dev: bool, every: int) -> Iterator[Item]:
    """Each style's mix, or one of its stems, started somewhere in the loop."""
    for number, style in list(enumerate(style_ids()))[::every]:
        seed = number + (100 if dev else 0)
        yield own_item(style, part, seed)


def own_item(style: str, part: str, seed: int) -> Item:
    studio = Studio()
    job = generation(
        Standing(None, {}, frozenset(), seed, 0), understand(load_style(style).title), Options.parse(), seed, None
    )
    settings = job.settings
    chords = studio.chords(settings, {})
    quarter = 60 / float(settings.tempo_bpm)
    bar = settings.meter.bar_ticks / 480 * quarter
    loop = settings.frames / settings.sample_rate
    random = np.random.default_rng(seed)
    first = random.uniform(0, loop)
    seconds = random.uniform(1.15, 1.7) * loop

    def load() -> tuple[Array, int]:
        heard = {}
        stems = {}
        for role, made in job.parts.items():
            recipe = Recipe(role, job.seeds[role], settings, made, chords, dict.fromkeys(heard, ""))
            heard[role] = compose(recipe, heard, studio)
            if part in ("mix", role.value):
                stems[role] = studio.render(heard[role], recipe, studio.sound(recipe))
        samples = sum(stems.values()) if part == "mix" else stems[Role(part)]
        at = round(first * settings.sample_rate) + np.arange(round(seconds * settings.sample_rate))
        return np.take(samples, at, axis=0, mode="wrap"), settings.sample_rate

    def grid(step: float) -> tuple[float, ...]:
        times = np.arange(0, first + seconds, step) - first
        return tuple(times[times >= 0])

    spans = [
        (
            turn * loop - first + span.start_ticks / 480 * quarter,
            turn * loop - first + span.end_ticks / 480 * quarter,
            span.chord.root,
        )
        for turn in range(3)
        for span in chords.spans
    ]
    onsets: tuple[float, ...] = ()
    if part == "drums":
        recipe = Recipe(Role.DRUMS, job.seeds[Role.DRUMS], settings, job.parts[Role.DRUMS], chords, {})
        starts = [note.start_ticks / 480 * quarter for note in compose(recipe, {}, studio)]
        onsets = merged(start + turn * loop - first for turn in range(3) for start in starts)
        onsets = tuple(time for time in onsets if 0 <= time < seconds)
    tonal = part != "drums"
    return Item(
        f"{style} {part}",
        load,
        float(settings.tempo_bpm),
        grid(quarter),
        grid(bar),
        settings.key if tonal else None,
        tuple(spans) if tonal else (),
        onsets,
        None,
    )


def merged(times: Iterator[float]) -> tuple[float, ...]:
    kept: list[float] = []
    for time in sorted(times):
        if not kept or time - kept[-1] > MERGED_SECONDS:
            kept.append(time)
    return tuple(kept)


# The sets of MIDI files


@dataclass(frozen=True)
class Event:
    seconds: float
    message: mido.Message


def midi_events(path: Path) -> tuple[list[Event], list[tuple[float, float]]]:
    """The messages of a file, and its tempos: seconds and bpm of each."""
    now, events, tempos = 0.0, [], []
    for message in mido.MidiFile(path, clip=True):
        now += message.time
        if message.type == "set_tempo":
            tempos.append((now, 60e6 / message.tempo))
        elif not message.is_meta and message.type != "sysex":
            events.append(Event(now, message))
    return events, tempos


def excerpt(events: list[Event], start: float, seconds: float) -> mido.MidiFile:
    """So many seconds of it: what was set before is set at its start, what still sounded before is left out."""
    file = mido.MidiFile(ticks_per_beat=10_000)
    track = mido.MidiTrack()
    file.tracks.append(track)
    last = 0
    sounding = set()
    for event in events:
        message = event.message
        note = message.type in ("note_on", "note_off")
        if event.seconds >= start + seconds:
            break
        if note and event.seconds < start - 1e-6:
            continue
        if note:
            on = message.type == "note_on" and message.velocity > 0
            name = (message.channel, message.note)
            if not on and name not in sounding:
                continue
            (sounding.add if on else sounding.discard)(name)
        ticks = round(max(event.seconds - start, 0.0) * 20_000)
        track.append(message.copy(time=ticks - last))
        last = ticks
    for channel, key in sorted(sounding):
        track.append(mido.Message("note_off", channel=channel, note=key, time=max(round(seconds * 20_000) - last, 0)))
        last = max(last, round(seconds * 20_000))
    return file


def rendering(events: list[Event], start: float, seconds: float, soundfont: str) -> Callable[[], tuple[Array, int]]:
    def load() -> tuple[Array, int]:
        with tempfile.TemporaryDirectory() as folder:
            source, target = Path(folder) / "in.mid", Path(folder) / "out.wav"
            excerpt(events, start, seconds).save(source)
            command = ["fluidsynth", "-ni", "-g", "0.5", "-r", str(RATE), "-F", str(target), soundfont, str(source)]
            subprocess.run(command, check=True, capture_output=True)
            samples, rate = soundfile.read(target, always_2d=True)
        return samples[: round(seconds * rate)], rate

    return load


def chosen(name: str, dev: bool) -> bool:
    return zlib.crc32(name.encode()) % 10 in (DEV_REMAINDERS if dev else (0,))


def pop909_items(data: Path, dev: bool, soundfont: str, every: int) -> Iterator[Item]:
    folders = [path.parent for path in sorted((data / "POP909").glob("**/chord_midi.txt"))]
    for folder in [folder for folder in folders if chosen(folder.name, dev)][::every]:
        events, _ = midi_events(folder / f"{folder.name}.mid")
        rows = [[float(x) for x in line.split()] for line in (folder / "beat_midi.txt").read_text().splitlines()]
        start, end = START_SECONDS, START_SECONDS + EXCERPT_SECONDS
        beats = np.array([row[0] for row in rows if start <= row[0] < end]) - start
        downbeats = np.array([row[0] for row in rows if start <= row[0] < end and row[2]]) - start
        keys = [line.split() for line in (folder / "key_audio.txt").read_text().splitlines()]
        keys = [key for key in keys if float(key[0]) <= start + 5 and float(key[1]) >= end - 5]
        yield Item(
            f"POP909 {folder.name}",
            rendering(events, start, EXCERPT_SECONDS, soundfont),
            60 / float(np.median(np.diff(beats))),
            tuple(beats),
            tuple(downbeats),
            harte_key(keys[0][2]) if keys else None,
            tuple(harte_spans(folder / "chord_midi.txt", start)),
        )


def harte_key(text: str) -> Key:
    tonic, mode = text.split(":")
    return Key(parse_pitch_class(tonic), Mode.MINOR if mode.startswith("min") else Mode.MAJOR)


def harte_spans(path: Path, start: float) -> Iterator[tuple[float, float, int | None]]:
    for line in path.read_text().splitlines():
        first, last, name = line.split()
        yield float(first) - start, float(last) - start, None if name == "N" else parse_pitch_class(name.split(":")[0])


def groove_items(data: Path, dev: bool, soundfont: str, every: int) -> Iterator[Item]:
    with (data / "groove/info.csv").open() as file:
        split = GROOVE_SPLITS[dev]
        rows = [row for row in csv.DictReader(file) if row["split"] == split and row["beat_type"] == "beat"]
    for row in [row for row in rows if float(row["duration"]) >= 8][::every]:
        events, _ = midi_events(data / "groove" / row["midi_filename"])
        seconds = min(float(row["duration"]), DRUM_SECONDS)
        notes = [e for e in events if e.message.type == "note_on" and e.message.velocity > 0 and e.seconds < seconds]
        quarter = 60 / float(row["bpm"])
        count, unit = (int(x) for x in row["time_signature"].split("-"))
        yield Item(
            f"groove {row['id']} {row['style']} {row['bpm']} {row['time_signature']}",
            rendering(events, 0.0, seconds, soundfont),
            float(row["bpm"]),
            tuple(np.arange(0, seconds, quarter)),
            tuple(np.arange(0, seconds, count * 4 / unit * quarter)),
            onsets=merged(e.seconds for e in notes),
            role=None,
        )


def freedoom_items(data: Path, dev: bool, soundfont: str, every: int) -> Iterator[Item]:
    """Only the tempo is true here; of pieces that keep one."""
    paths = sorted((data / "freedoom/musics").glob("*.mid"))
    for path in [path for path in paths if chosen(path.stem, dev)][::every]:
        events, tempos = midi_events(path)
        inside = {round(bpm, 2) for seconds, bpm in tempos if seconds <= EXCERPT_SECONDS} or {120.0}
        if len(inside) > 1:
            continue
        first = min(e.seconds for e in events if e.message.type == "note_on")
        yield Item(f"freedoom {path.stem}", rendering(events, first, EXCERPT_SECONDS, soundfont), inside.pop())


# Figures


def tempo_class(found: float | None, true: float) -> str:
    if found is None:
        return "none"
    for name, factor in (
        ("right", 1.0),
        ("octave", 2.0),
        ("octave", 0.5),
        ("third", 3.0),
        ("third", 1 / 3),
        ("other", 1.5),
        ("other", 2 / 3),
    ):
        if abs(found / true / factor - 1) <= 0.01:
            return name
    return "wrong"


def on_grid(times: tuple[float, ...], first: float, step: float) -> float:
    """The share of times that lie on a grid."""
    places = (np.array(times) - first) / step
    return float((np.abs(places - np.round(places)) < NEAR_BEAT).mean())


def key_class(found: Key | None, true: Key) -> str:
    if found is None:
        return "none"
    if found.tonic == true.tonic and found.mode.is_minor == true.mode.is_minor:
        return "right"
    # D dorian's tones are C major's; F# major is the relative of Eb minor, however it is spelt
    relatives = {true.fifths % 12, Key(true.tonic, Mode.MINOR if true.mode.is_minor else Mode.MAJOR).fifths % 12}
    if found.fifths % 12 in relatives:
        return "relative"
    if found.mode.is_minor == true.mode.is_minor and (found.tonic - true.tonic) % 12 in (5, 7):
        return "dominant" if (found.tonic - true.tonic) % 12 == 7 else "subdominant"
    return "parallel" if found.tonic == true.tonic else "wrong"


def root_at(spans: tuple[tuple[float, float, int | None], ...], seconds: float) -> int | None:
    return next((root for start, end, root in spans if start <= seconds < end), None)


def f_measure(true: tuple[float, ...], found: tuple[float, ...]) -> float:
    pairs = i = j = 0
    while i < len(true) and j < len(found):
        if abs(found[j] - true[i]) <= WITHIN_SECONDS:
            pairs, i, j = pairs + 1, i + 1, j + 1
        elif found[j] < true[i]:
            j += 1
        else:
            i += 1
    return 2 * pairs / max(len(true) + len(found), 1)


def figures(item: Item, analysis: Analysis) -> dict[str, float | str]:
    row: dict[str, float | str] = {}
    if item.tempo_bpm:
        row["tempo"] = tempo_class(analysis.tempo_bpm, item.tempo_bpm)
        if item.beats and analysis.tempo_bpm:
            row["beats"] = on_grid(item.beats, analysis.downbeat_seconds, 60 / analysis.tempo_bpm)
            if row["tempo"] in ("right", "octave") and analysis.bar_seconds:
                row["downbeat"] = downbeats_right(item, analysis)
    if item.key:
        row["key"] = key_class(analysis.key, item.key)
    if item.chords:
        heard = tuple((s.start_seconds, s.end_seconds, s.chord.root if s.chord else None) for s in analysis.chords)
        middles = [(a + b) / 2 for a, b in zip(item.beats[:-1], item.beats[1:], strict=True)]
        roots = [(root_at(item.chords, m), root_at(heard, m)) for m in middles]
        known = [(a, b) for a, b in roots if a is not None]
        if known:
            row["roots"] = sum(a == b for a, b in known) / len(known)
    if item.onsets:
        row["onsets"] = f_measure(item.onsets, analysis.onsets_seconds)
    return row


def downbeats_right(item: Item, analysis: Analysis) -> float:
    """The share of true downbeats on which a bar is heard to start, within NEAR_BEAT of a true beat."""
    beat = 60 / item.tempo_bpm if item.tempo_bpm else 0.5
    bar = analysis.bar_seconds or 1.0
    away = (np.array(item.downbeats) - analysis.downbeat_seconds) / bar
    away = np.abs(away - np.round(away)) * bar
    return float((away < NEAR_BEAT * beat).mean())


def cached(item: Item, folder: Path | None, tag: str) -> tuple[Array, int]:
    if folder is None:
        return item.load()
    path = folder / (hashlib.sha256(f"{tag} {item.name}".encode()).hexdigest()[:16] + ".npz")
    if not path.exists():
        samples, rate = item.load()
        np.savez(path, samples=samples.astype(np.float32), rate=rate)
    with np.load(path) as stored:
        return stored["samples"], int(stored["rate"])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("--dev", action="store_true")
    parser.add_argument("--sets", default="mix,drums,bass,harmony,melody,pop909,groove,freedoom")
    parser.add_argument("--every", type=int, default=1, help="only every so many-th item")
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--soundfont", default=SOUNDFONT)
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args()
    soundfont = options.soundfont
    readers = {"pop909": pop909_items, "groove": groove_items, "freedoom": freedoom_items}
    columns = "set, items, tempo right, octave, other, beats, downbeat, key right, relative, dominant, other, roots"
    print("| " + " | ".join([*columns.split(", "), "onsets F1", "real time"]) + " |")
    print("|---|---|---|---|---|---|---|---|---|---|---|---|---|---|")
    for name in options.sets.split(","):
        items = (
            readers[name](options.data, options.dev, soundfont, options.every)
            if name in readers
            else own_items(name, options.dev, options.every)
        )
        rows = []
        heard_seconds = spent = 0.0
        for item in items:
            samples, rate = cached(item, options.cache, f"{soundfont} {options.dev}")
            begin = perf_counter()
            analysis = analyze(samples, rate, role=item.role)
            spent += perf_counter() - begin
            heard_seconds += len(samples) / rate
            rows.append(figures(item, analysis))
            if options.verbose:
                true = f"{item.tempo_bpm:.1f} {item.key}" if item.tempo_bpm else ""
                print(
                    item.name,
                    "|",
                    true,
                    "|",
                    analysis.tempo_bpm,
                    analysis.key,
                    "|",
                    rows[-1],
                    file=sys.stderr,
                    flush=True,
                )
        print(line(name, rows, heard_seconds / max(spent, 1e-9)), flush=True)


def line(name: str, rows: list[dict[str, float | str]], speed: float) -> str:
    columns: dict[str, list[float | str]] = defaultdict(list)
    for row in rows:
        for column, value in row.items():
            columns[column].append(value)

    def share(column: str, *values: str) -> str:
        found = columns[column]
        return f"{100 * sum(v in values for v in found) / len(found):.0f} %" if found else "–"

    def mean(column: str, percent: bool = True) -> str:
        found = [float(v) for v in columns[column]]
        if not found:
            return "–"
        return f"{100 * np.mean(found):.0f} %" if percent else f"{np.mean(found):.2f}"

    cells = [
        name,
        str(len(rows)),
        share("tempo", "right"),
        share("tempo", "octave"),
        share("tempo", "third", "other", "wrong", "none"),
        mean("beats"),
        mean("downbeat"),
        share("key", "right"),
        share("key", "relative"),
        share("key", "dominant"),
        share("key", "subdominant", "parallel", "wrong", "none"),
        mean("roots"),
        mean("onsets", False),
        f"{speed:.0f}x",
    ]
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    main()
