"""Where an imported track came from: the file, what of it is used, what was heard in it, and what was done to it."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

IMPORTED = "imported"  # the generator of takes that nobody here has played
FITS = ("refuse", "follow", "stretch")  # what becomes of a recording at another tempo than the project's


@dataclass(frozen=True, slots=True)
class Source:
    """A recording whose file the project keeps as it came, and what of it a take plays."""

    sha256: str  # of the file's bytes
    suffix: str  # ".wav", or nothing
    name: str  # "guitar.wav"
    start_seconds: float  # where in it the first bar begins
    tempo_bpm: Fraction  # its own
    bars: int  # of it that are taken; they are repeated to fill the project's

    @property
    def file_name(self) -> str:
        """In the project's folder of imports."""
        return f"{self.sha256}{self.suffix}"


@dataclass(frozen=True, slots=True)
class Tokens:
    """The tokens of a take's sound, as it was made. The project keeps their file; they never change."""

    sha256: str  # of the file's bytes
    model: str  # "resonant"
    frames: int
    bandwidth_kbps: float

    @classmethod
    def of(cls, data: bytes, model: str, frames: int, bandwidth_kbps: float) -> Tokens:
        return cls(hashlib.sha256(data).hexdigest(), model, frames, bandwidth_kbps)

    @property
    def file_name(self) -> str:
        """In the project's folder of imports."""
        return f"{self.sha256}.rgt"

    def __str__(self) -> str:
        """For people: "tokens 600 frames, 6 kbit/s, resonant"."""
        return f"tokens {self.frames} frames, {self.bandwidth_kbps:g} kbit/s, {self.model}"


@dataclass(frozen=True, slots=True)
class Imported:
    """What was heard in a recording, before anybody corrected it, and what was done to bring it onto the grid."""

    format: str  # "WAV, Signed 24 bit PCM"
    seconds: float
    sample_rate: int
    channels: int
    heard_seconds: float  # of its sound, as far as it was listened to
    heard_tempo_bpm: float | None  # None: no beat was found
    tempo_clarity: float  # 0 to 1
    heard_start_seconds: float
    heard_key: str | None  # None: no tones
    key_clarity: float
    heard_chords: str  # "Am F C G", as in the key that was heard
    onsets: int
    low: int | None  # MIDI keys of its register
    high: int | None
    loudness_lufs: float
    corrected: tuple[str, ...]  # what was said instead of heard: "tempo", "offset", "key", "chords"
    remarks: tuple[str, ...]  # what a person should know of the file: "6 channels, mixed down to 2"
    stretch: float  # its length after over before; 1.0: left as it was
    gain_db: float  # to the loudness of its role in the mix
    tokens: Tokens | None  # of the take's sound; None: there was no codec

    def __str__(self) -> str:
        """For people: "beat 120.0 bpm, stretched by 0.8%, gain -3.1 dB"."""
        beat = "no beat heard" if self.heard_tempo_bpm is None else f"beat {self.heard_tempo_bpm:.1f} bpm"
        moved = f"stretched by {abs(self.stretch - 1):.1%}" if self.stretch != 1.0 else "not stretched"
        gain = round(self.gain_db, 1) + 0.0  # no "-0.0"
        return f"{beat}, {moved}, gain {gain:+.1f} dB"


def suffix_of(path: Path) -> str:
    """The ending of a file's name, if it is a plain one."""
    suffix = path.suffix.lower()
    return suffix if re.fullmatch(r"\.[a-z0-9]{1,8}", suffix) else ""


def shown_name(path: Path) -> str:
    """A file's name as text that can be shown and stored: names are bytes, and may be any."""
    text = path.name.encode("utf-8", "replace").decode("utf-8")
    return "".join(c if c.isprintable() else "?" for c in text)[:120] or "?"


def bpm_text(tempo: Fraction) -> str:
    return f"{float(tempo):g} bpm"


def clock_text(seconds: float) -> str:
    """ "2:08.5" """
    return f"{int(seconds // 60)}:{seconds % 60:04.1f}"
