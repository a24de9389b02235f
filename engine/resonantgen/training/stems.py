"""A folder of stems to train on, rendered from public symbolic music and the project's own.

    drums/train_0000.flac       24 kHz, mono, 16 bits, a minute each, starting on a bar line
    drums/held_out_0001.flac    never to be trained on
    …
    stems.jsonl                 what each is: a line for each file, in the order in which they were done

The same seed and data give the same notes, sounds and files' names. What is there is not rendered again, so that a run
that was ended goes on. A stem comes into the manifest once its file is whole: one can train on what is there.
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from multiprocessing import get_context, parent_process
from pathlib import Path

import msgspec
import numpy as np
import soundfile
from numpy.typing import NDArray

from resonantgen.audio.resample import resample
from resonantgen.errors import AudioError, BadValue
from resonantgen.music.notes import Role
from resonantgen.session.files import storage_errors, write_file
from resonantgen.training.claim import claimed
from resonantgen.training.corpora import Corpus, corpora
from resonantgen.training.stem_folder import MANIFEST
from resonantgen.training.stem_plan import (
    HELD_OUT_FONTS,
    STEM_SECONDS,
    TRAIN_FONTS,
    Sources,
    StemPlan,
    plan_stem,
)
from resonantgen.training.timbres.base import RENDER_RATE, Mono
from resonantgen.training.timbres.fluidsynth import Soundfont

SAMPLE_RATE = 24_000
ATTEMPTS = 6
SILENCE_DB = -50.0  # below the loudest
BLOCK_SECONDS = 0.05
LEAST_SOUND = 0.3  # of the blocks: with less, another stem takes its place
FADE_SECONDS = 0.02  # at the end: what rings on is cut
QUIETEST = 1e-4  # peak of what is no silence


class StemLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the manifest."""

    file: str  # from the manifest's folder
    role: str
    split: str  # "train", "held_out"
    index: int  # of its role
    seed: int
    seconds: float
    tempo_bpm: float  # of quarter notes
    meter: str
    downbeat_seconds: float  # of the first bar line
    key: str | None
    text: str  # "jazz drums, brush kit"
    style: str
    piece: str  # corpus and name of the notes
    licence: str  # of the notes
    instrument: str  # what it is played on
    instrument_licence: str
    notes: int


@dataclass(frozen=True, slots=True)
class StemOrder:
    """A run: so many hours of stems, a quarter for each role."""

    music: Path  # the folder of archives
    out: Path
    hours: float
    seed: int
    stem_seconds: float = STEM_SECONDS
    train_fonts: tuple[Soundfont, ...] = TRAIN_FONTS
    held_out_fonts: tuple[Soundfont, ...] = HELD_OUT_FONTS

    @property
    def stems_of_role(self) -> int:
        return max(1, math.ceil(self.hours * 3600 / self.stem_seconds / len(Role)))

    @property
    def sources(self) -> Sources:
        return Sources(_corpora(self.music), self.train_fonts, self.held_out_fonts)


@cache
def _corpora(music: Path) -> dict[str, Corpus]:
    return corpora(music)


def render_stems(order: StemOrder, jobs: int = 1, on_stem: Callable[[StemLine, int, int], None] | None = None) -> int:
    """Render what is not there yet; the number of stems there are then.

    `on_stem` is told of each that is done, of how many are there and of how many there will be. Raises BadValue,
    ModelUnusable where a program, soundfont or sample is missing, AudioError, StorageError.
    """
    with claimed(order.out, "rendering stems", *(role.value for role in Role)):
        done = read_manifest(order)
        total = order.stems_of_role * len(Role)
        wanted = [(role, index) for index in range(order.stems_of_role) for role in Role]
        missing = [(role, index) for role, index in wanted if (role.value, index) not in done]
        count = total - len(missing)
        for line in _lines(order, missing, jobs):
            with storage_errors(order.out / MANIFEST), (order.out / MANIFEST).open("a", encoding="utf-8") as manifest:
                manifest.write(msgspec.json.encode(line).decode() + "\n")
            count += 1
            if on_stem is not None:
                on_stem(line, count, total)
        return count


