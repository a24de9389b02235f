"""The transformer learns: after 200 steps on one sequence, greedy decoding with the cache says it by heart."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from resonantgen.lm.conditioning import Conditioning
from resonantgen.lm.config import LMConfig
from resonantgen.lm.delay import aligned, delayed, occupied, start_column
from resonantgen.lm.transformer import Transformer
from tiny_lm import TINY, TINY_ODD, random_conditioning

FRAMES = 40
CASES = {
    "four-codebooks": replace(TINY, width=64, vocabularies=(64,) * 4, context=64),
    "codebooks-that-differ": replace(TINY_ODD, width=64, vocabularies=(20, 90, 50), context=64),
    "a-window": replace(TINY_ODD, width=64, context=12, cross_attention=False),
}


def learn(model: Transformer, codes: Tensor, conditioning: Conditioning, steps: int) -> None:
    """AdamW on the one sequence of codes [K, T]; the columns that are special are not learned."""
    config = model.config
    columns = delayed(codes, config.delays, config.special)
    read = torch.cat([start_column(config.special), columns[:, :-1]], dim=-1)
    targets = columns.masked_fill(~occupied(config.delays, codes.shape[-1]), -100)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(steps):
        logits = model.offline(read.unsqueeze(0), [conditioning])[0]
        loss = cross_entropy(logits.flatten(0, 1), targets.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def decode(model: Transformer, frames: int, conditioning: Conditioning) -> Tensor:
    """Greedy, a column at a time: aligned codes [K, frames]."""
    config = model.config
    known = occupied(config.delays, frames)
    state = model.start(1, prefix=conditioning.prefix_length, cross=conditioning.cross_length)
    model.condition(state, 0, conditioning)
    special = start_column(config.special)
    columns = [special]
    for place in range(known.shape[1]):
        tokens = model(columns[-1].unsqueeze(0), state)[0].argmax(-1)
        columns.append(torch.where(known[:, place : place + 1], tokens, special))
    return aligned(torch.cat(columns[1:], dim=-1), config.delays)


@pytest.mark.parametrize("name", CASES)
def test_a_sequence_is_learned_by_heart(name: str) -> None:
    config: LMConfig = CASES[name]
    torch.manual_seed(0)
    model = Transformer(config)
    codes = torch.stack([torch.randint(tokens, (FRAMES,)) for tokens in config.vocabularies])
    conditioning = random_conditioning(config, cross=3 if config.cross_attention else 0, prefix=2, seed=1)
    assert not torch.equal(decode(model, FRAMES, conditioning), codes)
    learn(model, codes, conditioning, steps=200)
    assert torch.equal(decode(model, FRAMES, conditioning), codes)
