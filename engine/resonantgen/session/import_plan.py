"""What of a recording becomes the track, and what becomes of the project: how what is heard meets what was said."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING

from resonantgen.errors import BadValue, ResonantGenError, TrackLocked
from resonantgen.generators.progressions import fitted
from resonantgen.music.harmonising import infer_harmony
from resonantgen.music.notes import Note, Role, Score
from resonantgen.music.theory import ChordSpan, Key, Mode, Progression
from resonantgen.music.time import (
    MAX_BARS,
    MAX_SAMPLE_RATE,
    MAX_TEMPO_BPM,
    MIN_SAMPLE_RATE,
    MIN_TEMPO_BPM,
    TICKS_PER_QUARTER,
    Meter,
    bars_text,
    parse_tempo,
)
from resonantgen.prompt.intent import Intent
from resonantgen.session.import_options import ImportOptions
from resonantgen.session.jobs import NEW_SEEDS, Job, Order, Standing
from resonantgen.session.settings import DEFAULT_SAMPLE_RATE, Options, first_part, first_settings
from resonantgen.session.source import Imported, Source, bpm_text, clock_text
from resonantgen.session.values import Settings

if TYPE_CHECKING:
    from resonantgen.audio.analysis import Analysis
    from resonantgen.audio.hearing import VoiceNote
    from resonantgen.audio.sound_file import FileFacts

UNHEARD_SECONDS = 0.02  # of drift over all that is taken: a tempo that is nearer than that is the same
CUT_THERE_SECONDS = 0.02
ALMOST = 0.05  # of a bar, which may be missing of the last
VELOCITY = 100  # of heard notes: how loud they are says nothing of the chords


@dataclass(frozen=True, slots=True)
class Heard:
    """What is heard in a file."""

    name: str
    facts: FileFacts
    analysis: Analysis  # times count from the file's start
    end_seconds: float  # up to where there is sound that was listened to
    options: ImportOptions
    remarks: tuple[str, ...]
    voice: tuple[VoiceNote, ...] = ()  # where one is listened to: its notes, from the file's start


@dataclass(frozen=True, slots=True)
class ImportPlan:
    """What an import is going to do. `order` is what the session takes the result for."""

    order: Order
    source: Source
    chords: Progression  # of the track, as long as the project
    key: Key  # the recording's, as it was said or heard; the project's where there are no tones
    imported: Imported  # but for stretch and gain, which come of the doing, as tokens do
    advice: tuple[str, ...]  # what a person may want to do about it
    conflict: ResonantGenError | None  # why none of it can be done, until more is said

    @property
    def role(self) -> Role:
        (role,) = self.order.job.parts
        return role


def plan_import(heard: Heard, sha256: str, suffix: str, role: Role, standing: Standing, number: int) -> ImportPlan:
    """What of a recording becomes the track, and what becomes of the project.

    `number` is that of the take. Raises TrackLocked where the track is, BadValue for what cannot be planned.
    """
    refuse_locked(role, standing)
    options, analysis = heard.options, heard.analysis
    beside = standing.settings if has_beside(standing, role) else None
    meter = _meter(options, analysis, beside)
    own = _tempo(heard, meter, beside)
    start = _start(options, analysis)
    bar_seconds = meter.bar_ticks / TICKS_PER_QUARTER * 60 / float(own)
    available = max(math.floor((heard.end_seconds - start) / bar_seconds + ALMOST), 1)
    wanted = min(options.bars or available, MAX_BARS)
    bars = beside.bars if beside else wanted
    taken = min(wanted, available, bars)
    heard = _harmonised(heard, role, own, meter, start, available)
    heard_chords = _chords(heard, own, meter, taken, start)
    settings = _settings(heard, standing, beside, own, meter, bars, sha256)
    key = heard.options.key or heard.analysis.key or settings.key
    settings, advice, conflict = _met(settings, heard, role, standing, own)
    if available * bar_seconds > heard.end_seconds - start + ALMOST * bar_seconds:  # not even one
        advice += (f"it ends at {clock_text(heard.end_seconds)}, before the bar does: what is left is silent",)
    part = first_part(role, settings, Intent(""))
    seed = settings.seed
    staying = {r: take for r, take in standing.playing.items() if r is not role}
    job = Job(Intent(""), settings, {role: part}, {role: seed}, staying)
    chords = fitted(heard_chords, settings.length_ticks)
    source = Source(sha256, suffix, heard.name, round(start, 6), own, taken)
    order = Order(
        "import", job, replace(standing, seed=seed if standing.settings is None else standing.seed), {role: number}
    )
    return ImportPlan(order, source, chords, key, _imported(heard, settings), advice, conflict)


def has_beside(standing: Standing, role: Role) -> bool:
    """Whether other tracks play, to which the recording has to come."""
    return any(r is not role for r in standing.playing)


def refuse_locked(role: Role, standing: Standing) -> None:
    if role in standing.locked:
        raise TrackLocked(
            f"{role.value} is locked, so nothing was imported. Unlock it with: resonantgen unlock {role.value}"
        )


def _project_rate(standing: Standing, file_rate: int) -> int:
    if standing.settings is not None:
        return standing.settings.sample_rate
    return file_rate if MIN_SAMPLE_RATE <= file_rate <= MAX_SAMPLE_RATE else DEFAULT_SAMPLE_RATE


def _meter(options: ImportOptions, analysis: Analysis, beside: Settings | None) -> Meter:
    if beside is None:
        return options.meter or analysis.meter
    if options.meter not in (None, beside.meter):
        raise BadValue(f"The project is in {beside.meter}, and a recording in {options.meter} cannot join it.")
    return beside.meter


def _start(options: ImportOptions, analysis: Analysis) -> float:
    """Where the first bar begins. A file that was cut at a bar line begins there, whatever its first attack takes."""
    if options.offset_seconds is not None:
        return options.offset_seconds
    return 0.0 if analysis.downbeat_seconds <= CUT_THERE_SECONDS else analysis.downbeat_seconds


def _tempo(heard: Heard, meter: Meter, beside: Settings | None) -> Fraction:
    """The recording's own: as it was said, otherwise as it was heard, the project's or a whole number if it is as near.

    Half or double of what is heard is as good a tempo: beside others, that which is nearest to theirs.

    Where no beat is heard, that of the project, or of so many bars as were said. Raises BadValue.
    """
    options, analysis = heard.options, heard.analysis
    if options.tempo_bpm is not None:
        return options.tempo_bpm
    if analysis.tempo_bpm is None:
        if beside is not None:
            return beside.tempo_bpm
        if options.bars is not None:
            return _tempo_of_bars(options.bars, meter, heard.end_seconds - (options.offset_seconds or 0.0))
        raise BadValue(
            f"No beat can be heard in {heard.name}, so its tempo has to be said: --tempo 120, or how many bars it "
            "lasts: --bars 8."
        )
    tempo = analysis.tempo_bpm
    if beside is not None:
        project = float(beside.tempo_bpm)
        tempo = min((tempo, 2 * tempo, tempo / 2), key=lambda bpm: abs(math.log2(bpm / project)))
    seconds = heard.end_seconds - analysis.downbeat_seconds
    near = [*([beside.tempo_bpm] if beside is not None else []), Fraction(round(tempo)), Fraction(round(2 * tempo), 2)]
    for candidate in near:
        if abs(tempo / float(candidate) - 1) * seconds <= UNHEARD_SECONDS:
            return candidate
    return parse_tempo(Fraction(round(tempo * 1000), 1000))


def _tempo_of_bars(bars: int, meter: Meter, seconds: float) -> Fraction:
    """The tempo at which so many bars last so long. Raises BadValue where nobody plays that."""
    tempo = bars * meter.bar_ticks / TICKS_PER_QUARTER * 60 / seconds
    if not MIN_TEMPO_BPM <= tempo <= MAX_TEMPO_BPM:
        raise BadValue(
            f"No beat can be heard, and {bars_text(bars)} in {seconds:.1f} seconds would be {tempo:.0f} bpm. "
            f"Use other --bars, or say its tempo, {MIN_TEMPO_BPM} to {MAX_TEMPO_BPM}: --tempo 120."
        )
    return parse_tempo(Fraction(round(tempo * 1000), 1000))


def _harmonised(heard: Heard, role: Role, own: Fraction, meter: Meter, start: float, bars: int) -> Heard:
    """The same, with the key and the chords that its voice's notes suggest, where there is one voice."""
    if not heard.voice:
        return heard
    from resonantgen.audio.analysis import HeardChord

    second = TICKS_PER_QUARTER * float(own) / 60
    length = bars * meter.bar_ticks
    timed = [(round((n.start_seconds - start) * second), max(round(n.seconds * second), 1), n) for n in heard.voice]
    notes = [Note(max(a, 0), n.pitch, b + min(a, 0), VELOCITY) for a, b, n in timed if a + b > 0]
    harmony = infer_harmony(Score.of(notes, length), meter, role, heard.options.key)
    chords = tuple(
        HeardChord(span.chord, start + span.start_ticks / second, start + span.end_ticks / second)
        for span in harmony.chords.spans
    )
    analysis = replace(heard.analysis, chords=chords)
    if heard.options.key is None:
        analysis = replace(analysis, key=harmony.key, key_clarity=harmony.key_clarity)
    return replace(heard, analysis=analysis)


