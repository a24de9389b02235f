"""Drum fills by name, in the notation of `patterns.py`: a bar each, of which the last one, two or four beats sound."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

from resonantgen.generators.grammars.patterns import Pattern, parse_pattern

_DRUMS = ("kick", "snare", "clap", "rim")
_HATS = ("closed_hat", "open_hat", "pedal_hat")


@dataclass(frozen=True, slots=True)
class Fill:
    """`lines` are played instead of what the pieces in `mutes` play."""

    title: str
    lines: tuple[tuple[str, Pattern], ...]
    mutes: tuple[str, ...]
    rises: bool = False  # velocities grow towards the end


def _fill(title: str, mutes: tuple[str, ...], *, rises: bool = False, **lines: str) -> Fill:
    return Fill(title, tuple((piece, parse_pattern(text)) for piece, text in lines.items()), mutes, rises)


FILLS = MappingProxyType(
    {
        "kick_stop": _fill(
            "kick drops out", ("kick", "clap", "snare"), clap=".... .... .... X.2X", closed_hat="x.x. x.x. x.x. x3x3"
        ),
        "clap_stutter": _fill(
            "clap stutter", ("clap", "snare"), clap=".... X... ...x X.xX", kick="X... X... X... X.4."
        ),
        "clap_roll": _fill(
            "clap roll", ("clap", "snare", "kick"), rises=True, clap="X... x.3. x.x. xxxX", kick="X... X... X... ...."
        ),
        "snare_build": _fill(
            "snare build",
            ("snare", "clap", "kick"),
            rises=True,
            snare="x.x. x.x. xxxx xxXX",
            kick="X... X... X... X...",
        ),
        "tom_groove": _fill(
            "toms", ("clap",), mid_tom=".... ..x. .x.. x.4.", low_tom="...x .... x..x .x.X"
        ),
        "toms": _fill(
            "tom run", (*_DRUMS, *_HATS),
            snare="XoX. xoxo .... ....", high_tom=".... .... Xxxx ....", low_tom=".... .... .... Xxx.",
            mid_tom="...x .... .... ..4x", kick="X... X... X... X.X.",
        ),
        "tom_accents": _fill(
            "tom accents", _DRUMS,
            snare="X.x. ..x. X.x. ....",
            high_tom=".... x... ..x. ....",
            low_tom=".... .... ...x X.X3",
            kick="X... .x.. X... X.X.",
        ),
        "snare_run": _fill(
            "snare run", _DRUMS, rises=True, snare="X..x ..x. x.xx xxXX", kick="X... X... X... X...",
        ),
        "snare_hits": _fill(
            "snare hits", ("snare", "clap", "rim"), snare="..d. X..a .x.x X.xX", kick="X..3 .... ..X. .4..",
        ),
        "ghosts": _fill(
            "ghost notes into the one", ("snare",), snare=".h.h X.hh .hXh Xhhx", kick="X... ..x. .... .5.X",
        ),
        "break": _fill(
            "chopped break", _DRUMS,
            snare=".... X..h .X.h X.xX", kick="X.X. ...x x... .x..", closed_hat="x.x. x.x. x.x. x.x.",
        ),
        "stop": _fill(
            "stop before the one", (*_DRUMS, *_HATS, "ride", "shaker", "tambourine"), kick="X... .... X... ....",
            snare=".... X... .... ...X",
        ),
        "half_stop": _fill(
            "drop-out", (*_DRUMS, *_HATS, "shaker"), snare=".... .... X... ..3X", kick="X... ...x .... ....",
        ),
        "hat_roll": _fill(
            "hat rolls", (*_HATS,), rises=True,
            closed_hat="x.x. xxx x.x. xxxxxxxx", open_hat=".... .... ..x. ....", snare=".... .... .... ..3x",
        ),
        "snare_triplets": _fill(
            "triplet snare", ("snare", "clap"), rises=True, snare=".... X... X... xxxxxX",
        ),
        "double_kick": _fill(
            "double-kick run", _DRUMS,
            kick="XxXx XxXx XxXx XxXx",
            snare="X... .... X.X. X.XX",
            high_tom=".... X.x. .... ....",
            low_tom=".... .... .x.x ....",
        ),
        "triplets": _fill(
            "triplets around the kit", ("snare", "rim", "kick"),
            snare="X.x x.x .x. x..", high_tom="... ... X.x ...", low_tom="... ... ... .Xx", kick="X.. ... .5. X..",
        ),
        "brush_turn": _fill(
            "snare turn",
            ("snare", "rim"),
            snare="..h .x. .hx X.x",
            kick="... ..5 ... .4.",
            pedal_hat="... x.. ... x..",
        ),
        "rim_turn": _fill(
            "rim turn",
            ("rim", "snare"),
            rim="x..x ..x. .x.x x.x.",
            low_conga=".... ..5. .... ..xX",
            kick="X..x X..x X..x X...",
        ),
        "one_drop_roll": _fill(
            "timbale roll", ("rim", "snare", *_HATS),
            snare=".... .... X.x x.xX.x", high_tom=".... .... .... x.x...", kick=".... .... X... ....",
        ),
        "disco_toms": _fill(
            "snare and toms", ("snare", "clap", *_HATS),
            snare="X.X. X.xx Xxxx ....",
            high_tom=".... .... .... XX..",
            low_tom=".... .... .... ..XX",
            kick="X... X... X... X...",
        ),
        "gated_toms": _fill(
            "gated toms", ("snare", "clap", "rim"),
            snare="X... X... X... ....",
            high_tom=".... ..X. x.x. ....",
            mid_tom=".... .... ...x X...",
            low_tom=".... .... .... ..XX",
            kick="X... X... X... X...",
        ),
        "swell": _fill(
            "cymbal swell", (), rises=True, ride=".... o... o.o. oooo", low_tom=".... .... .... ..3.",
        ),
    }
)  # fmt: skip
