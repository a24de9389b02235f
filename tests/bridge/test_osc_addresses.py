"""OSC addresses mean what the table says; patterns match as OSC 1.0 says, whatever they look like."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resonantgen.errors import BadValue, UnknownCommand
from resonantgen.music.notes import Role
from resonantgen_bridge.osc_addresses import addresses_of_key, compile_part, part_matches, routes_of
from resonantgen_bridge.protocol import COMMANDS, PROPERTY_OF_KEY

ROLES = [role.value for role in Role]


def naive(pattern: str, name: str) -> bool:
    """The same by Python's regular expressions."""
    pieces = re.findall(r"\*|\?|\[[^\]]*\]|\{[^}]*\}|.", pattern, re.S)
    out = []
    for piece in pieces:
        if piece in "*?":
            out.append({"*": ".*", "?": "."}[piece])
        elif piece[0] == "{":
            out.append("(?:" + "|".join(re.escape(word) for word in piece[1:-1].split(",")) + ")")
        elif piece[0] == "[":
            inside = piece[1:-1]
            other = inside.startswith("!")
            body = "".join(c if c == "-" else re.escape(c) for c in inside[other:])
            out.append(f"[{'^' if other else ''}{body}]" if body else ("." if other else "(?!)"))
        else:
            out.append(re.escape(piece))
    return re.fullmatch("".join(out), name, re.S) is not None


names = st.text("abcd", max_size=8)
sets = st.builds(
    "[{}{}]".format, st.sampled_from(["", "!"]), st.sampled_from(["", "a", "ab", "a-c", "ca", "b-d", "aa-b"])
)
words = st.lists(st.text("abc", max_size=3), min_size=1, max_size=3).map(lambda parts: "{" + ",".join(parts) + "}")
patterns = st.lists(st.one_of(st.sampled_from("abcd*?"), sets, words), max_size=8).map("".join)


@given(patterns, names)
def test_patterns_match_as_a_naive_reference_does(pattern: str, name: str) -> None:
    assert part_matches(compile_part(pattern), name) == naive(pattern, name)


@given(names)
def test_plain_names_match_themselves_alone(name: str) -> None:
    assert part_matches(compile_part(name), name)
    assert not part_matches(compile_part(name), name + "x")


def test_no_pattern_takes_exponential_time() -> None:
    assert not part_matches(compile_part("*a" * 55), "a" * 54 + "b" * 2000)
    assert not part_matches(compile_part("{a,aa}" * 500), "a" * 400 + "b")


def test_every_address_of_the_table_is_known_in_every_form() -> None:
    for command in COMMANDS:
        for template in command.osc:
            if "{attribute}" in template:
                template = template.replace("{attribute}", command.field("attribute").choices[0])
            for number, role in enumerate(ROLES, start=1):
                for form in (role, str(number), role.upper()):
                    (route,) = routes_of("/rg/" + template.format(track=form))
                    assert route.command is command
                    assert route.given.get("track", role) == role


def test_a_pattern_means_each_track_once() -> None:
    routes = routes_of("/rg/track/*/lock")
    assert sorted(route.given["track"] for route in routes) == sorted(ROLES)
    assert [r.given["track"] for r in routes_of("/rg/track/[1-2]/lock")] == ["drums", "bass"]
    assert [r.given["track"] for r in routes_of("/rg/track/{BASS,2,drums}/lock")] == ["drums", "bass"]
    assert [r.command.name for r in routes_of("/rg/track/4/{mute,solo}")] == ["mute", "solo"]


def test_a_star_does_not_go_over_a_slash() -> None:
    assert all("track" not in route.given for route in routes_of("/rg/*"))
    with pytest.raises(UnknownCommand):
        routes_of("/rg/*lock")


@pytest.mark.parametrize(
    "address", ["/rg/nothing", "/rg/track/5/lock", "/rg/track//lock", "/rg", "/rg/track/?x/lock", "/rg/"]
)
def test_unknown_addresses_say_so(address: str) -> None:
    with pytest.raises(UnknownCommand, match="docs/protocol"):
        routes_of(address)


@pytest.mark.parametrize("address", ["/rg/track/[1-/lock", "/rg/{a", "/rg/" + "*" * 200])
def test_patterns_that_cannot_be_are_refused(address: str) -> None:
    with pytest.raises(BadValue):
        routes_of(address)


def test_properties_have_both_forms_of_their_address() -> None:
    assert addresses_of_key("tempo") == ("/rg/tempo",)
    assert addresses_of_key("track/bass/lock") == ("/rg/track/bass/lock", "/rg/track/2/lock")
    assert addresses_of_key("loop/first") == ("/rg/loop/first",)


def test_an_address_that_sets_a_property_knows_its_key() -> None:
    assert routes_of("/rg/track/2/gain")[0].key == "track/bass/gain"
    assert routes_of("/rg/stop")[0].key == ""
    assert all(route.key == "" or route.key in PROPERTY_OF_KEY for route in routes_of("/rg/track/*/*"))
