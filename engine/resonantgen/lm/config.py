"""The shape of a token language model: what has to be known before any weight is read.

Nothing here is about audio. A column is K tokens, one of each codebook; what a column stands for is the codec's matter.
"""

from __future__ import annotations

from dataclasses import dataclass

from resonantgen.errors import BadValue

MOST = 1 << 20  # of anything that is counted here: a damaged file must not ask for all memory
MOST_LAYERS = 1000


@dataclass(frozen=True, slots=True)
class LMConfig:
    """A decoder-only transformer over K parallel codebooks. Raises BadValue where the numbers cannot be a model."""

    vocabularies: tuple[int, ...]  # tokens of each codebook; the special token of codebook k is vocabularies[k]
    delays: tuple[int, ...]  # columns by which each codebook lags, the smallest 0
    width: int
    layers: int
    heads: int
    feedforward: int  # width of the hidden layer of the feed-forward blocks
    context: int  # columns that self-attention sees, the present one among them; the prefix comes on top
    cross_attention: bool  # whether each layer attends to a sequence of conditioning vectors

    def __post_init__(self) -> None:
        """Check what no single number shows."""
        counts = (*self.vocabularies, self.width, self.layers, self.heads, self.feedforward, self.context)
        if not self.vocabularies or any(not 1 <= n <= MOST for n in counts):
            raise BadValue(f"A model needs sizes from 1 to {MOST}; these are {self}.")
        if self.layers > MOST_LAYERS:
            raise BadValue(f"A model has at most {MOST_LAYERS} layers, not {self.layers}.")
        if len(self.delays) != len(self.vocabularies):
            raise BadValue(
                f"A model needs a delay for each codebook; there are {len(self.delays)} for {self.codebooks}."
            )
        if min(self.delays) != 0 or max(self.delays) > MOST:
            raise BadValue(f"The delays of a model start from 0; these are {self.delays}.")
        if self.width % self.heads:
            raise BadValue(f"{self.heads} heads cannot share a width of {self.width} evenly.")
        if self.width < 4 or self.width % 2:
            raise BadValue(f"The width of a model is even and at least 4, not {self.width}.")

    @property
    def codebooks(self) -> int:
        """K."""
        return len(self.vocabularies)

    @property
    def head_width(self) -> int:
        """Width of one attention head."""
        return self.width // self.heads

    @property
    def special(self) -> tuple[int, ...]:
        """The token of each codebook that stands where it has none: before its delay is over, and after the end."""
        return self.vocabularies

    @property
    def most_tokens(self) -> int:
        """The largest of the vocabularies: the last dimension of logits."""
        return max(self.vocabularies)

    @property
    def parameters(self) -> int:
        """How many numbers the weights are."""
        attention = 4 * self.width * self.width + 2 * self.width
        feedforward = 2 * self.width * self.feedforward + 2 * self.width
        layer = attention * (2 if self.cross_attention else 1) + feedforward
        tokens = sum(self.vocabularies)
        return self.layers * layer + 2 * self.width + (2 * tokens + self.codebooks) * self.width


# The reference size of one track's generator: 27.3 million parameters, 10 s of history at 50 columns a second. Its
# conditioning is a prefix, which costs nothing after the first column and stays in view.
REFERENCE_28M = LMConfig(
    vocabularies=(2048,) * 4,
    delays=(0, 1, 2, 3),
    width=512,
    layers=6,
    heads=8,
    feedforward=2048,
    context=512,
    cross_attention=False,
)
