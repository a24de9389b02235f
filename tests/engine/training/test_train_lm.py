"""Learning tokens: ten seconds by heart, what is drawn and told, and what is held out."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from resonantgen.generators.resonant.conditions import Facts, Features
from resonantgen.lm.decoding import LMRequest, write_all
from resonantgen.lm.delay import delayed, start_column
from resonantgen.lm.sampling import GREEDY
from resonantgen.music.notes import Role
from resonantgen.music.theory import Key
from resonantgen.training.loop import TrainSettings, step_seed, train
from tiny_lm_training import FACTS, clip, codes_of, task_of

TEN_SECONDS = 750  # frames


def test_ten_seconds_are_learned_by_heart(tmp_path: Path) -> None:
    """Greedy, with what it has played before as its only help but the first second, and the cache of inference."""
    learned = clip(TEN_SECONDS, cardinality=256)
    task = task_of([learned], TEN_SECONDS, width=64, batch=1)
    settings = TrainSettings(steps=60, learning_rate=0.01, warmup_steps=10, weight_decay=0.0, threads=1)
    history = train(task, settings, tmp_path)
    assert history.losses[0] > 5 and history.losses[-1] < 0.2
    codes = codes_of(learned)
    asked = task.conditions.of([Features.of(FACTS)])[0]
    played = write_all(
        task.transformer,
        LMRequest(TEN_SECONDS - 75, sampling=GREEDY, conditioning=asked, prompt=codes[:, :75]),
    )
    assert (played == codes[:, 75:]).float().mean() >= 0.95


def test_training_reads_tokens_as_inference_does() -> None:
    """The same logits, from all columns at once with gradients, and column by column with the cache."""
    task = task_of([clip(40)], 40)
    config = task.transformer.config
    columns = delayed(codes_of(clip(40)), config.delays, config.special)
    read = torch.cat([start_column(config.special), columns[:, :-1]], dim=1)[None]
    told = task.conditions.of([Features.of(FACTS)])[0]
    trained = task.transformer.offline(read, [told])
    state = task.transformer.start(1, prefix=told.prefix_length)
    task.transformer.condition(state, 0, told)
    inferred = torch.cat([task.transformer(read[..., t : t + 1], state) for t in range(read.shape[-1])], dim=2)
    assert trained.requires_grad
    assert torch.allclose(trained, inferred, atol=2e-5)


def test_losses_are_those_of_the_tokens_that_are_there() -> None:
    """Against cross-entropy, token by token; special tokens count for nothing."""
    task = task_of([clip(12)], 12, batch=3)
    total, parts = task.loss(0, torch.Generator().manual_seed(step_seed(0, 0, 0)))
    assert list(parts) == [f"codebook {k}" for k in (1, 2, 3, 4)]
    assert total.item() == pytest.approx(sum(parts.values()) / 4, rel=1e-5)
    codes = codes_of(clip(12))
    config = task.transformer.config
    columns = delayed(codes, config.delays, config.special)
    read = torch.cat([start_column(config.special), columns[:, :-1]], dim=1)[None]
    losses, _ = task._losses(codes[None], [Features.of(FACTS)])
    logits = task.transformer.offline(read, task.conditions.of([Features.of(FACTS)]))[0]
    for k, delay in enumerate(config.delays):
        chances = logits[k, delay : delay + 12].log_softmax(dim=-1)
        wanted = -chances[torch.arange(12), codes[k]].mean()
        assert losses[k].item() == pytest.approx(wanted.item(), rel=1e-5)


def test_a_step_is_drawn_from_its_generator_alone() -> None:
    task = task_of([clip(60, seed=1), clip(90, seed=2)], 30)

    def loss(seed: int) -> float:
        return task.loss(0, torch.Generator().manual_seed(seed))[0].item()

    first = loss(1)
    torch.manual_seed(99)
    assert loss(1) == first
    assert loss(2) != first


def test_what_is_held_out_is_evaluated_and_never_learned_from() -> None:
    learned, kept = clip(30, seed=1), clip(45, held_out=True, seed=2)
    task = task_of([learned, kept], 15)
    assert len(task._pieces) == 1 and torch.equal(task._pieces[0][0].long(), codes_of(learned))
    with torch.no_grad():
        figures = task.evaluate()
    assert list(figures) == ["loss", *(f"codebook {k}" for k in (1, 2, 3, 4)), "likeliest is right"]
    assert figures["loss"] == pytest.approx(4.16, abs=0.5)  # log 64: nothing is known yet
    assert task_of([learned], 15).evaluate() == {}


def test_sound_that_is_shorter_than_a_piece_goes_round() -> None:
    task = task_of([clip(7)], 20)
    codes = codes_of(clip(7))
    assert torch.equal(task._pieces[0][0].long(), torch.cat([codes, codes, codes[:, :6]], dim=1))
    task.loss(0, torch.Generator().manual_seed(0))


def test_conditions_tell_facts_apart() -> None:
    conditions = task_of([clip(20)], 20).conditions
    several = [
        Facts(),
        FACTS,
        Facts(Role.BASS, 120.0, None, "dark techno"),
        Facts(Role.DRUMS, 121.0, None, "dark techno"),
        Facts(Role.DRUMS, 120.0, Key.parse("A minor"), "dark techno"),
        Facts(Role.DRUMS, 120.0, Key.parse("A major"), "dark techno"),
        Facts(Role.DRUMS, 120.0, None, "bright jazz"),
    ]
    prefixes = [condition.prefix for condition in conditions.of([Features.of(facts) for facts in several])]
    assert all(prefix is not None and prefix.shape == (4, 32) for prefix in prefixes)
    flat = torch.stack([prefix.flatten() for prefix in prefixes if prefix is not None])
    apart = torch.cdist(flat, flat) + 9 * torch.eye(len(flat))
    assert apart.min().item() > 1e-3


def test_a_tempo_lies_between_its_neighbours() -> None:
    """Linear on the scale of its logarithm, and never beyond its ends."""
    values = torch.stack([Features.of(Facts(tempo_bpm=tempo)).values for tempo in (20, 40, 100, 240, 400)])
    tempos = values[:, 4:29]
    assert torch.allclose(tempos.sum(dim=1), torch.ones(5), atol=1e-5)
    assert torch.equal(tempos[0], tempos[1]) and torch.equal(tempos[3], tempos[4])
    assert int((tempos[2] > 0).sum()) == 2


def test_facts_are_left_out_now_and_then() -> None:
    from resonantgen.training.lm_task import LMSettings, _dropped

    known = Features.of(Facts(Role.DRUMS, 120.0, Key.parse("A minor"), "dark"))
    generator = torch.Generator().manual_seed(0)
    settings = LMSettings(drop_all=0.2, drop_each=0.3)
    told = torch.stack([_dropped(known, settings, generator).known for _ in range(2000)]).float()
    assert told.mean(dim=0).tolist() == pytest.approx([0.8 * 0.7] * 4, abs=0.05)
    assert float((told.sum(dim=1) == 0).float().mean()) == pytest.approx(0.2 + 0.8 * 0.3**4, abs=0.04)
