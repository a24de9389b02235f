"""A DAW's track is ours by its name as people name tracks, and no other track is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resonantgen.music.notes import Role
from resonantgen_bridge.track_names import role_of_name

NAMES = {
    Role.DRUMS: """
        Kick|kick|KICK 01|Drm|Drums|drum kit|DrumKit|BD|SD|Perc|Percussion|Beat|Snare|01 Snare top|Hats|HiHat|
        Hi-Hat|hh|Toms|Tom 2|Overheads|OH L|Claps|Clap|Ride|Crash|Shaker|808 Drums|808 Kick|909|TR-909|Bass Drum|
        Bassdrum|Kick Sub|Drum Bus|Drums (stem)|04_DRM|Breakbeat|Rhythm|Congas|Cowbell|Schlagzeug|Batería|
        Bateria|Batterie|Percusión|Grosse Caisse|Trommeln|Drum & Bass loop|Electric Drums""",
    Role.BASS: """
        Bass|BASS|03-BASS_2|Bass 1|bass gtr|Bass Guitar|E-Bass|Sub|Sub Bass|SubBass|808|808 Bass|808s glide|
        Synth Bass|Reese|Bassline|BS|TB-303|303|Acid Bass|Moog bass|Upright Bass|Arp Bass|Bass Solo|Kontrabass|
        Contrabass|Bajo|Basse|Bass (DI)|bass.wav|Bass Keys""",
    Role.HARMONY: """
        Keys|Key|Pad|Pads|Warm Pad 2|Chords|Chord stab|Gtr|GTR L|Guitar|Acoustic Guitar|Rhythm Gtr|Rhodes|Wurli|
        Piano|Grand Piano|E-Piano|ePiano|Organ|B3|Strings|Str|Brass|Choir|Vox Pad|Harmony|Harp|12 Keys|Klavier|
        Gitarre|Streicher|Akkorde|Fläche|Guitarra|Teclado|Teclados|Cuerdas|Guitare|Clavier|Accords|Nappes|
        Synth Pad|keyboards""",
    Role.MELODY: """
        Lead|LEAD 2|Lead Synth|Ld|Lead Gtr|Solo Gtr|Solo|Vox synth|Synth Vox|Vocal Chops|Mel|Melody|Melo|Arp|
        Arps|Arpeggio|Pluck|Plucks|Topline|Hook|Flute|Sax|Trumpet|Violin|Bells|Marimba|Piano Melody|Lead Keys|
        Melodie|Flöte|Trompete|Melodía|Flauta|Mélodie|Violon|Theme""",
}
NONE = """
    Bassoon|Leadership|Padlock|Master|Bus 1|Reverb|Delay|Track 1|Audio 3|1-MIDI|2-Audio||...|42|Vocals|Vox|
    FX|SFX|Click|Return A|Keystone|Drumlin|Subject|Soloist|Beatrice|Strange|Ambassador|Melbourne|Riser|Group|
    Guide|日本|Ridepath|Kicker|Plead"""
CASES = [(" ".join(name.split()), role) for role, names in NAMES.items() for name in names.split("|")]
OTHERS = [" ".join(name.split()) for name in NONE.split("|")]


def test_there_are_enough_names() -> None:
    assert len(CASES) > 100 and len(OTHERS) > 25


@pytest.mark.parametrize(("name", "role"), CASES)
def test_names_of_our_tracks(name: str, role: Role) -> None:
    assert role_of_name(name) is role
    assert role_of_name(f"07_{name.upper()} (2)!") is role


@pytest.mark.parametrize("name", OTHERS)
def test_names_of_other_tracks(name: str) -> None:
    assert role_of_name(name) is None


@given(st.text(max_size=300))
def test_any_text_is_a_name(name: str) -> None:
    assert role_of_name(name) in (None, *Role)
