"""A person's own recording as a track: it is listened to, what is heard is said and can be corrected, and it is fitted.

In three steps, of which the first and the last take time and need no session: `listen` measures, `plan_import` decides
what of it is used and how it meets the project, `import_take` makes the take.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from resonantgen.errors import AudioError, BadValue, TrackLocked, quoted
from resonantgen.generators.progressions import fitted
from resonantgen.generators.style import load_style
from resonantgen.music.notes import Role, Score
from resonantgen.music.theory import Chord, ChordSpan, Key, Mode, Progression
from resonantgen.music.time import (
    MAX_BARS,
    MAX_SAMPLE_RATE,
    MIN_SAMPLE_RATE,
    TICKS_PER_QUARTER,
    Meter,
    bars_text,
    check_bars,
    parse_tempo,
)
from resonantgen.packages import require_packages
from resonantgen.prompt.intent import Intent
from resonantgen.session.jobs import NEW_SEEDS, Job, Order, Standing, parse_role
from resonantgen.session.rendition import wav_of
from resonantgen.session.settings import DEFAULT_SAMPLE_RATE, Options, first_part, first_settings
from resonantgen.session.source import FITS, IMPORTED, Imported, Source, shown_name, suffix_of
from resonantgen.session.studio import Studio
from resonantgen.session.values import Recipe, Settings, Take

if TYPE_CHECKING:
    from resonantgen.audio.analysis import Analysis
    from resonantgen.audio.sound_file import FileFacts

PACKAGES = ("scipy",)
LONGEST_SECONDS = 300.0  # that is listened to; 64 bars are no longer at 52 bpm and more
SHORTEST_SECONDS = 0.1
UNHEARD_SECONDS = 0.02  # of drift over all that is taken: a tempo that is nearer than that is the same
CUT_THERE_SECONDS = 0.02
NEAR_OCTAVE = 0.04  # half or double of a tempo that is heard is taken for it, if it is so near to the project's


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
        if offset is not None and not 0.0 <= offset < 86_400.0:
            raise BadValue(f"The first bar cannot begin at {offset:g} seconds. Use 0 or more.")
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
        said = {"tempo": self.tempo_bpm, "meter": self.meter, "offset": self.offset_seconds}
        said |= {"bars": self.bars, "key": self.key, "chords": self.chords}
        return tuple(name for name, value in said.items() if value is not None)


def parse_chords(text: str) -> tuple[tuple[Chord, ...], ...]:
    """ "Am F C G": each a bar; "Am | F G | C": what is between lines shares a bar. Raises BadValue."""
    bars = [bar.split() for bar in text.split("|")] if "|" in text else [[name] for name in text.split()]
    found = tuple(tuple(Chord.parse(name) for name in bar) for bar in bars if bar)
    if not found:
        raise BadValue('No chord was named. Say one for each bar: --chords "Am F C G".')
    return found


@dataclass(frozen=True, slots=True)
class Heard:
    """What is heard in a file."""

    name: str
    facts: FileFacts
    analysis: Analysis  # times count from the file's start
    end_seconds: float  # up to where there is sound that was listened to
    options: ImportOptions
    remarks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ImportPlan:
    """What an import is going to do. `order` is what the session takes the result for."""

    order: Order
    source: Source
    chords: Progression  # of the track, as long as the project
    imported: Imported  # but for stretch and gain, which come of the doing
    advice: tuple[str, ...]  # what a person may want to do about it

    @property
    def role(self) -> Role:
        (role,) = self.order.job.parts
        return role


NOTHING_SAID = ImportOptions()


@dataclass(frozen=True, slots=True)
class Prepared:
    """An import that is made, but for its being recorded; its file is in the project's folder."""

    order: Order
    take: Take
    wav: bytes


OnPlan = Callable[[ImportPlan], None]


def no_plan(plan: ImportPlan) -> None:
    """For those who do not ask what was heard."""


def prepare_import(
    path: Path,
    role: Role,
    options: ImportOptions,
    standing: Standing,
    number: int,
    keeper: Keeper,
    studio: Studio,
    on_plan: OnPlan = no_plan,
) -> Prepared:
    """All of an import but the recording of it. What is wrong with the file shows before it is copied.

    The copy is what is listened to: the file itself may change or go meanwhile. Raises as `Session.import_audio` does.
    """
    _refuse_locked(role, standing)
    check_file(path)
    suffix = suffix_of(path)
    sha256 = keeper.add_import(path, suffix)
    kept = keeper.import_path(f"{sha256}{suffix}")
    plan = plan_import(listen(kept, shown_name(path), role, options, standing), sha256, suffix, role, standing, number)
    on_plan(plan)
    take, wav = import_take(plan, kept, studio)
    return Prepared(plan.order, take, wav)


