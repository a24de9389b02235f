"""The ring of keys and values: whatever way columns are fed, and however many, it is as if all were read at once."""

import random
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from resonantgen.lm.cache import State, visible
from resonantgen.lm.conditioning import Conditioning
from resonantgen.lm.config import LMConfig
from resonantgen.lm.transformer import Transformer
from tiny_lm import TINY, TINY_ODD, TINY_PREFIX, random_columns, random_conditioning, tiny_model

COLUMNS = 90  # more than five times round the ring of 16
CONFIGS = {"cross": TINY, "odd": TINY_ODD, "prefix": TINY_PREFIX, "context-1": replace(TINY, context=1)}
CHUNKS = [1, 2, 3, 5, 15, 16, 17, 20, COLUMNS]
TOLERANCE = {torch.float32: 1e-6, torch.float64: 1e-13}  # of the largest logit


def conditionings(config: LMConfig) -> list[Conditioning]:
    """For three rows: nothing, little and much; one prefix is longer than the ring."""
    cross = [0, 5, 2] if config.cross_attention else [0, 0, 0]
    return [
        random_conditioning(config, cross=cross[row], prefix=prefix, seed=row) for row, prefix in enumerate([0, 4, 19])
    ]


def conditioned(model: Transformer, conditions: list[Conditioning], columns: int | None = None) -> State:
    state = model.start(len(conditions), columns, prefix=20, cross=6)
    for row, conditioning in enumerate(conditions):
        model.condition(state, row, conditioning)
    return state


def feed(model: Transformer, columns: Tensor, state: State, sizes: list[int]) -> Tensor:
    """Logits of all columns, fed in chunks of these sizes."""
    assert sum(sizes) == columns.shape[-1]
    return torch.cat([model(chunk, state) for chunk in columns.split(sizes, dim=-1)], dim=2)


def equal_chunks(size: int) -> list[int]:
    whole, left = divmod(COLUMNS, size)
    return [size] * whole + [left] * (left > 0)


def random_chunks(seed: int) -> list[int]:
    dice, sizes = random.Random(seed), [0]
    while sum(sizes) < COLUMNS:
        sizes.append(min(dice.choice([1, 1, 1, dice.randint(2, 40)]), COLUMNS - sum(sizes)))
    return sizes[1:]


def assert_close(logits: Tensor, expected: Tensor, dtype: torch.dtype) -> None:
    finite = expected.isfinite()
    assert torch.equal(logits.isfinite(), finite)
    error = (logits[finite] - expected[finite]).abs().max() / expected[finite].abs().max()
    assert error <= TOLERANCE[dtype], error


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("name", CONFIGS)
def test_chunks_give_what_the_whole_gives_past_the_length_of_the_cache(name: str, dtype: torch.dtype) -> None:
    config = CONFIGS[name]
    model, columns, conditions = (
        tiny_model(config, dtype=dtype),
        random_columns(config, 3, COLUMNS),
        conditionings(config),
    )
    whole = model.offline(columns, conditions).detach()
    for sizes in [*map(equal_chunks, CHUNKS), *map(random_chunks, range(5))]:
        assert_close(feed(model, columns, conditioned(model, conditions), sizes), whole, dtype)


def test_the_whole_sees_a_window_of_context_columns_and_the_prefix() -> None:
    """Offline is what chunks are compared with: here it is compared with reading each window by itself."""
    config = replace(TINY_PREFIX, layers=1, context=5)  # one layer: what it sees is what it depends on
    model = tiny_model(config, dtype=torch.float64)
    columns, conditioning = random_columns(config, 1, 12), random_conditioning(config, prefix=3)
    whole = model.offline(columns, [conditioning])
    for last in range(12):
        for changed in range(12):
            other = columns.clone()
            other[0, :, changed] = (other[0, :, changed] + 1) % 11
            differs = not torch.equal(model.offline(other, [conditioning])[0, :, last], whole[0, :, last])
            assert differs == (last - 5 < changed <= last), (last, changed)
    for vector in range(3):
        prefix = conditioning.prefix.clone()  # type: ignore[union-attr]
        prefix[vector] += 1.0
        changed_by_prefix = model.offline(columns, [Conditioning(prefix=prefix)]) != whole
        assert changed_by_prefix.any(dim=-1).all(), "the prefix is in view of every column"


