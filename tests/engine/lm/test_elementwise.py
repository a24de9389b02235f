"""Norms, GELU and embeddings of few rows: as torch computes them, each row by itself, in one thread."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from resonantgen.lm import elementwise
from resonantgen.lm.elementwise import FEW_ROWS, Norm, gelu, sinusoids, sum_vectors

WIDTHS = [1, 7, 63, 64, 65, 200, 512]
KERNELS = ["_gelu", "_layer_norm", "_sum_vectors", "_sinusoids"]


def norm_of(width: int) -> Norm:
    generator = torch.Generator().manual_seed(width)
    norm = Norm(width)
    with torch.no_grad():
        norm.weight.copy_(torch.randn(width, generator=generator))
        norm.bias.copy_(torch.randn(width, generator=generator))
    return norm


def drawn(*shape: int, seed: int = 0, most: int | None = None) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator) if most is None else torch.randint(most, shape, generator=generator)


@contextmanager
def kernels_counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The names of the kernels that are called within."""
    called: list[str] = []

    def counting(name: str, kernel: Callable[..., None]) -> Callable[..., None]:
        return lambda *arguments: (called.append(name), kernel(*arguments))[1]

    with monkeypatch.context() as patch:
        for name in KERNELS:
            patch.setattr(elementwise, name, counting(name, getattr(elementwise, name)))
        yield called


@pytest.mark.parametrize("width", WIDTHS)
@torch.no_grad()
def test_norms_are_layer_norms(width: int) -> None:
    norm, x = norm_of(width), 3.0 * drawn(5, 2, width) + 10.0
    exact = functional.layer_norm(x.double(), (width,), norm.weight.double(), norm.bias.double())
    assert (norm(x) - exact).abs().max() < 1e-5


@torch.no_grad()
def test_norms_of_constant_and_of_huge_rows() -> None:
    norm = norm_of(64)
    assert torch.equal(norm(torch.full((1, 64), 7.0)), norm.bias.unsqueeze(0))
    huge = 1e12 * drawn(1, 64)
    assert torch.allclose(norm(huge), functional.layer_norm(huge, (64,), norm.weight, norm.bias), atol=1e-5)


@torch.no_grad()
def test_gelu_is_exact_gelu() -> None:
    x = torch.cat([torch.linspace(-12, 12, 100_003), torch.tensor([0.0, -0.0, 1e-30, 1e30, -1e30, torch.inf])])
    exact = functional.gelu(x.double())
    error = (gelu(x.unsqueeze(0))[0] - exact).abs()
    finite = exact.isfinite()
    assert (error[finite] <= 3e-7 * x[finite].abs()).all(), error.max()
    assert gelu(torch.tensor([[torch.inf]])).item() == torch.inf


@torch.no_grad()
def test_vectors_are_summed_and_positions_are_sinusoids() -> None:
    weight, tokens = drawn(50, 33), drawn(6, 4, most=50)
    assert torch.allclose(sum_vectors(tokens, weight), weight[tokens].sum(1), atol=1e-6)
    positions, frequencies = drawn(3, 2, most=5000), drawn(17).abs()
    angles = positions.unsqueeze(-1) * frequencies
    expected = torch.cat([angles.cos(), angles.sin()], dim=-1)
    assert torch.allclose(sinusoids(positions, frequencies), expected, atol=1e-6)


@pytest.mark.parametrize("width", WIDTHS)
@torch.no_grad()
def test_each_row_is_by_itself(width: int) -> None:
    norm, x, weight = norm_of(width), drawn(8, 1, width), drawn(50, width)
    tokens, positions = drawn(8, 3, most=50), drawn(8, 1, most=9999)
    frequencies = drawn(width).abs()
    for row in range(8):
        only = slice(row, row + 1)
        assert torch.equal(norm(x)[only], norm(x[only]))
        assert torch.equal(gelu(x)[only], gelu(x[only]))
        assert torch.equal(sum_vectors(tokens, weight)[only], sum_vectors(tokens[only], weight))
        assert torch.equal(sinusoids(positions, frequencies)[only], sinusoids(positions[only], frequencies))


def run_all(rows: int, dtype: torch.dtype) -> list[Tensor]:
    norm, x = norm_of(24).to(dtype), drawn(rows, 24).to(dtype)
    tokens, positions = drawn(rows, 3, most=24), drawn(rows, 1, most=9999)
    return [norm(x), gelu(x), sum_vectors(tokens, norm.weight.expand(24, 24)), sinusoids(positions, x[0])]


def test_kernels_run_for_few_rows_in_float32_without_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    with kernels_counted(monkeypatch) as called:
        run_all(FEW_ROWS + 1, torch.float32)
        run_all(2, torch.bfloat16)
        run_all(2, torch.float64)
        assert called == []
        with torch.no_grad():
            run_all(FEW_ROWS, torch.float32)
        assert sorted(called) == sorted(KERNELS)


def test_gradients_are_torchs() -> None:
    norm, x = norm_of(24), drawn(2, 24).requires_grad_()
    out = gelu(norm(x))
    expected = functional.gelu(functional.layer_norm(x, (24,), norm.weight, norm.bias))
    assert torch.equal(out, expected) and out.requires_grad
    out.sum().backward()
    assert x.grad is not None and norm.weight.grad is not None and norm.weight.grad.any()


@torch.no_grad()
def test_inputs_may_lie_anyhow() -> None:
    norm, wide = norm_of(24), drawn(24, 6)
    assert torch.equal(norm(wide.T), norm(wide.T.contiguous()))
    assert torch.equal(gelu(wide.T), gelu(wide.T.contiguous()))
    assert torch.equal(gelu(wide[::2]), gelu(wide[::2].contiguous()))
