"""What each stem will be: which notes, on what. Every choice is a function of the seed, the role and the number.

Of each role, every third stem is on the project's own instruments, the others on soundfonts and, of drums, on kits of
samples. Sources take turns, so that whatever part of the stems is there is as mixed as the whole. The first stems of a
role are held out and trained on by turns, so that there is something to measure on early.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from resonantgen.errors import BadValue
from resonantgen.generators.dice import Dice
from resonantgen.generators.style import load_style
from resonantgen.instruments.base import Macros, Sound
from resonantgen.instruments.catalog import catalog
from resonantgen.music.notes import Role
from resonantgen.training.corpora.composed import Composed
from resonantgen.training.corpora.piece import Corpus, Part, Piece, Split, TimedNote
from resonantgen.training.timbres.base import Timbre
from resonantgen.training.timbres.fluidsynth import FLUID_R3, MUSESCORE, TIM_GM, FluidTimbre, Soundfont
from resonantgen.training.timbres.general_midi import ROLE_PROGRAMS
from resonantgen.training.timbres.own import OwnTimbre
from resonantgen.training.timbres.sampled_kit import SampledKit

STEM_SECONDS = 60.0
HELD_OUT_STEMS = 12  # of each role
HELD_OUT_KITS = frozenset({"dusty", "industrial"})  # of the project's own

TRAIN_FONTS = (FLUID_R3, FLUID_R3, MUSESCORE)  # in turn
HELD_OUT_FONTS = (TIM_GM,)

OWN, SOUNDFONT, SAMPLES = "own", "soundfont", "samples"
# What stems are played on, in turn.
DRUM_TURNS = (OWN, SOUNDFONT, SAMPLES, OWN, SOUNDFONT, SOUNDFONT, OWN, SAMPLES, SOUNDFONT, OWN, SOUNDFONT, SAMPLES)
PITCHED_TURNS = (OWN, SOUNDFONT, SOUNDFONT)
HELD_OUT_DRUM_TURNS = (SOUNDFONT, SAMPLES, OWN, SOUNDFONT)

# Where notes come from, by weight; corpora without parts for the role are passed over.
OWN_NOTES = {"composed": 0.7, "groove": 0.2, "pop909": 0.2, "freedoom": 0.1}
OTHER_NOTES = {"composed": 0.35, "groove": 0.5, "pop909": 0.5, "freedoom": 0.15}

LARGEST_TRANSPOSITION = 3  # semitones
TRIES = 12
WINDOWS = 4
EARLY_SECONDS = 0.04  # a stroke so little before the bar line belongs to the bar
FULL_ENOUGH = {Role.DRUMS: 0.8, Role.BASS: 0.6, Role.HARMONY: 0.6, Role.MELODY: 0.45}  # seconds with a note
FEWEST_NOTES = 8
PEAK = (0.3, 0.95)
JAZZ_KITS, ELECTRONIC_KITS, PLAIN_KITS = (32, 40, 40), (24, 25, 25, 24, 8), (0, 0, 8, 16)
JAZZ = ("jazz", "bossa nova", "new orleans")
ELECTRONIC = (
    *("deep house", "drum and bass", "dubstep", "house", "synthwave", "techno", "trance", "trap", "dance", "hip hop"),
    *("hiphop", "ambient", "lo-fi"),
)
TWO_TIMBRES = 0.15


@dataclass(frozen=True, slots=True)
class StemPlan:
    """One stem, before it is rendered."""

    role: Role
    split: Split
    index: int  # of its role, from 0
    piece: str  # "groove:drummer1/session1/1"
    licence: str  # of the notes
    style: str
    notes: tuple[TimedNote, ...]  # from the stem's start, which is a bar line
    seconds: float
    tempo_bpm: float
    meter: str
    key: str | None
    timbre: Timbre
    peak: float  # 0 to 1


@dataclass(frozen=True, slots=True)
class Sources:
    """What stems are made from."""

    corpora: Mapping[str, Corpus]
    train_fonts: Sequence[Soundfont] = TRAIN_FONTS
    held_out_fonts: Sequence[Soundfont] = HELD_OUT_FONTS


def plan_stem(
    sources: Sources, seed: int, role: Role, index: int, attempt: int = 0, seconds: float = STEM_SECONDS
) -> StemPlan:
    """The stem of a role with a number. `attempt` gives another where one came out silent.

    Raises BadValue where the corpora have nothing for it.
    """
    split, turn = split_and_turn(index)
    dice = Dice(seed, "stem", role.value, index, attempt)
    kind = _kind(role, split, turn)
    weights = OWN_NOTES if kind == OWN else OTHER_NOTES
    piece, notes = _choose_notes(sources, role, split, weights, seconds, dice)
    semitones = 0 if role is Role.DRUMS else dice.integer("transpose") % 7 - LARGEST_TRANSPOSITION
    if kind == OWN:
        timbre: Timbre = _own(role, split, piece, dice.within("own"))
    elif kind == SAMPLES:
        timbre = SampledKit.of(dice.within("samples"), split)
    else:
        fonts = sources.held_out_fonts if split is Split.HELD_OUT else sources.train_fonts
        timbre = _fluid(role, fonts[turn % len(fonts)], piece.style, dice.within("fluid"))
    force = dice.between(0.75, 1.2, "velocity")
    return StemPlan(
        role=role,
        split=split,
        index=index,
        piece=f"{piece.corpus}:{piece.name}",
        licence=piece.licence,
        style=piece.style.lower(),
        notes=tuple(_shifted(note, semitones, force) for note in notes),
        seconds=seconds,
        tempo_bpm=piece.tempo_bpm,
        meter=str(piece.meter),
        key=str(piece.key.transposed(semitones)) if piece.key is not None and role is not Role.DRUMS else None,
        timbre=timbre,
        peak=dice.between(*PEAK, "peak"),
    )


def split_and_turn(index: int) -> tuple[Split, int]:
    """The split of a role's stem, and its number among those of that split."""
    if index < 2 * HELD_OUT_STEMS:
        return (Split.HELD_OUT if index % 2 else Split.TRAIN), index // 2
    return Split.TRAIN, index - HELD_OUT_STEMS


