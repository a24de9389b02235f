"""docs/protocol.md says what the table says, and the table is consistent in itself."""

from __future__ import annotations

import re

import pytest

from resonantgen_bridge import reference
from resonantgen_bridge.parsing import parse_field
from resonantgen_bridge.protocol import COMMAND, COMMANDS, EVENT, EVENTS, PROPERTIES, PROPERTY_OF_KEY
from resonantgen_bridge.schema import Command, Event, Field, Kind

ALL_FIELDS = [
    *(field for command in COMMANDS for field in (*command.fields, *command.result)),
    *(field for event in EVENTS for field in event.fields),
    *(prop.value for prop in PROPERTIES),
]


def test_the_page_is_what_the_table_gives() -> None:
    assert reference.FILE.read_text(encoding="utf-8") == reference.page(), (
        "write it again: python -m resonantgen_bridge.reference"
    )


def test_the_page_has_everything() -> None:
    page = reference.page()
    for command in COMMANDS:
        assert f"\n### {command.name}\n\n{command.doc}" in page
        for address in command.osc:
            assert f"`/rg/{address}" in page
        if command.http:
            assert f"/v1{command.http.split(' ')[1]}`" in page
    for event in EVENTS:
        assert f"\n### {event.name} (event)\n\n{event.doc}" in page
    for prop in PROPERTIES:
        assert f"| `{prop.name}` |" in page


def test_links_in_the_page_lead_to_headings() -> None:
    page = reference.page()
    headings = {
        re.sub(r"[^\w -]", "", line.lstrip("# ")).lower().replace(" ", "-")
        for line in re.findall("^#+ .*$", page, re.M)
    }
    for target in re.findall(r"\]\(#([^)]+)\)", page):
        assert target in headings


def test_rows_of_tables_have_as_many_cells_as_their_heads() -> None:
    for table in re.findall(r"(?:^\|.*\|\n)+", reference.page(), re.M):
        counts = {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}
        assert len(counts) == 1, table


def test_names_are_unique() -> None:
    assert len(COMMAND) == len(COMMANDS)
    assert len(EVENT) == len(EVENTS)
    assert len(PROPERTY_OF_KEY) == sum(len(prop.state_keys()) for prop in PROPERTIES)
    for owner in (*COMMANDS, *EVENTS):
        names = [field.name for field in owner.fields]
        assert len(set(names)) == len(names), owner.name


def test_no_address_is_two_commands() -> None:
    """Those with {attribute} in them stand for as many addresses as there are attributes."""
    addresses: dict[str, str] = {}
    for command in COMMANDS:
        for address in command.osc:
            choices = command.field("attribute").choices if "{attribute}" in address else ("",)
            for choice in choices:
                full = address.replace("{attribute}", choice)
                assert full not in addresses, f"{full}: {command.name} and {addresses[full]}"
                addresses[full] = command.name


@pytest.mark.parametrize("owner", [*COMMANDS, *EVENTS], ids=lambda owner: owner.name)
def test_fields_in_addresses_and_paths_exist(owner: Command | Event) -> None:
    names = {field.name for field in owner.fields}
    addresses = (*owner.osc, owner.http) if isinstance(owner, Command) else (owner.osc,)
    for address in addresses:
        assert set(re.findall(r"{(\w+)}", address)) <= names


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_required_fields_come_first_in_each_address(command: Command) -> None:
    """Or a value that is left out would leave a hole before one that is needed."""
    for address in command.osc:
        free = [field.required for field in command.fields if f"{{{field.name}}}" not in address]
        assert free == sorted(free, reverse=True), address


@pytest.mark.parametrize("field", ALL_FIELDS, ids=lambda field: field.name)
def test_defaults_and_choices_are_values_of_their_field(field: Field) -> None:
    if not field.required and field.default is not None:
        parsed = parse_field(field, field.default)
        assert parsed == field.default
        assert type(parsed) is type(field.default)
    assert field.doc
    assert not field.choices or field.kind is Kind.TEXT
