"""With the real generators and instruments: another tempo, and values set by hand, around a locked track."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from resonantgen import Session
from resonantgen.music.notes import Role
from resonantgen.music.theory import Key
from resonantgen.music.time import Meter, TempoMap
from resonantgen.prompt.intent import Intent
from resonantgen.session.portrait import draw_portrait
from resonantgen.session.produce import make_takes
from resonantgen.session.studio import Studio


def test_a_session_at_another_tempo_is_bar_exact_and_its_takes_stay(tmp_path: Path) -> None:
    with Session.create(tmp_path / "night.rg") as session:
        session.generate("funk", seed=5, bars=2, tempo=160, meter="7/8", sample_rate=44_100)
        session.lock("drums")
        stored = {take.id: session.wav(take) for take in session.playing.values()}
        session.set_tempo("97.3")
        session.regenerate("", track="melody")
        assert session.playing[Role.MELODY].recipe.settings.tempo_bpm == Fraction("97.3")
        folder = session.export(tmp_path / "out")
        frames = TempoMap(Fraction("97.3"), Meter(7, 8), 44_100).frames(2)
        for name in (*Role, "mix"):
            samples, rate = soundfile.read(folder / f"{name}.wav")
            assert samples.shape == (frames, 2) and rate == 44_100 and np.abs(samples).max() > 0.01, name
        tracks = json.loads((folder / "session.json").read_text())["tracks"]
        assert [track.get("take_tempo_bpm") for track in tracks] == [160, 160, 160, None]
        draw_portrait(session, tmp_path / "night.png")
        with Image.open(tmp_path / "night.png") as picture:
            picture.verify()
        for role in Role:
            for take in session.takes(role):
                assert stored.get(take.id) in (None, session.wav(take))
                assert session.replay(take) == (take.notes_sha256, take.audio_sha256), take.id


def test_a_take_is_rendered_at_a_tempo_as_if_it_had_been_made_there(tmp_path: Path) -> None:
    """The notes of these styles do not depend on the tempo, so both ways lead to the same file."""
    files = {}
    for name, tempo in (("a", 120), ("b", 150)):
        with Session.create(tmp_path / f"{name}.rg") as session:
            session.generate("techno", seed=5, bars=1, tempo=tempo)
            session.set_tempo(150)
            files[name] = session.stems(), {role: take.score for role, take in session.playing.items()}
    assert files["a"] == files["b"]


@pytest.mark.parametrize(
    "intent",
    [
        Intent("", style="jazz"),
        Intent("", key=Key.parse("F# minor")),
        Intent("", meter=Meter(3, 4)),
        Intent("", bars=1),
    ],
    ids=["style", "key", "meter", "bars"],
)
def test_values_are_set_for_all_and_nothing_is_made_where_they_are_so(tmp_path: Path, intent: Intent) -> None:
    with Session.create(tmp_path / "night.rg") as session:
        session.generate("techno", seed=5, bars=2, tempo=180)
        before = dict(session.playing)
        order = session.order_regeneration(intent)
        takes = make_takes(order.job, order.standing, Studio(), order.numbers, session.add_audio)
        result = session.fulfil(order, takes)
        settings = session.settings
        assert settings is not None and len(session.mix()) == settings.frames
        assert set(result.changed) == set(Role) - ({Role.DRUMS} if intent.key else set())
        assert all(take.seed == 5 for take in session.playing.values())
        assert not session.order_regeneration(intent).job.parts
        session.undo()
        assert session.playing == before


def test_an_adjustment_is_heard_and_taken_back(tmp_path: Path) -> None:
    with Session.create(tmp_path / "night.rg") as session:
        session.generate("techno", seed=5, bars=2, tempo=180)
        notes = {}
        for density in (-1.0, 1.0, -1.0):
            session.adjust("density", density)
            count = sum(len(take.score) for take in session.playing.values())
            assert notes.setdefault(density, count) == count, "the way there does not matter"
        assert notes[-1.0] < notes[1.0]
        first = {role: session.takes(role)[1].notes_sha256 for role in Role}
        assert {role: take.notes_sha256 for role, take in session.playing.items()} == first
