"""A run of `train codec`: what it begins with, what it writes at each save, and that it is the same each time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from encodec_checkpoints import SMALL_24KHZ, save_huggingface
from resonantgen.codecs.base import Codes
from resonantgen.codecs.loading import load_codec
from resonantgen.codecs.resonant.weights import FILE, read_weights
from resonantgen.errors import BadValue, ModelUnusable
from resonantgen.training.codec_run import CodecRun, prepare, train_codec
from resonantgen.training.codec_task import CodecSettings
from resonantgen.training.history import History
from resonantgen.training.loop import TrainSettings
from tiny_lm_training import write_codec, write_loop
from tiny_training import Follower

SETTINGS = TrainSettings(steps=3, warmup_steps=0, evaluate_every=3, save_seconds=0.0, threads=1, seed=5)
LOSSES = CodecSettings(batch=2, crop_seconds=0.1)


class Saves(Follower):
    def __init__(self, run: CodecRun) -> None:
        self.task, self._saver, self.facts = prepare(run)

    def saved(self, history: History, folder: Path) -> None:
        self._saver(history, folder)


@pytest.fixture
def run(tmp_path: Path) -> CodecRun:
    """From a tiny codec with random weights, of loops of which some are held out."""
    for number in range(12):
        write_loop(tmp_path / "stems" / "drums" / f"{number}.wav", number, seconds=0.3)
    start = write_codec(tmp_path / "first")
    return CodecRun(tmp_path / "stems", tmp_path / "mine", str(start), LOSSES, SETTINGS)


def trained(run: CodecRun) -> History:
    saves = Saves(run)
    return train_codec(run, saves.task, saves.facts, saves)


def test_the_codec_is_called_as_its_folder_and_says_where_it_comes_from(run: CodecRun) -> None:
    trained(run)
    weights = read_weights(run.out)
    assert weights.config.name == "mine" == Saves(run).task.codec.config.name
    assert b'"mine' in (run.out / FILE).read_bytes()[:5_000].replace(b"\\", b"")
    assert weights.sha256 == load_codec(str(run.out)).weights_sha256 != load_codec(str(run.start)).weights_sha256
    about = weights.about
    assert (about["steps"], about["seed"], about["batch"]) == (3, 5, 2)
    assert about["begun_with"] == load_codec(str(run.start)).weights_sha256[:12]
    assert about["set_of_stems"] == Saves(run).facts["set_of_stems"]
    page = (run.out / "README.md").read_text()
    assert page.startswith("# mine\n") and weights.sha256 in page
    assert "- steps: 3\n" in page and f"- begun with: {about['begun_with']}\n" in page
    assert "after step 3" in page and "| drums dB | " in page


def test_the_same_run_gives_the_same_codec(run: CodecRun, tmp_path: Path) -> None:
    """Whatever chance was used for before: that of the adversary's weights is seeded, too."""
    run = replace(run, losses=replace(LOSSES, adversarial=0.1))
    whole = trained(run)
    torch.rand(7)
    assert trained(replace(run, out=tmp_path / "again" / "mine")) == whole
    for name in (FILE, "README.md"):
        assert (tmp_path / "again" / "mine" / name).read_bytes() == (run.out / name).read_bytes()
    other = trained(replace(run, out=tmp_path / "other", settings=replace(SETTINGS, seed=6)))
    assert other.losses[0] != whole.losses[0]


def test_it_begins_with_what_it_is_told_to(run: CodecRun, tmp_path: Path) -> None:
    task, _, facts = prepare(run)
    first = read_weights(Path(str(run.start)))
    assert facts["begun_with"] == first.sha256[:12]
    codes = Codes(torch.randint(64, (1, 8, 9), generator=torch.Generator().manual_seed(1)))
    torch.testing.assert_close(task.codec.decode(codes), first.codec().decode(codes), rtol=1e-4, atol=1e-5)
    assert all(parameter.requires_grad for parameter in task.codec.parameters())
    new, _, facts = prepare(replace(run, start=None))
    assert facts["begun_with"] == "nothing" and new.codec.config.codebooks == 8
    again, _, _ = prepare(replace(run, start=None))
    assert all(map(torch.equal, new.codec.parameters(), again.codec.parameters()))
    theirs = save_huggingface(SMALL_24KHZ, tmp_path / "theirs")
    with pytest.raises(ModelUnusable, match="--from resonant"):
        prepare(replace(run, start=str(theirs)))


def test_a_share_of_a_role_that_is_not_there_is_refused(run: CodecRun) -> None:
    prepare(replace(run, losses=replace(LOSSES, shares=(("drums", 2.0),))))
    with pytest.raises(BadValue, match=r"--share names drum, .* has drums"):
        prepare(replace(run, losses=replace(LOSSES, shares=(("drum", 2.0),))))
