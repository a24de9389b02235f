"""Odd sound files: each is a sensible result, or one clear line."""

from __future__ import annotations

import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

import recordings
from resonantgen.errors import AudioError, ResonantGenError
from resonantgen.session import importing
from resonantgen.session.import_options import ImportOptions
from resonantgen.session.import_plan import ImportPlan
from resonantgen.session.import_report import report
from resonantgen.session.importing import listen_only

SAID = ImportOptions.parse(tempo=120)
SOUND = recordings.chords(bars=2)
Make = Callable[[Path], Path]


def measured(path: Path, options: ImportOptions = SAID) -> ImportPlan:
    return listen_only(path, "harmony", options, None)


def written(name: str, sound: np.ndarray = SOUND, rate: int = 44_100, **kind: str) -> Make:
    return lambda folder: recordings.write(folder / name, sound, rate, **kind)


def with_bytes(name: str, data: bytes) -> Make:
    def make(folder: Path) -> Path:
        (folder / name).write_bytes(data)
        return folder / name

    return make


def edited(name: str, edit: Callable[[bytes], bytes], **kind: str) -> Make:
    """A file whose bytes are changed once it is written."""

    def make(folder: Path) -> Path:
        path = recordings.write(folder / name, SOUND, **kind)
        path.write_bytes(edit(path.read_bytes()))
        return path

    return make


