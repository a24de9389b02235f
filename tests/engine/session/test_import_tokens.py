"""The tokens of an imported track: made of its stem, kept with it, exported, and never needed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import recordings
from engine.session.fakes import FakeStudio, words
from resonant_models import TINY, random_codec, ship
from resonantgen.codecs.resonant.weights import FILE
from resonantgen.codecs.token_file import read_tokens
from resonantgen.errors import ModelError, ProjectDamaged
from resonantgen.music.notes import Role
from resonantgen.session import codec
from resonantgen.session.folder import upgraded_take
from resonantgen.session.session import Session
from resonantgen.session.source import Tokens
from resonantgen.session.studio import Studio
from resonantgen.session.tokens import reason_of
from resonantgen.session.values import Take


@pytest.fixture
def guitar(tmp_path: Path) -> Path:
    return recordings.write(tmp_path / "guitar.wav", recordings.chords(120.0, 2))


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    with Session.create(tmp_path / "new.rg", FakeStudio()) as session:
        yield session


def kept(session: Session) -> Tokens:
    take = session.playing[Role.HARMONY]
    assert take.imported is not None and take.imported.tokens is not None
    return take.imported.tokens


def test_they_are_kept_told_and_exported(session: Session, guitar: Path, tmp_path: Path) -> None:
    session.import_audio(guitar, "harmony", lock=True)
    tokens, take = kept(session), session.playing[Role.HARMONY]
    assert take.summary.endswith(f", tokens {tokens.frames} frames, 6 kbit/s, fake")
    data = (session.path / "imports" / tokens.file_name).read_bytes()
    for _ in range(2):  # into an earlier export, too
        session.export(tmp_path / "out")
        assert (tmp_path / "out" / "harmony.rgt").read_bytes() == data == session.tokens(take)
    track = json.loads((tmp_path / "out" / "session.json").read_text())["tracks"][0]
    assert track["tokens"] == "harmony.rgt" and track["imported"]["tokens"]["sha256"] == tokens.sha256


def test_nothing_changes_those_of_a_locked_track(session: Session, guitar: Path, tmp_path: Path) -> None:
    session.import_audio(guitar, "harmony", lock=True)
    before = (kept(session), session.tokens(session.playing[Role.HARMONY]))
    session.generate(words("techno", style="techno"))
    session.set_tempo(100)
    assert (kept(session), session.tokens(session.playing[Role.HARMONY])) == before
    session.close()
    with Session.open(session.path, studio=FakeStudio()) as opened:  # which removes what nobody refers to
        assert opened.tokens(opened.playing[Role.HARMONY]) == before[1]


def test_those_that_were_changed_are_not_given_away(session: Session, guitar: Path, tmp_path: Path) -> None:
    session.import_audio(guitar, "harmony")
    path = session.path / "imports" / kept(session).file_name
    path.write_bytes(path.read_bytes() + b"?")
    with pytest.raises(ProjectDamaged, match="token file of take harmony-1 was changed"):
        session.export(tmp_path / "out")
    path.unlink()
    with pytest.raises(ProjectDamaged, match="token file of take harmony-1 is missing"):
        session.export(tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_without_a_codec_an_import_says_so_in_a_line(session: Session, guitar: Path, tmp_path: Path) -> None:
    session.import_audio(guitar, "harmony")
    session.export(tmp_path / "out")
    studio = FakeStudio()
    studio.has_codec = False
    with Session.create(tmp_path / "bare.rg", studio) as bare:
        bare.import_audio(guitar, "harmony")
        take = bare.playing[Role.HARMONY]
        assert take.imported is not None and take.imported.tokens is None
        assert take.summary.endswith(", no tokens: The codec of this test is not installed")
        bare.export(tmp_path / "out")  # over one that has some
    assert not (tmp_path / "out" / "harmony.rgt").exists()
    assert "tokens" not in json.loads((tmp_path / "out" / "session.json").read_text())["tracks"][0]


def test_those_of_an_import_that_was_not_recorded_are_removed(session: Session, guitar: Path) -> None:
    session.prepare_import(guitar, "harmony")
    assert list((session.path / "imports").glob("*.rgt"))
    session.close()
    Session.open(session.path, studio=FakeStudio()).close()
    assert not list((session.path / "imports").iterdir())


def test_an_imported_take_from_before_there_were_tokens_has_none(session: Session, guitar: Path) -> None:
    session.import_audio(guitar, "harmony")
    plain = json.loads(codec.encode(session.playing[Role.HARMONY]))
    del plain["imported"]["tokens"]
    take = codec.decode(upgraded_take(json.dumps(plain)), Take)
    assert take.imported is not None and take.imported.tokens is None


SIX_KBPS = replace(TINY, cardinality=1024)


def test_our_codec_makes_them_of_the_stem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, guitar: Path) -> None:
    """Through the codec as it is shipped, though a small one of random weights."""
    ship(tmp_path, monkeypatch, random_codec(SIX_KBPS))
    tokens, data = Studio().tokens(guitar.read_bytes())
    (tmp_path / "again.rgt").write_bytes(data)
    read = read_tokens(tmp_path / "again.rgt")
    assert (tokens.frames, tokens.bandwidth_kbps, tokens.model) == (read.header.frames, 6.0, "resonant")
    assert (read.header.source_samples, read.codes.shape) == (4 * 44_100, (8, tokens.frames))
    assert 300 <= tokens.frames <= 303 and len(np.unique(read.codes)) > 1
    assert Studio().tokens(guitar.read_bytes()) == (tokens, data)


def test_where_there_is_no_codec_the_reason_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ship(tmp_path, monkeypatch, random_codec(SIX_KBPS)).joinpath(FILE).unlink()
    with pytest.raises(ModelError) as raised:
        Studio().tokens(b"")
    assert reason_of(raised.value) and "\n" not in reason_of(raised.value)
