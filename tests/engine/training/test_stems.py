"""A folder of stems is a function of the seed and the music, goes on where it was, and keeps held-out things apart."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner
from filelock import FileLock

from music_archives import write_freedoom, write_groove, write_pop909
from resonantgen.cli import commands
from resonantgen.errors import BadValue, StorageError
from resonantgen.music.notes import Role
from resonantgen.session.files import TEMPORARY_SUFFIX
from resonantgen.training import stem_plan
from resonantgen.training.corpora import Split, corpora
from resonantgen.training.corpora.composed import Composed
from resonantgen.training.corpora.piece import TimedNote, split_of
from resonantgen.training.stem_folder import find_stems
from resonantgen.training.stem_plan import HELD_OUT_KITS, HELD_OUT_STEMS, Sources, StemPlan, plan_stem
from resonantgen.training.stems import (
    SAMPLE_RATE,
    StemOrder,
    hours_by_role,
    read_manifest,
    render_plan,
    render_stems,
    sounding_share,
)
from resonantgen.training.timbres.base import RENDER_RATE
from resonantgen.training.timbres.fluidsynth import TIM_GM, FluidTimbre, Soundfont
from resonantgen.training.timbres.own import OwnTimbre
from resonantgen.training.timbres.sampled_kit import SampledKit

OTHER_FONT = Soundfont("other.sf2", "other", "MIT")  # never opened: plans only name it


@pytest.fixture(scope="module")
def music(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("music")
    write_groove(folder, {f"d/{number}": "test" if number % 3 == 0 else "train" for number in range(9)})
    write_pop909(folder, tuple(f"{number:03}" for number in range(1, 31)), bars=20)
    write_freedoom(folder, tuple(f"d_dm{number:02}" for number in range(1, 33)))
    return folder


@pytest.fixture(scope="module")
def read_only(music: Path) -> Sources:
    """All but what takes time to compose."""
    found = {name: corpus for name, corpus in corpora(music).items() if name != "composed"}
    return Sources(found, train_fonts=(OTHER_FONT,))


def a_plan(timbre: FluidTimbre | None = None, notes: tuple[TimedNote, ...] = (), peak: float = 0.5) -> StemPlan:
    return StemPlan(
        role=Role.BASS, split=Split.TRAIN, index=0, piece="x:y", licence="MIT", style="rock", notes=notes, seconds=1.0,
        tempo_bpm=120.0, meter="4/4", key=None, timbre=timbre or FluidTimbre(TIM_GM, (33,)), peak=peak,
    )  # fmt: skip


# -- plans ------------------------------------------------------------------------------------------------------------


def test_what_is_held_out_shares_no_piece_and_no_sound_with_what_is_trained_on(read_only: Sources) -> None:
    kits = {Split.TRAIN: set[str](), Split.HELD_OUT: set[str]()}
    for role in Role:
        for index in range(3 * HELD_OUT_STEMS):
            plan = plan_stem(read_only, 5, role, index, seconds=8.0)
            corpus, _, name = plan.piece.partition(":")
            assert read_only.corpora[corpus].piece(name).split is plan.split, plan
            if corpus != "groove":
                assert split_of(name) is plan.split
            match plan.timbre:
                case FluidTimbre(soundfont=font):
                    assert font is (TIM_GM if plan.split is Split.HELD_OUT else OTHER_FONT)
                case SampledKit(pieces=pieces):
                    kits[plan.split] |= {sample for sample, _, _ in pieces.values()}
                case OwnTimbre(sound=sound):
                    assert role is Role.DRUMS or plan.split is Split.TRAIN, "pitched: a soundfont that is held out"
                    if role is Role.DRUMS:
                        assert (sound.preset in HELD_OUT_KITS) is (plan.split is Split.HELD_OUT)
    assert kits[Split.TRAIN] and kits[Split.HELD_OUT] and not kits[Split.TRAIN] & kits[Split.HELD_OUT]


def test_the_same_seed_gives_the_same_plan_and_another_another(read_only: Sources) -> None:
    one, again, other, retried = (
        plan_stem(read_only, seed, Role.BASS, 40, attempt, seconds=8.0)
        for seed, attempt in ((1, 0), (1, 0), (2, 0), (1, 1))
    )
    assert one == again
    assert one.notes != other.notes and one.notes != retried.notes


@pytest.mark.parametrize("role", Role, ids=str)
def test_a_third_of_what_is_trained_on_is_our_own_instruments(role: Role, read_only: Sources) -> None:
    plans = [plan_stem(read_only, 0, role, index, seconds=8.0) for index in range(24, 60)]
    assert all(plan.split is Split.TRAIN for plan in plans)
    own = sum(isinstance(plan.timbre, OwnTimbre) for plan in plans) / len(plans)
    assert 0.3 <= own <= 0.36
    assert len({plan.timbre.text for plan in plans}) >= 8


def test_half_of_the_first_stems_are_held_out_and_none_later() -> None:
    splits = [stem_plan.split_and_turn(index)[0] for index in range(200)]
    assert splits.count(Split.HELD_OUT) == HELD_OUT_STEMS
    assert splits[: 2 * HELD_OUT_STEMS : 2] == [Split.TRAIN] * HELD_OUT_STEMS
    turns = [stem_plan.split_and_turn(index) for index in range(200)]
    assert len(set(turns)) == 200, "no turn of a split comes twice"


def test_notes_keep_to_the_stem_and_transpose_with_the_key(music: Path) -> None:
    sources = Sources({"pop909": corpora(music)["pop909"]}, train_fonts=(OTHER_FONT,))
    shifts = set()
    for index in range(24, 54):
        plan = plan_stem(sources, 0, Role.BASS, index, seconds=8.0)
        assert all(0 <= note.start_seconds < 8.0 and note.end_seconds <= 8.0 + 1e-6 for note in plan.notes)
        assert plan.key is not None and plan.key.endswith("major")
        [pitch] = {note.pitch for note in plan.notes}  # C2 in C major, as written
        shifts.add(pitch - 36)
        tonic = {"A": -3, "Bb": -2, "B": -1, "C": 0, "C#": 1, "Db": 1, "D": 2, "Eb": 3}[plan.key.split()[0]]
        assert tonic == pitch - 36
        assert plan.notes[0].start_seconds == pytest.approx(round(plan.notes[0].start_seconds / 2) * 2, abs=1e-6)
    assert shifts == set(range(-3, 4))  # and bars, of two seconds, are where the stem's own are


def test_short_pieces_are_repeated_by_whole_bars(music: Path) -> None:
    """Groove's pieces are 16 s here: after 16 s, the same again."""
    sources = Sources({"groove": corpora(music)["groove"]}, train_fonts=(OTHER_FONT,))
    notes = plan_stem(sources, 0, Role.DRUMS, 25, seconds=40.0).notes
    first = [(note.start_seconds, note.pitch) for note in notes if note.start_seconds < 16 - 1e-6]
    second = [(note.start_seconds - 16, note.pitch) for note in notes if 16 - 1e-6 <= note.start_seconds < 32 - 1e-6]
    assert len(first) == 12 * 8
    assert [pitch for _, pitch in first] == [pitch for _, pitch in second]
    assert [at for at, _ in first] == pytest.approx([at for at, _ in second])


