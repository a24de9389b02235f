"""`train lm` as a person has it: from a folder of loops to a model that plays, and what it says where it cannot."""

from __future__ import annotations

import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from resonantgen.cli import main
from resonantgen.errors import BadValue, ModelDamaged, ModelNotFound, ModelUnusable
from resonantgen.generators.audio import AudioRequest
from resonantgen.generators.base import Request
from resonantgen.generators.plan import make_plan
from resonantgen.generators.registry import check_generator, generator_name, get_audio_generator, short_name
from resonantgen.generators.style import load_style
from resonantgen.music.notes import Role
from resonantgen.music.time import Meter
from resonantgen.training.memory import SETTINGS
from resonantgen.training.run_state import STATE_NAME
from tiny_lm_training import write_codec, write_loop

QUICK = ("--size", "tiny", "--codebooks", "2", "--seconds", "0.5", "--batch", "1", "--threads", "1")


def command(folder: Path, *more: str, stems: str = "stems", out: str = "my-drums", steps: int = 3) -> list[str]:
    places = ("--stems", str(folder / stems), "--out", str(folder / out), "--codec", str(folder / "codec"))
    return ["train", "lm", "--role", "drums", *places, "--steps", str(steps), "--device", "cpu", *QUICK, *more]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Loops in a flat folder, a codec, and a model that was trained on them."""
    made = tmp_path_factory.mktemp("train")
    for number in range(2):
        write_loop(made / "stems" / f"dark loop {number}.wav", number)
    write_codec(made / "codec")
    assert main(command(made)) == 0
    return made


def test_the_folder_that_results(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = folder / "my-drums"
    found = {path.name for path in out.iterdir()}
    assert found == {".lock", "README.md", "curve.png", "model.safetensors", STATE_NAME, "tokens"}
    page = (out / "README.md").read_text()
    assert "2 files, 2.0 s" in page and "--generator drums=./my-drums" in page
    with Image.open(out / "curve.png") as picture:
        assert picture.size[0] == 1200
    before = (out / "model.safetensors").read_bytes()
    assert main(command(folder)) == 0  # it is done, and stays as it is
    assert (out / "model.safetensors").read_bytes() == before
    assert "3 steps" in capsys.readouterr().out


def test_what_it_says_where_it_cannot(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def complaint(*more: str, **places: str) -> str:
        assert main(command(folder, *more, **places)) == 2
        said = capsys.readouterr().err
        assert said.count("\n") == 1
        return said

    assert "another steps (3, not 4)" in complaint(steps=4)  # type: ignore[arg-type]
    assert "another seed" in complaint("--seed", "1")
    (folder / "empty").mkdir(exist_ok=True)
    assert "no sound for drums" in complaint(stems="empty", out="none")
    assert "does not exist" in complaint(stems="gone", out="none")
    (folder / "file").touch()
    assert "cannot be used" in complaint(out="file/out")
    assert "from 1 to 8 codebooks" in complaint("--codebooks", "9", out="none")
    assert "guitar" in complaint("--role", "guitar", out="none")
    write_loop(folder / "odd" / "odd.wav").write_bytes(b"\xff\xd8\xff")
    assert "odd.wav is no sound file" in complaint(stems="odd", out="none")


def asking(role: Role, bars: int = 1) -> AudioRequest:
    plan = make_plan(load_style("techno"), None, 0, tempo_bpm=Fraction(200), meter=Meter(), bars=bars)
    return AudioRequest(Request(role, plan, 7), "dark techno", 48_000, -16.0)


def test_the_model_plays_exactly_the_bars(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Random as it is, what it plays has the length, and is the same each time; its bars are counted."""
    monkeypatch.setattr("resonantgen.generators.sound.performing.MOST_ATTEMPTS", 1)
    name = generator_name(str(folder / "my-drums"))
    bars: list[int] = []
    request = asking(Role.DRUMS)
    played = get_audio_generator(name).perform(request, bars.append)
    assert played.samples.shape == (round(4 * 60 / 200 * 48_000), 2)
    assert np.isfinite(played.samples).all() and np.abs(played.samples).max() > 1e-3
    assert played.fit.model == "my-drums" and len(played.fit.weights_sha256) == 64
    assert played.fit.prompt.startswith("drums, 200 bpm: dark techno")
    assert bars == sorted(bars) and bars[-1] == 1
    again = get_audio_generator(name).perform(request, lambda bar: None)
    assert np.array_equal(again.samples, played.samples)


def test_generators_by_place(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    name = generator_name("./my-drums")
    assert name == str(folder / "my-drums") and short_name(name) == "my-drums"
    assert generator_name(" Pattern ") == "pattern" and short_name("musicgen-small") == "musicgen-small"
    check_generator(Role.DRUMS, name)
    with pytest.raises(BadValue, match="my-drums plays drums, and not bass"):
        check_generator(Role.BASS, name)
    with pytest.raises(ModelNotFound, match="resonantgen train lm"):
        check_generator(Role.DRUMS, generator_name("./stems"))
    (folder / "broken").mkdir()
    (folder / "broken" / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(ModelDamaged, match="no model that plays a track"):
        check_generator(Role.DRUMS, generator_name("./broken"))


def test_another_codec_is_noticed(folder: Path) -> None:
    """Tokens are sound through one codec only."""
    from resonant_models import random_codec
    from resonantgen.codecs.resonant.weights import FILE, write_weights
    from resonantgen.generators.resonant.player import load

    path = folder / "codec" / FILE
    own = path.read_bytes()
    try:
        write_weights(random_codec(seed=1), path)
        with pytest.raises(ModelUnusable, match="bring back the codec"):
            load(folder / "my-drums", "cpu")
    finally:
        path.write_bytes(own)


def test_memory_is_kept_from_the_start() -> None:
    """The process starts itself anew with the settings, and does its work then."""
    without = {name: value for name, value in os.environ.items() if name not in SETTINGS}
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "resonantgen", "train", "lm", "--help"],
        env=without,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "--stems" in done.stdout
    started = done.stderr.count("resonantgen.cli.train_lm")
    assert started == (2 if sys.platform == "linux" else 1)
