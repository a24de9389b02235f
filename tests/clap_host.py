"""A small CLAP host in Python, for tests: loads one plugin, and runs it block by block. Needs nothing but ctypes.

Only what the tests need of CLAP 1.1: its factory, its parameters and state, one stereo output, transport and MIDI in.
All calls come from one thread. Loading a library that does not keep to CLAP crashes the process: use one of its own.
"""

from __future__ import annotations

import ctypes as c
import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

FACTORY, PARAMS, STATE = b"clap.plugin-factory", b"clap.params", b"clap.state"
HAS_TEMPO, HAS_BEATS, HAS_SECONDS, HAS_METER, IS_PLAYING = 1, 2, 4, 8, 16
PARAM_VALUE, TRANSPORT, MIDI = 5, 9, 10
FIXED = 1 << 31  # of a beat, or a second
PROCESS_ERROR = 0
NAME_BYTES, PATH_BYTES = 256, 1024


class Version(c.Structure):
    _fields_ = (("major", c.c_uint32), ("minor", c.c_uint32), ("revision", c.c_uint32))


class Entry(c.Structure):
    _fields_ = (
        ("version", Version),
        ("init", c.CFUNCTYPE(c.c_bool, c.c_char_p)),
        ("deinit", c.CFUNCTYPE(None)),
        ("get_factory", c.CFUNCTYPE(c.c_void_p, c.c_char_p)),
    )


class Descriptor(c.Structure):
    _fields_ = (
        ("version", Version),
        ("id", c.c_char_p),
        ("name", c.c_char_p),
        ("vendor", c.c_char_p),
        ("url", c.c_char_p),
        ("manual_url", c.c_char_p),
        ("support_url", c.c_char_p),
        ("plugin_version", c.c_char_p),
        ("description", c.c_char_p),
        ("features", c.POINTER(c.c_char_p)),
    )


class Host(c.Structure):
    _fields_ = (
        ("version", Version),
        ("data", c.c_void_p),
        ("name", c.c_char_p),
        ("vendor", c.c_char_p),
        ("url", c.c_char_p),
        ("host_version", c.c_char_p),
        ("get_extension", c.CFUNCTYPE(c.c_void_p, c.c_void_p, c.c_char_p)),
        ("request_restart", c.CFUNCTYPE(None, c.c_void_p)),
        ("request_process", c.CFUNCTYPE(None, c.c_void_p)),
        ("request_callback", c.CFUNCTYPE(None, c.c_void_p)),
    )


class Header(c.Structure):
    _fields_ = (
        ("size", c.c_uint32),
        ("time", c.c_uint32),
        ("space", c.c_uint16),
        ("type", c.c_uint16),
        ("flags", c.c_uint32),
    )


class Transport(c.Structure):
    _fields_ = (
        ("header", Header),
        ("flags", c.c_uint32),
        ("song_beats", c.c_int64),
        ("song_seconds", c.c_int64),
        ("tempo", c.c_double),
        ("tempo_inc", c.c_double),
        ("loop_start_beats", c.c_int64),
        ("loop_end_beats", c.c_int64),
        ("loop_start_seconds", c.c_int64),
        ("loop_end_seconds", c.c_int64),
        ("bar_start", c.c_int64),
        ("bar_number", c.c_int32),
        ("numerator", c.c_uint16),
        ("denominator", c.c_uint16),
    )


class ParamValue(c.Structure):
    _fields_ = (
        ("header", Header),
        ("param", c.c_uint32),
        ("cookie", c.c_void_p),
        ("note", c.c_int32),
        ("port", c.c_int16),
        ("channel", c.c_int16),
        ("key", c.c_int16),
        ("value", c.c_double),
    )


class Midi(c.Structure):
    _fields_ = (("header", Header), ("port", c.c_uint16), ("data", c.c_uint8 * 3))


class InputEvents(c.Structure):
    _fields_ = (
        ("context", c.c_void_p),
        ("size", c.CFUNCTYPE(c.c_uint32, c.c_void_p)),
        ("get", c.CFUNCTYPE(c.c_void_p, c.c_void_p, c.c_uint32)),
    )


class OutputEvents(c.Structure):
    _fields_ = (("context", c.c_void_p), ("try_push", c.CFUNCTYPE(c.c_bool, c.c_void_p, c.c_void_p)))


class Buffer(c.Structure):
    _fields_ = (
        ("data32", c.POINTER(c.POINTER(c.c_float))),
        ("data64", c.c_void_p),
        ("channels", c.c_uint32),
        ("latency", c.c_uint32),
        ("constant_mask", c.c_uint64),
    )