def test_a_piece_s_own_instruments_are_often_used(music: Path) -> None:
    sources = Sources({"composed": Composed()}, train_fonts=(OTHER_FONT,))
    plans = [plan_stem(sources, 0, Role.MELODY, index, seconds=8.0) for index in range(24, 36)]
    own = [plan for plan in plans if isinstance(plan.timbre, OwnTimbre)]
    named = [plan.piece.partition(":")[2] for plan in own]
    fits = [
        plan.timbre.name == f"own:{Composed().sounds(name)[Role.MELODY].preset}"
        for plan, name in zip(own, named, strict=True)
    ]
    assert any(fits)


def test_music_that_lacks_a_role_is_named() -> None:
    with pytest.raises(BadValue, match="no music for bass"):
        plan_stem(Sources({}), 0, Role.BASS, 0)


# -- sound ------------------------------------------------------------------------------------------------------------


def test_a_stem_has_its_peak_and_length() -> None:
    sound = render_plan(a_plan(notes=(TimedNote(0.0, 40, 0.9, 100),), peak=0.6))
    assert sound is not None and sound.dtype == np.int16 and len(sound) == SAMPLE_RATE
    assert np.abs(sound.astype(int)).max() == pytest.approx(0.6 * 32767, abs=1)


def test_silence_is_no_stem() -> None:
    assert render_plan(a_plan()) is None
    assert sounding_share(np.zeros(SAMPLE_RATE)) == 0.0
    half = np.concatenate([np.ones(SAMPLE_RATE), np.zeros(SAMPLE_RATE)])
    assert sounding_share(half) == pytest.approx(0.5)
    assert sounding_share(np.full(SAMPLE_RATE, np.nan)) == 0.0


# -- folders ----------------------------------------------------------------------------------------------------------


def order(music: Path, out: Path) -> StemOrder:
    """Four stems of each role; samples and large soundfonts are not needed."""
    return StemOrder(music, out, 16 * 2.0 / 3600, 3, 2.0, (TIM_GM,), (TIM_GM,))