def check_file(path: Path) -> None:
    """Raises AudioError for what is no sound file, ModelUnusable where what listens to one is not installed."""
    require_packages(PACKAGES, "neural", "Recordings cannot be imported")
    from resonantgen.audio.sound_file import read_facts

    read_facts(path)


class Keeper(Protocol):
    """Who keeps imported files: see `Store`."""

    def add_import(self, path: Path, suffix: str) -> str: ...
    def import_path(self, file_name: str) -> Path: ...


def listen(path: Path, name: str, role: Role, options: ImportOptions, standing: Standing) -> Heard:
    """Measure a file; memory does not grow with its length. Raises AudioError, ModelUnusable."""
    require_packages(PACKAGES, "neural", "Recordings cannot be imported")
    from resonantgen.audio.analysis import analyze
    from resonantgen.audio.sound_file import read_facts, read_window

    facts = read_facts(path)
    start = options.offset_seconds or 0.0
    window = read_window(path, start, LONGEST_SECONDS, _project_rate(standing, facts.sample_rate))
    if window.seconds < SHORTEST_SECONDS:
        after = f" after {start:g} seconds" if start else ""
        raise AudioError(f"{name} holds {window.seconds:.2f} seconds of sound{after}, which is too little to import.")
    tempo = None if options.tempo_bpm is None else float(options.tempo_bpm)
    meter = options.meter or (standing.settings.meter if _beside(standing, role) and standing.settings else None)
    analysis = analyze(window.samples, window.sample_rate, tempo_bpm=tempo, meter=meter, role=role)
    if math.isinf(analysis.loudness_lufs):
        raise AudioError(f"{name} is silent, so there is nothing to import. Look at it, or use another --offset.")
    remarks = list(window.remarks)
    if facts.seconds > window.start_seconds + window.seconds + 1.0:
        remarks.append(
            f"{_clock(facts.seconds)} long: {_clock(window.start_seconds)} to "
            f"{_clock(window.start_seconds + window.seconds)} was listened to; --offset says where else to begin"
        )
    shift = window.start_seconds
    moved = replace(
        analysis,
        downbeat_seconds=analysis.downbeat_seconds + shift,
        chords=tuple(
            replace(c, start_seconds=c.start_seconds + shift, end_seconds=c.end_seconds + shift)
            for c in analysis.chords
        ),
        onsets_seconds=tuple(t + shift for t in analysis.onsets_seconds),
    )
    return Heard(name, facts, moved, shift + window.seconds, options, tuple(remarks))


def plan_import(heard: Heard, sha256: str, suffix: str, role: Role, standing: Standing, number: int) -> ImportPlan:
    """What of a recording becomes the track, and what becomes of the project.

    `number` is that of the take. Raises TrackLocked, and BadValue where the project has another tempo and nothing was
    said of that.
    """
    _refuse_locked(role, standing)
    options, analysis = heard.options, heard.analysis
    beside = standing.settings if _beside(standing, role) else None
    meter = _meter(options, analysis, beside)
    own = _tempo(heard, meter, beside)
    start = _start(options, analysis)
    bar_seconds = meter.bar_ticks / TICKS_PER_QUARTER * 60 / float(own)
    available = max(math.floor((heard.end_seconds - start) / bar_seconds + 0.05), 1)
    wanted = min(options.bars or available, MAX_BARS)
    bars = beside.bars if beside else wanted
    taken = min(wanted, available, bars)
    heard_chords = _chords(heard, own, meter, taken, start)
    settings = _settings(heard, standing, beside, own, meter, bars, sha256)
    settings, advice = _met(settings, heard, role, standing, own, taken * bar_seconds)
    part = first_part(role, settings, Intent(""))
    seed = settings.seed
    staying = {r: take for r, take in standing.playing.items() if r is not role}
    job = Job(Intent(""), settings, {role: part}, {role: seed}, staying)
    chords = fitted(heard_chords, settings.length_ticks)
    source = Source(sha256, suffix, heard.name, round(start, 6), own, taken)
    order = Order(
        "import", job, replace(standing, seed=seed if standing.settings is None else standing.seed), {role: number}
    )
    return ImportPlan(order, source, chords, _imported(heard, settings), advice)