@given(st.data())
def test_visibility_is_causal_within_the_context_and_keeps_the_prefix(data: st.DataObject) -> None:
    position = st.integers(0, 60)
    queries = data.draw(st.lists(position, min_size=1, max_size=8))
    keys = data.draw(st.lists(position, min_size=1, max_size=8))
    prefix, context = data.draw(st.integers(0, 20)), data.draw(st.integers(1, 20))
    mask = visible(torch.tensor([queries]), torch.tensor([keys]), torch.tensor([[prefix]]), context)
    for row, query in enumerate(queries):
        for column, key in enumerate(keys):
            sees = key <= query and (key < prefix or query - key < context)
            assert mask[0, 0, row, column] == sees


def test_rows_stand_at_different_positions() -> None:
    """Rows are begun, fed alone, fed together and begun anew in any order; each is as if it were alone."""
    model = tiny_model(TINY, dtype=torch.float64)
    conditions = conditionings(TINY)
    state = conditioned(model, conditions)
    read: list[list[Tensor]] = [[], [], []]
    dice = random.Random(1)
    for turn in range(60):
        rows = sorted(dice.sample(range(3), dice.randint(1, 3)))
        if dice.random() < 0.1:
            row = rows[0]
            conditions[row] = random_conditioning(TINY, cross=dice.randint(0, 6), prefix=dice.randint(0, 20), seed=turn)
            model.condition(state, row, conditions[row])
            read[row] = []
            continue
        columns = random_columns(TINY, len(rows), dice.choice([1, 1, 1, 2, 7, 30]), seed=turn)
        together = len(rows) == 3 and dice.random() < 0.7
        logits = model(columns, state) if together else model(columns, state, rows)
        for place, row in enumerate(rows):
            read[row].append(columns[place])
            history = torch.cat(read[row], dim=-1).unsqueeze(0)
            expected = model.offline(history, [conditions[row]]).detach()[:, :, -columns.shape[-1] :]
            assert_close(logits[place : place + 1], expected, torch.float64)
        assert state.positions.tolist() == state.counts


def test_a_row_that_is_begun_anew_knows_nothing_of_what_was() -> None:
    model = tiny_model(TINY)
    state = conditioned(model, conditionings(TINY))
    feed(model, random_columns(TINY, 3, COLUMNS, seed=5), state, random_chunks(0))
    for row in range(3):
        model.condition(state, row, conditionings(TINY)[row])
    again = feed(model, random_columns(TINY, 3, 40), state, [1] * 40)
    fresh = feed(model, random_columns(TINY, 3, 40), conditioned(model, conditionings(TINY)), [1] * 40)
    assert torch.equal(again, fresh)


def test_a_state_for_few_columns_is_smaller_and_gives_the_same() -> None:
    model, columns = tiny_model(TINY), random_columns(TINY, 3, 9)
    small, large = conditioned(model, conditionings(TINY), columns=9), conditioned(model, conditionings(TINY))
    assert (small.slots, large.slots) == (20 + 9, 20 + 16)
    assert torch.equal(feed(model, columns, small, [3, *[1] * 6]), feed(model, columns, large, [3, *[1] * 6]))


def test_steps_allocate_no_cache() -> None:
    """Keys and values stay where they are: in place, of one size."""
    model = tiny_model(TINY)
    state = conditioned(model, conditionings(TINY))
    before = [(memory.data_ptr(), memory.shape) for memory in (*state.memory, *state.cross_memory)]
    feed(model, random_columns(TINY, 3, COLUMNS), state, random_chunks(3))
    assert before == [(memory.data_ptr(), memory.shape) for memory in (*state.memory, *state.cross_memory)]


def test_a_state_serves_in_and_out_of_inference_mode() -> None:
    model, columns = tiny_model(TINY), random_columns(TINY, 3, 6)
    with torch.inference_mode():
        state = conditioned(model, conditionings(TINY))
        first = feed(model, columns[..., :3], state, [2, 1])
    second = feed(model, columns[..., 3:], state, [2, 1])
    expected = feed(model, columns, conditioned(model, conditionings(TINY)), [2, 1, 2, 1])
    assert torch.equal(torch.cat([first, second], dim=2), expected)