@pytest.fixture
def no_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kits of samples need a package that tests do without: soundfonts take their turns."""
    monkeypatch.setattr(stem_plan, "HELD_OUT_DRUM_TURNS", ("soundfont", "own"))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*.flac"))}


@pytest.mark.usefixtures("no_samples")
def test_a_folder_of_stems(music: Path, tmp_path: Path) -> None:
    told = []
    count = render_stems(order(music, tmp_path), on_stem=lambda line, count, total: told.append((count, total)))
    assert count == 16 and told == [(number, 16) for number in range(1, 17)]
    lines = read_manifest(order(music, tmp_path))
    assert len(lines) == 16
    assert {line.file for line in lines.values()} == set(contents(tmp_path))
    for line in lines.values():
        info = soundfile.info(tmp_path / line.file)
        assert (info.samplerate, info.channels, info.subtype, info.frames) == (SAMPLE_RATE, 1, "PCM_16", 48_000)
        assert line.seconds == 2.0 and line.role == line.file.split("/")[0] and line.split in line.file
        assert 0.29 < np.abs(soundfile.read(tmp_path / line.file)[0]).max() < 0.96
    hours = hours_by_role(lines)
    assert all(hours[role.value] == pytest.approx({"train": 4 / 3600, "held_out": 4 / 3600}) for role in Role)
    # In the order of rendering each role comes in turn, so that any part of it is balanced.
    roles = [json.loads(text)["role"] for text in (tmp_path / "stems.jsonl").read_text().splitlines()]
    assert roles == [role.value for role in Role] * 4
    for role in Role:  # what trains models reads it
        stems = find_stems(tmp_path, role)
        assert [stem.held_out for stem in stems] == [True, True, False, False]
        assert all(stem.text and stem.tempo_bpm for stem in stems)


@pytest.mark.usefixtures("no_samples")
def test_a_run_goes_on_where_it_was(music: Path, tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    render_stems(order(music, whole))
    render_stems(replace(order(music, broken), hours=8 * 2.0 / 3600))
    lines = (broken / "stems.jsonl").read_text().splitlines(keepends=True)
    assert len(lines) == 8
    (broken / json.loads(lines[2])["file"]).unlink()
    (broken / "stems.jsonl").write_text("".join(lines[:7]) + lines[7][:20])  # as a kill leaves it
    kept = broken / json.loads(lines[0])["file"]
    before = kept.stat().st_mtime_ns
    done = []
    assert render_stems(order(music, broken), on_stem=lambda line, *_: done.append(line.file)) == 16
    assert len(done) == 10 and kept.stat().st_mtime_ns == before
    assert contents(broken) == contents(whole)
    assert read_manifest(order(music, broken)) == read_manifest(order(music, whole))


def test_several_processes_make_the_same(music: Path, tmp_path: Path) -> None:
    one, two = (replace(order(music, tmp_path / name), hours=4 * 2.0 / 3600) for name in ("one", "two"))
    render_stems(one)
    render_stems(two, jobs=2)
    assert contents(one.out) == contents(two.out) and len(contents(two.out)) == 4
    assert read_manifest(one) == read_manifest(two)


KILLED = """
import sys
from pathlib import Path
from resonantgen.training.stems import StemOrder, render_stems
from resonantgen.training.timbres.fluidsynth import TIM_GM
if __name__ == "__main__":
    order = StemOrder(Path(sys.argv[1]), Path(sys.argv[2]), 1.0, 3, 2.0, (TIM_GM,), (TIM_GM,))
    render_stems(order, 2, lambda *told: print("done", flush=True))
"""


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="reads /proc")
def test_a_killed_run_leaves_no_process_behind(music: Path, tmp_path: Path) -> None:
    script = tmp_path / "run.py"
    script.write_text(KILLED)
    run = subprocess.Popen(
        [sys.executable, str(script), str(music), str(tmp_path / "out")], stdout=subprocess.PIPE, start_new_session=True
    )
    assert run.stdout is not None and run.stdout.readline() == b"done\n"
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    run.stdout.close()
    for _ in range(300):
        if not any(session == run.pid for session in sessions()):
            return
        time.sleep(0.1)
    raise AssertionError("its workers are still there after 30 s")


def sessions() -> list[int]:
    """The session of every process that is no zombie."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, session = stat.read_text().rpartition(") ")[2].split()[:4]
        except (OSError, ValueError):
            continue
        found += [int(session)] if state != "Z" else []
    return found


def test_stems_of_another_seed_are_not_mixed_in(music: Path, tmp_path: Path) -> None:
    small = replace(order(music, tmp_path), hours=2.0 / 3600)
    render_stems(small)
    with pytest.raises(BadValue, match="stems of seed 3"):
        render_stems(replace(small, seed=4))


def test_a_folder_is_for_one_process(music: Path, tmp_path: Path) -> None:
    """Two would write each stem twice, and twice into the manifest. What a killed one left half-written goes."""
    left = tmp_path / "drums" / f".train.flac.1-1{TEMPORARY_SUFFIX}"
    left.parent.mkdir()
    left.write_bytes(b"half")
    with FileLock(tmp_path / ".lock"), pytest.raises(StorageError, match="Another process is rendering stems"):
        render_stems(order(music, tmp_path))
    assert left.exists() and not (tmp_path / "stems.jsonl").exists()
    render_stems(replace(order(music, tmp_path), hours=2.0 / 3600))
    assert not left.exists()


def test_the_command_says_in_one_line_what_is_missing(tmp_path: Path) -> None:
    result = CliRunner().invoke(commands, ["train", "stems", "--music", str(tmp_path), "--out", str(tmp_path / "out")])
    assert isinstance(result.exception, BadValue) and "groove-midi.tar.xz is not there" in str(result.exception)
    assert RENDER_RATE % SAMPLE_RATE == 0
