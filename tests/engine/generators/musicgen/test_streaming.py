"""Sound as it comes: when the first leaves, that chunks and company make no difference, and that closing ends it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from resonantgen.errors import BadValue
from resonantgen.generators.musicgen.conditioner import Melody
from resonantgen.generators.musicgen.model import MusicGen
from resonantgen.generators.sound.streaming import Decoder, SoundRequest, Window
from resonantgen.instruments.base import Samples
from resonantgen.lm.decoding import write_all, write_column
from resonantgen.lm.sampling import GREEDY, Sampling
from tiny_musicgen import FRAME_SAMPLES, KINDS, SAMPLE_RATE, Checkpoint, Kind

LOOK_AHEAD_SAMPLES = 2402  # of the codec's decoder: 3.75 frames
LOOK_AHEAD = 4  # frames, rounded up
DELAY = 3  # columns from a frame's first codebook to its last, of both channels in stereo


@pytest.fixture(scope="module")
def models(checkpoints: dict[Kind, Checkpoint]) -> dict[Kind, MusicGen]:
    return {kind: MusicGen.load(checkpoint.folder, "cpu", "float32") for kind, checkpoint in checkpoints.items()}


@pytest.fixture
def steps(models: dict[Kind, MusicGen], monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """[how often the transformers have stepped]"""
    taken = [0]

    def counting(*args: object) -> None:
        taken[0] += 1
        write_column(*args)  # type: ignore[arg-type]

    for model in models.values():
        monkeypatch.setattr(model, "_write", counting)
    return taken


def whole(played: Iterator[Samples]) -> Samples:
    return np.concatenate(list(played))


def request_of(model: MusicGen, frames: int, seed: int = 1, words: str = "dark techno") -> SoundRequest:
    return SoundRequest(model.condition(words), frames, seed)


@pytest.mark.parametrize("kind", KINDS)
def test_the_first_sound_leaves_after_seven_steps(models: dict[Kind, MusicGen], steps: list[int], kind: Kind) -> None:
    """The delays and the look-ahead, no more; its first frame is whole after the eighth, and each step brings one."""
    model = models[kind]
    frames = 20
    heard = 0
    when: dict[int, int] = {}  # samples in all, by steps
    for samples in model.stream(request_of(model, frames), chunk_frames=1):
        heard += len(samples)
        when[steps[0]] = heard
    whole_piece = frames + DELAY
    assert list(when) == list(range(DELAY + LOOK_AHEAD, whole_piece + 1))
    assert when.pop(whole_piece) == frames * FRAME_SAMPLES
    assert all(heard == (step - DELAY) * FRAME_SAMPLES - LOOK_AHEAD_SAMPLES for step, heard in when.items())
    assert when[8] >= FRAME_SAMPLES > when[7]
    assert model.sample_rate == SAMPLE_RATE and model.frame_samples == FRAME_SAMPLES


@pytest.mark.parametrize("frames", [1, 3, 4, 5, 9])
def test_pieces_about_as_short_as_the_look_ahead(models: dict[Kind, MusicGen], frames: int) -> None:
    model = models["mono"]
    long = whole(model.stream(request_of(model, 12), 1))
    short = whole(model.stream(request_of(model, frames), 1))
    assert short.shape == (frames * FRAME_SAMPLES, 1)
    begun = max(frames - LOOK_AHEAD - DELAY, 0) * FRAME_SAMPLES  # what neither the tokens nor the codec end in
    assert np.allclose(short[:begun], long[:begun], rtol=0, atol=1e-6)


@pytest.mark.parametrize("chunk_frames", [2, 3, 5, 20, 100])
@pytest.mark.parametrize("kind", KINDS)
def test_chunks_make_no_difference(models: dict[Kind, MusicGen], kind: Kind, chunk_frames: int) -> None:
    model = models[kind]
    request = request_of(model, 43)
    one = whole(model.stream(request, 1))
    assert one.shape == (43 * FRAME_SAMPLES, 2 if kind == "stereo" else 1) and one.dtype == np.float64
    assert one.std() > 0.01
    chunked = list(model.stream(request, chunk_frames))
    assert np.abs(whole(iter(chunked)) - one).max() < 1e-6
    assert len(chunked) <= -(-43 // chunk_frames)


def test_left_and_right_are_not_the_same(models: dict[Kind, MusicGen]) -> None:
    sound = whole(models["stereo"].stream(request_of(models["stereo"], 20)))
    assert np.abs(sound[:, 0] - sound[:, 1]).max() > 0.01


def test_the_seed_decides(models: dict[Kind, MusicGen]) -> None:
    model = models["mono"]
    first, again, other = (whole(model.stream(request_of(model, 20, seed))) for seed in (7, 7, 8))
    assert np.array_equal(first, again)
    assert np.abs(first - other).max() > 0.01


def test_words_and_guidance_matter(models: dict[Kind, MusicGen]) -> None:
    model = models["mono"]
    techno, jazz, nothing = (model.condition(words) for words in ("techno", "warm jazz", ""))
    played = [
        whole(model.stream(SoundRequest(guided, 20, 3, guidance=guidance)))
        for guided, guidance in ((techno, 3.0), (techno, 1.0), (jazz, 3.0), (nothing, 3.0), (nothing, 1.0))
    ]
    assert np.array_equal(played[3], played[4])  # nothing is asked for: there is nothing to be guided by
    for i, j in ((0, 1), (0, 2), (0, 3), (1, 3)):
        assert np.abs(played[i] - played[j]).max() > 0.01, (i, j)


def test_the_melody_matters(models: dict[Kind, MusicGen]) -> None:
    model = models["melody"]
    time = np.arange(2 * 44100)[:, np.newaxis] / 44100
    melodies = [None, *(Melody(np.sin(2 * np.pi * hertz * time) * [0.5, 0.4], 44100) for hertz in (440.0, 554.4))]
    played = [whole(model.stream(SoundRequest(model.condition("techno", melody), 20))) for melody in melodies]
    for i, j in ((0, 1), (0, 2), (1, 2)):
        assert np.abs(played[i] - played[j]).max() > 0.01, (i, j)
    alone = model.condition("", melodies[1])
    assert alone.asked and not model.condition("").asked
    assert not torch.equal(alone.conditioning.prefix, alone.null.prefix)  # type: ignore[arg-type]


@pytest.mark.parametrize("precision", ["float32", "int8"])
@pytest.mark.parametrize("kind", KINDS)
def test_company_makes_no_difference(checkpoints: dict[Kind, Checkpoint], kind: Kind, precision: str) -> None:
    """Requests of any length, seed and kind: each is as it would be alone, to the bit."""
    model = MusicGen.load(checkpoints[kind].folder, "cpu", precision)
    long, short = model.condition("dark house drums, 120 bpm"), model.condition("jazz")
    requests = [
        SoundRequest(long, 30, 1),
        SoundRequest(short, 11, 2, Sampling(temperature=0.8, top_k=20)),
        SoundRequest(model.condition(""), 23, 3),
        SoundRequest(short, 30, 4, GREEDY, guidance=1.0),
    ]
    alone = [whole(model.stream(request, 4)) for request in requests]
    parts: dict[int, list[Samples]] = {}
    for ready in model.stream_together(requests, 4):
        for place, samples in ready.items():
            assert len(samples)
            parts.setdefault(place, []).append(samples)
    for place, expected in enumerate(alone):
        assert np.array_equal(np.concatenate(parts[place]), expected), place


def test_in_bfloat16(checkpoints: dict[Kind, Checkpoint]) -> None:
    """As on a GPU. Random weights exaggerate what is rounded, so no more than the form is compared."""
    model = MusicGen.load(checkpoints["stereo"].folder, "cpu", "bfloat16")
    assert {weight.dtype for weight in model.transformer.parameters()} == {torch.bfloat16}
    sound = whole(model.stream(request_of(model, 20)))
    assert sound.shape == (20 * FRAME_SAMPLES, 2) and np.isfinite(sound).all() and sound.std() > 0.01
    assert np.array_equal(sound, whole(model.stream(request_of(model, 20))))


def test_closing_ends_it(models: dict[Kind, MusicGen], steps: list[int]) -> None:
    played = models["mono"].stream(request_of(models["mono"], 500), chunk_frames=1)
    next(played)
    taken = steps[0]
    assert taken == DELAY + LOOK_AHEAD
    played.close()  # type: ignore[attr-defined]
    assert list(played) == []
    assert steps[0] == taken


def test_what_cannot_be_played(models: dict[Kind, MusicGen]) -> None:
    model = models["mono"]
    with pytest.raises(BadValue, match="at least one frame"):
        next(model.stream(request_of(model, 5), chunk_frames=0))
    with pytest.raises(BadValue, match="At least one frame"):
        next(model.stream(request_of(model, 0)))
    with pytest.raises(BadValue, match="musicgen-melody"):
        model.condition("techno", Melody(np.zeros((100, 1)), 44100))
    assert not model.follows_melody and models["melody"].follows_melody


WINDOW = Window(20, 12)


@pytest.fixture
def short(models: dict[Kind, MusicGen], monkeypatch: pytest.MonkeyPatch) -> dict[Kind, MusicGen]:
    """The models, as if they had learned from pieces of 20 frames."""
    for model in models.values():
        monkeypatch.setattr(model, "window", WINDOW)
    return models


@pytest.mark.parametrize("frames", [1, 19, 20, 21, 31, 32, 33, 44, 45, 101])
def test_windows_add_up_to_the_piece(frames: int) -> None:
    count = WINDOW.count(frames)
    added = [WINDOW.added(number, frames) for number in range(count)]
    assert sum(added) == frames and min(added) > 0
    assert added[0] <= WINDOW.frames and all(new <= WINDOW.stride_frames for new in added[1:])


@pytest.mark.parametrize(("frames", "stride"), [(20, 0), (20, 20), (20, 30)])
def test_windows_that_leave_gaps_or_stand_still(frames: int, stride: int) -> None:
    with pytest.raises(BadValue, match="Windows of 20"):
        Window(frames, stride)


@pytest.mark.parametrize("kind", KINDS)
def test_a_long_piece_in_windows(short: dict[Kind, MusicGen], kind: Kind) -> None:
    """Its tokens are those of windows written one by one, and its sound is theirs, decoded in one go."""
    model = short[kind]
    melody = Melody(np.sin(np.arange(9 * 4000)[:, np.newaxis] ** 1.3 / 40), 44100) if kind == "melody" else None
    request = model.request("dark techno", 71, 5, melody)
    codes = write_all(model.transformer, request.tokens(WINDOW))
    for number in range(1, WINDOW.count(71)):
        following = request.tokens(WINDOW, number, codes[:, -WINDOW.overlap :])
        codes = torch.cat([codes, write_all(model.transformer, following)], dim=1)
    assert codes.shape[1] == 71
    decoder = Decoder(model.codec, model.channels)
    expected = np.concatenate([decoder.push(codes), decoder.finish()])
    for chunk_frames in (1, 7, 100):
        played = whole(model.stream(request, chunk_frames))
        assert played.shape == (71 * FRAME_SAMPLES, model.channels)
        assert np.abs(played - expected).max() < 1e-6, chunk_frames
    assert np.array_equal(whole(model.stream(request)), whole(model.stream(request)))


def test_the_first_sound_of_a_long_piece_is_no_later(short: dict[Kind, MusicGen], steps: list[int]) -> None:
    model = short["mono"]
    played = model.stream(request_of(model, 71), chunk_frames=1)
    first = next(played)
    assert steps[0] == DELAY + LOOK_AHEAD
    assert len(first) + len(whole(played)) == 71 * FRAME_SAMPLES
    assert steps[0] == 71 + DELAY * WINDOW.count(71)  # the delay once more in each window, and nothing else
    begun = whole(model.stream(request_of(model, WINDOW.frames)))[: (WINDOW.frames - LOOK_AHEAD) * FRAME_SAMPLES]
    long = whole(model.stream(request_of(model, 71)))
    assert np.allclose(long[: len(begun)], begun, rtol=0, atol=1e-6)


def test_windows_draw_numbers_of_their_own(short: dict[Kind, MusicGen]) -> None:
    seeds = [request_of(short["mono"], 71, 9).tokens(WINDOW, number).seed for number in range(5)]
    assert seeds[0] == 9 and len(set(seeds)) == 5


def test_a_melody_goes_on_in_the_next_window(short: dict[Kind, MusicGen], monkeypatch: pytest.MonkeyPatch) -> None:
    """One pitch a window: each is conditioned on its own, as if the melody were that part alone."""
    model = short["melody"]
    monkeypatch.setattr(model, "window", Window(200, 100))  # four seconds, and two
    rate = 32000
    pitches = np.repeat([220.0, 277.2, 329.6, 415.3], 2 * rate)
    melody = Melody(np.sin(2 * np.pi * np.cumsum(pitches) / rate)[:, np.newaxis], rate)
    request = model.request("techno", 500, 1, melody)
    assert len(request.later) == 3
    for number, guided in enumerate(request.conditions()):
        places = np.arange(number * 2 * rate, (number * 2 + 4) * rate) % len(pitches)
        alone = model.condition("techno", Melody(melody.samples[places], rate))
        assert torch.equal(guided.conditioning.prefix, alone.conditioning.prefix)  # type: ignore[arg-type]
    prefixes = [guided.conditioning.prefix for guided in request.conditions()]
    assert not torch.equal(prefixes[0], prefixes[1])  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", KINDS)
def test_company_makes_no_difference_to_long_pieces(short: dict[Kind, MusicGen], kind: Kind) -> None:
    model = short[kind]
    requests = [
        request_of(model, 50, 1, "dark house drums, 120 bpm"),
        request_of(model, 11, 2, "jazz"),
        SoundRequest(model.condition("jazz"), 33, 3, GREEDY, guidance=1.0),
        request_of(model, 71, 4, ""),
    ]
    alone = [whole(model.stream(request, 4)) for request in requests]
    parts: dict[int, list[Samples]] = {}
    for ready in model.stream_together(requests, 4):
        for place, samples in ready.items():
            parts.setdefault(place, []).append(samples)
    for place, expected in enumerate(alone):
        assert np.array_equal(np.concatenate(parts[place]), expected), place
