"""Folders of stems: by role, flat, with a manifest; and those of which nothing can be learned."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from resonantgen.codecs.loading import load_codec
from resonantgen.errors import AudioError, BadValue
from resonantgen.music.notes import Role
from resonantgen.music.theory import Key
from resonantgen.training.lm_tokens import clips_sha256, encode_stems
from resonantgen.training.stem_folder import MANIFEST, find_stems
from tiny_lm_training import RATE, write_codec, write_loop


def names(folder: Path, role: Role = Role.DRUMS) -> list[str]:
    return [stem.path.relative_to(folder).as_posix() for stem in find_stems(folder, role)]


def touch(folder: Path, *files: str) -> Path:
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).touch()
    return folder


def test_a_folder_for_each_role(tmp_path: Path) -> None:
    touch(tmp_path, "drums/b.WAV", "drums/909/a.flac", "drums/notes.txt", "drums/.hidden/c.wav", "bass/d.wav", "e.wav")
    assert names(tmp_path) == ["drums/909/a.flac", "drums/b.WAV"]
    assert names(tmp_path, Role.BASS) == ["bass/d.wav"]


def test_a_flat_folder_is_for_any_role_and_names_are_words(tmp_path: Path) -> None:
    touch(tmp_path, "Dark_Techno-loop 01.wav", "live/jazz.mp3")
    stems = find_stems(tmp_path, Role.BASS)
    assert [stem.text for stem in stems] == ["dark techno loop", "live jazz"]
    assert not any(stem.held_out or stem.measured for stem in stems)


def test_of_many_files_some_are_held_out_always_the_same(tmp_path: Path) -> None:
    touch(tmp_path, *(f"{number}.wav" for number in range(100)))
    stems = find_stems(tmp_path, Role.DRUMS)
    assert 3 <= sum(stem.held_out for stem in stems) <= 20
    assert stems == find_stems(tmp_path, Role.DRUMS)


def test_a_manifest_says_what_is_known(tmp_path: Path) -> None:
    touch(tmp_path, "x/a.wav", "x/b.wav", "x/c.wav")
    lines = [
        {"file": "x/b.wav", "role": "drums", "split": "held_out", "tempo_bpm": 128.5, "text": "jazz drums"},
        {"file": "x/a.wav", "role": "drums", "key": "A minor", "seconds": 3.0},
        {"file": "x/c.wav", "role": "bass"},
    ]
    (tmp_path / MANIFEST).write_text("\n".join(json.dumps(line) for line in lines) + "\n\n")
    first, second = find_stems(tmp_path, Role.DRUMS)
    assert (first.held_out, first.key, first.tempo_bpm, first.measured) == (False, Key.parse("A minor"), None, True)
    assert (second.held_out, second.tempo_bpm, second.text) == (True, 128.5, "jazz drums")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("{", "stems.jsonl:1: "),
        ('{"file": "a.wav", "role": "drums", "key": "H dur"}', "stems.jsonl:1: .*no key"),
        ('\n{"file": "gone.wav", "role": "drums"}', "stems.jsonl:2: there is no file .*gone.wav"),
        ('{"file": "a.wav", "role": "bass"}', "no sound for drums.*names none"),
        ('{"file": "a.wav", "role": "drums", "split": "test"}', "all .* held out"),
    ],
    ids=["cut", "key", "gone", "role", "held-out"],
)
def test_a_manifest_that_is_wrong(tmp_path: Path, lines: str, message: str) -> None:
    touch(tmp_path, "a.wav")
    (tmp_path / MANIFEST).write_text(lines)
    with pytest.raises((BadValue, AudioError), match=message):
        find_stems(tmp_path, Role.DRUMS)


def test_folders_without_sound(tmp_path: Path) -> None:
    with pytest.raises(BadValue, match="does not exist"):
        find_stems(tmp_path / "gone", Role.DRUMS)
    touch(tmp_path, "file")
    with pytest.raises(BadValue, match="is a file"):
        find_stems(tmp_path / "file", Role.DRUMS)
    with pytest.raises(BadValue, match=r"no sound for drums .* one of these kinds: .*flac"):
        find_stems(tmp_path, Role.DRUMS)
    touch(tmp_path, "bass/a.wav")
    with pytest.raises(BadValue, match="folders for bass; make one named drums"):
        find_stems(tmp_path, Role.DRUMS)


def test_tokens_are_kept_and_follow_the_content(tmp_path: Path) -> None:
    loaded = load_codec(str(write_codec(tmp_path / "codec")), "cpu")
    stems, kept = tmp_path / "stems", tmp_path / "tokens"
    write_loop(stems / "a.wav", 1)
    write_loop(stems / "b.wav", 2, rate=44_100)

    def encode() -> str:
        clips = encode_stems(find_stems(stems, Role.DRUMS), Role.DRUMS, loaded, 2, kept)
        assert [clip.tokens.codes.shape for clip in clips] == [(2, 75), (2, 75)]
        return clips_sha256(clips)

    before = encode()
    times = {path: path.stat().st_mtime_ns for path in kept.iterdir()}
    assert encode() == before
    assert {path: path.stat().st_mtime_ns for path in kept.iterdir()} == times
    broken = next(kept.glob("*.rgt"))
    broken.write_bytes(broken.read_bytes()[:-9])
    assert encode() == before  # what was damaged is made again
    write_loop(stems / "b.wav", 3)
    assert encode() != before


@pytest.mark.parametrize("kind", ["jpeg", "empty", "no-frames", "nan", "cut"])
def test_a_file_that_cannot_be_used_is_named(tmp_path: Path, kind: str) -> None:
    loaded = load_codec(str(write_codec(tmp_path / "codec")), "cpu")
    path = write_loop(tmp_path / "stems" / "odd.wav")
    if kind == "no-frames":
        soundfile.write(path, np.zeros(0), RATE)
    elif kind == "nan":
        soundfile.write(path, np.full(RATE, np.nan), RATE, subtype="FLOAT")
    else:
        path.write_bytes({"jpeg": b"\xff\xd8\xff\xe0" + bytes(99), "empty": b"", "cut": path.read_bytes()[:20]}[kind])
    with pytest.raises(AudioError, match=r"odd\.wav"):
        encode_stems(find_stems(tmp_path / "stems", Role.DRUMS), Role.DRUMS, loaded, 2, tmp_path / "tokens")
