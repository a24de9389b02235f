"""The worker process's end of the pipe, and how its work is answered."""

from __future__ import annotations

import os
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import Connection
from queue import SimpleQueue

from resonantgen.errors import ResonantGenError
from resonantgen.realtime.messages import (
    REQUEST,
    Done,
    Failed,
    GivenUp,
    GiveUp,
    Make,
    Message,
    Render,
    Request,
    Understand,
)
from resonantgen.session.codec import pack, unpack

_GIVEN_UP_KEPT = 16  # more than the engine has under way at a time; threads of one that has ended may still ask


class Stopped(Exception):
    """The request was given up."""


class Post:
    """Any thread may `send`; `requests` is what is to be done, in order.

    Its own thread reads the pipe, answers `Understand` at once, notes what is given up, and ends the process when the
    engine is gone. While an order performs, which can take minutes, what is to be rendered is done beside it.
    """

    def __init__(self, connection: Connection, render: Callable[[Render], None] | None = None) -> None:
        """`render` does one beside an order that performs, in a thread of its own; None: everything is in line."""
        self.requests: SimpleQueue[Make | Render] = SimpleQueue()
        self._connection = connection
        self._render = render
        self._sending = threading.Lock()
        self._under_way: set[int] = set()  # those that were asked for and have not ended
        self._given_up: deque[int] = deque(maxlen=_GIVEN_UP_KEPT)  # the latest
        self._performing = 0  # the id of the order that performs, or will as soon as its turn has come; 0: none

    def start(self) -> None:
        threading.Thread(target=self._read, name="post", daemon=True).start()

    def gave_up(self, request_id: int) -> bool:
        return request_id in self._given_up

    def send(self, message: Message) -> None:
        data = pack(message)
        try:
            with self._sending:
                self._connection.send_bytes(data)
        except OSError:
            os._exit(0)  # the engine is gone

    def ended(self, request_id: int) -> None:
        """A request is done, or will not be."""
        self._under_way.discard(request_id)
        if self._performing == request_id:
            self._performing = 0

    def _read(self) -> None:
        while True:
            self._take(unpack(self._receive(), REQUEST))  # no name keeps the last one, with its recordings, meanwhile

    def _receive(self) -> bytes:
        try:
            return self._connection.recv_bytes()
        except (EOFError, OSError):
            os._exit(0)  # the engine is gone

    def _take(self, request: Request) -> None:
        match request:
            case GiveUp():
                if request.id in self._under_way:  # not words, of which any number may have been given up since
                    self._given_up.append(request.id)
            case Understand():
                answer(self, request, partial(_understood, request))
            case _:
                self._under_way.add(request.id)
                if isinstance(request, Render) and self._render is not None and self._performing:
                    threading.Thread(target=self._render, args=(request,), name="render", daemon=True).start()
                    return
                if isinstance(request, Make) and request.performs:
                    self._performing = request.id
                self.requests.put(request)


def answer(post: Post, request: Message, work: Callable[[], Done]) -> None:
    """Do some work, and send its result or why there is none. The process outlives any error in it."""
    try:
        reply: Message = work()
    except Stopped:
        reply = GivenUp(request.id)
    except ResonantGenError as error:
        reply = Failed(request.id, type(error).__name__, str(error))
    except Exception as error:
        traceback.print_exc(file=sys.stderr)
        reply = Failed(request.id, "", " ".join(f"{type(error).__name__}: {error}".split())[:200])
    post.ended(request.id)
    post.send(reply)


def _understood(request: Understand) -> Done:
    from resonantgen.prompt import understand

    return Done(request.id, intent=understand(request.text))
