"""Our MusicGen against the one in `transformers`, on random weights in the published layout: logits, tokens, sound."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import AutoTokenizer

import tiny_musicgen
from resonantgen.generators.musicgen.chroma import ChromaSettings, chroma
from resonantgen.generators.musicgen.conditioner import Melody
from resonantgen.generators.musicgen.model import MusicGen
from resonantgen.generators.sound.streaming import Decoder, Guided, SoundRequest
from resonantgen.instruments.base import Samples
from resonantgen.lm.cache import State
from resonantgen.lm.delay import delayed, occupied
from resonantgen.lm.sampling import GREEDY
from tiny_musicgen import KINDS, Checkpoint, Kind, Reference

FRAMES = 100
GUIDANCE = 3.0
WORDS = "Dark techno loop, 120 bpm, in A minor"


@dataclass(frozen=True, eq=False)
class Played:
    """What the reference played, greedily."""

    codes: Tensor  # [K, frames]
    logits: Tensor  # [steps, rows, K, V]: conditional and, with guidance, not, before they are mixed
    sound: Samples  # [samples, channels]


def words_of(checkpoint: Checkpoint, words: str) -> dict[str, Tensor]:
    tokens = AutoTokenizer.from_pretrained(checkpoint.folder)(words, return_tensors="pt")
    return {name: tokens[name] for name in ("input_ids", "attention_mask")}


def play_reference(reference: Reference, inputs: dict[str, Any], frames: int, guidance: float) -> Played:
    """`generate`, with the codes that it decodes caught on their way."""
    caught: list[Tensor] = []
    encodec = reference.audio_encoder
    decode = encodec.decode

    def catching(codes: Tensor, *args: Any, **more: Any) -> Any:
        caught.append(codes[0, 0])
        return decode(codes, *args, **more)

    encodec.decode = catching
    try:
        out = reference.generate(
            **inputs,
            do_sample=False,
            guidance_scale=guidance,
            max_new_tokens=frames + 3,
            return_dict_in_generate=True,
            output_logits=True,
        )
    finally:
        del encodec.decode
    codes = torch.stack(caught, dim=1).flatten(0, 1)  # in stereo, left and right in turn
    logits = torch.stack(out.logits).unflatten(1, (-1, len(codes)))
    return Played(codes, logits, out.sequences[0].T.double().numpy())


def play_ours(model: MusicGen, guided: Guided, frames: int) -> tuple[Tensor, Samples]:
    """As `Played`: the logits [steps, rows, K, V] that were drawn from, and the sound that was streamed."""
    transformer = model.transformer
    step, logits = transformer.step, []

    def recording(columns: Tensor, state: State) -> Tensor:
        logits.append(step(columns, state))
        return logits[-1]

    transformer.step = recording  # type: ignore[method-assign]
    try:
        sound = np.concatenate(list(model.stream(SoundRequest(guided, frames, sampling=GREEDY, guidance=GUIDANCE))))
    finally:
        del transformer.step
    return torch.stack(logits), sound


def check_agreement(model: MusicGen, guided: Guided, theirs: Played) -> None:
    """Logits of both rows at each step, tokens that cannot be the same by chance or by ties, and sound."""
    frames = theirs.codes.shape[1]
    ours, sound = play_ours(model, guided, frames)
    error = (ours - theirs.logits).abs().max().item()
    assert error < 1e-4

    conditional, null = ours.unbind(1)
    mixed = null + (conditional - null) * GUIDANCE  # [steps, K, V]
    heard = occupied(model.transformer.config.delays, frames).T  # steps at which a codebook is drawn
    best = mixed.topk(2, dim=-1)
    columns = delayed(theirs.codes, model.transformer.config.delays, model.transformer.config.special).T
    assert torch.equal(best.indices[..., 0][heard], columns[heard])
    assert (best.values[..., 0] - best.values[..., 1])[heard].min() > 10 * error
    assert all(len(codebook.unique()) > 10 for codebook in theirs.codes)
    assert not torch.equal(conditional.argmax(-1)[heard], columns[heard])  # guidance matters

    assert sound.shape == theirs.sound.shape == (frames * 640, model.channels)
    assert sound.std() > 0.01
    assert np.abs(sound - theirs.sound).max() < 1e-5


@pytest.mark.parametrize("kind", KINDS)
def test_words_with_guidance(checkpoints: dict[Kind, Checkpoint], kind: Kind) -> None:
    checkpoint = checkpoints[kind]
    theirs = play_reference(checkpoint.reference, words_of(checkpoint, WORDS), FRAMES, GUIDANCE)
    model = MusicGen.load(checkpoint.folder, "cpu", "float32")
    check_agreement(model, model.condition(WORDS), theirs)


@pytest.mark.parametrize("frames", [3, 12, 20], ids=lambda frames: f"{frames}-chroma-frames")
def test_words_and_a_melody(checkpoints: dict[Kind, Checkpoint], frames: int) -> None:
    """Of fewer frames than the prefix has, as many, and more."""
    checkpoint = checkpoints["melody"]
    model = MusicGen.load(checkpoint.folder, "cpu", "float32")
    time = np.arange((frames - 1) * 4096) / 32000
    melody = Melody(np.sin(2 * np.pi * time * (220 + 220 * time))[:, np.newaxis], 32000)
    guided = model.condition(WORDS, melody)
    features = chroma(melody.samples, 32000, ChromaSettings())
    assert features.shape == (max(frames, 5), 12)
    assert len(features.argmax(1).unique()) > 1
    inputs = words_of(checkpoint, WORDS) | {"input_features": features[None]}
    check_agreement(model, guided, play_reference(checkpoint.reference, inputs, FRAMES, GUIDANCE))


def test_no_words_are_the_unconditional_model(checkpoints: dict[Kind, Checkpoint]) -> None:
    checkpoint = checkpoints["mono"]
    nothing = checkpoint.reference.get_unconditional_inputs(1)
    inputs = {"encoder_outputs": nothing.encoder_outputs, "attention_mask": nothing.attention_mask}
    theirs = play_reference(checkpoint.reference, inputs, 30, 1.0)
    model = MusicGen.load(checkpoint.folder, "cpu", "float32")
    for words in ("", "  \n"):
        _, sound = play_ours(model, model.condition(words), 30)
        assert np.abs(sound - theirs.sound).max() < 1e-5


@pytest.mark.parametrize("kind", ["mono", "stereo"])
def test_the_codec_alone(checkpoints: dict[Kind, Checkpoint], kind: Kind) -> None:
    """Any codes, fed to our decoder in odd chunks."""
    checkpoint = checkpoints[kind]
    channels = 2 if kind == "stereo" else 1
    codes = torch.randint(tiny_musicgen.CODES, (4 * channels, 57), generator=torch.Generator().manual_seed(5))
    with torch.inference_mode():
        theirs = [
            checkpoint.reference.audio_encoder.decode(codes[None, None, c::channels], [None]) for c in range(channels)
        ]
    model = MusicGen.load(checkpoint.folder, "cpu", "float32")
    decoder = Decoder(model.codec, channels)
    ours = [decoder.push(part) for part in codes.split([1, 2, 3, 5, 20, 26], dim=1)]
    expected = torch.cat([out.audio_values[0] for out in theirs]).T.numpy()
    assert np.abs(np.concatenate([*ours, decoder.finish()]) - expected).max() < 1e-5


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Torch's threads wait for each other busily: beside other work, two can take many times as long as one."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
def test_at_the_size_of_musicgen_small(tmp_path: Path) -> None:
    """24 layers, 1024 wide, 4 x 2048 tokens; its T5 and its codec are tiny."""
    reference = tiny_musicgen.write(
        tmp_path, hidden_size=1024, num_hidden_layers=24, num_attention_heads=16, ffn_dim=4096, vocab_size=2048
    )
    checkpoint = Checkpoint("mono", tmp_path, reference)
    theirs = play_reference(checkpoint.reference, words_of(checkpoint, WORDS), FRAMES, GUIDANCE)
    model = MusicGen.load(tmp_path, "cpu", "float32")
    assert model.transformer.config.parameters == reference.decoder.num_parameters() > 400_000_000
    check_agreement(model, model.condition(WORDS), theirs)