def read_manifest(order: StemOrder) -> dict[tuple[str, int], StemLine]:
    """The stems that are there, by role and number. Lines without a file, or cut by a kill, are taken out of it."""
    path = order.out / MANIFEST
    if not path.is_file():
        return {}
    lines: dict[tuple[str, int], StemLine] = {}
    with storage_errors(path):
        for text in path.read_text(encoding="utf-8").splitlines():
            try:
                line = msgspec.json.decode(text, type=StemLine)
            except msgspec.DecodeError:
                continue
            if line.seed != order.seed:
                raise BadValue(f"{order.out} holds stems of seed {line.seed}. Use that, or another folder.")
            if (order.out / line.file).is_file():
                lines[line.role, line.index] = line
        write_file(path, b"".join(msgspec.json.encode(line) + b"\n" for line in lines.values()))
    return lines


def _lines(order: StemOrder, missing: list[tuple[Role, int]], jobs: int) -> Iterator[StemLine]:
    """In the order of `missing`, however many processes work on them."""
    if jobs <= 1:
        for role, index in missing:
            yield render_stem_file(order, role, index)
        return
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=_end_with_parent) as workers:
        pending: list[Future[StemLine]] = []
        try:
            for role, index in missing:
                pending.append(workers.submit(render_stem_file, order, role, index))
                if len(pending) > 2 * jobs:
                    yield pending.pop(0).result()
            while pending:
                yield pending.pop(0).result()
        finally:
            for future in pending:
                future.cancel()


def _end_with_parent() -> None:
    """So that a run that is killed leaves no processes behind that wait for work."""
    parent = parent_process()
    assert parent is not None, "a worker"

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def render_stem_file(order: StemOrder, role: Role, index: int) -> StemLine:
    """Render one stem and write its file."""
    for attempt in range(ATTEMPTS):
        plan = plan_stem(order.sources, order.seed, role, index, attempt, order.stem_seconds)
        sound = render_plan(plan)
        if sound is not None:
            break
    else:
        raise AudioError(f"Number {index} of {role.value} is silent {ATTEMPTS} times. Try another seed.")
    name = f"{role.value}/{plan.split.value}_{index:04}.flac"
    path = order.out / name
    file = BytesIO()
    soundfile.write(file, sound, SAMPLE_RATE, format="FLAC", subtype="PCM_16")
    with storage_errors(path):
        write_file(path, file.getvalue())
    return _line(plan, name, order.seed, len(sound))


def _line(plan: StemPlan, name: str, seed: int, frames: int) -> StemLine:
    return StemLine(
        file=name,
        role=plan.role.value,
        split=plan.split.value,
        index=plan.index,
        seed=seed,
        seconds=frames / SAMPLE_RATE,
        tempo_bpm=round(plan.tempo_bpm, 4),
        meter=plan.meter,
        downbeat_seconds=0.0,
        key=plan.key,
        text=f"{plan.style} {plan.role.value}, {plan.timbre.text}",
        style=plan.style,
        piece=plan.piece,
        licence=plan.licence,
        instrument=plan.timbre.name,
        instrument_licence=plan.timbre.licence,
        notes=len(plan.notes),
    )


def render_plan(plan: StemPlan) -> NDArray[np.int16] | None:
    """A stem's samples [frames] at SAMPLE_RATE; None where there is next to nothing to hear."""
    loud = plan.timbre.render(plan.notes, plan.seconds, plan.tempo_bpm)
    sound = resample(loud[:, None], RENDER_RATE, SAMPLE_RATE)[:, 0]
    if sounding_share(sound) < LEAST_SOUND:
        return None
    fade = round(FADE_SECONDS * SAMPLE_RATE)
    sound[-fade:] *= np.linspace(1.0, 0.0, fade)
    sound *= plan.peak / np.abs(sound).max()
    return np.rint(sound * 32767).astype(np.int16)


def sounding_share(sound: Mono) -> float:
    """The share of a stem, in blocks, that is not far below its loudest block; 0 for silence."""
    if not np.isfinite(sound).all() or float(np.abs(sound).max(initial=0.0)) < QUIETEST:
        return 0.0
    frames = round(BLOCK_SECONDS * SAMPLE_RATE)
    powers = np.square(sound[: len(sound) // frames * frames]).reshape(-1, frames).mean(axis=1)
    return float(np.mean(powers > powers.max() * 10 ** (SILENCE_DB / 10)))


def hours_by_role(lines: Mapping[tuple[str, int], StemLine]) -> dict[str, dict[str, float]]:
    """Hours by role and split."""
    hours: dict[str, dict[str, float]] = {role.value: {} for role in Role}
    for line in lines.values():
        of_role = hours[line.role]
        of_role[line.split] = of_role.get(line.split, 0.0) + line.seconds / 3600
    return hours
