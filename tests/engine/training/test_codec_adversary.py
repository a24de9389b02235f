"""The adversary learns from its part of the loss, the codec from the other; each moves as it should."""

from __future__ import annotations

import torch
from torch import Tensor

from resonantgen.training.codec_adversary import FEATURES, WINDOWS, Adversary

SAMPLES = 4_800


def made(seed: int = 0) -> tuple[Adversary, Tensor, Tensor]:
    """An adversary, what was decoded, and what is original [2, T]."""
    torch.manual_seed(seed)
    return Adversary(), (0.1 * torch.randn(2, SAMPLES)).requires_grad_(), 0.1 * torch.randn(2, SAMPLES)


def reached(parameter: Tensor) -> bool:
    """Whether a gradient came so far."""
    return parameter.grad is not None and bool(parameter.grad.isfinite().all()) and bool(parameter.grad.any())


def test_its_loss_leaves_the_codec_alone() -> None:
    adversary, decoded, original = made()
    own, _ = adversary.losses(decoded, original)
    own.backward()
    assert decoded.grad is None
    for name, parameter in adversary.named_parameters():
        cancels = name.endswith("verdict.bias")  # at first: up for what is original, down for what was decoded
        assert reached(parameter) or cancels, name


def test_the_codecs_loss_leaves_the_adversary_alone() -> None:
    adversary, decoded, original = made()
    _, codecs = adversary.losses(decoded, original)
    codecs.backward()
    assert reached(decoded)
    assert all(parameter.grad is None for parameter in adversary.parameters())


def test_together_their_gradients_are_those_of_each_alone() -> None:
    adversary, decoded, original = made()
    own, codecs = adversary.losses(decoded, original)
    alone = torch.autograd.grad(own, list(adversary.parameters()), retain_graph=True)
    (of_decoded,) = torch.autograd.grad(codecs, decoded, retain_graph=True)
    (own + 0.3 * codecs).backward()
    for parameter, gradient in zip(adversary.parameters(), alone, strict=True):
        torch.testing.assert_close(parameter.grad, gradient)
    torch.testing.assert_close(decoded.grad, 0.3 * of_decoded)


def test_losses_are_those_of_their_formulas() -> None:
    """A hinge on either side, and how far features are off, over how large they are."""
    adversary, decoded, original = made()
    own, codecs = (float(loss.detach()) for loss in adversary.losses(decoded, original))
    expected_own, expected_codecs = 0.0, 0.0
    for judge in adversary.judges:
        with torch.no_grad():
            real, fake = judge(original), judge(decoded)
        expected_own += float((1 - real[-1]).clamp_min(0).mean() + (1 + fake[-1]).clamp_min(0).mean())
        off = [float((f - r).abs().mean() / r.abs().mean()) for r, f in zip(real[:-1], fake[:-1], strict=True)]
        expected_codecs += float((1 - fake[-1]).clamp_min(0).mean()) + FEATURES * sum(off) / len(off)
    torch.testing.assert_close(own, expected_own / len(WINDOWS), rtol=1e-4, atol=0)
    torch.testing.assert_close(codecs, expected_codecs / len(WINDOWS), rtol=1e-4, atol=0)
    _, alike = adversary.losses(original, original)
    assert float(alike.detach()) < codecs, "features of the same sound are the same"


def test_it_learns_to_tell_them_apart() -> None:
    """A tone from noise: then verdicts are above 0 and below."""
    torch.manual_seed(1)
    adversary = Adversary()
    tone = 0.3 * torch.sin(torch.arange(SAMPLES) * 0.1).expand(2, -1)
    generator = torch.Generator().manual_seed(2)
    optimizer = torch.optim.AdamW(adversary.parameters(), lr=3e-3)
    for _ in range(20):
        own, _ = adversary.losses(0.3 * torch.randn(2, SAMPLES, generator=generator), tone)
        optimizer.zero_grad()
        own.backward()
        optimizer.step()
    with torch.no_grad():
        of_noise = adversary(0.3 * torch.randn(2, SAMPLES, generator=generator))
        for tones, noises in zip(adversary(tone), of_noise, strict=True):
            assert float(tones[-1].mean()) > 0 > float(noises[-1].mean())
