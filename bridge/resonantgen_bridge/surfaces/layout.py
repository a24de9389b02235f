"""What stands where: a header with transport and state, and pages to play, to shape and to type.

Only the choice and the places are made here; addresses, ranges and choices come from `protocol.py`. What a performer
does not need is in `LEFT_OUT`, with the reason: a new command must be put on the surface or there.
"""

from __future__ import annotations

from collections.abc import Iterator

from resonantgen.generators.style import load_style, style_ids
from resonantgen.music.notes import Role
from resonantgen.prompt.intent import ATTRIBUTES
from resonantgen.session.picture import ROLE_COLOURS
from resonantgen_bridge.protocol import OSC_ROOT
from resonantgen_bridge.surfaces.controls import (
    HEIGHT,
    SURFACE_PORT,
    WIDTH,
    WORDS,
    Box,
    Colour,
    Control,
    Look,
    Page,
    Shown,
    Surface,
    button,
    event_address,
    light,
    property_address,
    text,
    value,
)

BACKGROUND: Colour = (13, 16, 22)
PANEL: Colour = (21, 26, 34)
TEXT: Colour = (226, 232, 240)
MUTED: Colour = (125, 138, 156)
NEUTRAL: Colour = (72, 86, 107)  # buttons that belong to no track
GO: Colour = (88, 196, 120)
CARE: Colour = (232, 92, 92)
BUSY: Colour = (255, 200, 90)

MARGIN, GAP = 12, 8
_HEADER_HEIGHT, _STATUS_HEIGHT, _TAB_HEIGHT = 84, 44, 52
_METER_LOW = -60.0  # dBFS at the foot of a meter
_BAR_COUNTS, _AUTO_BARS = (1, 2, 4, 8, 16), (0, 2, 4, 8, 16)

LEFT_OUT_COMMANDS = {
    "import_audio": "it names a file, and has no OSC address",
    "stop": "play 0 is the same",
    "seek": "a loop of a few bars has no places to look for",
    "loop": "all of it is played around; the engine's own command line makes it shorter",
    "generator": "which models there are differs from machine to machine",
    "meter": "changes once in a song, and is refused while anything is locked",
    "map": "belongs to setting up a DAW",
    "midi_learn": "has no OSC address",
    "export": "has no OSC address",
    "session": "has no OSC address",
    "state": "has no OSC address; subscribing sends it",
    "status": "has no OSC address",
    "ping": "subscribing tells whether the engine is there",
}
LEFT_OUT_PROPERTIES = {
    "project": "a path on another machine",
    "loop": "its command is left out",
    "loop/first": "its command is left out",
    "loop/bars": "its command is left out",
    "track/{track}/generator": "its command is left out; the summary of sound begins with it",
    "track/{track}/fit": "the summary of sound ends with it",
}
LEFT_OUT_EVENTS = {
    "progress": "the busy light says that something is made",
    "take": "the take's name and summary are properties, too",
}


def surface(port: int = SURFACE_PORT) -> Surface:
    """The surface, for an app that listens at this port."""
    top = MARGIN + _HEADER_HEIGHT + GAP + _STATUS_HEIGHT + GAP
    box = Box(0, top, WIDTH, HEIGHT - top)
    height = box.height - _TAB_HEIGHT
    return Surface(
        header=(*_header(port), *_status()),
        pages=(
            Page("Play", tuple(_play_page(height))),
            Page("Shape", tuple(_shape_page(height))),
            Page("Words", tuple(_words_page(height))),
        ),
        pages_box=box,
        tab_height=_TAB_HEIGHT,
    )


def _header(port: int) -> Iterator[Control]:
    widths = (132, 204, 96, 96, 104, 104, 116, 132, 92, 108)
    boxes = _row(Box(MARGIN, MARGIN, WIDTH - 2 * MARGIN, _HEADER_HEIGHT), widths)
    yield value("play", Look.TOGGLE, next(boxes), GO, "Play", text_size=24)
    yield button("regenerate", next(boxes), NEUTRAL, "Regenerate", text_size=24)
    yield button("undo", next(boxes), NEUTRAL, "Undo")
    yield button("redo", next(boxes), NEUTRAL, "Redo")
    yield button("cancel", next(boxes), CARE, "Cancel")
    beat = next(boxes)
    yield light("beat light", Box(beat.x, beat.y, beat.width, 10), BUSY, Shown(event_address("beat")))
    below = Box(beat.x, beat.y + 14, beat.width, beat.height - 14)
    yield text("beat", below, TEXT, Shown(event_address("beat"), "{1} : {2}"), text_size=32)
    yield text("tempo shown", next(boxes), TEXT, Shown(property_address("tempo"), "{1} bpm"), text_size=24)
    yield text("key shown", next(boxes), TEXT, Shown(property_address("key")), text_size=22)
    meter = next(boxes)
    half = meter.height // 2
    bars = Shown(property_address("bars"), "{1} bars")
    yield text("bars shown", Box(meter.x, meter.y, meter.width, half), TEXT, bars, text_size=20)
    foot = Box(meter.x, meter.y + half, meter.width, half)
    yield text("meter shown", foot, MUTED, Shown(property_address("meter")), text_size=20)
    connect = next(boxes)
    yield Control(
        "connect", Look.BUTTON, connect, NEUTRAL, "Connect", f"{OSC_ROOT}/subscribe", constants=(1, port), text_size=18
    )
    yield light("connected", Box(connect.x, connect.y, connect.width, 10), GO, Shown(property_address("play"), "1"))


