"""A run goes on as if it had never been stopped: after Ctrl-C, a kill at any instant, and a disk that was full."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from filelock import FileLock
from torch import Tensor, nn

import resonantgen.session.files as files
import tiny_training
from resonantgen.errors import BadValue, ModelDamaged, StorageError
from resonantgen.training.history import History
from resonantgen.training.loop import Observer, TrainSettings, step_seed, train
from resonantgen.training.run_state import STATE_NAME, read_module
from tiny_training import SETTINGS, Follower, LineTask


def learned(
    out: Path, settings: TrainSettings = SETTINGS, observer: Observer | None = None
) -> tuple[History, dict[str, Tensor]]:
    task = LineTask()
    history = train(task, settings, out, observer)
    return history, task.module.state_dict()


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


class Stops(Follower):
    """Asks for an end after a step."""

    def __init__(self, step: int, number: int = signal.SIGINT) -> None:
        self.step, self.number = step, number

    def stepped(self, history: History) -> None:
        if history.steps == self.step:
            os.kill(os.getpid(), self.number)


def test_it_learns_and_tells(tmp_path: Path) -> None:
    history, _ = learned(tmp_path)
    assert history.steps == SETTINGS.steps
    assert list(history.parts) == ["squares", "sizes"]
    assert all(len(values) == SETTINGS.steps for values in history.parts.values())
    assert [step for step, _ in history.evaluations] == [10, 20, 30, 40]
    assert history.evaluations[-1][1]["squares"] < 0.3 * history.evaluations[0][1]["squares"]
    for loss, squares, sizes in zip(history.losses, history.parts["squares"], history.parts["sizes"], strict=True):
        assert loss == pytest.approx(squares + 0.1 * sizes, rel=1e-5)


def test_the_same_run_gives_the_same_and_another_seed_does_not(tmp_path: Path) -> None:
    history, weights = learned(tmp_path / "a")
    again, weights_again = learned(tmp_path / "b")
    other, _ = learned(tmp_path / "c", replace(SETTINGS, seed=1))
    assert again == history
    assert same(weights, weights_again)
    assert other.losses[0] != history.losses[0]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("step", [1, 10, 33])
def test_what_was_interrupted_goes_on_to_the_last_digit(tmp_path: Path, step: int, number: int) -> None:
    whole, weights = learned(tmp_path / "whole")
    before = signal.getsignal(number)
    part, _ = learned(tmp_path / "part", observer=Stops(step, number))
    assert signal.getsignal(number) is before
    assert step <= part.steps < SETTINGS.steps
    assert part.losses == whole.losses[: part.steps]
    assert learned(tmp_path / "part")[0] == whole
    assert same(learned(tmp_path / "part")[1], weights)  # and what is done stays so


def test_a_second_ctrl_c_ends_at_once(tmp_path: Path) -> None:
    class Twice(Follower):
        def stepped(self, history: History) -> None:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        learned(tmp_path, observer=Twice())


def test_killed_at_any_instant_it_goes_on_with_the_same_curve(tmp_path: Path) -> None:
    whole, weights = learned(tmp_path / "whole")
    out = tmp_path / "killed"
    for lines in (3, 9):  # it saves after each step: the kill comes while it writes, or about then
        with subprocess.Popen(
            [sys.executable, tiny_training.__file__, str(out)], stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            for _ in range(lines):
                assert process.stdout.readline()
            process.send_signal(signal.SIGKILL)
        assert process.returncode == -signal.SIGKILL
    history, weights_of_killed = learned(out)
    assert history == whole
    assert same(weights, weights_of_killed)
    assert not list(out.glob(".*.part"))  # what the kill left half-written


def test_what_results_is_there_when_the_state_says_that_all_is_done(tmp_path: Path) -> None:
    """A run that ended while it wrote its model, by a kill or a full disk, writes it when it goes on."""
    saved: list[int] = []

    class Writes(Follower):
        def saved(self, history: History, folder: Path) -> None:
            saved.append(history.steps)
            if len(saved) == 1:
                raise StorageError("full")

    with pytest.raises(StorageError):
        learned(tmp_path, observer=Writes())
    (tmp_path / f".model.safetensors.123-4{files.TEMPORARY_SUFFIX}").touch()  # as a kill leaves it
    learned(tmp_path, observer=Writes())
    assert saved == [SETTINGS.steps, SETTINGS.steps]
    assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", STATE_NAME]
    learned(tmp_path, observer=Writes())
    assert len(saved) == 2, "and only then"


def test_a_full_disk_leaves_the_last_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, _ = learned(tmp_path / "whole")
    left = 7

    def full(descriptor: int) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(files.os, "fsync", full)
        with pytest.raises(StorageError, match="disk is full"):
            learned(tmp_path / "part", replace(SETTINGS, save_seconds=0.0))
    assert sorted(path.name for path in (tmp_path / "part").iterdir()) == [".lock", STATE_NAME]
    assert learned(tmp_path / "part")[0] == whole


@pytest.mark.parametrize(
    ("other", "word"),
    [
        (replace(SETTINGS, learning_rate=0.1), "learning rate"),
        (replace(SETTINGS, steps=50), "steps"),
        (replace(SETTINGS, ema_decay=None), "ema decay"),
    ],
    ids=["rate", "steps", "ema"],
)
def test_another_run_is_refused(tmp_path: Path, other: TrainSettings, word: str) -> None:
    learned(tmp_path)
    with pytest.raises(BadValue, match=f"another {word}.*--out"):
        learned(tmp_path, other)


def test_other_data_are_refused(tmp_path: Path) -> None:
    train(LineTask(), SETTINGS, tmp_path, facts={"stems": "a"})
    train(LineTask(), SETTINGS, tmp_path, facts={"stems": "a"})
    with pytest.raises(BadValue, match='another stems \\("a", not "b"\\)'):
        train(LineTask(), SETTINGS, tmp_path, facts={"stems": "b"})


def test_a_folder_is_for_one_process(tmp_path: Path) -> None:
    with FileLock(tmp_path / ".lock"), pytest.raises(StorageError, match="Another process"):
        learned(tmp_path)


@pytest.mark.parametrize("spoil", ["cut", "text", "empty", "foreign"])
def test_a_damaged_state_is_told(tmp_path: Path, spoil: str) -> None:
    learned(tmp_path)
    path = tmp_path / STATE_NAME
    whole = path.read_bytes()
    from safetensors.torch import save

    foreign = save({"a": torch.zeros(2)}, {"format": "pt"})
    path.write_bytes({"cut": whole[:-40], "text": b"hello", "empty": b"", "foreign": foreign}[spoil])
    with pytest.raises(ModelDamaged, match="Remove it to begin again"):
        learned(tmp_path)


def test_a_folder_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="cannot be used"):
        learned(tmp_path / "file" / "out")


def test_a_loss_that_is_no_number_ends_it(tmp_path: Path) -> None:
    class Breaks(LineTask):
        def loss(self, step: int, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
            loss, parts = super().loss(step, generator)
            return (loss * float("nan") if step == 5 else loss), parts

    with pytest.raises(BadValue, match="no number any more at step 6"):
        train(Breaks(), SETTINGS, tmp_path)


def test_averaged_weights_are_what_results_and_is_evaluated(tmp_path: Path) -> None:
    """Against the same average, worked out from the weights of each step."""
    decay = 0.9
    seen: list[Tensor] = []
    task = LineTask()
    first = next(task.module.parameters())
    average = first.detach().clone()

    class Watches(Follower):
        def stepped(self, history: History) -> None:
            seen.append(first.detach().clone())

    train(task, replace(SETTINGS, ema_decay=decay), tmp_path, Watches())
    for step, weight in enumerate(seen):
        share = min(decay, (1 + step) / (10 + step))
        average = average * share + weight * (1 - share)
    assert torch.allclose(first, average, atol=1e-6)
    assert not torch.allclose(first, seen[-1], atol=1e-4)
    read = LineTask()
    read_module(tmp_path / STATE_NAME, read.module)
    assert torch.equal(next(read.module.parameters()), first)


def test_learning_rates() -> None:
    settings = TrainSettings(steps=1000, learning_rate=2.0, warmup_steps=100, final_rate=0.1)
    assert settings.rate(0) == pytest.approx(0.02)
    assert settings.rate(99) == pytest.approx(2.0)
    assert settings.rate(550) == pytest.approx(1.1)
    assert settings.rate(999) == pytest.approx(0.2, rel=1e-3)


def test_groups_learn_at_their_own_rate(tmp_path: Path) -> None:
    """AdamW's first step moves each weight by the learning rate, whatever its gradient."""
    task = LineTask()
    before = [p.detach().clone() for p in task.module.parameters()]
    rate = 0.01
    settings = TrainSettings(steps=1, learning_rate=rate, warmup_steps=0, weight_decay=0.0, threads=1)
    train(task, settings, tmp_path)
    moved = [(p - b).abs().max().item() for p, b in zip(task.module.parameters(), before, strict=True)]
    assert moved[0] == pytest.approx(rate / 2, rel=1e-2)
    assert moved[-1] == pytest.approx(rate, rel=1e-2)


def test_seeds_differ_by_step_and_process() -> None:
    seeds = {step_seed(seed, step, rank) for seed in range(4) for step in range(50) for rank in range(4)}
    assert len(seeds) == 4 * 50 * 4
    for seed in seeds:
        torch.Generator().manual_seed(seed)


def test_a_module_with_one_tensor_under_two_names(tmp_path: Path) -> None:
    class Twice(LineTask):
        def __init__(self) -> None:
            super().__init__()
            self.module = nn.Sequential(self.module, self.module[0])

        def parameter_groups(self) -> list[dict[str, object]]:
            return [{"params": list(self.module.parameters())}]

        def loss(self, step: int, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
            loss = self.module[0](torch.randn(8, 3, generator=generator)).pow(2).mean()
            return loss, {}

        def evaluate(self) -> dict[str, float]:
            return {}

    whole = train(Twice(), SETTINGS, tmp_path / "a")
    train(Twice(), SETTINGS, tmp_path / "b", Stops(7))
    assert train(Twice(), SETTINGS, tmp_path / "b") == whole
