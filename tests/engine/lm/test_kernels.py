"""The CPU kernels: right, and the same to the bit whatever else is computed beside a row."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from resonantgen.lm.kernel_code import GROUP
from resonantgen.lm.kernels import attend, linear_f32, linear_int8, remember_and_attend


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def bytes_and_scales(outputs: int, columns: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    weight = torch.randint(-127, 128, (outputs, columns), dtype=torch.int8, generator=generator)
    return weight, (torch.rand(outputs, -(-columns // GROUP), generator=generator) / 50).bfloat16()


@pytest.fixture
def threads() -> Iterator[None]:
    """The test sets torch's number of threads."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("rows", [1, 2, 3, 4, 5, 8, 13])
@pytest.mark.parametrize(("columns", "outputs"), [(1, 1), (7, 3), (8, 16), (40, 50), (67, 129), (90, 33), (512, 300)])
def test_linear_layers_are_right(rows: int, columns: int, outputs: int) -> None:
    x, weight, bias = random(rows, columns), random(outputs, columns, seed=1), random(outputs, seed=2)
    exact = x.double() @ weight.double().T + bias
    torch.testing.assert_close(linear_f32(x, weight, bias).double(), exact, atol=1e-4, rtol=1e-5)
    torch.testing.assert_close(linear_f32(x, weight).double(), exact - bias, atol=1e-4, rtol=1e-5)
    small, scale = bytes_and_scales(outputs, columns)
    spread = scale.double().repeat_interleave(GROUP, dim=1)[:, :columns]
    exact = x.double() @ (small.double() * spread).T + bias
    torch.testing.assert_close(linear_int8(x, small, scale, bias).double(), exact, atol=1e-4, rtol=1e-5)


def test_a_linear_layer_takes_any_leading_shape_and_strides() -> None:
    weight = random(24, 16)
    x = random(16, 2, 3).permute(1, 2, 0)
    assert torch.equal(linear_f32(x, weight), linear_f32(x.reshape(6, 16), weight).view(2, 3, 24))
    assert linear_f32(random(0, 16), weight).shape == (0, 24)


@pytest.mark.parametrize("columns", [16, 40, 67, 512])
def test_a_row_gets_the_same_bits_with_any_rows_beside_it(columns: int, threads: None) -> None:
    weight, bias = random(70, columns, seed=1), random(70, seed=2)
    small, scale = bytes_and_scales(70, columns)
    x = random(9, columns)
    torch.set_num_threads(1)
    alone = [(linear_f32(row, weight, bias), linear_int8(row, small, scale, bias)) for row in x]
    for count in (1, 2, 3):
        torch.set_num_threads(count)
        for rows in range(1, len(x) + 1):
            for first in range(len(x) - rows + 1):
                floats = linear_f32(x[first : first + rows], weight, bias)
                rounded = linear_int8(x[first : first + rows], small, scale, bias)
                for row in range(rows):
                    assert torch.equal(floats[row], alone[first + row][0])
                    assert torch.equal(rounded[row], alone[first + row][1])


@pytest.mark.parametrize("size", [4, 8, 20, 64, 72, 128])
def test_attention_is_right(size: int) -> None:
    query, memory = random(3, 4, size), random(2, 5, 4, 20, size, seed=1)[:, :3]
    lengths = torch.tensor([1, 13, 20])
    for row, attended in enumerate(attend(query, memory, lengths)):
        seen = memory[:, row, :, : lengths[row]]
        expected = scaled_dot_product_attention(query[row].unsqueeze(1), seen[0], seen[1]).squeeze(1)
        torch.testing.assert_close(attended, expected, atol=2e-6, rtol=1e-5)


def test_who_sees_nothing_attends_to_nothing() -> None:
    attended = attend(random(2, 4, 8), random(2, 2, 4, 6, 8, seed=1), torch.tensor([0, 6]))
    assert not attended[0].any() and attended[1].all()


def test_attention_to_large_scores_stays_finite() -> None:
    memory = random(2, 1, 1, 50, 8, seed=1)
    attended = attend(1e4 * random(1, 1, 8), memory, torch.tensor([50]))
    best = (1e4 * random(1, 1, 8)[0, 0] @ memory[0, 0, 0].T).argmax()
    torch.testing.assert_close(attended[0, 0], memory[1, 0, 0, best])


def test_new_keys_and_values_are_written_and_seen() -> None:
    new, memory = random(3, 3, 4, 16), random(2, 3, 4, 9, 16, seed=1)
    slots, lengths = torch.tensor([0, 4, 8]), torch.tensor([1, 9, 9])
    expected = memory.clone()
    expected[:, torch.arange(3), :, slots] = new[:, 1:]
    attended = remember_and_attend(new, memory, slots, lengths)
    assert torch.equal(memory, expected)
    assert torch.equal(attended, attend(new[:, 0], expected, lengths))


def test_attention_gives_a_row_the_same_bits_with_any_rows_beside_it(threads: None) -> None:
    query, memory = random(5, 4, 24), random(2, 5, 4, 33, 24, seed=1)
    lengths = torch.tensor([33, 1, 8, 17, 30])
    together = attend(query, memory, lengths)
    torch.set_num_threads(1)
    for row in range(5):
        alone = attend(query[row : row + 1], memory[:, row : row + 1], lengths[row : row + 1])
        assert torch.equal(together[row], alone[0])


def test_any_number_of_threads_may_launch_at_once(threads: None) -> None:
    torch.set_num_threads(3)
    weight = random(300, 256, seed=1)
    inputs = [random(2, 256, seed=seed) for seed in range(6)]
    expected = [linear_f32(x, weight) for x in inputs]

    def often(number: int) -> bool:
        return all(torch.equal(linear_f32(inputs[number], weight), expected[number]) for _ in range(300))

    with ThreadPoolExecutor(len(inputs)) as pool:
        assert all(pool.map(often, range(len(inputs))))


FORKED = """
import os, sys, torch
from resonantgen.lm.kernels import linear_f32
torch.set_num_threads(2)
x, weight = torch.ones(2, 64), torch.ones(256, 64)
linear_f32(x, weight)
child = os.fork()
right = bool((linear_f32(x, weight) == 64).all())
if child == 0:
    os._exit(0 if right else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) or not right)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
def test_a_forked_child_computes_too() -> None:
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", FORKED], timeout=120, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