def _kind(role: Role, split: Split, turn: int) -> str:
    if role is Role.DRUMS:
        turns = HELD_OUT_DRUM_TURNS if split is Split.HELD_OUT else DRUM_TURNS
        return turns[turn % len(turns)]
    return SOUNDFONT if split is Split.HELD_OUT else PITCHED_TURNS[turn % len(PITCHED_TURNS)]


# -- notes ------------------------------------------------------------------------------------------------------------


def _choose_notes(
    sources: Sources, role: Role, split: Split, weights: Mapping[str, float], seconds: float, dice: Dice
) -> tuple[Piece, list[TimedNote]]:
    """A piece, and so many seconds of one of its parts: the first that is full enough, or the fullest tried."""
    names = {corpus: sources.corpora[corpus].names(split, role) for corpus in weights if corpus in sources.corpora}
    choices = [corpus for corpus in names if names[corpus]]
    if not choices:
        raise BadValue(f"There is no music for {role.value} ({split.value}) in the data folder. Check its archives.")
    best: tuple[float, Piece, list[TimedNote]] | None = None
    for attempt in range(TRIES):
        corpus = dice.weighted(choices, [weights[corpus] for corpus in choices], "corpus", attempt)
        piece = sources.corpora[corpus].piece(dice.choice(names[corpus], "piece", attempt))
        parts = [part for part in piece.of_role(role) if len(part.notes) >= FEWEST_NOTES]
        if not parts:
            continue
        notes = _window(piece, dice.choice(parts, "part", attempt), seconds, dice.within("window", attempt))
        fullness = _seconds_with_notes(notes) / seconds
        if best is None or fullness > best[0]:
            best = fullness, piece, notes
        if fullness >= FULL_ENOUGH[role]:
            break
    if best is None:
        raise BadValue(f"No piece with notes for {role.value} was found in the data folder. Check its archives.")
    return best[1], best[2]


def _seconds_with_notes(notes: Sequence[TimedNote]) -> int:
    """How many seconds have any note in them."""
    return len({second for note in notes for second in range(int(note.start_seconds), int(note.end_seconds) + 1)})


