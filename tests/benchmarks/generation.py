"""How long generating takes and how much memory, for docs/benchmarks.md: `python tests/benchmarks/generation.py`.

Each track is written and rendered alone, warm (its second run), on one core. The cold start is a new process, from the
command to the prompt; the first one on a machine, which compiles the kernels, is given apart.
"""

from __future__ import annotations

import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter

from resonantgen.generators.style import load_style, style_ids
from resonantgen.instruments.stem import StemStream
from resonantgen.music.notes import Role, Score
from resonantgen.prompt import understand
from resonantgen.session.jobs import Standing, generation
from resonantgen.session.produce import compose
from resonantgen.session.settings import Options
from resonantgen.session.studio import Studio, request_for
from resonantgen.session.values import Recipe

RUNS = 5
PROMPT = "dark techno with driving bass"
COMMAND = [sys.executable, "-m", "resonantgen", "generate", PROMPT, "--seed", "7", "--bars", "8", "--project"]


def seconds(work: Callable[[], object], runs: int = RUNS) -> float:
    """Median time of a call, after one that is not counted."""
    work()
    times = []
    for _ in range(runs):
        start = perf_counter()
        work()
        times.append(perf_counter() - start)
    return median(times)


def recipes(style_id: str) -> list[tuple[Recipe, dict[Role, Score]]]:
    """The four tracks of a song of 8 bars, each with the scores that it hears."""
    studio = Studio()
    standing = Standing(None, {}, frozenset(), 7, 0)
    job = generation(standing, understand(load_style(style_id).title), Options.parse(bars=8), 7, None)
    chords = studio.chords(job.settings, {})
    heard: dict[Role, Score] = {}
    found = []
    for role, part in job.parts.items():
        recipe = Recipe(role, job.seeds[role], job.settings, part, chords, dict.fromkeys(heard, ""))
        found.append((recipe, dict(heard)))
        heard[role] = compose(recipe, heard, studio)
    return found


def whole_track(recipe: Recipe, heard: dict[Role, Score]) -> None:
    """Notes and sound of all bars."""
    studio = Studio()
    studio.render(compose(recipe, heard, studio), recipe, studio.sound(recipe))


def first_bar(recipe: Recipe, heard: dict[Role, Score]) -> None:
    """Notes and sound of the first bar, as a stream gives them."""
    studio = Studio()
    notes = next(studio.bars(request_for(recipe, heard)))
    StemStream(recipe.role, studio.sound(recipe), recipe.settings.tempo).next_bar(notes)


def cold_start(folder: Path, runs: int = RUNS) -> tuple[float, float]:
    """Median seconds of `resonantgen generate` in a new process, and its peak memory in MB."""
    times = []
    for run in range(runs + 1):
        start = perf_counter()
        subprocess.run([*COMMAND, str(folder / f"{run}.rg")], check=True, capture_output=True)
        times.append(perf_counter() - start)
    peak_kb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return median(times[1:]), peak_kb / 1000


def main() -> None:
    print("| style | role | 8 bars, ms | first bar, ms |\n|---|---|---|---|")
    for style_id in style_ids():
        for recipe, heard in recipes(style_id):
            whole = seconds(lambda r=recipe, h=heard: whole_track(r, h), 3)  # type: ignore[misc]
            first = seconds(lambda r=recipe, h=heard: first_bar(r, h), 3)  # type: ignore[misc]
            print(f"| {style_id} | {recipe.role} | {whole * 1000:.0f} | {first * 1000:.0f} |", flush=True)
    folder = Path(tempfile.mkdtemp())
    try:
        cold, peak = cold_start(folder)
    finally:
        shutil.rmtree(folder)
    print(f"\n`resonantgen generate`, cold start: {cold:.2f} s, peak memory {peak:.0f} MB")


if __name__ == "__main__":
    main()
