"""Where servers listen: which addresses are this machine's alone, and what to say when one is taken."""

from __future__ import annotations

import errno
import ipaddress
import socket
from typing import Final

from resonantgen.errors import AddressTaken, BadValue, quoted
from resonantgen_bridge.protocol import ZMQ_COMMANDS_PORT

LOOPBACK: Final = "127.0.0.1"
ANOTHER_PROGRAM = "another program"


def is_loopback(host: str) -> bool:
    """Whether only programs on this machine can reach it."""
    try:
        return ipaddress.ip_address(numeric(host)).is_loopback
    except ValueError:
        return False


def numeric(host: str) -> str:
    """The host as servers bind it: "localhost" is 127.0.0.1, "*" is every address."""
    return {"localhost": LOOPBACK, "*": "0.0.0.0"}.get(host, host)


def tcp(host: str, port: int) -> str:
    """A ZeroMQ address."""
    return f"tcp://[{host}]:{port}" if ":" in host else f"tcp://{host}:{port}"


def split_tcp(address: str) -> tuple[str, int]:
    """Host and port of a ZeroMQ address. Raises BadValue."""
    host, colon, port = address.removeprefix("tcp://").rpartition(":")
    if not (
        address.startswith("tcp://") and colon and host and port.isascii() and port.isdigit() and int(port) < 65536
    ):
        raise BadValue(
            f"{quoted(address)} is no address of an engine. Use one like {tcp(LOOPBACK, ZMQ_COMMANDS_PORT)}."
        )
    return host.strip("[]"), int(port)


def address_taken(port: int, option: str, holder: str = ANOTHER_PROGRAM) -> AddressTaken:
    """What a server raises that cannot have its port. `option` is how to choose another: "--zmq-port".

    `holder` is who has it, as `async_client.holder_of` finds out.
    """
    stop = "Stop it" if holder == ANOTHER_PROGRAM else "Stop it there"
    return AddressTaken(f"Port {port} is taken by {holder}. {stop}, or use {option}.")


def cannot_listen(what: str, address: tuple[str, int], option: str, error: OSError) -> AddressTaken:
    """What else a server raises that cannot listen. `option` is where its address came from: "--osc-listen"."""
    host, port = address
    if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
        return AddressTaken(
            f"{what} cannot listen at {quoted(host)}: this machine has no such address. Check {option}."
        )
    return AddressTaken(f"{what} cannot listen at {host}:{port} ({error.strerror or error}). Stop what uses it.")
