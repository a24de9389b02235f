"""A take as sound, at any tempo and sample rate: notes are rendered again, sound is stretched.

Everything here is a function of values: who reads files is given as `read_audio`, so it runs in any process.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import CancelledError
from dataclasses import replace
from io import BytesIO
from typing import TypeAlias

from resonantgen.errors import ModelUnusable
from resonantgen.instruments.base import Samples, Sound
from resonantgen.music.notes import Role, Score
from resonantgen.music.time import TempoMap
from resonantgen.session.studio import Studio
from resonantgen.session.values import Recipe, Take

ReadAudio: TypeAlias = Callable[[Take], bytes]  # the WAV file of a take, as it was recorded

MOST_AT_ONCE = 6.0  # times: sound is stretched in two steps beyond that; tempos lie up to 20 apart


def read_nothing(take: Take) -> bytes:
    """For those who have no takes of sound."""
    raise AssertionError(f"the sound of {take.id} was not given")


def rendition_wav(take: Take, tempo: TempoMap, studio: Studio, read_audio: ReadAudio) -> bytes:
    """A take at a tempo and sample rate, in its own meter, as a WAV file of exactly its bars.

    As it was recorded, if that is how, the very bytes; otherwise its notes are rendered again, or its sound is
    stretched. The same take and tempo give the same bytes on the same machine. Raises ModelUnusable where sound is to
    be stretched and what does it is not installed, and what `read_audio` raises.
    """
    return read_audio(take) if tempo == take.recipe.settings.tempo else made_wav(take, tempo, studio, read_audio)


def made_wav(take: Take, tempo: TempoMap, studio: Studio, read_audio: ReadAudio) -> bytes:
    """The same bytes, where only takes of sound can be read: notes are rendered again even at their own tempo."""
    if not take.is_sound:
        return render_wav(take.score, recipe_at(take.recipe, tempo), take.sound, studio)
    if tempo == take.recipe.settings.tempo:
        return read_audio(take)
    return stretched_wav(take, tempo, read_audio(take))


def stretched_wav(take: Take, tempo: TempoMap, recorded: bytes) -> bytes:
    """A take of sound at another tempo and sample rate, from its WAV file. A loop stays a loop."""
    try:
        from resonantgen.audio.stretch import rendition
    except ModuleNotFoundError as error:
        raise ModelUnusable(
            f"{take.id} is sound, and {error.name} is missing, which brings it to another tempo or sample rate. "
            "Install it with: pip install 'resonantgen[neural]'"
        ) from None
    samples, sample_rate = read_samples(recorded), take.recipe.settings.sample_rate
    frames = recipe_at(take.recipe, tempo).settings.frames
    ratio = frames * sample_rate / (len(samples) * tempo.sample_rate)
    if not 1 / MOST_AT_ONCE < ratio < MOST_AT_ONCE:
        samples = rendition(samples, sample_rate, round(len(samples) * math.sqrt(ratio)), sample_rate)
    return wav_of(rendition(samples, sample_rate, frames, tempo.sample_rate), tempo.sample_rate)


def render_wav(
    score: Score, recipe: Recipe, sound: Sound, studio: Studio, stop: threading.Event | None = None
) -> bytes:
    """The bytes of the WAV file of a take of notes. Raises CancelledError at the next bar once `stop` is set."""

    def check() -> None:
        if stop is not None and stop.is_set():
            raise CancelledError

    samples = studio.render(score, recipe, sound, check)
    assert len(samples) == recipe.settings.frames, (len(samples), recipe.settings.frames)
    return wav_of(samples, recipe.settings.sample_rate)


def recipe_at(recipe: Recipe, tempo: TempoMap) -> Recipe:
    """The recipe for the sound of the same take at another tempo and sample rate, in the same meter."""
    assert tempo.meter == recipe.settings.meter, (tempo, recipe.settings.meter)
    settings = replace(recipe.settings, tempo_bpm=tempo.tempo_bpm, sample_rate=tempo.sample_rate)
    return replace(recipe, settings=settings)


class HeardSamples(Mapping[Role, Samples]):
    """The sound of a track's context, [frames, 2] each, in the tracks' order, whatever that of `files`.

    Each is made when it is first asked for: few models listen.
    """

    def __init__(self, files: Mapping[Role, Callable[[], bytes]]) -> None:
        self._files = {role: files[role] for role in Role if role in files}  # that give a WAV file
        self._samples: dict[Role, Samples] = {}

    def __getitem__(self, role: Role) -> Samples:
        if role not in self._samples:
            self._samples[role] = read_samples(self._files[role]())
        return self._samples[role]

    def __contains__(self, role: object) -> bool:  # not by making it, as Mapping would
        return role in self._files

    def __iter__(self) -> Iterator[Role]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)


def wav_of(samples: Samples, sample_rate: int) -> bytes:
    """The bytes of a take's WAV file."""
    from resonantgen.instruments.wav import write_wav

    file = BytesIO()
    write_wav(file, samples, sample_rate)
    return file.getvalue()


def read_samples(wav: bytes) -> Samples:
    """The samples of a take's WAV file, [frames, 2]."""
    from resonantgen.instruments.wav import read_wav

    return read_wav(BytesIO(wav))[0]
