"""What a DAW's track plays, by its name: "03-BASS_2" is the bass, "Lead Gtr" the melody.

A name is read as words; numbers and punctuation part them. A word counts whole: "Bassoon" is no bass. Of several that
are known, the first in this order wins: a drum ("Bass Drum", "Kick Sub"), the bass ("Bass Gtr", "Arp Bass"), the lead
("Lead Keys", "Solo Gtr"), what carries chords. "808" alone is a bass, as producers use it; with a word for drums it is
their machine. A voice is none of ours unless it is a synthesizer's: people sing themselves.
"""

from __future__ import annotations

import re
import unicodedata
from itertools import pairwise
from typing import Final

from resonantgen.music.notes import Role

# English, then German, Spanish, French; without accents. Plurals with "s" are understood besides.
_DRUMS: Final = """
    drum drm drms drumkit drumset drumloop drumbus kit kick kik kck kd bd bassdrum snare snr sn sd hat hats hh
    hihat hihats ride
    crash cymbal cym tom toms clap clp snap rim rimshot perc percs percussion prc beat breakbeat break shaker
    shkr tamb
    tambourine conga bongo cowbell clave cajon djembe tabla timbale overhead oh 909 707 606
    schlagzeug trommel trommeln becken pauke schlagwerk
    bateria percusion tambor bombo caja platillo redoblante
    batterie percussions tambour grosse caisse charley charleston cymbale
"""
_BASS: Final = """
    bass bs bas bss sub subbass subs synthbass bassline basses reese contrabass upright moogbass bassgtr
    bassguitar ebass
    acidbass slapbass tb303 303 808
    kontrabass bajo contrabajo basse contrebasse
"""
_MELODY: Final = """
    lead ld melody mel mld melo solo arp arpeggio arpeggiator arpeggiated topline hook riff theme flute sax
    saxophone trumpet tpt violin vln clarinet oboe whistle pluck bells glockenspiel marimba xylophone vibraphone
    vibes harmonica melodica lick counter countermelody
    melodie flote trompete geige
    melodia flauta trompeta violin
    trompette violon
"""
_HARMONY: Final = """
    key keys keyboard kbd pad chord chd crd chords harmony harm har guitar gtr gt guit rhodes rhds wurli
    wurlitzer
    piano pno grandpiano epiano ep organ org hammond b3 clav clavinet strings string str strgs orchestra brass
    horns horn
    choir stab comping acoustic accordion harp mellotron cembalo harpsichord atmosphere atmo ambient drone
    akkord akkorde klavier gitarre orgel streicher chor flache tasten harmonie
    acordes teclado teclados guitarra cuerdas armonia coro organo
    accord accords clavier guitare cordes nappe nappes choeur orgue
"""

_WORDS: Final = tuple(
    (role, frozenset(words.split()))
    for role, words in (
        (Role.DRUMS, _DRUMS),
        (Role.BASS, _BASS),
        (Role.MELODY, _MELODY),
        (Role.HARMONY, _HARMONY),
    )
)
_NUMBERS: Final = frozenset({"808", "909", "707", "606", "303"})  # machines, not counts
_JOINED: Final = frozenset({"hi hat", "e piano", "b 3", "tb 303", "sub bass", "grosse caisse"})  # one word or two
_RHYTHM: Final = frozenset({"rhythm", "rhythms", "rhy", "ritmo", "rhythmus", "rythme"})  # beside a guitar, its manner
_VOICE: Final = frozenset({"vox", "vocal", "voice", "vocoder", "voc"})
_SYNTHESIZED: Final = frozenset({"synth", "syn", "synthesizer", "chop", "chops", "vocoder"})
_SECTION: Final = re.compile(r"[a-z]+|[0-9]+")
_CAPITALS: Final = re.compile(r"(?<=[a-z])(?=[A-Z])")
_NAME_LENGTH = 200  # characters that are read


def role_of_name(name: str) -> Role | None:
    """Which of our tracks a track of that name is; None: none of them."""
    words = _words(name)
    known = words | {word[:-1] for word in words if word.endswith("s") and len(word) > 3}
    for role, vocabulary in _WORDS:
        if known & vocabulary:
            return role
    if known & _RHYTHM:
        return Role.DRUMS
    return Role.MELODY if known & _VOICE and known & _SYNTHESIZED else None


def _words(name: str) -> frozenset[str]:
    """Its words in small letters without accents, and as one those that may be written as two."""
    plain = unicodedata.normalize("NFKD", _CAPITALS.sub(" ", name[:_NAME_LENGTH]))
    letters = "".join(c for c in plain if not unicodedata.combining(c)).lower()
    parts = [part for part in _SECTION.findall(letters) if part.isalpha() or part in _NUMBERS or part == "3"]
    joined = {f"{first}{second}" for first, second in pairwise(parts) if f"{first} {second}" in _JOINED}
    return frozenset(parts) | joined
