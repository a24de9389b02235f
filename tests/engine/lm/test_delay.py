"""Delay patterns: there and back, streaming, and as MusicGen has them."""

from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import tiny_musicgen  # noqa: F401 (has transformers load where torchaudio does not)
from resonantgen.lm.delay import Aligner, aligned, delayed, occupied, start_column

DELAYS = st.lists(st.integers(0, 6), min_size=1, max_size=8).map(lambda d: [x - min(d) for x in d])
FRAMES = st.integers(0, 12)


def codes_for(delays: list[int], frames: int) -> tuple[Tensor, list[int]]:
    """Codes [2, K, frames] and special tokens, all different."""
    size = 2 * len(delays) * frames
    return torch.arange(size).view(2, len(delays), frames), [1000 + codebook for codebook in range(len(delays))]


def test_an_example_by_hand() -> None:
    columns = delayed(torch.tensor([[1, 2, 3], [4, 5, 6], [7, 8, 9]]), delays=(0, 2, 1), special=(90, 91, 92))
    assert columns.tolist() == [[1, 2, 3, 90, 90], [91, 91, 4, 5, 6], [92, 7, 8, 9, 92]]


@given(DELAYS, FRAMES)
def test_alignment_undoes_the_delay(delays: list[int], frames: int) -> None:
    codes, special = codes_for(delays, frames)
    columns = delayed(codes, delays, special)
    assert columns.shape == (2, len(delays), frames + max(delays))
    assert torch.equal(aligned(columns, delays), codes)


@given(DELAYS, FRAMES)
def test_tokens_stand_where_they_are_said_to_and_the_special_one_elsewhere(delays: list[int], frames: int) -> None:
    codes, special = codes_for(delays, frames)
    columns, known = delayed(codes, delays, special), occupied(delays, frames)
    assert torch.equal(columns < 1000, known.expand_as(columns))
    assert torch.equal(torch.where(known, start_column(special), columns), start_column(special).expand_as(columns))


@given(DELAYS, FRAMES)
def test_streaming_gives_what_the_whole_gives(delays: list[int], frames: int) -> None:
    codes, special = codes_for(delays, frames)
    aligner = Aligner(delays)
    for _ in range(2):  # the second time after a reset
        out = [aligner.push(column) for column in delayed(codes, delays, special).unbind(-1)]
        assert all(frame is None for frame in out[: max(delays)])
        assert [frame.tolist() for frame in out[max(delays) :]] == [frame.tolist() for frame in codes.unbind(-1)]  # type: ignore[union-attr]
        aligner.reset()


@given(DELAYS, st.integers(0, 12))
def test_few_columns_hold_no_whole_frame(delays: list[int], columns: int) -> None:
    assert aligned(torch.zeros(len(delays), columns), delays).shape == (len(delays), max(columns - max(delays), 0))


@pytest.mark.parametrize("prompt", [0, 3])
@pytest.mark.parametrize("channels", [1, 2])
def test_the_pattern_is_that_of_musicgen(channels: int, prompt: int) -> None:
    """`transformers` marks with -1 what is to be drawn; stereo has left and right of a codebook at the same delay."""
    from transformers import MusicgenForCausalLM  # tiny_musicgen must have been first

    delays, frames, special = [delay for delay in range(4) for _ in range(channels)], 9, 500
    codes = torch.full((len(delays), frames), -1)
    codes[:, :prompt] = torch.arange(len(delays) * prompt).view(len(delays), prompt)
    ours = delayed(codes, delays, [special] * len(delays))
    musicgen = SimpleNamespace(num_codebooks=len(delays), config=SimpleNamespace(audio_channels=channels))
    start = start_column([special] * len(delays))
    read = torch.cat([start, codes[:, :prompt]], dim=-1)
    _, pattern = MusicgenForCausalLM.build_delay_pattern_mask(musicgen, read, special, frames + 3 + 1)
    assert torch.equal(torch.cat([start, ours], dim=-1), pattern)
    assert torch.equal((pattern[:, 1:] != special), occupied(delays, frames))