class Process(c.Structure):
    _fields_ = (
        ("steady_time", c.c_int64),
        ("frames", c.c_uint32),
        ("transport", c.POINTER(Transport)),
        ("inputs", c.POINTER(Buffer)),
        ("outputs", c.POINTER(Buffer)),
        ("input_count", c.c_uint32),
        ("output_count", c.c_uint32),
        ("events_in", c.POINTER(InputEvents)),
        ("events_out", c.POINTER(OutputEvents)),
    )


class Factory(c.Structure):
    _fields_ = (
        ("count", c.CFUNCTYPE(c.c_uint32, c.c_void_p)),
        ("descriptor", c.CFUNCTYPE(c.POINTER(Descriptor), c.c_void_p, c.c_uint32)),
        ("create", c.CFUNCTYPE(c.c_void_p, c.c_void_p, c.POINTER(Host), c.c_char_p)),
    )


class Plugin(c.Structure):
    _fields_ = (
        ("descriptor", c.POINTER(Descriptor)),
        ("data", c.c_void_p),
        ("init", c.CFUNCTYPE(c.c_bool, c.c_void_p)),
        ("destroy", c.CFUNCTYPE(None, c.c_void_p)),
        ("activate", c.CFUNCTYPE(c.c_bool, c.c_void_p, c.c_double, c.c_uint32, c.c_uint32)),
        ("deactivate", c.CFUNCTYPE(None, c.c_void_p)),
        ("start_processing", c.CFUNCTYPE(c.c_bool, c.c_void_p)),
        ("stop_processing", c.CFUNCTYPE(None, c.c_void_p)),
        ("reset", c.CFUNCTYPE(None, c.c_void_p)),
        ("process", c.CFUNCTYPE(c.c_int32, c.c_void_p, c.POINTER(Process))),
        ("get_extension", c.CFUNCTYPE(c.c_void_p, c.c_void_p, c.c_char_p)),
        ("on_main_thread", c.CFUNCTYPE(None, c.c_void_p)),
    )


class ParamInfo(c.Structure):
    _fields_ = (
        ("id", c.c_uint32),
        ("flags", c.c_uint32),
        ("cookie", c.c_void_p),
        ("name", c.c_char * NAME_BYTES),
        ("module", c.c_char * PATH_BYTES),
        ("minimum", c.c_double),
        ("maximum", c.c_double),
        ("default", c.c_double),
    )


class Params(c.Structure):
    _fields_ = (
        ("count", c.CFUNCTYPE(c.c_uint32, c.c_void_p)),
        ("info", c.CFUNCTYPE(c.c_bool, c.c_void_p, c.c_uint32, c.POINTER(ParamInfo))),
        ("value", c.CFUNCTYPE(c.c_bool, c.c_void_p, c.c_uint32, c.POINTER(c.c_double))),
    )


class Stream(c.Structure):
    """In and out: either has one function."""

    _fields_ = (("context", c.c_void_p), ("move", c.CFUNCTYPE(c.c_int64, c.c_void_p, c.c_void_p, c.c_uint64)))


class State(c.Structure):
    _fields_ = (
        ("save", c.CFUNCTYPE(c.c_bool, c.c_void_p, c.POINTER(Stream))),
        ("load", c.CFUNCTYPE(c.c_bool, c.c_void_p, c.POINTER(Stream))),
    )


