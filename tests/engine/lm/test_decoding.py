"""Writing tokens: what a request gets is its own, in any company; and it is what the transformer says."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from resonantgen.device import place
from resonantgen.errors import BadValue
from resonantgen.lm.cache import State
from resonantgen.lm.conditioning import NULL
from resonantgen.lm.config import LMConfig
from resonantgen.lm.decoding import (
    Batch,
    Group,
    LMRequest,
    Writing,
    columns_of,
    plan_of,
    stream,
    write_all,
    write_column,
)
from resonantgen.lm.delay import aligned, start_column
from resonantgen.lm.device import prepare
from resonantgen.lm.sampling import GREEDY, Sampling, guided, possible, sample, uniforms
from resonantgen.lm.transformer import Transformer
from tiny_lm import TINY, TINY_ODD, TINY_PREFIX, random_conditioning, tiny_model

CONFIGS = {"even": TINY, "odd": TINY_ODD, "prefix": TINY_PREFIX}


def request(config: LMConfig, number: int) -> LMRequest:
    """Requests that differ in everything: lengths, guidance, sampling, conditioning, prompts."""
    generator = torch.Generator().manual_seed(number)
    if config.cross_attention:
        conditioning = random_conditioning(config, cross=number % 5, seed=number)
    else:
        conditioning = random_conditioning(config, prefix=number % 4, seed=number)
    books = [torch.randint(tokens, (1 + number % 7,), generator=generator) for tokens in config.vocabularies]
    return LMRequest(
        frames=6 + 5 * (number % 5),
        seed=number,
        sampling=(Sampling(), Sampling(0.7, top_k=4), GREEDY, Sampling(1.5, top_p=0.9))[number % 4],
        guidance=(1.0, 3.0, 1.5)[number % 3],
        conditioning=conditioning,
        prompt=torch.stack(books) if number % 2 else None,
    )


def ready(config: LMConfig, precision: str = "float32") -> Transformer:
    return prepare(tiny_model(config), place("cpu", precision))


class Recorder:
    """Writes as `write_column`, and keeps the logits of each row of a state at each of its positions."""

    def __init__(self) -> None:
        self.logits: dict[tuple[int, int], Tensor] = {}  # by row and step

    def __call__(
        self, model: Transformer, state: State, writing: Writing, groups: Sequence[Group], valid: Tensor
    ) -> None:
        recorder, steps = self, writing.written.clone()

        class Listening:
            def step(self, columns: Tensor, state: State) -> Tensor:
                logits = model.step(columns, state)
                for group in groups:
                    for place_, *rows in zip(group.places, group.conditional, group.unconditional, strict=True):
                        for row in map(int, rows):
                            recorder.logits[row, int(steps[place_])] = logits[row].clone()
                return logits

        model_: Any = Listening()
        write_column(model_, state, writing, groups, valid)


def alone(model: Transformer, wanted: LMRequest) -> tuple[Tensor, dict[tuple[int, int], Tensor]]:
    recorder = Recorder()
    return write_all(model, wanted, recorder), recorder.logits


@torch.no_grad()
def plainly(model: Transformer, wanted: LMRequest) -> Tensor:
    """The same, each step from the beginning, with nothing remembered."""
    config = model.config
    plan = plan_of(wanted, config.delays, config.special)
    numbers = uniforms(wanted.seed, len(plan), config.codebooks)
    columns = start_column(config.special)
    for planned, number in zip(plan, numbers, strict=True):
        both = model.offline(columns.expand(2, -1, -1), [wanted.conditioning, wanted.null])[..., -1, :]
        mixed = guided(both[:1], both[1:], torch.tensor(wanted.guidance)) if wanted.guidance != 1.0 else both[:1]
        drawn = sample(mixed, wanted.sampling, number.unsqueeze(0), possible(config.vocabularies))[0]
        columns = torch.cat([columns, torch.where(planned < 0, drawn, planned).unsqueeze(1)], dim=1)
    return aligned(columns[:, 1:], config.delays)[:, wanted.prompt_frames :]


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
@pytest.mark.parametrize("number", range(6))
def test_what_is_written_is_what_the_transformer_says(config: LMConfig, number: int) -> None:
    model, wanted = ready(config), request(config, number)
    if columns_of(wanted, config.delays) > config.context:
        wanted = replace(wanted, frames=6)
    written = write_all(model, wanted)
    assert written.shape == (config.codebooks, wanted.frames)
    assert torch.equal(written, plainly(model, wanted))


@pytest.mark.parametrize("precision", ["float32", "int8"])
@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_company_makes_no_difference_to_the_bit(config: LMConfig, precision: str) -> None:
    """Each alone; then up to eight at once, joining and leaving at different steps, at whatever place is free."""
    model = ready(config, precision)
    requests = [request(config, number) for number in range(14)]
    expected = [alone(model, wanted) for wanted in requests]
    recorder = Recorder()
    most = max(columns_of(wanted, config.delays) for wanted in requests)
    batch = Batch(model, 8, most, prefix=4, cross=5, write=recorder)
    waiting, numbers = list(range(len(requests))), {}
    written: dict[int, list[Tensor]] = defaultdict(list)
    joined_together = 0
    for turn in range(200):
        for _ in range(1 + turn % 2):
            if waiting and batch.free:
                number = waiting.pop(0)
                numbers[batch.add(requests[number])] = number
        recorder.logits.clear()
        before = {handle: (seat.rows, seat.written) for handle, seat in batch._seats.items()}
        joined_together = max(joined_together, len(before))
        for handle, codes in batch.advance(1).items():
            written[numbers[handle]].append(codes)
        for handle, (rows, step) in before.items():
            for own, row in enumerate(rows):
                assert torch.equal(recorder.logits[row, step], expected[numbers[handle]][1][own, step])
    assert joined_together == 8 and not waiting and batch.free == 8
    for number, (codes, _) in enumerate(expected):
        assert torch.equal(torch.cat(written[number], dim=1), codes)


def test_a_request_that_is_let_go_makes_no_difference_to_the_others() -> None:
    model = ready(TINY)
    batch = Batch(model, 3, 40, cross=5)
    gone, kept = batch.add(request(TINY, 1)), batch.add(request(TINY, 7))
    written = [batch.advance(4)[kept]]
    batch.remove(gone)
    assert batch.free == 2
    late = batch.add(request(TINY, 1))
    assert late not in (gone, kept)
    rest = batch.advance(100)
    assert torch.equal(torch.cat([*written, rest[kept]], dim=1), write_all(model, request(TINY, 7)))
    assert torch.equal(rest[late], write_all(model, request(TINY, 1)))
    assert batch.free == 3 and batch.advance(5) == {}


@pytest.mark.parametrize("frames", [1, 2, 5, 100])
def test_a_stream_gives_so_many_frames_at_a_time(frames: int) -> None:
    model, wanted = ready(TINY), request(TINY, 3)
    parts = list(stream(model, wanted, frames))
    assert [part.shape[1] for part in parts[:-1]] == [frames] * (len(parts) - 1)
    assert torch.equal(torch.cat(parts, dim=1), write_all(model, wanted))


def test_frames_take_as_many_steps_and_the_longest_delay() -> None:
    steps = 0

    def counting(*arguments: Any) -> None:
        nonlocal steps
        steps += 1
        write_column(*arguments)

    wanted = replace(request(TINY, 5), frames=9)
    assert wanted.prompt is not None
    first = next(stream(ready(TINY), wanted, 1, counting))
    assert first.shape == (4, 1) and steps == 1 + max(TINY.delays)
    steps = 0
    write_all(ready(TINY), wanted, counting)
    assert steps == 9 + max(TINY.delays)


def test_a_plan_holds_special_tokens_before_a_codebook_begins_and_after_it_ends() -> None:
    wanted = LMRequest(frames=2, prompt=torch.tensor([[5, 6], [3, 4], [1, 2]]))
    columns = plan_of(wanted, delays=(0, 2, 1), special=(7, 13, 9)).T
    assert columns.tolist() == [[5, 6, -1, -1, 7, 7], [13, 13, 3, 4, -1, -1], [9, 1, 2, -1, -1, 9]]


def test_seeds_and_conditions_matter() -> None:
    model = ready(TINY)
    first = replace(request(TINY, 4), frames=30, sampling=Sampling())
    written = write_all(model, first)
    assert torch.equal(written, write_all(model, first))
    assert not torch.equal(written, write_all(model, replace(first, seed=99)))
    assert not torch.equal(written, write_all(model, replace(first, conditioning=NULL)))
    assert not torch.equal(written, write_all(model, replace(first, guidance=4.0)))
    shorter = write_all(model, replace(first, frames=11))  # its end is in view of the last few
    assert torch.equal(shorter[:, : 11 - max(TINY.delays)], written[:, : 11 - max(TINY.delays)])


def test_tokens_are_of_their_codebook_even_where_weights_are_no_numbers() -> None:
    model = ready(TINY_ODD)
    for wanted in (replace(request(TINY_ODD, number), frames=40) for number in range(4)):
        written = write_all(model, wanted)
        assert (written >= 0).all() and (written.amax(1) < torch.tensor(TINY_ODD.vocabularies)).all()
    model.norm.weight.data.fill_(float("nan"))
    written = write_all(model, request(TINY_ODD, 1))
    assert (written >= 0).all() and (written.amax(1) < torch.tensor(TINY_ODD.vocabularies)).all()


def test_batches_of_one_model_may_run_in_several_threads() -> None:
    model = ready(TINY, "int8")
    requests = [request(TINY, number) for number in range(4)]
    expected = [write_all(model, wanted) for wanted in requests]
    with ThreadPoolExecutor(len(requests)) as pool:
        written = list(pool.map(lambda wanted: write_all(model, wanted), requests))
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(written, expected, strict=True))


def test_what_cannot_be_written_is_refused() -> None:
    with pytest.raises(BadValue):
        LMRequest(frames=0)
    batch = Batch(ready(TINY), 1, 20)
    with pytest.raises(BadValue, match="room"):
        batch.add(LMRequest(frames=18))
    for prompt in (torch.zeros(3, 2, dtype=torch.int64), torch.full((4, 2), 11), torch.full((4, 2), -1)):
        with pytest.raises(BadValue, match="not of this model"):
            batch.add(LMRequest(frames=2, prompt=prompt))
    assert batch.free == 1
