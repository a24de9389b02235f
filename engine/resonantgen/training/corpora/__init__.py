"""Music to learn from, and to measure against: pieces whose notes, tempo, bars, keys and chords are known.

The archives that `corpora` reads are public data that the user fetches; what is in them is never part of the project.
"""

from __future__ import annotations

from pathlib import Path

from resonantgen.training.corpora.composed import Composed
from resonantgen.training.corpora.freedoom import Freedoom
from resonantgen.training.corpora.groove import Groove
from resonantgen.training.corpora.piece import Corpus, Part, Piece, Split, TimedChord, TimedNote
from resonantgen.training.corpora.pop909 import Pop909

__all__ = ["Corpus", "Part", "Piece", "Split", "TimedChord", "TimedNote", "corpora"]


def corpora(data_folder: Path) -> dict[str, Corpus]:
    """All corpora by name; what is in an archive is read when it is first asked for."""
    found: tuple[Corpus, ...] = (Groove(data_folder), Pop909(data_folder), Freedoom(data_folder), Composed())
    return {corpus.name: corpus for corpus in found}