def import_take(plan: ImportPlan, path: Path, studio: Studio) -> tuple[Take, bytes]:
    """The take and its WAV file, from the recording's file. Raises AudioError, ModelUnusable."""
    order, role = plan.order, plan.role
    settings = order.job.settings
    heard = {r: take.id for r, take in order.job.staying.items()}
    recipe = Recipe(role, order.job.seeds[role], settings, order.job.parts[role], plan.chords, heard, plan.source)
    score, wav, gain_db = sound_of(recipe, path)
    imported = replace(plan.imported, stretch=float(plan.source.tempo_bpm / settings.tempo_bpm), gain_db=gain_db)
    number = order.numbers[role]
    take = Take(
        id=f"{role.value}-{number}",
        number=number,
        recipe=recipe,
        prompt="",
        generator=IMPORTED,
        score=score,
        sound=studio.sound(recipe),
        frames=settings.frames,
        audio_sha256=hashlib.sha256(wav).hexdigest(),
        notes_sha256=score.sha256,
        summary=f"{plan.source.name}: {imported}",
        imported=imported,
    )
    return take, wav


def sound_of(recipe: Recipe, path: Path) -> tuple[Score, bytes, float]:
    """What is heard in an imported take, its WAV file and its gain in dB, from its recipe and the recording's file.

    The same recipe gives the same on the same machine. Raises AudioError, ModelUnusable.
    """
    require_packages(PACKAGES, "neural", "Recordings cannot be imported")
    from resonantgen.audio.hearing import hear
    from resonantgen.audio.recording import Cut, loop_of

    source, settings = recipe.source, recipe.settings
    assert source is not None
    lufs = load_style(recipe.part.style).lufs_for(recipe.role)
    cut = Cut(source.start_seconds, source.tempo_bpm, source.bars)
    stem = loop_of(path, cut, settings.tempo, settings.bars, lufs)
    score = hear(stem.samples, settings.tempo, settings.bars, recipe.role, recipe.chords)
    return score, wav_of(stem.samples, settings.sample_rate), stem.gain_db


# -- how what is heard meets the project ------------------------------------------------------------------------------


def _refuse_locked(role: Role, standing: Standing) -> None:
    if role in standing.locked:
        raise TrackLocked(
            f"{role.value} is locked, so nothing was imported. Unlock it with: resonantgen unlock {role.value}"
        )


