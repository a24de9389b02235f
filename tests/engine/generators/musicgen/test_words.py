from dataclasses import replace

import pytest

from resonantgen.generators.audio import AudioRequest
from resonantgen.generators.base import Request
from resonantgen.generators.musicgen.words import own_words, prompt_for
from resonantgen.music.notes import Role
from resonantgen.music.theory import Key
from resonantgen.music.time import Meter
from resonantgen.prompt.intent import Attributes, Feel
from rhythm import STYLES, plan_of

DRUMS, BASS, HARMONY, MELODY = Role


def prompt(words, role, style="techno", **changes):
    plan = replace(plan_of(style), key=Key.parse("F minor"))
    for name in ("mood", "meter"):
        if name in changes:
            plan = replace(plan, **{name: changes.pop(name)})
    return prompt_for(AudioRequest(Request(role, plan, 1, **changes), words, 48_000, -18.0))


def test_drums_of_dark_techno():
    assert prompt("dark techno", DRUMS) == (
        "drums only, no melody, no bass: dark techno, drum loop, tr-909 drums, 132 bpm, 4/4, steady tempo, loop"
    )


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("style", STYLES)
def test_every_prompt_says_role_tempo_meter_and_key(style, role):
    said = prompt("something nice", role, style)
    plan = plan_of(style)
    assert said.split(":")[0].split(" ")[0] == {DRUMS: "drums", BASS: "solo", HARMONY: "chords", MELODY: "solo"}[role]
    assert f"{float(plan.tempo_bpm):g} bpm" in said
    assert str(plan.meter) in said
    assert ("in F minor" in said) == (role is not DRUMS)
    assert plan.style.title.lower() in said
    assert said == prompt("something nice", role, style)


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        ("dark techno with driving bass", {DRUMS: "dark techno", BASS: "dark techno, driving bass"}),
        ("drum and bass, liquid", dict.fromkeys(Role, "drum and bass, liquid")),
        ("lo-fi with rhodes chords and sparse hats", {DRUMS: "lo-fi, sparse hats", HARMONY: "lo-fi, rhodes chords"}),
        ("house without vocals", dict.fromkeys(Role, "house")),
        ("jazzy, no drums, upright bass", {DRUMS: "jazzy", BASS: "jazzy, upright bass", MELODY: "jazzy"}),
        ("no drums and bass, just dreamy pads", {BASS: "", HARMONY: "just dreamy pads"}),
        ("techno at 128 bpm in F# minor, 8 bars, 4/4", dict.fromkeys(Role, "techno at")),
        ("", dict.fromkeys(Role, "")),
        ("!!!", dict.fromkeys(Role, "")),
        ("rain on a tin roof", dict.fromkeys(Role, "rain on a tin roof")),
    ],
)
def test_of_the_users_words_those_are_kept_that_are_about_the_track(words, kept):
    assert {role: own_words(words, role) for role in kept} == kept


def test_attributes_mood_and_feel_are_said():
    calm = Attributes(energy=-0.5, density=0.6, brightness=0.1)
    said = prompt("house", MELODY, "house", attributes=calm, mood="melancholic", feel=Feel.HALF_TIME)
    for word in ("calm", "busy", "melancholic", "half-time feel"):
        assert f", {word}," in said
    assert "bright" not in said


def test_a_mood_that_the_words_name_is_not_said_twice():
    assert prompt("gloomy house", BASS, mood="dark").count("dark") == 0
    assert prompt("house", BASS, mood="dark").count("dark") == 1


def test_an_instrument_that_the_words_name_takes_the_place_of_the_styles():
    assert "dub chord" in prompt("techno", HARMONY)
    assert "dub chord" not in prompt("techno with piano chords", HARMONY)


def test_what_is_asked_for_of_the_kit_is_said():
    assert "with open hat" in prompt("techno", DRUMS, inclusions=frozenset({"open_hat"}))


def test_other_meters():
    assert ", 7/8," in prompt("techno", BASS, meter=Meter(7, 8))


def test_a_long_prompt_is_cut():
    assert len(prompt("very dark " * 150, DRUMS)) < 700