def _status() -> Iterator[Control]:
    y = MARGIN + _HEADER_HEIGHT + GAP
    boxes = _row(Box(MARGIN, y, WIDTH - 2 * MARGIN, _STATUS_HEIGHT), (44, 450, 220, 518))
    yield light("busy", next(boxes), BUSY, Shown(property_address("busy")))
    yield text("prompt shown", next(boxes), TEXT, Shown(property_address("prompt")), text_size=18)
    yield text("chords", next(boxes), MUTED, Shown(property_address("chords")), text_size=18)
    refused = Shown(f"{OSC_ROOT}/error", "{2}"), Shown(event_address("problem"), "{2}")
    yield text("error", next(boxes), CARE, *refused, text_size=17)


# -- play -------------------------------------------------------------------------------------------------------------


def _play_page(height: int) -> Iterator[Control]:
    for role, box in zip(Role, _columns(height, len(Role)), strict=True):
        yield from _strip(role.value, ROLE_COLOURS[role], box)


def _strip(track: str, colour: Colour, box: Box) -> Iterator[Control]:
    parts, x, width = {"track": track}, box.x, box.width
    half, y = (width - GAP) // 2, box.y
    yield text(f"{track} name", Box(x, y, half, 34), colour, label=track.capitalize(), text_size=26)
    take = Shown(property_address(f"track/{track}/take"))
    yield text(f"{track} take", Box(x + half + GAP, y, half, 34), MUTED, take, text_size=20)
    summary = Shown(property_address(f"track/{track}/summary"))
    yield text(f"{track} summary", Box(x, y + 36, width, 44), TEXT, summary, text_size=18)
    yield value("lock", Look.TOGGLE, Box(x, y + 88, width, 104), colour, "Lock", text_size=30, parts=parts)
    again = Box(x, y + 192 + GAP, width, 76)
    yield button("regenerate", again, NEUTRAL, "Regenerate", text_size=22, parts=parts)
    y += 192 + GAP + 76 + GAP
    foot = box.y + box.height
    fader = Box(x, y, half - 40, foot - y - 36)
    yield value("gain", Look.FADER, fader, colour, parts=parts)
    decibels = Shown(property_address(f"track/{track}/gain"), "{1} dB")
    yield text(f"{track} gain shown", Box(x, foot - 32, half, 32), TEXT, decibels, text_size=18)
    yield Control(
        f"{track} level",
        Look.METER,
        Box(x + half - 32, y, 28, fader.height),
        colour,
        shows=(Shown(event_address("level", track=track)),),
        low=_METER_LOW,
        high=0.0,
    )
    right, each = x + half + GAP, (foot - y - 3 * GAP) // 4
    places = [Box(right, y + number * (each + GAP), half, each) for number in range(4)]
    yield value("mute", Look.TOGGLE, places[0], CARE, "Mute", parts=parts)
    yield value("solo", Look.TOGGLE, places[1], BUSY, "Solo", parts=parts)
    yield value("pan", Look.FADER, places[2], colour, "Pan", parts=parts)
    steps = Box(places[3].x, places[3].y, (half - GAP) // 2, each)
    yield button("undo", steps, NEUTRAL, "Undo", parts=parts, text_size=18)
    steps = Box(steps.x + steps.width + GAP, steps.y, steps.width, each)
    yield button("redo", steps, NEUTRAL, "Redo", parts=parts, text_size=18)


# -- shape ------------------------------------------------------------------------------------------------------------


def _shape_page(height: int) -> Iterator[Control]:
    """How everything is played, and each track."""
    columns = _columns(height, 1 + len(Role))
    yield from _knobs("", "All tracks", MUTED, next(columns))
    for role, box in zip(Role, columns, strict=True):
        yield from _knobs(role.value, role.value.capitalize(), ROLE_COLOURS[role], box)


def _knobs(track: str, title: str, colour: Colour, box: Box) -> Iterator[Control]:
    yield text(f"{track} shape".strip(), Box(box.x, box.y, box.width, 34), colour, label=title, text_size=24)
    width, rows = (box.width - GAP) // 2, (len(ATTRIBUTES) + 1) // 2
    each = (box.height - 42 - GAP * (rows - 1)) // rows
    for number, attribute in enumerate(ATTRIBUTES):
        x = box.x + (number % 2) * (width + GAP)
        y = box.y + 42 + (number // 2) * (each + GAP)
        knob, words = Box(x, y, width, each - 30), Box(x, y + each - 30, width, 28)
        parts = {"attribute": attribute} | ({"track": track} if track else {})
        name = f"{track} {attribute}".strip()
        yield value("adjust", Look.KNOB, knob, colour, name=name, parts=parts)
        yield text(f"{name} name", words, MUTED, label=attribute.capitalize(), text_size=19)


# -- words ------------------------------------------------------------------------------------------------------------


def _words_page(height: int) -> Iterator[Control]:
    x, y, width = MARGIN, GAP, WIDTH - 2 * MARGIN
    yield Control(WORDS, Look.ENTRY, Box(x, y, width, 64), TEXT, "dark techno with driving bass", text_size=22)
    boxes = _row(Box(x, y + 64 + GAP, width, 64), (420, 420, 200, 192))
    yield button("generate", next(boxes), GO, "New music from these words", sends_words=True)
    yield button("regenerate", next(boxes), NEUTRAL, "Change it by these words", name="change", sends_words=True)
    yield button("key", next(boxes), NEUTRAL, "Take as key", sends_words=True)
    yield button("print", next(boxes), NEUTRAL, "Print to the DAW")
    y += 2 * (64 + GAP)
    boxes = _row(Box(x, y, width, 60), (110, 1138))
    yield text("tempo name", next(boxes), MUTED, label="Tempo", text_size=18)
    yield value("tempo", Look.FADER, next(boxes), NEUTRAL, whole=True)
    y += 60 + GAP
    boxes = _row(Box(x, y, width, 60), (110,) + (88,) * 5 + (40, 126) + (88,) * 5)
    yield text("bars name", next(boxes), MUTED, label="Bars", text_size=18)
    for bars in _BAR_COUNTS:
        yield button("bars", next(boxes), NEUTRAL, str(bars), name=f"bars {bars}", constants=(bars,))
    next(boxes)
    yield text("auto", next(boxes), MUTED, Shown(property_address("auto"), "New every {1}"), text_size=17)
    for every in _AUTO_BARS:
        label = str(every) if every else "Never"
        yield button("auto", next(boxes), NEUTRAL, label, name=f"auto {every}", constants=(every,))
    y += 60 + GAP
    audio = Shown(property_address("audio"))
    boxes = _row(Box(x, y, width, 28), (110, 300, 830))
    yield text("style name", next(boxes), MUTED, label="Style", text_size=18)
    yield text("style shown", next(boxes), TEXT, Shown(property_address("style")), text_size=18)
    yield text("audio", next(boxes), MUTED, audio, text_size=17)
    y += 28 + GAP
    yield from _styles(Box(x, y, width, height - y - MARGIN))


def _styles(box: Box, columns: int = 7) -> Iterator[Control]:
    names = style_ids()
    rows = -(-len(names) // columns)
    width, each = (box.width - GAP * (columns - 1)) // columns, (box.height - GAP * (rows - 1)) // rows
    for number, style in enumerate(names):
        place = Box(box.x + number % columns * (width + GAP), box.y + number // columns * (each + GAP), width, each)
        label = load_style(style).title
        yield button("style", place, NEUTRAL, label, name=f"style {style}", constants=(style,), text_size=18)


# -- places -----------------------------------------------------------------------------------------------------------


def _row(box: Box, widths: tuple[int, ...]) -> Iterator[Box]:
    """Boxes beside each other, with gaps between them."""
    assert sum(widths) + GAP * (len(widths) - 1) <= box.width, "too wide"
    x = box.x
    for width in widths:
        yield Box(x, box.y, width, box.height)
        x += width + GAP


def _columns(height: int, count: int) -> Iterator[Box]:
    """Equal columns over a page."""
    width = (WIDTH - 2 * MARGIN - 2 * GAP * (count - 1)) // count
    for number in range(count):
        yield Box(MARGIN + number * (width + 2 * GAP), GAP, width, height - GAP - MARGIN)
