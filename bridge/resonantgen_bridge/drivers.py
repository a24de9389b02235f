"""Opens what drives the engine, and what it drives: ZeroMQ, OSC, hosts' own OSC, MIDI and Link, as the options say.

Each is opened by itself: what cannot be is said in one line, and the others go on.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

from resonantgen.errors import AddressTaken, BadValue, ResonantGenError, quoted
from resonantgen_bridge.addresses import is_loopback
from resonantgen_bridge.engine import LiveEngine
from resonantgen_bridge.hosts.ableton import AbletonHost
from resonantgen_bridge.hosts.ardour import ArdourHost
from resonantgen_bridge.hosts.live_script import LiveScriptHost
from resonantgen_bridge.hosts.reaper import LISTEN_PORT, ReaperHost
from resonantgen_bridge.keys import ServerKeys
from resonantgen_bridge.midi_in import MidiIn
from resonantgen_bridge.midi_map import learned_path, load_named_map
from resonantgen_bridge.midi_out import MidiOut
from resonantgen_bridge.midi_ports import DEFAULT_PORT
from resonantgen_bridge.options import DEFAULT_DEVICE, NO_DEVICE, Peer, ServeOptions
from resonantgen_bridge.osc_server import ForeignOsc, OscServer
from resonantgen_bridge.osc_subscribers import Address
from resonantgen_bridge.plugin_link import PluginLink
from resonantgen_bridge.zmq_server import ZmqServer

Say = Callable[[str], None]


class Drivers:
    """Use it in an `async with` block, inside the engine's."""

    def __init__(self, engine: LiveEngine, options: ServeOptions, say: Say) -> None:
        self._engine = engine
        self._options = options
        self._say = say
        self._stack = AsyncExitStack()
        self.zmq: ZmqServer | None = None
        self._reaper: ReaperHost | None = None

    async def __aenter__(self) -> Drivers:
        try:
            for opening in (
                self._open_zmq,
                self._open_reaper,
                self._open_osc,
                self._open_ableton,
                self._open_plugin,
                self._open_ardour,
                self._open_midi_in,
                self._open_midi_out,
                self._open_link,
            ):
                await self._try(opening)
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def _try(self, opening: Callable[[], Awaitable[None]]) -> None:
        try:
            await opening()
        except ResonantGenError as error:
            self._say(str(error))

    async def _open_zmq(self) -> None:
        options = self._options
        keys = ServerKeys.load(options.keys) if options.keys is not None else None
        server = ZmqServer(self._engine, options.listen, options.zmq_port, options.events_port, keys)
        try:
            await server.start()
        except AddressTaken as error:  # the command line finds an engine wherever it is
            self._say(f"{error} Until then commands go to a free port.")
            server = ZmqServer(self._engine, options.listen, 0, 0, keys)
            await server.start()
        self._stack.push_async_callback(server.close)
        self.zmq = server
        self._engine.addresses |= {"zmq": server.address, "events": server.events_address}

    async def _open_osc(self) -> None:
        options = self._options
        foreign: list[ForeignOsc] = [self._reaper] if self._reaper is not None else []
        live = LiveScriptHost(self._engine, arm=options.arm, arm_back=options.arm_back, complain=self._engine.complain)
        await live.start()
        self._stack.push_async_callback(live.close)
        foreign.append(live)
        server = OscServer(self._engine, host=options.osc_listen, port=options.osc_port, foreign=foreign)
        await server.start()
        self._stack.push_async_callback(server.close)
        self._engine.addresses["osc"] = _text(server.address)
        self._engine.drivers["osc"] = server.status
        self._engine.drivers["live script"] = live.status

    async def _open_reaper(self) -> None:
        peer = self._options.reaper
        if peer is None:
            return
        options = self._options
        listen = (options.osc_listen, LISTEN_PORT)
        address = await _reachable(peer, listen[0], "--reaper")
        reaper = ReaperHost(self._engine, listen=listen, reaper=address, arm=options.arm, arm_back=options.arm_back)
        await reaper.start()
        self._stack.push_async_callback(reaper.close)
        self._reaper = reaper
        self._engine.addresses["reaper"] = _text(reaper.address)
        self._engine.drivers["reaper"] = reaper.status

    async def _open_ableton(self) -> None:
        if self._options.ableton:
            ableton = AbletonHost(self._engine, arm=self._options.arm)
            await ableton.start()
            self._stack.push_async_callback(ableton.close)
            self._engine.addresses["live"] = _text(ableton.address)
            self._engine.drivers["live"] = ableton.status

    async def _open_ardour(self) -> None:
        peer = self._options.ardour
        if peer is None:
            return
        options = self._options
        listen = (options.osc_listen, 0)
        address = await _reachable(peer, listen[0], "--ardour")
        ardour = ArdourHost(self._engine, ardour=address, listen=listen, arm=options.arm, arm_back=options.arm_back)
        await ardour.start()
        self._stack.push_async_callback(ardour.close)
        self._engine.addresses["ardour"] = _text(ardour.address)
        self._engine.drivers["ardour"] = ardour.status

    async def _open_plugin(self) -> None:
        plugins = PluginLink(self._engine, self._options.plugin_port, self._options.follow)
        await plugins.start()
        self._stack.push_async_callback(plugins.close)
        self._engine.addresses["plugin"] = plugins.address
        self._engine.drivers["plugin"] = plugins.status

    async def _open_midi_in(self) -> None:
        options, engine = self._options, self._engine
        if options.midi_in == NO_DEVICE:
            return
        midi = MidiIn(
            engine,
            load_named_map(options.midi_map),
            engine.complain,
            port=_port(options.midi_in),
            learned=learned_path(),
            follow_clock=options.midi_clock,
        )
        self._stack.push_async_callback(midi.close)
        engine.commands.learner = midi
        engine.drivers["midi in"] = midi.status
        engine.checks.append(midi.check)
        midi.open()
        engine.addresses["midi in"] = midi.port

    async def _open_midi_out(self) -> None:
        options, engine = self._options, self._engine
        if options.midi_out == NO_DEVICE:
            return
        loop = asyncio.get_running_loop()

        def report(error: ResonantGenError) -> None:
            loop.call_soon_threadsafe(engine.complain, error)

        midi = MidiOut(report, port=_port(options.midi_out))
        self._stack.callback(midi.close)
        engine.drivers["midi out"] = midi.status
        engine.checks.append(midi.check)
        midi.open()
        engine.notes_out = midi
        engine.addresses["midi out"] = midi.port

    async def _open_link(self) -> None:
        if self._options.link:
            from resonantgen_bridge.link import LinkSync  # imported here: an optional extra

            link = LinkSync(self._engine, self._engine.complain)
            self._stack.push_async_callback(link.close)
            self._engine.addresses["link"] = "joined"
            self._engine.drivers["link"] = link.status


async def _reachable(peer: Peer, listen: str, option: str) -> Address:
    """Its address in numbers: looking up a name takes a while, so it is done here once. Raises BadValue."""
    family = socket.AF_INET6 if ":" in listen else socket.AF_INET  # as the socket that sends
    try:
        found = await asyncio.get_running_loop().getaddrinfo(peer.host, peer.port, family=family)
    except OSError as error:
        raise BadValue(
            f"There is no machine {quoted(peer.host)} ({error.strerror or error}). Check {option}."
        ) from None
    host, port = found[0][4][:2]
    if is_loopback(listen) and not is_loopback(str(host)):
        raise BadValue(f"The DAW at {peer} is on another machine. To be reached from there: --osc-listen 0.0.0.0")
    return str(host), int(port)


def _text(address: Address) -> str:
    return f"{address[0]}:{address[1]}"


def _port(name: str) -> str:
    return DEFAULT_PORT if name == DEFAULT_DEVICE else name