def half(data: bytes) -> bytes:
    return data[: len(data) // 2]


def with_values(*values: float, everywhere: bool = False) -> np.ndarray:
    sound = np.full_like(SOUND, values[0]) if everywhere else SOUND.copy()
    for place, value in enumerate(values):
        sound[1000 + place] = value
    return sound


def channels(count: int) -> np.ndarray:
    return np.repeat(SOUND, count, axis=1)


def at_rate(rate: int) -> np.ndarray:
    return recordings.chords(bars=2, sample_rate=rate)


JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01" + bytes(range(256)) * 8

READ: dict[str, Make] = {
    "8 bit": written("a.wav", subtype="PCM_U8"),
    "16 bit": written("a.wav", subtype="PCM_16"),
    "24 bit": written("a.wav", subtype="PCM_24"),
    "32 bit": written("a.wav", subtype="PCM_32"),
    "32-bit float": written("a.wav", subtype="FLOAT"),
    "64-bit float": written("a.wav", subtype="DOUBLE"),
    "u-law": written("a.wav", subtype="ULAW"),
    "a-law": written("a.wav", subtype="ALAW"),
    "ADPCM": written("a.wav", subtype="IMA_ADPCM"),
    "AIFF": written("a.aiff"),
    "FLAC": written("a.flac"),
    "Ogg Vorbis": written("a.ogg"),
    "Ogg Opus": written("a.opus", at_rate(48_000), 48_000, format="OGG", subtype="OPUS"),
    "MP3": written("a.mp3"),
    "CAF": written("a.caf"),
    "AU": written("a.au"),
    "W64": written("a.w64"),
    "RF64": written("a.rf64"),
    "a WAV file called .jpg": lambda folder: written("a.wav")(folder).rename(folder / "a.jpg"),
    "a WAV file called .raw": lambda folder: written("a.wav")(folder).rename(folder / "a.raw"),
    "8 kHz": written("a.wav", at_rate(8000), 8000),
    "11 kHz": written("a.wav", at_rate(11_025), 11_025),
    "44101 Hz": written("a.wav", at_rate(44_101), 44_101),
    "96 kHz": written("a.wav", at_rate(96_000), 96_000),
    "192 kHz": written("a.wav", at_rate(192_000), 192_000),
    "stereo": written("a.wav", channels(2)),
    "3 channels": written("a.wav", channels(3)),
    "6 channels": written("a.wav", channels(6)),
    "8 channels": written("a.wav", channels(8)),
    "some NaN": written("a.wav", with_values(np.nan, np.nan), subtype="FLOAT"),
    "some infinity": written("a.wav", with_values(np.inf, -np.inf), subtype="FLOAT"),
    "over full scale": written("a.wav", SOUND * 50, subtype="FLOAT"),
    "integers as floats": written("a.wav", SOUND * 32_768, subtype="FLOAT"),
    "very quiet": written("a.wav", SOUND * 1e-2, subtype="FLOAT"),
    "a DC offset": written("a.wav", SOUND * 0.5 + 0.4),
    "a truncated WAV": edited("a.wav", half),
    "a truncated FLAC": edited("a.flac", half),
    "a truncated MP3": edited("a.mp3", half),
    "garbage behind it": edited("a.wav", lambda data: data + b"garbage" * 99),
    "a huge declared length": edited("a.wav", lambda data: data[:40] + b"\xff\xff\xff\x7f" + data[44:]),
    "an odd name": written("käse\n🧀.wav"),
    "a link": lambda folder: _link(written("a.wav")(folder), folder / "link.wav"),
}  # fmt: skip


def _link(target: Path, link: Path) -> Path:
    link.symlink_to(target)
    return link


def _fifo(folder: Path) -> Path:
    os.mkfifo(folder / "pipe.wav")
    return folder / "pipe.wav"


REFUSED: dict[str, tuple[Make, str]] = {
    "silence": (written("a.wav", SOUND * 0), "is silent"),
    "a DC offset alone": (written("a.wav", SOUND * 0 + 0.5), "is silent"),
    "10 ms": (written("a.wav", SOUND[:441]), "too little"),
    "one sample": (written("a.wav", SOUND[:1]), "too little"),
    "no samples": (written("a.wav", SOUND[:0]), "too little"),
    "NaN alone": (written("a.wav", with_values(np.nan, everywhere=True), subtype="FLOAT"), "is silent"),
    "a renamed JPEG": (with_bytes("a.wav", JPEG), "no sound file"),
    "text": (with_bytes("a.wav", b"Dear Sir or Madam,\n" * 50), "no sound file"),
    "random bytes called .raw": (with_bytes("a.raw", bytes(range(256)) * 40), "no sound file"),
    "a MIDI file": (with_bytes("a.mid", b"MThd\0\0\0\6\0\0\0\1\1\xe0MTrk\0\0\0\4\0\xff\x2f\0"), "no sound file"),
    "a zip file": (with_bytes("a.zip", b"PK\5\6" + bytes(18)), "no sound file"),
    "an empty file": (with_bytes("a.wav", b""), "is empty"),
    "a truncated Ogg": (edited("a.ogg", half), "too little"),  # its length stands at its end
    "half a header": (edited("a.wav", lambda data: data[:20]), "no sound file"),
    "one sample a second": (written("a.wav", SOUND, 1), "1 samples a second"),
    "a folder": (lambda folder: folder, "is a folder"),
    "nothing": (lambda folder: folder / "nothing.wav", "No such file"),
    "a link to nothing": (lambda folder: _link(folder / "nothing", folder / "a.wav"), "No such file"),
    "a pipe": (_fifo, "no file on a disk"),
    "a device": (lambda folder: Path("/dev/zero"), "no file on a disk"),
    "a name with a null": (lambda folder: folder / "a\0.wav", "cannot be read"),
    "a name that is too long": (lambda folder: folder / ("a" * 300), "cannot be read"),
}  # fmt: skip


@pytest.mark.parametrize("make", READ.values(), ids=READ)
def test_what_is_sound_is_heard(tmp_path: Path, make: Make) -> None:
    plan = measured(make(tmp_path))
    assert plan.source.bars >= 1 and plan.source.tempo_bpm == 120
    assert np.isfinite(plan.imported.loudness_lufs) and plan.imported.channels >= 1
    assert all("\n" not in text + note for _, text, note in report(plan))


@pytest.mark.parametrize(("make", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_is_none_is_one_clear_line(tmp_path: Path, make: Make, reason: str) -> None:
    with pytest.raises(AudioError, match=reason) as refused:
        measured(make(tmp_path))
    assert "\n" not in str(refused.value) and ".." not in str(refused.value)
    assert str(refused.value).count("cannot be read") <= 1 and str(refused.value).count("Give a") <= 1


def test_without_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written("a.wav")(tmp_path)

    def refuse(self: Path, *mode: object, **options: object) -> object:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(AudioError, match=r"a\.wav cannot be read: Permission denied"):
        measured(path)


@pytest.mark.parametrize(
    ("make", "remark"),
    [
        (READ["6 channels"], "6 channels, mixed down to 2"),
        (READ["8 channels"], "8 channels, mixed down to 1"),
        (READ["some NaN"], "2 samples that are no numbers are silent"),
    ],
    ids=["6 channels", "8 channels", "NaN"],
)
def test_what_is_odd_is_said(tmp_path: Path, make: Make, remark: str) -> None:
    assert remark in measured(make(tmp_path)).imported.remarks


def test_surround_is_mixed_as_the_standard_has_it(tmp_path: Path) -> None:
    """What is in the centre alone is in both, the low-frequency channel in neither."""
    from resonantgen.audio.sound_file import read_window

    sound = np.zeros((44_100, 6))
    sound[:, 3] = 0.9
    window = read_window(recordings.write(tmp_path / "a.wav", sound), 0.0, 1.0, 44_100)
    assert np.abs(window.samples).max() == 0.0
    sound[:, 3], sound[:, 2], sound[:, 0] = 0.0, 0.5, 0.1
    window = read_window(recordings.write(tmp_path / "b.wav", sound), 0.0, 1.0, 44_100)
    left, right = window.samples[22_050]
    assert left > right > 0 and left / right == pytest.approx((0.1 + 0.5 * 0.7071) / (0.5 * 0.7071), rel=1e-3)


def test_an_hour_needs_the_memory_of_minutes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "LONGEST_SECONDS", 30.0)  # as long as that takes to listen to
    path = tmp_path / "hour.wav"
    bars = recordings.chords(bars=8, sample_rate=8000)
    with soundfile.SoundFile(path, "w", 8000, 1, subtype="PCM_U8") as file:
        for _ in range(225):
            file.write(bars)
    tracemalloc.start()
    try:
        plan = measured(path)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert plan.imported.seconds == 3600.0 and plan.imported.heard_seconds == pytest.approx(30.0, abs=0.01)
    assert any("60:00.0 long: 0:00.0 to 0:30.0 was listened to" in remark for remark in plan.imported.remarks)
    assert most < 300_000_000  # of floats, the hour would be 460 MB


def test_what_is_not_a_number_of_options(tmp_path: Path) -> None:
    for said in (
        {"tempo": "fast"},
        {"offset": -1.0},
        {"offset": float("nan")},
        {"bars": 0},
        {"chords": "H"},
        {"fit": "x"},
    ):
        with pytest.raises(ResonantGenError):
            ImportOptions.parse(**said)  # type: ignore[arg-type]
