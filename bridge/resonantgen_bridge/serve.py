"""`resonantgen serve`: opens the project, starts the engine and everything that drives it, and ends it all again.

What cannot be opened (a port that is taken, a device that is not there) is said in one line, and the engine runs on
with what there is.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress

from resonantgen.errors import EngineError, ResonantGenError
from resonantgen.realtime.devices import choose_device, supported_rate
from resonantgen.realtime.output import AudioOutput
from resonantgen.realtime.ring import Ring
from resonantgen.realtime.worker import Worker
from resonantgen.session.session import Session
from resonantgen.session.settings import DEFAULT_SAMPLE_RATE
from resonantgen_bridge.calls import Call, Notice
from resonantgen_bridge.engine import LiveEngine
from resonantgen_bridge.options import NO_DEVICE, ServeOptions

OnLine = Callable[[str], None]

RING_SECONDS = 1.0
DEFAULT_LATENCY_MS = 60.0
SWITCH_INTERVAL_SECONDS = 0.001  # of Python's threads: the player waits no longer for the loop than this


def serve(options: ServeOptions, on_line: OnLine) -> None:
    """Serve a project until SIGINT or SIGTERM. `on_line` is given what a person wants to read.

    Raises what opening the project raises, and DeviceError for an audio device that was named and is not there.
    """
    sys.setswitchinterval(SWITCH_INTERVAL_SECONDS)
    asyncio.run(_serve(options, on_line))
