"""Stems in memory: as one channel at the codec's rate, by role; and files that cannot be used."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from resonantgen.errors import AudioError, BadValue
from resonantgen.training.sounds import SHORTEST_SECONDS, read_sound, read_sounds
from resonantgen.training.stem_folder import MANIFEST
from tiny_lm_training import RATE, write_loop


def tone(hertz: float, seconds: float, rate: int = RATE) -> NDArray[np.float64]:
    return 0.4 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)


def write(path: Path, samples: NDArray[np.float64], rate: int = RATE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, rate, subtype="FLOAT")
    return path


@pytest.mark.parametrize("rate", [8_000, 24_000, 44_100, 192_000])
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_any_rate_and_number_of_channels(tmp_path: Path, rate: int, channels: int) -> None:
    """The mean of its channels, at the rate that is wanted: but for its edges the same tone."""
    gains = np.linspace(0.5, 1.5, channels) if channels > 1 else np.ones(1)
    path = write(tmp_path / "a.wav", tone(440, 1.0, rate)[:, None] * gains, rate)
    sound = read_sound(path, RATE)
    assert sound.dtype == np.int16 and sound.shape == (RATE,)
    expected = 32_767 * tone(440, 1.0)
    assert np.abs(sound - expected)[2_000:-2_000].max() < 60


def test_what_is_too_loud_is_cut_and_does_not_turn_round(tmp_path: Path) -> None:
    sound = read_sound(write(tmp_path / "a.wav", 4 * tone(100, 0.5)), RATE)
    assert (sound.max(), sound.min()) == (32_767, -32_767)


@pytest.mark.parametrize("rate", [8_000, 24_000])
def test_a_short_file_is_followed_by_silence(tmp_path: Path, rate: int) -> None:
    sound = read_sound(write(tmp_path / "a.wav", tone(440, 0.01, rate), rate), RATE)
    assert len(sound) == round(SHORTEST_SECONDS * RATE)
    assert np.abs(sound[:240]).max() > 10_000 and np.abs(sound[400:]).max() < 300


@pytest.mark.parametrize("kind", ["text", "jpeg", "empty", "no-frames", "nan", "infinity", "cut", "folder"])
def test_a_file_that_cannot_be_used_is_named(tmp_path: Path, kind: str) -> None:
    path = write(tmp_path / "odd.wav", tone(440, 0.1))
    if kind in ("nan", "infinity"):
        samples = tone(440, 0.1)
        samples[100] = {"nan": np.nan, "infinity": np.inf}[kind]
        write(path, samples)
    elif kind == "no-frames":
        write(path, np.zeros(0))
    elif kind == "folder":
        path.unlink()
        path.mkdir()
    else:
        spoilt = {
            "text": b"no sound",
            "jpeg": b"\xff\xd8\xff\xe0" + bytes(99),
            "empty": b"",
            "cut": path.read_bytes()[:20],
        }
        path.write_bytes(spoilt[kind])
    with pytest.raises(AudioError, match=r"odd\.wav"):
        read_sound(path, RATE)


def test_roles_are_folders_and_the_rest_is_left(tmp_path: Path) -> None:
    write_loop(tmp_path / "drums" / "a.wav", 1)
    write_loop(tmp_path / "drums" / "b.flac", 2)
    write(tmp_path / "bass" / "c.wav", tone(55, 0.5))
    write(tmp_path / "d.wav", tone(55, 0.5))
    told: list[tuple[int, str]] = []
    sounds = read_sounds(tmp_path, RATE, 10, lambda done, path: told.append((done, path.name)))
    assert {role: len(group) for role, group in sounds.learned.items()} == {"drums": 2, "bass": 1}
    assert not sounds.held_out
    assert told == [(0, "a.wav"), (1, "b.flac"), (2, "c.wav")]


def test_without_roles_all_is_one(tmp_path: Path) -> None:
    for number in range(3):
        write_loop(tmp_path / "mine" / f"{number}.wav", number)
    assert {role: len(group) for role, group in read_sounds(tmp_path, RATE, 10).learned.items()} == {"sound": 3}


def with_manifest(folder: Path, splits: list[str]) -> Path:
    lines = []
    for number, split in enumerate(splits):
        write(folder / f"{number}.wav", tone(100 + number, 0.2))
        lines.append(json.dumps({"file": f"{number}.wav", "role": "bass", "split": split}))
    (folder / MANIFEST).write_text("\n".join(lines))
    return folder


def test_of_what_is_held_out_some_are_read_from_first_to_last(tmp_path: Path) -> None:
    folder = with_manifest(tmp_path, ["train"] + ["held_out"] * 6)
    names: list[str] = []
    sounds = read_sounds(folder, RATE, 3, lambda done, path: names.append(path.name))
    assert len(sounds.held_out["bass"]) == 3 and len(sounds.learned["bass"]) == 1
    assert names == ["0.wav", "1.wav", "3.wav", "5.wav"]
    with pytest.raises(BadValue):
        read_sounds(with_manifest(tmp_path, ["held_out"] * 2), RATE, 3)


def test_the_hash_is_of_samples_roles_and_what_is_held_out(tmp_path: Path) -> None:
    def sha256() -> str:
        return read_sounds(tmp_path, RATE, 10).sha256

    write_loop(tmp_path / "drums" / "a.wav", 1)
    write_loop(tmp_path / "drums" / "b.wav", 2)
    first = sha256()
    assert sha256() == first
    write_loop(tmp_path / "drums" / "b.wav", 3)
    assert sha256() != first
    write_loop(tmp_path / "drums" / "b.wav", 2)
    assert sha256() == first
    (tmp_path / "drums").rename(tmp_path / "bass")
    assert sha256() != first


def test_a_role_of_which_all_is_silent_is_refused(tmp_path: Path) -> None:
    """Nothing can be learned from silence; among other sound it does no harm."""
    write_loop(tmp_path / "drums" / "a.wav")
    write(tmp_path / "drums" / "silent.wav", np.zeros(RATE))
    read_sounds(tmp_path, RATE, 10)
    write(tmp_path / "bass" / "silent.wav", np.zeros(RATE))
    write(tmp_path / "bass" / "nearly.wav", 0.01 * tone(55, 1.0))
    with pytest.raises(BadValue, match=r"bass in .* silent"):
        read_sounds(tmp_path, RATE, 10)


def test_folders_without_sound(tmp_path: Path) -> None:
    with pytest.raises(BadValue, match="does not exist"):
        read_sounds(tmp_path / "gone", RATE, 10)
    with pytest.raises(BadValue, match=r"no sound .* one of these kinds: .*flac"):
        read_sounds(tmp_path, RATE, 10)
    (tmp_path / "drums").mkdir()
    with pytest.raises(BadValue, match="no sound"):
        read_sounds(tmp_path, RATE, 10)
    write(tmp_path / "bass" / "a.wav", tone(55, 0.5))
    assert list(read_sounds(tmp_path, RATE, 10).learned) == ["bass"]
    (tmp_path / MANIFEST).write_bytes(b'{"file": "\xff", "role": "bass"}')
    with pytest.raises(BadValue, match=rf"{MANIFEST}:1"):
        read_sounds(tmp_path, RATE, 10)