def _beside(standing: Standing, role: Role) -> bool:
    """Whether other tracks play, to which the recording has to come."""
    return any(r is not role for r in standing.playing)


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

    Where no beat is heard, that of the project, or of so many bars as were said. Raises BadValue.
    """
    options, analysis = heard.options, heard.analysis
    if options.tempo_bpm is not None:
        return options.tempo_bpm
    if analysis.tempo_bpm is None:
        if beside is not None:
            return beside.tempo_bpm
        if options.bars is not None:
            quarters = options.bars * meter.bar_ticks / TICKS_PER_QUARTER
            length = heard.end_seconds - (options.offset_seconds or 0.0)
            return parse_tempo(Fraction(round(quarters * 60 / length * 1000), 1000))
        raise BadValue(
            f"No beat can be heard in {heard.name}, so its tempo has to be said: --tempo 120, or how many bars it "
            "lasts: --bars 8."
        )
    tempo = analysis.tempo_bpm
    if beside is not None:
        project = float(beside.tempo_bpm)
        tempo = next((tempo * f for f in (1.0, 2.0, 0.5) if abs(tempo * f / project - 1) <= NEAR_OCTAVE), tempo)
    seconds = heard.end_seconds - analysis.downbeat_seconds
    near = [*([beside.tempo_bpm] if beside is not None else []), Fraction(round(tempo)), Fraction(round(2 * tempo), 2)]
    for candidate in near:
        if abs(tempo / float(candidate) - 1) * seconds <= UNHEARD_SECONDS:
            return candidate
    return parse_tempo(Fraction(round(tempo * 1000), 1000))


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
    settings: Settings, heard: Heard, role: Role, standing: Standing, own: Fraction, seconds: float
) -> tuple[Settings, tuple[str, ...]]:
    """The settings after a recording of this tempo and key has come, and what there is to say about that.

    Raises BadValue for another tempo of which nothing was said, TrackLocked for a key that locked tracks cannot take.
    """
    if not _beside(standing, role):
        return settings, ()
    follow = heard.options.fit == "follow"
    if own != settings.tempo_bpm:
        if heard.options.fit == "refuse":
            raise BadValue(
                f"{heard.name} is at {_bpm(own)} and the project at {_bpm(settings.tempo_bpm)}. Add --follow to take "
                f"the project to {_bpm(own)}, --stretch to bring the recording to {_bpm(settings.tempo_bpm)}, or "
                "--tempo BPM if its tempo is another one."
            )
        if follow:
            settings = replace(settings, tempo_bpm=own)
    key = heard.options.key or heard.analysis.key
    if key is None or role is Role.DRUMS or key == settings.key:
        return settings, ()
    pitched = [r for r in standing.playing if r not in (role, Role.DRUMS)]
    held = [r.value for r in pitched if r in standing.locked]
    if not follow and pitched:
        return settings, (
            f"it is in {key}, the project in {settings.key}: --follow takes the project there, --key says another",
        )
    if held:
        raise TrackLocked(
            f"{heard.name} is in {key}, and {' and '.join(held)} {'is' if len(held) == 1 else 'are'} locked in "
            f'{settings.key}. Unlock with: resonantgen unlock {held[0]}, or say its key: --key "{settings.key}"'
        )
    advice = (f"{' and '.join(pitched)} still play in {settings.key} until: resonantgen regenerate",) if pitched else ()
    return replace(settings, key=key), advice


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
    )


def report(plan: ImportPlan) -> list[tuple[str, str, str]]:
    """What was heard and what becomes of it, for people: a label, what there is to say, and a note."""
    heard, source, settings = plan.imported, plan.source, plan.order.job.settings
    said = dict.fromkeys(heard.corrected, "as you said")
    channels = {1: "mono", 2: "stereo"}.get(heard.channels, f"{heard.channels} channels")
    lines = [
        (
            "recording",
            f"{source.name} · {heard.format} · {heard.sample_rate} Hz · {channels} · {_clock(heard.seconds)}",
            "",
        ),
        *(("", remark, "") for remark in heard.remarks),
    ]
    measured = (
        "no beat heard"
        if heard.heard_tempo_bpm is None
        else f"heard {heard.heard_tempo_bpm:.2f}, clarity {heard.tempo_clarity:.2f}"
    )
    lines.append(
        ("tempo", _bpm(source.tempo_bpm), said.get("tempo", measured) + _correct("tempo", heard, "--tempo BPM"))
    )
    begins = f"{source.start_seconds:.3f} s"
    lines.append(("bar line", begins, said.get("offset", "heard") + _correct("offset", heard, "--offset SECONDS")))
    if plan.role is not Role.DRUMS:
        key = (
            "no tones heard" if heard.heard_key is None else f"heard {heard.heard_key}, clarity {heard.key_clarity:.2f}"
        )
        lines.append(("key", str(settings.key), said.get("key", key) + _correct("key", heard, "--key KEY")))
        names = [span.chord.symbol(settings.key) for span in plan.chords.spans]
        shown = " ".join(names[:16]) + (" …" if len(names) > 16 else "")
        lines.append(("chords", shown, said.get("chords", "heard") + _correct("chords", heard, '--chords "Am F"')))
    register = "" if heard.low is None else f" · MIDI keys {heard.low} to {heard.high}"
    lines.append(("sound", f"{heard.onsets} onsets{register} · {heard.loudness_lufs:.1f} LUFS", ""))
    until = source.start_seconds + source.bars * settings.meter.bar_ticks / TICKS_PER_QUARTER * 60 / float(
        source.tempo_bpm
    )
    used = f"{bars_text(source.bars)}, {_clock(source.start_seconds)} to {_clock(until)}"
    if source.bars < settings.bars:
        used += f", repeated to {bars_text(settings.bars)}"
    if source.tempo_bpm != settings.tempo_bpm:
        used += f", stretched to {_bpm(settings.tempo_bpm)}"
    lines.append(("used", used, "--bars N" if "bars" not in heard.corrected else ""))
    return [*lines, *(("note", text, "") for text in plan.advice)]


def _correct(name: str, heard: Imported, how: str) -> str:
    return "" if name in heard.corrected else f"; correct it with {how}"


def _bpm(tempo: Fraction) -> str:
    return f"{float(tempo):g} bpm"


def _clock(seconds: float) -> str:
    """ "2:08.5" """
    return f"{int(seconds // 60)}:{seconds % 60:04.1f}"


def listen_only(path: Path, track: str, options: ImportOptions, standing: Standing | None) -> ImportPlan:
    """What an import would do, without a project or beside where it stands. Raises as an import does."""
    role = parse_role(track)
    standing = standing or Standing(None, {}, frozenset(), 0, 0)
    check_file(path)
    return plan_import(
        listen(path, shown_name(path), role, options, standing), "0" * 64, suffix_of(path), role, standing, 1
    )


def plan_document(plan: ImportPlan) -> dict[str, object]:
    """The same as `report`, as plain values."""
    settings = plan.order.job.settings
    return {
        **{name: value for name, value in asdict(plan.imported).items() if name not in ("stretch", "gain_db")},
        "name": plan.source.name,
        "start_seconds": plan.source.start_seconds,
        "tempo_bpm": float(plan.source.tempo_bpm),
        "bars_taken": plan.source.bars,
        "project": {
            "tempo_bpm": float(settings.tempo_bpm),
            "meter": str(settings.meter),
            "key": str(settings.key),
            "bars": settings.bars,
        },
        "chords": [[span.chord.symbol(settings.key), span.start_ticks] for span in plan.chords.spans],
        "advice": list(plan.advice),
    }
