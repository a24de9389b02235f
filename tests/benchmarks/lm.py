"""The language model's decode step, for docs/benchmarks.md: `python tests/benchmarks/lm.py`, with nothing else running.

musicgen-small at its real size (random weights, one checkpoint for all), guidance 3: ours in float32 and int8 against
`transformers` generate; how often int8 has the same likeliest token as float32; then the reference size of a track
generator (28 M parameters) with one track and with four in a batch. Each runs in a process of its own, for its memory.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import torch
from int8_kernels import memory_bandwidth, row
from torch import Tensor

from resonantgen.device import place
from resonantgen.lm.cache import State
from resonantgen.lm.conditioning import Conditioning
from resonantgen.lm.config import REFERENCE_28M, LMConfig
from resonantgen.lm.decoding import Batch, Group, LMRequest, Writing, write_column
from resonantgen.lm.device import prepare
from resonantgen.lm.sampling import guided
from resonantgen.lm.transformer import Transformer

FRAME_RATE = 50
STEPS = 40
TRACKS = 4
WORDS = 20  # vectors of text conditioning
GUIDANCE = 3.0
SMALL = {
    "hidden_size": 1024,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "ffn_dim": 4096,
    "vocab_size": 2048,
    "num_codebooks": 4,
}


def memory() -> dict[str, float]:
    """Of this process in MB: at most so far, files that are mapped among it; and of its own now."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    own = next(line for line in status.splitlines() if line.startswith("RssAnon"))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"peak_mb": peak / 1024, "own_mb": int(own.split()[1]) / 1024}


def checkpoint(folder: Path) -> None:
    """Write musicgen-small's sizes with random weights."""
    tiny_musicgen().write(folder, **SMALL)


def tiny_musicgen() -> Any:
    """The tests' module of that name: `transformers` is imported where it is needed alone."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    import tiny_musicgen

    return tiny_musicgen


def reference(folder: Path) -> dict[str, float]:
    """`transformers`: a step is what a longer piece takes more, over the steps that it has more."""
    tiny_musicgen()
    from transformers import MusicgenForConditionalGeneration

    model = MusicgenForConditionalGeneration.from_pretrained(folder).eval()
    words = torch.randint(4, 30, (1, WORDS), generator=torch.Generator().manual_seed(0))

    def seconds(steps: int) -> float:
        start = perf_counter()
        model.generate(words, do_sample=True, guidance_scale=GUIDANCE, max_new_tokens=steps)
        return perf_counter() - start

    seconds(8)
    few = min(seconds(8) for _ in range(2))
    return {"ms": 1e3 * (seconds(8 + STEPS) - few) / STEPS, **memory()}


def load(folder: Path, precision: str) -> Transformer:
    """Our transformer with the checkpoint's weights."""
    from resonantgen.generators.musicgen.files import Tensors
    from resonantgen.generators.musicgen.layout import read_settings
    from resonantgen.generators.musicgen.model import load_transformer

    return load_transformer(Tensors.read(folder), read_settings(folder)[0].lm, place("cpu", precision))


def requests(config: LMConfig, count: int, guidance: float) -> list[LMRequest]:
    generator = torch.Generator().manual_seed(1)

    def conditioning() -> Conditioning:
        vectors = torch.randn(WORDS, config.width, generator=generator)
        return Conditioning(cross=vectors) if config.cross_attention else Conditioning(prefix=vectors)

    return [LMRequest(8 + STEPS, seed, guidance=guidance, conditioning=conditioning()) for seed in range(count)]


def step_ms(model: Transformer, wanted: Sequence[LMRequest]) -> float:
    """The median step of a batch, after eight that are not counted."""
    room = {"prefix": WORDS} if wanted[0].prefix_length else {"cross": WORDS}
    batch = Batch(model, len(wanted), 16 + STEPS, guided=wanted[0].rows == 2, **room)
    for request in wanted:
        batch.add(request)
    batch.advance(8)
    times = []
    for _ in range(STEPS):
        start = perf_counter()
        batch.advance(1)
        times.append(1e3 * (perf_counter() - start))
    return median(times)


def ours(folder: Path, precision: str) -> dict[str, float]:
    model = load(folder, precision)
    ms = step_ms(model, requests(model.config, 1, GUIDANCE))
    return {"ms": ms, "weights_mb": read_mb(model), **memory()}


def read_mb(model: Transformer) -> float:
    """Megabytes of weights that a step reads: not the embedding, of which it reads a few vectors, and not the layers
    that read the conditioning, which they do once.
    """
    skipped = ("embedding.", "cross_key_value")
    weights = {name: weight for name, weight in model.state_dict().items() if not any(s in name for s in skipped)}
    return sum(weight.nbytes for weight in weights.values()) / 1e6


def reference_size(precision: str) -> dict[str, float]:
    """Milliseconds a step of the 28 M configuration, by tracks and guidance."""
    torch.manual_seed(0)
    model = prepare(Transformer(REFERENCE_28M), place("cpu", precision))
    found = {
        f"{tracks} track{'s'[: tracks - 1]}{', guidance' if guidance > 1 else ''}": step_ms(
            model, requests(model.config, tracks, guidance)
        )
        for tracks in (1, TRACKS)
        for guidance in (1.0, GUIDANCE)
    }
    return {**found, "weights_mb": read_mb(model), **memory()}


