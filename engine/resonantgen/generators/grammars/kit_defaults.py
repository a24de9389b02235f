"""Lines for pieces that a prompt asks for and that the style does not use by itself."""

from __future__ import annotations

from types import MappingProxyType

from resonantgen.generators.grammars.drums import DrumLine

DEFAULT_LINES = MappingProxyType(
    {
        "kick": DrumLine(patterns=["X... .... X... ...3"]),
        "rim": DrumLine(patterns=[".... x..2 .... x.3.", "...x .... ..x. .2.."], velocity=0.85),
        "snare": DrumLine(patterns=[".... X... .... X..a"]),
        "clap": DrumLine(patterns=[".... X... .... X..."], velocity=0.95),
        "closed_hat": DrumLine(patterns=["x.o0 x.o0 x.o0 x.o1"], velocity=0.8),
        "pedal_hat": DrumLine(patterns=[".... x.0. .... x.0."], velocity=0.75),
        "open_hat": DrumLine(patterns=["..1. ..1. ..1. ..x.", "..x. ..2. ..x. ..2."], velocity=0.8),
        "ride": DrumLine(
            patterns=["x.3. x.3. x.3. x.3.", "x.o. x.o. x.o. x.o."], velocity=0.8, replaces=["closed_hat"]
        ),
        "crash": DrumLine(
            patterns=["X... .... .... .... | .... .... .... .... | .... .... .... .... | .... .... .... ...."]
        ),
        "low_tom": DrumLine(patterns=[".... ..2. .... ..x3", "...x ..2. .... x..."], velocity=0.85),
        "mid_tom": DrumLine(patterns=[".... .... ..x. .2.."], velocity=0.85),
        "high_tom": DrumLine(patterns=[".... ...2 ..x. ...."], velocity=0.85),
        "tambourine": DrumLine(patterns=["..1. x.1. ..1. x.1.", "o.o. x.o. o.o. x.o."], velocity=0.75),
        "cowbell": DrumLine(patterns=["x... x.2. x... x.2.", "x.2. x..2 ..x. x..."], velocity=0.75),
        "high_conga": DrumLine(patterns=["..x. ..3. ..x. ..xx", "x..x ..3. ..x. .2x."], velocity=0.8),
        "low_conga": DrumLine(patterns=[".... ..2. .... x.x.", "...x .... .... xx.."], velocity=0.8),
        "shaker": DrumLine(patterns=["o2x2 o2x2 o2x2 o2x2", "xoxo xoxo xoxo xoxo"], velocity=0.7),
    }
)
