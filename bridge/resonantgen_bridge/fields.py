"""Fields that several commands, properties and events of `protocol.py` have."""

from __future__ import annotations

from resonantgen.music.time import MAX_BARS, MAX_SAMPLE_RATE, MAX_TEMPO_BPM, MIN_SAMPLE_RATE, MIN_TEMPO_BPM
from resonantgen.prompt.intent import ATTRIBUTES
from resonantgen.session.setup import MAX_GAIN_DB, SILENT_GAIN_DB
from resonantgen_bridge.schema import REQUIRED, Field, Kind


def track(doc: str = "which track", default: object = REQUIRED) -> Field:
    return Field("track", Kind.TRACK, doc, default)


def tempo(default: object = REQUIRED) -> Field:
    return Field(
        "tempo", Kind.FLOAT, "quarter notes per minute", default, low=MIN_TEMPO_BPM, high=MAX_TEMPO_BPM, unit="bpm"
    )


def bars(default: object = REQUIRED) -> Field:
    return Field("bars", Kind.INT, "length of the loop", default, low=1, high=MAX_BARS, unit="bars")


def on(doc: str, name: str = "on", default: object = True) -> Field:
    return Field(name, Kind.BOOL, doc, default)


GENERATORS = Field(
    "generators", Kind.GENERATORS, "who plays tracks: `drums=musicgen-small,bass=pattern`; `pattern` writes notes", None
)
GENERATOR = Field("generator", Kind.TEXT, "`pattern` writes notes; `musicgen-small` and its like make sound")
KEY = Field("key", Kind.TEXT, 'such as "A minor", "F# major", "D dorian"')
METER = Field("meter", Kind.TEXT, 'such as "4/4", "7/8"')
SAMPLE_RATE = Field("sample_rate", Kind.INT, "of the stems", None, low=MIN_SAMPLE_RATE, high=MAX_SAMPLE_RATE, unit="Hz")
ATTRIBUTE = Field("attribute", Kind.TEXT, "how it is played", choices=ATTRIBUTES)
LEVEL = Field("value", Kind.FLOAT, "0 is what the style would do", low=-1, high=1)
GAIN = Field("gain", Kind.FLOAT, f"{SILENT_GAIN_DB:g} is silence", low=SILENT_GAIN_DB, high=MAX_GAIN_DB, unit="dB")
PAN = Field("pan", Kind.FLOAT, "-1 left, 0 as it is, 1 right", low=-1, high=1)

# What every command that makes takes, or moves between them, answers with.
OUTCOME = (
    Field("changed", Kind.TEXT, "track: the id of the take that it plays now, or null"),
    Field("locked", Kind.TRACKS, "tracks that a lock kept from changing"),
    Field("kept", Kind.TRACKS, "tracks that were left alone"),
    Field("understood", Kind.TEXT, "what the words meant, as `resonantgen understand --json` gives it, or null"),
)