class ClapPlugin:
    """The first plugin of a `.clap` file, activated. AssertionError if it does not keep to CLAP."""

    def __init__(self, path: Path, sample_rate: float, max_block: int, *, steady_time: bool = True) -> None:
        """`steady_time`: tell the frames processed since the start, which a host need not."""
        self._rate, self._steady, self._tells_steady = sample_rate, 0, steady_time
        self._library = c.CDLL(str(path))
        self._entry = Entry.in_dll(self._library, "clap_entry")
        assert self._entry.version.major == 1 and self._entry.init(str(path).encode())
        factory = c.cast(self._entry.get_factory(FACTORY), c.POINTER(Factory))
        assert factory and factory.contents.count(factory) == 1
        self.descriptor = factory.contents.descriptor(factory, 0).contents
        self._host = self._make_host()
        address = factory.contents.create(factory, c.byref(self._host), self.descriptor.id)
        assert address
        self._address, self._plugin = address, c.cast(address, c.POINTER(Plugin)).contents
        assert self._plugin.init(address)
        self._params = self._extension(PARAMS, Params)
        assert self._plugin.activate(address, sample_rate, 1, max_block)
        assert self._plugin.start_processing(address)
        self._changes: list[ParamValue] = []
        self.parameters = {info.name.decode(): info for info in self._read_parameters()}

    @property
    def features(self) -> list[str]:
        return [name.decode() for name in iter(iter(self.descriptor.features).__next__, None)]

    # -- parameters and state -----------------------------------------------------------------------------------------

    def get(self, name: str) -> float:
        value = c.c_double()
        assert self._params.value(self._address, self.parameters[name].id, c.byref(value))
        return value.value

    def set(self, name: str, value: float) -> None:
        """In plain units, with the next block."""
        info = self.parameters[name]
        header = Header(c.sizeof(ParamValue), 0, 0, PARAM_VALUE, 0)
        self._changes.append(ParamValue(header, info.id, info.cookie, -1, -1, -1, -1, value))

    def save(self) -> bytes:
        written = bytearray()

        def write(_: object, data: int, size: int) -> int:
            written.extend(c.string_at(data, size))
            return size

        stream = Stream(None, Stream._fields_[1][1](write))
        assert self._extension(STATE, State).save(self._address, c.byref(stream))
        return bytes(written)

    def load(self, state: bytes) -> None:
        left = bytearray(state)

        def read(_: object, into: int, size: int) -> int:
            part = bytes(left[:size])
            c.memmove(into, part, len(part))
            del left[:size]
            return len(part)

        stream = Stream(None, Stream._fields_[1][1](read))
        assert self._extension(STATE, State).load(self._address, c.byref(stream))

    # -- sound --------------------------------------------------------------------------------------------------------

    def process(
        self,
        output: NDArray[np.float32],
        *,
        tempo: float,
        quarters: float,
        numerator: int,
        denominator: int,
        playing: bool,
        notes: list[tuple[int, int, int, int]],
    ) -> None:
        """Fill [2, frames] with the next block. `notes` are (frame of the block, status, data, data)."""
        events: list[Any] = [*self._changes]
        events += [Midi(Header(c.sizeof(Midi), at, 0, MIDI, 0), 0, (a, b, d)) for at, a, b, d in notes]
        self._changes = []
        transport = self._transport(tempo, quarters, numerator, denominator, playing)
        rows = (c.POINTER(c.c_float) * 2)(*(row.ctypes.data_as(c.POINTER(c.c_float)) for row in output))
        out = Buffer(rows, None, 2, 0, 0)
        size, get = (kind for _, kind in InputEvents._fields_[1:])
        events_in = InputEvents(None, size(lambda _: len(events)), get(lambda _, at: c.addressof(events[at])))
        events_out = OutputEvents(None, OutputEvents._fields_[1][1](lambda _, event: True))
        block = Process(self._steady if self._tells_steady else -1, output.shape[1])
        block.transport, block.outputs, block.output_count = c.pointer(transport), c.pointer(out), 1
        block.events_in, block.events_out = c.pointer(events_in), c.pointer(events_out)
        assert self._plugin.process(self._address, c.byref(block)) != PROCESS_ERROR
        self._steady += output.shape[1]

    def close(self) -> None:
        self._plugin.stop_processing(self._address)
        self._plugin.deactivate(self._address)
        self._plugin.destroy(self._address)
        self._entry.deinit()

    # -- inner parts --------------------------------------------------------------------------------------------------

    def _make_host(self) -> Host:
        """Kept for as long as the plugin lives, as its functions are."""
        nothing = c.CFUNCTYPE(None, c.c_void_p)(lambda host: None)
        extension = c.CFUNCTYPE(c.c_void_p, c.c_void_p, c.c_char_p)(lambda host, name: None)
        return Host(Version(1, 1, 1), None, b"test", b"ResonantGen", b"", b"1", extension, nothing, nothing, nothing)

    def _extension(self, name: bytes, kind: type[Any]) -> Any:
        address = self._plugin.get_extension(self._address, name)
        assert address, f"no extension {name.decode()}"
        return c.cast(address, c.POINTER(kind)).contents

    def _read_parameters(self) -> list[ParamInfo]:
        infos = [ParamInfo() for _ in range(self._params.count(self._address))]
        for number, info in enumerate(infos):
            assert self._params.info(self._address, number, c.byref(info))
        return infos

    def _transport(self, tempo: float, quarters: float, numerator: int, denominator: int, playing: bool) -> Transport:
        bar = 4 * numerator / denominator
        number = math.floor(quarters / bar + 1e-9)
        return Transport(
            header=Header(c.sizeof(Transport), 0, 0, TRANSPORT, 0),
            flags=HAS_TEMPO | HAS_BEATS | HAS_METER | (IS_PLAYING if playing else 0),
            song_beats=round(quarters * FIXED),
            tempo=tempo,
            bar_start=round(number * bar * FIXED),
            bar_number=number,
            numerator=numerator,
            denominator=denominator,
        )
