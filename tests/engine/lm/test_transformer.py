"""The transformer: rows that do not know of each other, conditioning, positions, and what its logits are."""

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from resonantgen.lm.conditioning import Conditioning
from resonantgen.lm.config import LMConfig
from resonantgen.lm.int8 import few_rows, quantize
from resonantgen.lm.layers import PositionEmbedding
from tiny_lm import TINY, TINY_ODD, TINY_PREFIX, random_columns, random_conditioning, tiny_model


@pytest.mark.parametrize("width", [32, 36, 96], ids="width-{}".format)
@pytest.mark.parametrize("rows", [2, 3, 8])
@pytest.mark.parametrize("prepare", [few_rows, quantize])
def test_a_row_gets_the_same_bits_alone_and_in_a_batch(
    prepare: Callable[[nn.Module], None], rows: int, width: int
) -> None:
    config = replace(TINY_ODD, width=width, feedforward=2 * width + 2, context=8)
    model = tiny_model(config)
    prepare(model)
    columns = random_columns(config, rows, 20)
    together = model.start(rows, prefix=9, cross=9)
    conditions = [random_conditioning(config, cross=row, prefix=row + 1, seed=row) for row in range(rows)]
    alone = [model.start(1, prefix=9, cross=9) for _ in range(rows)]
    for row, conditioning in enumerate(conditions):
        model.condition(together, row, conditioning)
        model.condition(alone[row], 0, conditioning)
    for column in columns.split(1, dim=-1):
        logits = model(column, together)
        for row in range(rows):
            assert torch.equal(model(column[row : row + 1], alone[row])[0], logits[row])


def test_no_cross_conditioning_contributes_zeros() -> None:
    """As MusicGen's null condition, which is zero vectors."""
    model, columns = tiny_model(TINY), random_columns(TINY, 1, 4)
    silent = tiny_model(TINY)
    with torch.no_grad():
        for layer in silent.layers:
            layer.cross_out.weight.zero_()
    without = silent.offline(columns, [random_conditioning(TINY, cross=3)])
    for null in [Conditioning(), Conditioning(cross=torch.zeros(0, 32)), Conditioning(cross=torch.zeros(5, 32))]:
        assert torch.equal(model.offline(columns, [null]), without)
        state = model.start(1, cross=5)
        model.condition(state, 0, random_conditioning(TINY, cross=5))
        model.condition(state, 0, null)
        assert torch.allclose(model(columns, state), without, atol=1e-5)
    assert not torch.allclose(model.offline(columns, [random_conditioning(TINY, cross=3)]), without, atol=0.1)


def test_what_is_drawn_depends_on_conditioning_and_order() -> None:
    """The tiny model's weights matter: else the other tests would say little."""
    model, columns = tiny_model(TINY), random_columns(TINY, 1, 6)

    def last(conditioning: Conditioning, tokens: Tensor) -> Tensor:
        return model.offline(tokens, [conditioning])[0, :, -1].detach()

    base = last(Conditioning(), columns)
    for other in [
        last(random_conditioning(TINY, cross=2), columns),
        last(random_conditioning(TINY, prefix=2), columns),
        last(Conditioning(), columns[..., [1, 0, 2, 3, 4, 5]]),
    ]:
        assert (other - base).abs().max() > 0.1


def test_codebooks_that_differ_have_no_logits_beyond_their_vocabulary() -> None:
    model, columns = tiny_model(TINY_ODD), random_columns(TINY_ODD, 2, 3)
    logits = model(columns, model.start(2))
    assert logits.shape == (2, 3, 3, 13)
    for codebook, tokens in enumerate(TINY_ODD.vocabularies):
        assert logits[:, codebook, :, :tokens].isfinite().all()
        assert (logits[:, codebook, :, tokens:] == -torch.inf).all()
    # and each codebook has its own heads and vectors
    with torch.no_grad():
        model.heads.weight[7:20] = 0.0
        model.embedding.weight[8:22] += 1.0  # codebook 1: 13 tokens and the special one
    assert (model(columns, model.start(2))[:, 1, :, :13] == 0.0).all()
    books = model.embedding(columns) - tiny_model(TINY_ODD).embedding(columns)
    assert torch.allclose(books, torch.ones_like(books), atol=1e-5)


def test_positions_are_sinusoids_of_any_position() -> None:
    positions = torch.tensor([[0, 1, 17, 2049, 100_000]])
    vectors = PositionEmbedding(12)(positions)[0]
    for place, position in enumerate(positions[0].tolist()):
        angles = [position * 10_000 ** (-step / 5) for step in range(6)]
        expected = [*map(math.cos, angles), *map(math.sin, angles)]
        assert vectors[place].tolist() == pytest.approx(expected, abs=1e-7 + 3e-7 * position)


def test_positions_are_as_exact_in_a_bfloat16_model() -> None:
    positions = torch.arange(50).view(1, 50)
    assert torch.equal(PositionEmbedding(12).to(torch.bfloat16)(positions), PositionEmbedding(12)(positions))


@pytest.mark.parametrize("config", [TINY, TINY_ODD, TINY_PREFIX], ids=["tiny", "odd", "prefix"])
def test_a_bfloat16_model_gives_float32_logits_near_those_of_float32(config: LMConfig) -> None:
    columns = random_columns(config, 2, 6)
    exact, coarse = tiny_model(config), tiny_model(config, dtype=torch.bfloat16)
    for size in (1, 6):
        state, coarse_state = exact.start(2), coarse.start(2)
        for chunk in columns.split(size, dim=-1):
            near, logits = coarse(chunk, coarse_state), exact(chunk, state)
            assert near.dtype == torch.float32
            finite = logits.isfinite()
            assert (near - logits)[finite].abs().mean() < 0.05


def test_gradients_reach_every_weight() -> None:
    model = tiny_model(TINY_ODD)
    conditions = [random_conditioning(TINY_ODD, cross=3, prefix=2), Conditioning()]
    logits = model.offline(random_columns(TINY_ODD, 2, 60), conditions)
    logits[logits.isfinite()].square().sum().backward()
    for name, weight in model.named_parameters():
        assert weight.grad is not None and weight.grad.isfinite().all(), name
        assert weight.grad.any(), name


def test_a_step_is_the_device_part_of_forward() -> None:
    model, columns = tiny_model(TINY), random_columns(TINY, 2, 5)
    state, stepped = model.start(2), model.start(2)
    for column in columns.split(1, dim=-1):
        assert torch.equal(model(column, state)[:, :, 0], model.step(column[..., 0], stepped))
        stepped.count(1)
    assert stepped.counts == state.counts == [5, 5]


def test_a_step_compiles_to_one_graph() -> None:
    """No value of a tensor decides what Python does, nor any shape: once compiled, it serves every step."""
    model, columns = tiny_model(TINY), random_columns(TINY, 2, 40)
    compiles = []

    def backend(graph: torch.fx.GraphModule, inputs: list[Tensor]) -> object:
        compiles.append(graph)
        return graph.forward

    step = torch.compile(model.step, fullgraph=True, dynamic=False, backend=backend)
    state, compiled = model.start(2, prefix=3, cross=3), model.start(2, prefix=3, cross=3)
    for which in (state, compiled):
        model.condition(which, 1, random_conditioning(TINY, cross=2, prefix=3))
    for column in columns.split(1, dim=-1):
        expected = model(column, state)[:, :, 0]
        assert torch.allclose(step(column[..., 0], compiled), expected, atol=1e-5)
        compiled.count(1)
    assert len(compiles) == 1
    assert compiled.positions.tolist() == compiled.counts == state.counts
