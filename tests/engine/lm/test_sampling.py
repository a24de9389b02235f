"""Drawing tokens: the right distribution, from a sequence's own numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import chi2
from torch import Tensor

from resonantgen.errors import BadValue
from resonantgen.lm.sampling import GREEDY, Sampling, guided, possible, sample, uniforms

TOKENS = 20
ALL = possible((TOKENS,))


def expected(logits: Tensor, sampling: Sampling) -> np.ndarray:
    """The distribution, worked out plainly."""
    scaled = logits.double().numpy() / sampling.temperature
    probability = np.exp(scaled - scaled.max())
    order = np.argsort(-probability)
    if sampling.top_k:
        probability[order[sampling.top_k :]] = 0
    probability /= probability.sum()
    before = np.cumsum(probability[order]) - probability[order]
    probability[order[before >= sampling.top_p]] = 0
    return np.asarray(probability / probability.sum())


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(top_k=0),
        Sampling(temperature=0.5, top_k=0),
        Sampling(temperature=2.0, top_k=7),
        Sampling(top_k=0, top_p=0.8),
        Sampling(temperature=1.3, top_k=12, top_p=0.9),
    ],
    ids=str,
)
def test_tokens_come_as_often_as_their_probability_says(sampling: Sampling) -> None:
    seed, draws = 5, 40_000
    logits = 1.5 * torch.randn(TOKENS, generator=torch.Generator().manual_seed(seed))
    numbers = uniforms(seed, draws, 1)
    drawn = sample(logits.expand(draws, 1, TOKENS), sampling, numbers, ALL)
    counts = np.bincount(drawn.flatten().numpy(), minlength=TOKENS)
    probability = expected(logits, sampling)
    likely = probability > 0
    assert not counts[~likely].any()
    statistic = ((counts - draws * probability)[likely] ** 2 / (draws * probability[likely])).sum()
    assert statistic < chi2.ppf(0.999, likely.sum() - 1), f"seed {seed}"


def test_greedy_takes_the_likeliest() -> None:
    logits = torch.randn(5, 3, TOKENS, generator=torch.Generator().manual_seed(1))
    valid = possible((TOKENS,) * 3)
    for sampling in (GREEDY, Sampling(top_k=1), Sampling(temperature=1e-9), Sampling(top_p=1e-9)):
        assert torch.equal(sample(logits, sampling, torch.full((5, 3), 0.99), valid), logits.argmax(-1))


def test_no_number_and_no_temperature_leads_out_of_the_distribution() -> None:
    logits = torch.full((4, 1, TOKENS), -50.0)
    logits[..., 3] = 0.0
    numbers = torch.tensor([0.0, 0.25, 0.5, 1 - 2**-24]).unsqueeze(1)
    for sampling in (Sampling(), Sampling(top_p=0.5), Sampling(temperature=1e-30), Sampling(temperature=0.1)):
        assert (sample(logits, sampling, numbers, ALL) == 3).all()


@pytest.mark.parametrize("sampling", [GREEDY, Sampling(), Sampling(top_k=0, top_p=0.5)], ids=str)
@pytest.mark.parametrize("broken", [float("nan"), float("inf"), float("-inf")])
def test_broken_logits_still_give_tokens_of_the_vocabulary(sampling: Sampling, broken: float) -> None:
    valid = possible((TOKENS, 4))
    logits = torch.full((50, 2, TOKENS), broken)
    numbers = uniforms(2, 50, 2)
    drawn = sample(logits, sampling, numbers, valid)
    assert (drawn >= 0).all() and (drawn[:, 0] < TOKENS).all() and (drawn[:, 1] < 4).all()
    logits[..., 2] = 0.0  # one that is a number
    drawn = sample(logits, sampling, numbers, valid)
    assert (drawn[:, 1] < 4).all()
    if broken != float("inf"):
        assert (drawn == 2).all()


def test_a_codebook_with_fewer_tokens_draws_none_of_the_others() -> None:
    logits = torch.zeros(2000, 2, TOKENS)
    logits[:, 1, 5:] = 100.0
    drawn = sample(logits, Sampling(top_k=0), uniforms(3, 2000, 2), possible((TOKENS, 5)))
    assert set(drawn[:, 1].tolist()) == set(range(5)) and len(set(drawn[:, 0].tolist())) == TOKENS


@pytest.mark.parametrize("sampling", [GREEDY, Sampling(), Sampling(top_k=7, top_p=0.9)], ids=str)
def test_a_row_draws_the_same_with_any_rows_beside_it(sampling: Sampling) -> None:
    logits = torch.randn(9, 3, TOKENS, generator=torch.Generator().manual_seed(4))
    numbers, valid = uniforms(6, 9, 3), possible((TOKENS,) * 3)
    together = sample(logits, sampling, numbers, valid)
    for row in range(9):
        assert torch.equal(sample(logits[row : row + 1], sampling, numbers[row : row + 1], valid)[0], together[row])


def test_numbers_depend_on_the_seed_and_the_step_alone() -> None:
    assert torch.equal(uniforms(7, 300, 4)[:3], uniforms(7, 3, 4))
    assert not torch.equal(uniforms(7, 3, 4), uniforms(8, 3, 4))


def test_guidance_of_one_is_the_condition_and_of_nought_the_null_condition() -> None:
    conditional, unconditional = torch.tensor([1.0, 2.0]), torch.tensor([0.0, 4.0])
    assert guided(conditional, unconditional, torch.tensor(1.0)).tolist() == [1.0, 2.0]
    assert guided(conditional, unconditional, torch.tensor(0.0)).tolist() == [0.0, 4.0]
    assert guided(conditional, unconditional, torch.tensor(3.0)).tolist() == [3.0, -2.0]


@pytest.mark.parametrize(
    "wrong",
    [{"temperature": -1.0}, {"temperature": float("nan")}, {"top_k": -1}, {"top_p": 0.0}, {"top_p": 1.5}],
    ids=str,
)
def test_what_no_distribution_has_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(BadValue):
        Sampling(**wrong)  # type: ignore[arg-type]
