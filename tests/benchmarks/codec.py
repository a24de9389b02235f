"""How fast codecs are, EnCodec beside the references, for docs/benchmarks.md: `python tests/benchmarks/codec.py`.

EnCodec 24 kHz at its real size with random weights, 6 kbit/s (8 codebooks), 10 seconds of sound: the `encodec` package
and `transformers` at once, ours at once and as a stream in chunks of 1 and 8 frames. In each round everyone has a turn,
so that what else the machine does hits all alike; the best round counts. Codes are compared, too. `--threads 1 2`
measures with one core, then with two; `--cpu-time` counts this process's time alone, for a busy machine. Then the same
of our own codec, which has no reference: `--only resonant`.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parents[1]))

import encodec_reference as reference
from resonant_models import random_codec
from resonantgen.codecs.bandwidth import codebooks_at
from resonantgen.codecs.base import Codes
from resonantgen.codecs.encodec.config import ENCODEC_24KHZ
from resonantgen.codecs.network import NetworkCodec
from resonantgen.codecs.resonant.config import ResonantConfig

BANDWIDTH_KBPS = 6.0
Works = dict[str, Callable[[], object]]


def works(seconds: float) -> tuple[Works, Works]:
    """What is measured, of EnCodec's encoding and of its decoding, by name: the references first."""
    config = ENCODEC_24KHZ
    theirs, package = reference.huggingface(config), reference.package(config)
    package.set_target_bandwidth(BANDWIDTH_KBPS)
    ours = reference.same_weights(theirs, config)
    codebooks = codebooks_at(config, BANDWIDTH_KBPS)
    x = reference.sound(config, int(seconds * config.sample_rate))
    codes = ours.encode(x, codebooks)
    same = (theirs.encode(x, bandwidth=BANDWIDTH_KBPS).audio_codes[0] == codes.indices).double().mean()
    error = (theirs.decode(codes.indices[None], [None])[0] - ours.decode(codes)).abs().max()
    print(f"{codes.indices.shape[2]} frames; the same codes: {same:.2%}; sound differs by at most {error:.1e}")
    encode: Works = {
        "encodec": lambda: package.encode(x),
        "transformers": lambda: theirs.encode(x, bandwidth=BANDWIDTH_KBPS),
    }
    decode: Works = {
        "encodec": lambda: package.decode([(codes.indices, None)]),
        "transformers": lambda: theirs.decode(codes.indices[None], [None]),
    }
    own_encode, own_decode = own_works(ours, x, codebooks)
    return encode | own_encode, decode | own_decode


def resonant_works(seconds: float) -> tuple[Works, Works]:
    """The same of our own codec at its real size, with weights that are not trained."""
    config = ResonantConfig()
    x = reference.sound(ENCODEC_24KHZ, int(seconds * config.sample_rate))
    return own_works(random_codec(config), x, codebooks_at(config, BANDWIDTH_KBPS))


def own_works(codec: NetworkCodec, x: Tensor, codebooks: int) -> tuple[Works, Works]:
    """A codec of ours at once and as a stream."""
    codes = codec.encode(x, codebooks)

    def encode_stream(frames: int) -> None:
        stream = codec.encoder(codebooks)
        for chunk in x.split(frames * codec.frame_samples, dim=2):
            stream.push(chunk)
        stream.finish()

    def decode_stream(frames: int) -> None:
        stream = codec.decoder()
        for chunk in codes.indices.split(frames, dim=2):
            stream.push(Codes(chunk))
        stream.finish()

    encode: Works = {
        "ours": lambda: codec.encode(x, codebooks),
        "ours, 8 frames at a time": lambda: encode_stream(8),
        "ours, 1 frame at a time": lambda: encode_stream(1),
    }
    decode: Works = {
        "ours": lambda: codec.decode(codes),
        "ours, 8 frames at a time": lambda: decode_stream(8),
        "ours, 1 frame at a time": lambda: decode_stream(1),
    }
    return encode, decode


def best(works: Works, rounds: int, clock: Callable[[], float]) -> dict[str, float]:
    """Seconds that each takes at best."""
    taken: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            start = clock()
            work()
            taken[name].append(clock() - start)
    return {name: min(times) for name, times in taken.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10.0, help="of sound")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--cpu-time", action="store_true", help="instead of time on the wall; with one thread")
    parser.add_argument("--only", choices=CODECS, help="one of the codecs")
    options = parser.parse_args()
    clock = time.process_time if options.cpu_time else time.perf_counter
    with torch.inference_mode():
        for codec in [options.only] if options.only else CODECS:
            encode, decode = CODECS[codec](options.seconds)
            for threads in options.threads:
                torch.set_num_threads(threads)
                for what, each in (("encode", encode), ("decode", decode)):
                    show(best(each, options.rounds, clock), options.seconds, f"{codec}: {what}, {threads} thread(s)")


def show(times: dict[str, float], seconds: float, title: str) -> None:
    """How much faster than real time; and than the faster reference, if there are any."""
    references = [times[name] for name in ("encodec", "transformers") if name in times]
    print(f"\n{title}: times real time" + (", over the faster reference" if references else ""))
    for name, taken in times.items():
        beside = f" {min(references) / taken:6.2f}" if references else ""
        print(f"  {name:26}{seconds / taken:6.1f}x{beside}")


CODECS = {"encodec": works, "resonant": resonant_works}


if __name__ == "__main__":
    main()
