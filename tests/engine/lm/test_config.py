"""The configuration of a model: what cannot be one, and what follows from it."""

from dataclasses import replace

import pytest

from resonantgen.errors import BadValue
from resonantgen.lm.config import REFERENCE_28M, LMConfig
from resonantgen.lm.transformer import Transformer
from tiny_lm import TINY, TINY_ODD, TINY_PREFIX


@pytest.mark.parametrize("config", [TINY, TINY_ODD, TINY_PREFIX], ids=["tiny", "odd", "prefix"])
def test_the_parameters_of_a_configuration_are_those_of_the_model(config: LMConfig) -> None:
    assert config.parameters == sum(weight.numel() for weight in Transformer(config).parameters())


def test_the_reference_size_of_a_track_generator_is_about_28_million() -> None:
    assert 26e6 < REFERENCE_28M.parameters < 30e6


def test_codebooks_may_differ() -> None:
    assert (TINY_ODD.codebooks, TINY_ODD.special, TINY_ODD.most_tokens) == (3, (7, 13, 5), 13)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"vocabularies": ()}, "sizes"),
        ({"vocabularies": (11, 11, 11, 0)}, "sizes"),
        ({"layers": 0}, "sizes"),
        ({"layers": 1001}, "layers"),
        ({"context": 0}, "sizes"),
        ({"feedforward": 1 << 30}, "sizes"),
        ({"delays": (0, 1, 2)}, "delay for each codebook"),
        ({"delays": (1, 2, 3, 4)}, "start from 0"),
        ({"delays": (0, -1, 2, 3)}, "start from 0"),
        ({"heads": 5}, "evenly"),
        ({"width": 33, "heads": 3}, "even"),
        ({"width": 2, "heads": 1}, "at least 4"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else value.replace(" ", "_"),
)
def test_what_cannot_be_a_model_is_refused_in_one_line(change: dict[str, object], says: str) -> None:
    with pytest.raises(BadValue, match=says) as caught:
        replace(TINY, **change)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