def agreement(folder: Path) -> dict[str, float]:
    """Along sequences that float32 writes: how often int8, given the same tokens, finds the same token likeliest."""
    exact, rounded = load(folder, "float32"), load(folder, "int8")
    wanted = requests(exact.config, TRACKS, GUIDANCE)
    state = rounded.start(2 * TRACKS, 16 + STEPS, cross=WORDS)
    for number, condition in enumerate(condition for request in wanted for condition in request.conditions):
        rounded.condition(state, number, condition)
    pairs: dict[str, list[tuple[Tensor, Tensor]]] = {"plain": [], "guided": []}

    class Both:
        """float32 says what is written; int8 reads the same."""

        def step(self, columns: Tensor, own: State) -> Tensor:
            two = logits, _ = exact.step(columns, own), rounded.step(columns, state)
            pairs["plain"].append((two[0].flatten(0, 1), two[1].flatten(0, 1)))
            strength = torch.tensor(GUIDANCE)
            after = [guided(each[0::2], each[1::2], strength).flatten(0, 1) for each in two]
            pairs["guided"].append((after[0], after[1]))
            return logits

    def write(model: Transformer, own: State, writing: Writing, groups: Sequence[Group], valid: Tensor) -> None:
        listening: Any = Both()
        write_column(listening, own, writing, groups, valid)

    batch = Batch(exact, TRACKS, 16 + STEPS, cross=WORDS, write=write)
    for request in wanted:
        batch.add(request)
    batch.advance(8 + STEPS)
    found: dict[str, float] = {}
    for kind, both in pairs.items():
        theirs, mine = (torch.cat(logits) for logits in zip(*both, strict=True))
        found[f"{kind} top1"] = float((theirs.argmax(-1) == mine.argmax(-1)).float().mean())
        found[f"{kind} error"] = float(((theirs - mine).square().mean() / theirs.var(-1).mean()).sqrt())
        found[f"{kind} of"] = len(theirs)
    return found


PARTS = {
    "transformers": reference,
    "float32": lambda folder: ours(folder, "float32"),
    "int8": lambda folder: ours(folder, "int8"),
    "agreement": agreement,
    "28M float32": lambda _: reference_size("float32"),
    "28M int8": lambda _: reference_size("int8"),
}


def apart(part: str, folder: Path) -> dict[str, float]:
    """A part, in a process of its own."""
    start = perf_counter()
    print(f"{part} …", end="", file=sys.stderr, flush=True)
    done = subprocess.run([sys.executable, __file__, part, str(folder)], stdout=subprocess.PIPE, check=True)
    print(f" {perf_counter() - start:.0f} s", file=sys.stderr, flush=True)
    found: dict[str, float] = {} if part == "checkpoint" else json.loads(done.stdout.splitlines()[-1])
    return found


def timed(name: str, ms: float, weights_mb: float, bandwidth: float, *more: str) -> str:
    return row([name, f"{ms:.1f}", f"{1e3 * weights_mb * 1e6 / bandwidth:.1f}", f"{1e3 / FRAME_RATE / ms:.2f}x", *more])


def main() -> None:
    bandwidth = memory_bandwidth()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "musicgen-small-random"
        apart("checkpoint", folder)
        found = {part: apart(part, folder) for part in PARTS}
    bandwidth = max(bandwidth, memory_bandwidth())
    print(f"{torch.get_num_threads()} threads; memory gives {bandwidth / 1e9:.1f} GB/s. {STEPS} steps. MB: of its own")
    print("while it decodes; at most: with loading, and with files that are mapped.\n")
    columns = ("ms a step", "memory's limit", "real time", "times as fast", "MB", "MB at most")
    print(row(["musicgen-small, guidance 3", *columns]))
    print(row(["---"] * 7))
    slowest = found["transformers"]["ms"]
    for part in ("transformers", "float32", "int8"):
        one = found[part]
        more = f"{slowest / one['ms']:.1f}x", f"{one['own_mb']:.0f}", f"{one['peak_mb']:.0f}"
        label = part if part == "transformers" else f"ours, {part}"
        weights = found["float32" if part == "transformers" else part]["weights_mb"]  # the same weights
        print(timed(label, one["ms"], weights, bandwidth, *more))
    one = found["agreement"]
    print()
    for kind, what in (("plain", "logits"), ("guided", "logits after guidance")):
        same, off, of = 100 * one[f"{kind} top1"], 100 * one[f"{kind} error"], one[f"{kind} of"]
        print(
            f"{what}: int8 has {same:.1f} % of {of:.0f} likeliest tokens in common with float32, and is {off:.1f} % of"
        )
        print("their spread away from it.")
    print("The weights are random: a trained model's best tokens stand out more.\n")
    print(row(["28 M parameters", *columns[:3]]))
    print(row(["---"] * 4))
    for precision in ("float32", "int8"):
        one = found[f"28M {precision}"]
        for label in (name for name in one if "track" in name):
            print(timed(f"{label}, {precision}", one[label], one["weights_mb"], bandwidth))


if __name__ == "__main__":
    if len(sys.argv) == 3 and sys.argv[1] == "checkpoint":
        checkpoint(Path(sys.argv[2]))
    elif len(sys.argv) == 3:
        with torch.no_grad():
            print(json.dumps(PARTS[sys.argv[1]](Path(sys.argv[2]))))
    else:
        main()
