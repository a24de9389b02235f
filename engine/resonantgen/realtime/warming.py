"""Loads what making music needs, in small steps, so that real work can come between them.

The first run on a machine compiles every kernel (some 20 s in all); later ones read numba's cache (about 2 s).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from io import BytesIO

from resonantgen.errors import ResonantGenError
from resonantgen.generators.base import Request, generate
from resonantgen.generators.plan import make_plan
from resonantgen.generators.registry import get_generator, summarise
from resonantgen.generators.style import load_style, style_ids
from resonantgen.instruments.base import Samples, Sound
from resonantgen.instruments.catalog import catalog
from resonantgen.instruments.limiter import Limiter
from resonantgen.instruments.stem import StemStream, at_loudness
from resonantgen.instruments.wav import write_wav
from resonantgen.music.notes import DrumPiece, Note, Role
from resonantgen.music.time import Meter, TempoMap
from resonantgen.prompt import understand

WORDS = "somewhat velvety techno"  # a word that no lexicon has: text embeddings are asked, and so loaded
STYLE = "house"
SHORT = TempoMap(Fraction(400), Meter(2, 4))  # its bars last 0.3 s
LOUD_LUFS = -8.0  # so loud that the limiter has to work


def typical() -> Iterator[None]:
    """Words, notes, and each role on the instrument that its style uses most."""
    understand(WORDS)
    yield
    style = load_style(STYLE)
    plan = make_plan(style, None, 0, tempo_bpm=SHORT.tempo_bpm, meter=SHORT.meter, bars=1)
    for role in Role:
        request = Request(role, plan, 0)
        summarise(generate(get_generator(role), request), request)
        yield
        samples = _sound_of(role, style.instruments_for(role)[0])
        yield
        write_wav(BytesIO(), at_loudness(samples, SHORT.sample_rate, LOUD_LUFS).samples, SHORT.sample_rate)
        limiter = Limiter(SHORT.sample_rate)
        limiter.render(limiter.start(), samples)
        yield


def all_presets() -> Iterator[None]:
    """Every style and every instrument. One that is not valid is left to those who ask for it."""
    for style_id in style_ids():
        with suppress(ResonantGenError):
            load_style(style_id)
        yield
    for role in Role:
        for preset in catalog(role):
            with suppress(ResonantGenError):
                _sound_of(role, preset)
            yield


def _sound_of(role: Role, preset: str) -> Samples:
    """A bar of a single note."""
    inserts = load_style(STYLE).inserts_for(role)
    pitch = DrumPiece.KICK if role is Role.DRUMS else 48
    return StemStream(role, Sound(preset), SHORT, inserts).next_bar([Note(0, pitch, 240, 100)])
