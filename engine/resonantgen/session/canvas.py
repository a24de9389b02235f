"""A small drawing surface on Pillow: coordinates in final pixels, smooth edges, one scalable font.

Everything is drawn at twice the size and scaled down once at the end, which smooths edges: positions may be fractions
of a pixel. The font is the one inside Pillow, so a picture looks the same on every machine.
"""

from __future__ import annotations

import unicodedata
from functools import cache

from PIL import Image, ImageDraw, ImageFont

Colour = tuple[int, int, int]
_SUPERSAMPLING = 2
_MORE_GLYPHS = "±´»«‘’“”…‹›©"  # that Pillow's font has besides ASCII
_PLAIN_FORMS = str.maketrans(
    {"♯": "#", "♭": "b", "–": "-", "—": "-", "−": "-", "ß": "ss", "ø": "o", "æ": "ae", "⁄": "/"}
)


def blend(below: Colour, above: Colour, opacity: float) -> Colour:
    """`above` painted over `below`, opacity 0 to 1."""
    return tuple(round(b + (a - b) * opacity) for b, a in zip(below, above, strict=True))  # type: ignore[return-value]


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size)  # "Aileron Regular", public domain
    assert isinstance(font, ImageFont.FreeTypeFont), "Pillow was built without FreeType"
    return font


def plain(text: str) -> str:
    """The text in the characters that the font has, which are those of ASCII and a few more, on one line.

    Accents are dropped, and what has no plain form becomes a question mark.
    """
    decomposed = unicodedata.normalize("NFKD", text).translate(_PLAIN_FORMS)
    line = " ".join("".join(c for c in decomposed if not unicodedata.combining(c)).split())
    return "".join(c if " " <= c <= "~" or c in _MORE_GLYPHS else "?" for c in line)


def text_width(text: str, size: float) -> float:
    """How wide a line of text is, in pixels."""
    return _font(round(size * _SUPERSAMPLING)).getlength(text) / _SUPERSAMPLING


def fit_text(text: str, size: float, width: float) -> str:
    """The text, shortened with an ellipsis if it is wider than `width` pixels."""
    if text_width(text, size) <= width:
        return text
    low, high = 0, len(text)  # the longest prefix that fits, by bisection
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if text_width(text[:middle].rstrip() + "…", size) <= width else (low, middle - 1)
    return text[:low].rstrip() + "…"


class Canvas:
    """An image to draw on, in final pixels from the top left."""

    def __init__(self, width: int, height: int, background: Colour) -> None:
        self.width, self.height = width, height
        self._image = Image.new("RGB", (width * _SUPERSAMPLING, height * _SUPERSAMPLING), background)
        self._draw = ImageDraw.Draw(self._image)

    def finish(self) -> Image.Image:
        """The picture, scaled down to its final size."""
        return self._image.reduce(_SUPERSAMPLING)

    def box(self, left: float, top: float, right: float, bottom: float, colour: Colour, radius: float = 0.0) -> None:
        """A filled rectangle that ends just before `right` and `bottom`; at least half a pixel in each direction."""
        x, y, r, b = (round(value * _SUPERSAMPLING) for value in (left, top, right, bottom))
        r, b = max(r, x + 1), max(b, y + 1)
        radius = min(radius * _SUPERSAMPLING, (r - x) / 2, (b - y) / 2)
        if radius < 1:
            self._draw.rectangle((x, y, r - 1, b - 1), colour)
        else:
            self._draw.rounded_rectangle((x, y, r - 1, b - 1), radius, colour)

    def columns(self, left: float, tops: list[float], bottoms: list[float], colour: Colour) -> None:
        """Vertical strokes side by side, `columns_per_pixel` to a pixel, from each top to each bottom."""
        start = round(left * _SUPERSAMPLING)
        for column, (top, bottom) in enumerate(zip(tops, bottoms, strict=True), start):
            self._draw.line((column, round(top * _SUPERSAMPLING), column, round(bottom * _SUPERSAMPLING)), colour)

    columns_per_pixel = _SUPERSAMPLING

    def text(self, x: float, y: float, text: str, size: float, colour: Colour, anchor: str = "lm") -> None:
        """A line of text. `anchor` as in Pillow: "lm" if x, y is the left end of its middle line, "mm", "rm"."""
        font = _font(round(size * _SUPERSAMPLING))
        self._draw.text((x * _SUPERSAMPLING, y * _SUPERSAMPLING), text, colour, font, anchor)

    def padlock(self, left: float, middle: float, height: float, colour: Colour, background: Colour) -> None:
        """A closed padlock, four fifths as wide as high."""
        width, body = 0.8 * height, 0.58 * height
        top = middle - height / 2
        inset, thick = 0.2 * width, 0.13 * height
        self.box(left + inset, top, left + width - inset, top + height, colour, 0.3 * height)
        hole = (left + inset + thick, top + thick, left + width - inset - thick, top + height)
        self.box(*hole, background, 0.3 * height)
        self.box(left, top + height - body, left + width, top + height, colour, 0.12 * height)
