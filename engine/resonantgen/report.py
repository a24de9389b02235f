"""What the command line tells a person: progress while tracks are made, and what a command did."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from statistics import fmean
from time import perf_counter
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.text import Text

from resonantgen import __version__
from resonantgen.generators.registry import short_name
from resonantgen.instruments.catalog import catalog
from resonantgen.music.analysis import density
from resonantgen.music.notes import Role
from resonantgen.music.time import Meter, bars_text
from resonantgen.prompt.describe import describe

if TYPE_CHECKING:
    from resonantgen.prompt.intent import Intent
    from resonantgen.session.session import Session
    from resonantgen.session.values import Progress as TrackProgress
    from resonantgen.session.values import Result, Settings, Take

COLOURS = {Role.DRUMS: "yellow", Role.BASS: "magenta", Role.HARMONY: "cyan", Role.MELODY: "green"}
LABEL_WIDTH = 12
BAR_WIDTH = 16
MACRO_WORDS = {"drive": ("more drive", "less drive"), "brightness": ("brighter", "darker"), "space": ("wider", "drier")}
HEARD_STEP = 0.1  # a macro's step that is worth a word
HEARD_SHARE = 0.05  # a change in density or velocity that is


def settings_text(settings: Settings) -> str:
    """ "132 bpm · 4/4 · A minor · 8 bars"."""
    return f"{float(settings.tempo_bpm):g} bpm · {settings.meter} · {settings.key} · {bars_text(settings.bars)}"


def take_text(take: Take) -> str:
    """ "TR-909: four to the floor, ride from bar 5"; of sound, "musicgen-small: beat 127.6 bpm, not stretched"."""
    return take.summary if take.is_sound else f"{catalog(take.role)[take.sound.preset].title}: {take.summary}"


def tempo_text(take: Take, settings: Settings) -> str:
    """That sound is heard at another tempo than it was made at: "played stretched to 140 bpm". Else nothing."""
    if not take.is_sound or take.recipe.settings.tempo_bpm == settings.tempo_bpm:
        return ""
    return f"played stretched to {float(settings.tempo_bpm):g} bpm"


def compared(before: Take, after: Take, meter: Meter) -> str:
    """What is different to the ear: "more drive, busier: 14.2 notes a bar (was 10.5)". Of sound there is no telling."""
    if before.is_sound or after.is_sound:
        return ""
    words = []
    if before.sound.preset != after.sound.preset:
        words.append(catalog(after.role)[after.sound.preset].title)
    for macro, (more, less) in MACRO_WORDS.items():
        step = getattr(after.sound.macros, macro) - getattr(before.sound.macros, macro)
        if abs(step) >= HEARD_STEP:
            words.append(more if step > 0 else less)
    was, now = (fmean(note.velocity for note in take.score) if len(take.score) else 0.0 for take in (before, after))
    if abs(now - was) > HEARD_SHARE * was:
        words.append("harder" if now > was else "softer")
    was, now = density(before.score, meter), density(after.score, meter)
    if abs(now - was) > HEARD_SHARE * was:
        words.append(f"{'busier' if now > was else 'sparser'}: {now:.1f} notes a bar (was {was:.1f})")
    return ", ".join(words)


class TrackMeters:
    """A bar for each track that is being made, while it is made. Give `update` to the session as progress callback."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            TextColumn(f"  {{task.description:<{LABEL_WIDTH}}}"),
            BarColumn(bar_width=BAR_WIDTH),
            TextColumn("{task.fields[length]}"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._tasks: dict[Role, TaskID] = {}
        self._reached: dict[Role, tuple[int, int]] = {}  # which attempt, from 1, and how many bars it has
        self._began = perf_counter()
        self.seconds: dict[Role, float] = {}  # from the command's start until the track was done

    def update(self, event: TrackProgress) -> None:
        """Writing the bars is half of the work, rendering them the other half. Bars that are counted again are those of
        another attempt."""
        if event.role not in self._tasks:
            name = f"[{COLOURS[event.role]}]{event.role.value}[/]"
            self._tasks[event.role] = self._progress.add_task(name, total=2 * event.bars, length=bars_text(event.bars))
        attempt, bar = self._reached.get(event.role, (1, 0))
        done = 2 * event.bars
        if event.stage == "notes":
            done = event.bar
            attempt += event.bar <= bar
            self._reached[event.role] = attempt, event.bar
        length = bars_text(event.bars) + (f", attempt {attempt}" if attempt > 1 else "")
        self._progress.update(self._tasks[event.role], completed=done, length=length)
        if event.stage == "sound":
            self.seconds[event.role] = perf_counter() - self._began

    @contextmanager
    def shown(self) -> Iterator[None]:
        with self._progress:
            yield


class Reporter:
    """Prints to one console."""

    def __init__(self, console: Console) -> None:
        self.console = console

    def plain(self, text: str = "", style: str = "") -> None:
        self.console.print(Text(text, style=style), soft_wrap=True)

    def line(self, label: str, text: str, note: str = "", style: str = "bold") -> None:
        """A label, what there is to say, and a dimmed note."""
        row = Text("  ")
        row.append(f"{label:<{LABEL_WIDTH}}", style=style)
        row.append(text)
        if note:
            row.append(f"   {note}", style="dim")
        self.console.print(row, soft_wrap=True)

    def track(self, role: Role, state: str, text: str = "") -> None:
        self.line(role.value, f"{state:<9} {text}".rstrip(), style=COLOURS[role])

    def first_time(self) -> None:
        """Say why the first sound on a machine takes longer."""
        from resonantgen.instruments.jit import compiled_before  # numba: only commands that render load it

        if not compiled_before():
            self.plain("Compiling the synthesis for this processor, once (about 20 s) ...", "dim")

    def understood(self, intent: Intent) -> None:
        """What the words meant, and which of them meant nothing."""
        self.plain(f'  "{" ".join(intent.text.split())}"', "italic")
        self.line("understood", " · ".join(describe(intent)) or "nothing")

    def result(
        self,
        result: Result,
        session: Session,
        before: Mapping[Role, Take],
        seconds: Mapping[Role, float],
        new: bool,
        served: bool = False,
    ) -> None:
        """What was asked, what was chosen for a new project, what became of each track, and what can be done next."""
        settings = session.settings
        assert settings is not None
        if new:
            self.plain(f"ResonantGen {__version__} · new project {session.path}\n", "bold")
        asked = result.intent if result.intent is not None and result.intent.text.strip() else None
        if asked is not None:
            self.understood(asked)
        if new:
            note = '(change any: --tempo 128 --key "F# minor")'
            self.line("chosen", f"{settings_text(settings)} · seed {settings.seed}", note)
        if new or asked is not None:
            self.plain()
        for role in Role:
            take = session.playing.get(role)
            if role in seconds and take is not None:
                self._made(take, before.get(role), settings, seconds[role])
            elif role in result.changed:
                self.track(role, f"back to take {take.number}" if take else "removed")
            elif take is not None and role in session.locked:
                self.track(role, "locked", f"unchanged (take {take.number})")
            elif take is not None:
                self.track(role, "kept", f"take {take.number}")
        if new:
            steps = ["lock drums", 'regenerate "make the bass more aggressive"', *([] if served else ["serve"])]
            self.plain("\nNext:  " + "   ·   ".join(f"resonantgen {step}" for step in steps), "dim")
        elif seconds:
            self.plain("  undo with: resonantgen undo", "dim")

    def _made(self, take: Take, before: Take | None, settings: Settings, seconds: float) -> None:
        """A track that this command made: how long it took, and what it is or how it differs from what was there."""
        change = compared(before, take, settings.meter) if before else ""
        row = Text("  ")
        row.append(f"{take.role.value:<{LABEL_WIDTH}}", style=COLOURS[take.role])
        row.append("█" * BAR_WIDTH, style=COLOURS[take.role])
        row.append(f"  {bars_text(settings.bars)}   {seconds:.1f} s   ", style="dim")
        row.append(f"take {take.number}   " if before else "")
        row.append(change or take_text(take))
        if before and before.is_sound and before.generator != take.generator:
            row.append(f"   was {short_name(before.generator)}", style="dim")
        self.console.print(row, soft_wrap=True)

    def imported(self, result: Result, session: Session, new: bool) -> None:
        """What became of a recording."""
        settings = session.settings
        assert settings is not None
        self.plain(f"\n  {session.path}   {settings_text(settings)}")
        for role, take in result.changed.items():
            if take is not None:
                self.track(role, "locked" if role in session.locked else f"take {take.number}", take.summary)
        if new:
            self.plain('\nNext:  resonantgen generate "your words" --tracks drums,bass', "dim")
        else:
            self.plain("  undo with: resonantgen undo", "dim")

    def lock(self, session: Session, track: str) -> None:
        role = Role(track.strip().lower())
        if role in session.locked:
            take = session.playing[role]
            self.track(role, "locked", f"take {take.number}: nothing changes it until: resonantgen unlock {role.value}")
        else:
            self.track(role, "unlocked")

    def session(self, session: Session) -> None:
        """Where a session stands."""
        playing, understood, chords = (
            session.playing,
            session.understood,
            session.chords,
        )  # all read before any is shown
        self.plain(f"ResonantGen {__version__} · project {session.path}\n", "bold")
        for intent in understood:
            self.understood(intent)
        if session.settings is None:
            self.plain('  No music yet. Start with: resonantgen generate "dark techno"')
            return
        symbols = [span.chord.symbol(session.settings.key) for span in chords.spans]
        self.line("plays", settings_text(session.settings) + f" · {session.settings.sample_rate} Hz")
        self.line("chords", " · ".join(symbols) or "none")
        self.plain()
        for role, take in playing.items():
            state = f"take {take.number}" + (" locked" if role in session.locked else "")
            text = ", ".join(filter(None, (take_text(take), tempo_text(take, session.settings))))
            self.track(role, f"{state:<15}", f"{text}   (seed {take.seed})")

    def exported(self, session: Session, folder: Path) -> None:
        names = ["mix.wav", *(f"{role.value}.wav" for role in session.playing), "session.mid", "session.json"]
        self.plain("  " + "   ".join(str(folder / name) for name in names))
