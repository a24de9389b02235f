"""What a person says of a recording, instead of having it heard."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from resonantgen.errors import BadValue, quoted
from resonantgen.music.theory import Chord, Key
from resonantgen.music.time import Meter, check_bars, parse_tempo
from resonantgen.session.source import FITS

MAX_OFFSET_SECONDS = 86_400  # a day


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """What a person says of a recording instead of having it heard; None: heard."""

    tempo_bpm: Fraction | None = None
    meter: Meter | None = None
    key: Key | None = None
    bars: int | None = None
    offset_seconds: float | None = None  # where the first bar begins
    chords: tuple[tuple[Chord, ...], ...] | None = None  # of each bar, which share it evenly; repeated to the end
    fit: str = "refuse"  # of another tempo than the project's; one of FITS

    @classmethod
    def parse(
        cls,
        *,
        tempo: str | float | Fraction | None = None,
        meter: str | Meter | None = None,
        key: str | Key | None = None,
        bars: int | None = None,
        offset: float | None = None,
        chords: str | None = None,
        fit: str = "refuse",
    ) -> ImportOptions:
        """Raises BadValue."""
        if offset is not None and not 0.0 <= offset <= MAX_OFFSET_SECONDS:
            raise BadValue(f"The first bar cannot begin at {offset:g} seconds. Use 0 to {MAX_OFFSET_SECONDS}.")
        if fit not in FITS:
            raise BadValue(f"{quoted(fit)} is no way to fit a recording. There are: {', '.join(FITS)}.")
        return cls(
            None if tempo is None else parse_tempo(tempo),
            Meter.parse(meter) if isinstance(meter, str) else meter,
            Key.parse(key) if isinstance(key, str) else key,
            None if bars is None else check_bars(bars),
            offset,
            None if chords is None else parse_chords(chords),
            fit,
        )

    @property
    def corrected(self) -> tuple[str, ...]:
        said: dict[str, object] = {
            "tempo": self.tempo_bpm,
            "meter": self.meter,
            "offset": self.offset_seconds,
            "bars": self.bars,
            "key": self.key,
            "chords": self.chords,
        }
        return tuple(name for name, value in said.items() if value is not None)


def parse_chords(text: str) -> tuple[tuple[Chord, ...], ...]:
    """ "Am F C G": each a bar; "Am | F G | C": what is between lines shares a bar. Raises BadValue."""
    bars = [bar.split() for bar in text.split("|")] if "|" in text else [[name] for name in text.split()]
    found = tuple(tuple(Chord.parse(name) for name in bar) for bar in bars if bar)
    if not found:
        raise BadValue('No chord was named. Say one for each bar: --chords "Am F C G".')
    return found


NOTHING_SAID = ImportOptions()