def _window(piece: Piece, part: Part, seconds: float, dice: Dice) -> list[TimedNote]:
    """The notes of so many seconds from a bar line on, the fullest of several; short pieces are repeated."""
    downbeats = piece.downbeat_seconds or (0.0,)
    last_start = piece.seconds - seconds
    if last_start <= downbeats[0]:
        return _repeated(piece, part, downbeats[0], seconds)
    starts = [at for at in downbeats if at <= last_start]
    windows = [list(_cut(part.notes, dice.choice(starts, "start", number), seconds, 0.0)) for number in range(WINDOWS)]
    return max(windows, key=_seconds_with_notes)


def _repeated(piece: Piece, part: Part, origin: float, seconds: float) -> list[TimedNote]:
    """A part from a bar line on, again and again, by whole bars."""
    bar = piece.meter.numerator * 4 / piece.meter.denominator * 60 / piece.tempo_bpm
    period = max(1, round((piece.seconds - origin) / bar)) * bar
    notes: list[TimedNote] = []
    start = 0.0
    while start < seconds:
        notes += _cut(part.notes, origin, min(period, seconds - start), start)
        start += period
    return sorted(notes)


def _cut(notes: Sequence[TimedNote], start: float, seconds: float, place: float) -> Iterator[TimedNote]:
    """The notes that start within, moved to `place`, and ended at the window's end."""
    first = bisect_left(notes, start - EARLY_SECONDS, key=lambda note: note.start_seconds)
    for note in notes[first:]:
        if note.start_seconds >= start + seconds - EARLY_SECONDS:
            return
        at = max(0.0, note.start_seconds - start)
        yield replace(
            note, start_seconds=place + at, duration_seconds=max(0.01, min(note.duration_seconds, seconds - at))
        )


def _shifted(note: TimedNote, semitones: int, force: float) -> TimedNote:
    pitch = note.pitch + semitones
    velocity = min(127, max(1, round(note.velocity * force)))
    return replace(note, pitch=pitch if 0 <= pitch <= 127 else note.pitch, velocity=velocity)


# -- timbres ----------------------------------------------------------------------------------------------------------


def _own(role: Role, split: Split, piece: Piece, dice: Dice) -> OwnTimbre:
    """The instrument of the piece's own style, or any of the role's; macros about their middle."""
    presets = list(catalog(role))
    if role is Role.DRUMS:
        presets = [preset for preset in presets if (preset in HELD_OUT_KITS) is (split is Split.HELD_OUT)]
    style_id = piece.details.get("style")
    chosen = dice.choice(presets, "any preset")
    if style_id is not None and dice.roll("of the style") < 0.6:
        own = Composed().sounds(piece.name)[role].preset
        chosen = own if own in presets else chosen
    macros = {
        "brightness": dice.between(-0.6, 0.6, "brightness"),
        "drive": max(0.0, dice.between(-0.8, 0.6, "drive")),
        "attack": dice.between(-0.4, 0.3, "attack"),
        "release": dice.between(-0.5, 0.5, "release"),
        "space": dice.between(-1.0, 0.5, "space"),
    }
    inserts = tuple(load_style(style_id).inserts_for(role)) if style_id is not None else ()
    return OwnTimbre(role, Sound(chosen, Macros().moved(**macros)), inserts)


def _fluid(role: Role, font: Soundfont, style: str, dice: Dice) -> FluidTimbre:
    wet = dice.roll("wet") < 0.5
    reverb = round(dice.between(10, 80, "reverb")) if wet else 0
    room = dice.between(0.2, 0.8, "room")
    if role is Role.DRUMS:
        word = style.lower()
        fitting = JAZZ_KITS if word in JAZZ else ELECTRONIC_KITS if word in ELECTRONIC else PLAIN_KITS
        kits = fitting if dice.roll("fitting") < 0.75 else (*PLAIN_KITS, *JAZZ_KITS, *ELECTRONIC_KITS)
        return FluidTimbre(font, (dice.choice(kits, "kit"),), True, reverb, 0, room)
    programs = [dice.choice(ROLE_PROGRAMS[role], "program")]
    if dice.roll("two") < TWO_TIMBRES:
        programs.append(dice.choice(ROLE_PROGRAMS[role], "second program"))
    chorus = round(dice.between(20, 90, "chorus")) if dice.roll("chorused") < 0.2 else 0
    return FluidTimbre(font, tuple(dict.fromkeys(programs)), False, reverb, chorus, room)
