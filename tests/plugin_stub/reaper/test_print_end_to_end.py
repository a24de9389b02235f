"""From an engine that plays, by `resonantgen print`, to items in a REAPER that is not there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from lupa.lua54 import LuaRuntime

from engine_process import engine_process, make_project, needs_linux
from fake_reaper import FakeReaper
from fake_song import Change, TempoMap, Track
from resonantgen.cli import main

pytestmark = needs_linux

SCRIPT = Path(__file__).parents[3] / "plugin_stub" / "reaper" / "resonantgen_print.lua"


def test_what_plays_becomes_items_with_the_exports_very_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    prints = tmp_path / "prints"
    monkeypatch.setenv("RESONANTGEN_PRINTS", str(prints))
    monkeypatch.setenv("RESONANTGEN_STATE", str(tmp_path))
    project = make_project(tmp_path / "night.rg")
    reaper = FakeReaper(LuaRuntime, tmp_path / "song")
    reaper.tempo = TempoMap(Change(0, 170.0))
    reaper.tracks = [Track("Vocals"), Track("Low end"), Track("Drums")]
    reaper.run(SCRIPT)

    def resonantgen(*arguments: str) -> str:
        assert main(arguments) == 0
        return capsys.readouterr().out

    with engine_process(project) as engine:
        where = ("--project", str(project))
        resonantgen("map", "2", "bass", *where)
        with engine.client.events("printed") as events:
            answer = json.loads(resonantgen("print", "--bar", "5", "--json", *where))
            printed = next(events).fields
        assert answer == {"folder": str(prints / "night-1")}
        assert (printed["folder"], printed["bar"], printed["kind"]) == (answer["folder"], 5, "audio")
        reaper.tick()
        resonantgen("export", "--to", str(tmp_path / "out"), *where)
        resonantgen("print", "--tracks", "drums", "--midi", "--bar", "7", *where)
        reaper.tick()
        assert engine.errors == ""

    roles = {"bass": 1, "drums": 2, "harmony": 3, "melody": 4}
    assert [track.name for track in reaper.tracks] == ["Vocals", "Low end", "Drums", "harmony", "melody"]
    for role, index in roles.items():
        item = reaper.tracks[index].items[0]
        assert (item.start, item.end) == pytest.approx((16 * 60 / 170, 24 * 60 / 170))
        assert item.take is not None and item.take.source is not None and item.take.values["D_PLAYRATE"] == 1
        assert item.take.source.path.read_bytes() == (tmp_path / "out" / f"{role}.wav").read_bytes()
    assert [len(track.items) for track in reaper.tracks] == [0, 1, 2, 1, 1]
    assert reaper.tracks[2].items[1].take.notes  # type: ignore[union-attr]
    assert len(reaper.undo_steps) == 2 and reaper.console == []
    reaper.finish()
