"""A session's picture: what `picture.py` draws of where a session stands."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from resonantgen.generators.registry import short_name
from resonantgen.generators.style import load_style
from resonantgen.instruments.catalog import catalog
from resonantgen.music.notes import Role
from resonantgen.music.time import bars_text
from resonantgen.session.picture import Lane, draw_session, save_picture

if TYPE_CHECKING:
    from resonantgen.session.values import Take
    from resonantgen.session.view import SessionView


def draw_portrait(session: SessionView, path: Path) -> None:
    """Draw every track that plays and save the picture as a PNG.

    Raises ProjectError if there is no music, ProjectDamaged if a stem is not what was written, StorageError.
    """
    settings, playing = session.music()
    lanes = [
        Lane(
            role=role,
            score=take.score,
            samples=session.rendition(take, settings.tempo),
            locked=role in session.locked,
            labels=(f"take {take.number}", *_who_plays(take)),
            heard=take.is_sound,
        )
        for role, take in playing.items()
    ]
    facts = [load_style(settings.style).title, f"{float(settings.tempo_bpm):g} bpm", str(settings.meter)]
    chords = []
    if Role.HARMONY in playing and (playing[Role.HARMONY].is_imported or not playing[Role.HARMONY].is_sound):
        chords = [(span.chord.symbol(settings.key), span.start_ticks) for span in session.chords.spans]
    picture = draw_session(
        lanes,
        settings.tempo,
        settings.bars,
        title=session.prompts[-1] if session.prompts else session.path.stem,
        facts=[*facts, str(settings.key), bars_text(settings.bars)],
        chords=chords,
        key=settings.key,
    )
    save_picture(path, picture)


def _who_plays(take: Take) -> tuple[str, ...]:
    """The instrument that plays its notes; of sound its generator, whose name is too long for one line."""
    if not take.is_sound:
        return (catalog(take.role)[take.sound.preset].title,)
    family, _, model = short_name(take.generator).partition("-")
    return (family, model, "notes as heard")
