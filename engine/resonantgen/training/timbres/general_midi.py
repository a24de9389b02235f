"""General MIDI: which programs suit a role, and the project's drum piece that is nearest to a percussion key."""

from __future__ import annotations

from resonantgen.music.notes import DrumPiece, Role

PROGRAMS: dict[int, str] = {
    0: "grand piano", 1: "bright piano", 2: "electric grand piano", 3: "honky-tonk piano", 4: "electric piano",
    5: "fm electric piano", 6: "harpsichord", 7: "clavinet", 8: "celesta", 9: "glockenspiel", 10: "music box",
    11: "vibraphone", 12: "marimba", 13: "xylophone", 14: "tubular bells", 15: "dulcimer", 16: "drawbar organ",
    17: "percussive organ", 18: "rock organ", 19: "church organ", 20: "reed organ", 21: "accordion", 22: "harmonica",
    23: "bandoneon", 24: "nylon guitar", 25: "steel guitar", 26: "jazz guitar", 27: "clean electric guitar",
    28: "muted guitar", 29: "overdriven guitar", 30: "distorted guitar", 32: "acoustic bass", 33: "finger bass",
    34: "picked bass", 35: "fretless bass", 36: "slap bass", 37: "slap bass", 38: "synth bass", 39: "synth bass",
    40: "violin", 41: "viola", 42: "cello", 43: "contrabass", 44: "tremolo strings", 45: "pizzicato strings",
    46: "harp", 48: "strings", 49: "slow strings", 50: "synth strings", 51: "synth strings", 52: "choir",
    53: "voice", 54: "synth voice", 56: "trumpet", 57: "trombone", 58: "tuba", 59: "muted trumpet", 60: "french horn",
    61: "brass section", 62: "synth brass", 63: "synth brass", 64: "soprano saxophone", 65: "alto saxophone",
    66: "tenor saxophone", 67: "baritone saxophone", 68: "oboe", 69: "english horn", 70: "bassoon", 71: "clarinet",
    72: "piccolo", 73: "flute", 74: "recorder", 75: "pan flute", 76: "blown bottle", 77: "shakuhachi", 78: "whistle",
    79: "ocarina", 80: "square lead", 81: "saw lead", 82: "calliope lead", 83: "chiff lead", 84: "charang lead",
    85: "voice lead", 86: "fifths lead", 87: "bass and lead", 88: "new age pad", 89: "warm pad", 90: "polysynth pad",
    91: "choir pad", 92: "bowed pad", 93: "metallic pad", 94: "halo pad", 95: "sweep pad", 104: "sitar", 105: "banjo",
    106: "shamisen", 107: "koto", 108: "kalimba", 110: "fiddle", 114: "steel drums",
}  # fmt: skip

# Several times in the list: more often.
ROLE_PROGRAMS: dict[Role, tuple[int, ...]] = {
    Role.BASS: (32, 33, 34, 35, 36, 37, 38, 39, 32, 33, 34, 38, 39, 43, 58, 87),
    Role.HARMONY: (
        *(0, 0, 0, 1, 2, 3, 4, 4, 4, 5, 5, 6, 7, 11, 16, 16, 17, 18, 19, 20, 21, 23, 24, 24, 25, 25, 26, 27, 27, 28),
        *(29, 30, 44, 45, 46, 48, 48, 48, 49, 50, 51, 52, 53, 54, 60, 61, 61, 62, 63, 88, 89, 89, 90, 91, 92, 93, 94),
        *(95, 15),
    ),
    Role.MELODY: (
        *(0, 1, 4, 5, 7, 8, 9, 10, 11, 12, 13, 15, 16, 18, 21, 22, 24, 25, 26, 27, 28, 29, 30, 40, 40, 41, 42, 45, 46),
        *(52, 53, 54, 56, 56, 57, 59, 60, 62, 64, 65, 65, 66, 67, 68, 69, 70, 71, 71, 72, 73, 73, 74, 75, 76, 77, 78),
        *(79, 80, 80, 81, 81, 82, 83, 84, 85, 86, 104, 105, 106, 107, 108, 110, 114),
    ),
}

KITS: dict[int, str] = {
    0: "standard kit", 8: "room kit", 16: "power kit", 24: "electronic kit", 25: "808 kit", 32: "jazz kit",
    40: "brush kit",
}  # fmt: skip

_PIECES: dict[DrumPiece, tuple[int, ...]] = {
    DrumPiece.KICK: (35, 36),
    DrumPiece.RIM: (31, 33, 37, 75, 76, 77),
    DrumPiece.SNARE: (38, 40),
    DrumPiece.CLAP: (39,),
    DrumPiece.LOW_TOM: (41, 43),
    DrumPiece.CLOSED_HAT: (22, 42),
    DrumPiece.PEDAL_HAT: (44,),
    DrumPiece.OPEN_HAT: (26, 46),
    DrumPiece.MID_TOM: (45, 47),
    DrumPiece.CRASH: (49, 52, 55, 57),
    DrumPiece.HIGH_TOM: (48, 50),
    DrumPiece.RIDE: (51, 53, 59),
    DrumPiece.TAMBOURINE: (54, 81),
    DrumPiece.COWBELL: (56, 67, 68, 80),
    DrumPiece.HIGH_CONGA: (60, 62, 63, 65, 78),
    DrumPiece.LOW_CONGA: (61, 64, 66, 79),
    DrumPiece.SHAKER: (69, 70, 73, 74, 82),
}
_PIECE_OF_KEY = {key: piece for piece, keys in _PIECES.items() for key in keys}

# What the Groove set's electronic kit calls the edge of its hats, which General MIDI leaves out or gives other sounds.
_PLAIN_KEYS = {22: 42, 26: 46}


def drum_piece(key: int) -> DrumPiece | None:
    """The piece that comes nearest to a percussion key; None for whistles, clicks and what is out of range."""
    return _PIECE_OF_KEY.get(key)


def plain_key(key: int) -> int:
    """The percussion key that any General MIDI kit has a sound for."""
    return _PLAIN_KEYS.get(key, key)