def _chords(heard: Heard, own: Fraction, meter: Meter, bars: int, start: float) -> Progression:
    """Of so many bars of the recording, as they were said or heard; in drums, the key's own triad."""
    options = heard.options
    length = bars * meter.bar_ticks
    if options.chords is not None:
        spans = []
        for bar in range(bars):
            names = options.chords[bar % len(options.chords)]
            edges = [bar * meter.bar_ticks + i * meter.bar_ticks // len(names) for i in range(len(names) + 1)]
            spans += [ChordSpan(c, a, b - a) for c, a, b in zip(names, edges[:-1], edges[1:], strict=True)]
        return Progression(tuple(spans))
    analysis = replace(
        heard.analysis, tempo_bpm=float(own), meter=meter, downbeat_seconds=start, key=options.key or heard.analysis.key
    )
    progression = analysis.progression(bars, start)
    assert progression.length_ticks == length, (progression.length_ticks, length)
    return progression


def _settings(
    heard: Heard,
    standing: Standing,
    beside: Settings | None,
    own: Fraction,
    meter: Meter,
    bars: int,
    sha256: str,
) -> Settings:
    """Those of the project, where other tracks play; otherwise the recording's."""
    if beside is not None:
        return beside
    key = heard.options.key or heard.analysis.key or (standing.settings.key if standing.settings else None)
    seed = int(sha256[:12] or "0", 16) % NEW_SEEDS
    rate = _project_rate(standing, heard.facts.sample_rate)
    before = standing.settings
    # Without words, as with them: a project that is there keeps its style.
    return first_settings(
        Intent("", style=before.style if before else None), Options(own, key, meter, bars, rate), seed, None
    )


def _met(
    settings: Settings, heard: Heard, role: Role, standing: Standing, own: Fraction
) -> tuple[Settings, tuple[str, ...], ResonantGenError | None]:
    """The settings after a recording of this tempo and key has come, what there is to say about that, and what stands
    in the way: another tempo of which nothing was said, or a key that locked tracks cannot take.
    """
    if not has_beside(standing, role):
        return settings, (), None
    follow = heard.options.fit == "follow"
    conflict: ResonantGenError | None = None
    if own != settings.tempo_bpm:
        if heard.options.fit == "refuse":
            there, here = bpm_text(own), bpm_text(settings.tempo_bpm)
            conflict = BadValue(
                f"{heard.name} is at {there} and the project at {here}. Add --follow to take the project to {there}, "
                f"--stretch to bring the recording to {here}, or --tempo BPM if its tempo is another one."
            )
        if follow:
            settings = replace(settings, tempo_bpm=own)
    key = heard.options.key or heard.analysis.key
    if key is None or role is Role.DRUMS or key == settings.key:
        return settings, (), conflict
    if heard.options.key is None and set(key.pitch_classes) == set(settings.key.pitch_classes):
        return settings, (), conflict  # which of the tones is home is heard least surely
    pitched = [r for r in standing.playing if r not in (role, Role.DRUMS)]
    held = [r.value for r in pitched if r in standing.locked]
    if not follow and pitched:
        other = "" if heard.options.key else ", --key says another"
        advice = f"it is in {key}, the project in {settings.key}: --follow takes the project there{other}"
        return settings, (advice,), conflict
    if held:
        conflict = TrackLocked(
            f"{heard.name} is in {key}, and {' and '.join(held)} {'is' if len(held) == 1 else 'are'} locked in "
            f'{settings.key}. Unlock with: resonantgen unlock {held[0]}, or say its key: --key "{settings.key}"'
        )
        return settings, (), conflict
    still = f"{' and '.join(pitched)} still play in {settings.key} until: resonantgen regenerate"
    return replace(settings, key=key), (still,) if pitched else (), conflict


def _imported(heard: Heard, settings: Settings) -> Imported:
    analysis, facts = heard.analysis, heard.facts
    key = analysis.key or Key(0, Mode.MAJOR)
    names: list[str] = []
    for span in analysis.chords:
        name = span.chord.symbol(key) if span.chord else ""
        if name and (not names or names[-1] != name):
            names.append(name)
    return Imported(
        format=facts.format,
        seconds=round(facts.seconds, 3),
        sample_rate=facts.sample_rate,
        channels=facts.channels,
        heard_seconds=round(analysis.seconds, 3),
        heard_tempo_bpm=analysis.tempo_bpm,
        tempo_clarity=analysis.tempo_clarity,
        heard_start_seconds=analysis.downbeat_seconds,
        heard_key=None if analysis.key is None else str(analysis.key),
        key_clarity=analysis.key_clarity,
        heard_chords=" ".join(names),
        onsets=len(analysis.onsets_seconds),
        low=None if analysis.register is None else analysis.register.low,
        high=None if analysis.register is None else analysis.register.high,
        loudness_lufs=analysis.loudness_lufs,
        corrected=heard.options.corrected,
        remarks=heard.remarks,
        stretch=1.0,
        gain_db=0.0,
        tokens=None,
    )
