"""How well a bass follows an imported recording: `python tests/benchmarks/import_context.py DATA [--songs N]`.

DATA is the folder with `pop909.tar.xz`. Songs that nothing was trained on are played by FluidSynth, with a soundfont
that nothing was trained on; the sound alone is imported, as a locked harmony (the piano) or melody (the voice), and a
bass is generated to it. Told is how many of its notes on strong beats are tones of the *true* chords, which the song's
file knows and the import does not; beside it, the same bass against the chords of another song, drawn by chance.
Where no beat is heard the import asks for the tempo, and is told the song's.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from resonantgen.errors import BadValue
from resonantgen.music.notes import Role, Score
from resonantgen.music.theory import Chord
from resonantgen.session.import_options import ImportOptions
from resonantgen.session.produce import compose
from resonantgen.session.session import Session
from resonantgen.session.values import Recipe
from resonantgen.training.corpora.piece import Piece, Split, TimedNote
from resonantgen.training.corpora.pop909 import Pop909
from resonantgen.training.timbres.base import RENDER_RATE
from resonantgen.training.timbres.fluidsynth import TIM_GM, FluidTimbre

BARS = 8
FIRST_BAR = 8  # of the song; before it is an introduction, often without a voice
PROGRAMS = {Role.HARMONY: 0, Role.MELODY: 73}  # a piano, a flute
NEAR_TICKS = 60  # a strong beat's note may be so early or late
STYLES = ("pop", "house", "funk", "lofi")


@dataclass(frozen=True, slots=True)
class Song:
    """An excerpt: a sound file, and the chords that are true in it, counted from its start."""

    piece: Piece
    start_seconds: float
    file: Path

    @property
    def tempo_bpm(self) -> float:
        """Of these bars."""
        first, last = (self.piece.downbeat_seconds[bar] for bar in (FIRST_BAR, FIRST_BAR + BARS))
        return round(BARS * self.piece.meter.numerator * 60 / (last - first), 2)

    def chord_at(self, seconds: float) -> Chord | None:
        at = seconds + self.start_seconds
        return next((s.chord for s in self.piece.chords if s.start_seconds <= at < s.end_seconds), None)


def excerpt(piece: Piece, role: Role, folder: Path) -> Song | None:
    """The song from a bar on; None if the part has nothing to play there."""
    if len(piece.downbeat_seconds) < FIRST_BAR + BARS + 1:
        return None
    start, end = piece.downbeat_seconds[FIRST_BAR], piece.downbeat_seconds[FIRST_BAR + BARS]
    (part, *_) = piece.of_role(role) or (None,)
    notes = [
        TimedNote(n.start_seconds - start, n.pitch, n.duration_seconds, n.velocity)
        for n in (part.notes if part else ())
        if start - 0.05 <= n.start_seconds < end
    ]
    notes = [TimedNote(max(n.start_seconds, 0.0), n.pitch, n.duration_seconds, n.velocity) for n in notes]
    if len(notes) < 2 * BARS:
        return None
    sound = FluidTimbre(TIM_GM, (PROGRAMS[role],)).render(notes, end - start, piece.tempo_bpm)
    file = folder / f"{piece.name}-{role.value}.wav"
    sound = np.asarray(sound, np.float64)
    soundfile.write(file, 0.5 * sound / max(float(np.abs(sound).max()), 1e-9), RENDER_RATE)
    return Song(piece, start, file)


def bass_of(song: Song, role: Role, style: str, folder: Path) -> tuple[Score, Session, bool]:
    """The bass that is generated to an imported and locked recording, the closed session, and if a beat was heard."""
    session = Session.create(folder / f"{song.file.stem}.rg")
    heard = True
    try:
        try:
            session.import_audio(song.file, role, lock=True)
        except BadValue as error:
            print(error, file=sys.stderr)
            heard = False
            session.import_audio(song.file, role, lock=True, options=ImportOptions.parse(tempo=song.tempo_bpm))
        order = session.order_generation(style, tracks=["bass"], seed=7)
        job = order.job
        chords = session._studio.chords(job.settings, job.staying)
        staying = {r: take.id for r, take in job.staying.items()}
        recipe = Recipe(Role.BASS, job.seeds[Role.BASS], job.settings, job.parts[Role.BASS], chords, staying)
        bass = compose(recipe, {r: take.score for r, take in job.staying.items()}, session._studio)
        return bass, session, heard
    finally:
        session.close()


def strong_notes(bass: Score, session: Session, role: Role) -> list[tuple[float, int]]:
    """The notes on strong beats: when they sound in the recording, in seconds, and their pitches."""
    take = session._take(f"{role.value}-1")
    source, settings = take.recipe.source, take.recipe.settings
    assert source is not None
    meter, found = settings.meter, []
    for note in bass:
        place = note.start_ticks % meter.bar_ticks
        near = min(meter.strong_ticks, key=lambda strong: abs(place - strong))
        if abs(place - near) <= NEAR_TICKS:
            ticks = note.start_ticks - place + near
            found.append((source.start_seconds + ticks / 480 * 60 / float(source.tempo_bpm), note.pitch))
    return found


def share(notes: list[tuple[float, int]], song: Song) -> tuple[int, int]:
    """How many of the notes are tones of a song's chords, and of how many."""
    known = [(pitch, chord) for at, pitch in notes if (chord := song.chord_at(at + 0.1)) is not None]
    return sum(pitch in chord for pitch, chord in known), len(known)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--songs", type=int, default=30)
    parser.add_argument("--roles", nargs="+", default=["harmony", "melody"])
    arguments = parser.parse_args()
    corpus = Pop909(arguments.data)
    print("imported  songs  chord tones of the true chords  of a random other song  worst song  no beat heard")
    for role in map(Role, arguments.roles):
        measure(corpus, role, arguments.songs)


def measure(corpus: Pop909, role: Role, songs: int) -> None:
    dice = random.Random(1)
    made: list[tuple[Song, list[tuple[float, int]]]] = []
    unheard = 0
    with tempfile.TemporaryDirectory() as folder:
        for name in corpus.names(Split.HELD_OUT, role):
            if len(made) == songs:
                break
            song = excerpt(corpus.piece(name), role, Path(folder))
            if song is None:
                continue
            bass, session, heard = bass_of(song, role, STYLES[len(made) % len(STYLES)], Path(folder))
            unheard += not heard
            made.append((song, strong_notes(bass, session, role)))
            right, of = share(made[-1][1], song)
            tempo = session._take(f"{role.value}-1").recipe.settings.tempo_bpm
            told = f"{name} {role.value} {right}/{of}, {float(tempo):.2f} bpm heard of {song.piece.tempo_bpm:.2f}"
            print(told, file=sys.stderr)
        own = [share(notes, song) for song, notes in made]
        others = []
        for song, notes in made:
            other = dice.choice([s for s, _ in made if s is not song])
            others.append(share(notes, other))
    figures = [sum(r for r, _ in pairs) / max(sum(n for _, n in pairs), 1) for pairs in (own, others)]
    worst = min(r / max(n, 1) for r, n in own)
    print(f"{role.value:<8}  {len(made):>5}  {figures[0]:>29.1%}  {figures[1]:>22.1%}  {worst:>10.0%}  {unheard:>13}")


if __name__ == "__main__":
    main()
