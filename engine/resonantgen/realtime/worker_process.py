"""The process behind a Worker, on this machine, and the two threads that talk to it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import Protocol

from resonantgen.realtime.making import run
from resonantgen.realtime.messages import REPLY, Message, Reply
from resonantgen.session.codec import pack, unpack

PATIENCE_SECONDS = 3.0  # for a process to end before it is killed


class Peer(Protocol):
    """A process that runs `making.run`, wherever it is. `listen` is called once."""

    @property
    def pid(self) -> int | None: ...

    def listen(self, receive: Callable[[Peer, Reply], None], ended: Callable[[Peer], None]) -> None:
        """Begin to receive. Both are called in a thread of its own, `ended` once, at the end."""
        ...

    def send(self, message: Message) -> None:
        """Send, in order, without waiting. To a process that has ended it does nothing."""
        ...

    def close(self) -> str:
        """End the process, if it has not ended, and the threads; says how it ended. It takes seconds at most."""
        ...


class LocalProcess:
    """A Peer on this machine. Making one starts the process. Raises OSError."""

    def __init__(self, life: Callable[[Connection], None] = run) -> None:
        """`life` is what runs in it, until it ends."""
        context = get_context("spawn")
        self._connection, other_end = context.Pipe()
        self._process = context.Process(target=life, args=(other_end,), name="resonantgen-worker", daemon=True)
        try:
            self._process.start()
        except BaseException:
            self._connection.close()
            raise
        finally:
            other_end.close()
        self._outbox: SimpleQueue[Message | None] = SimpleQueue()
        self._sender = threading.Thread(target=self._send_all, name="worker-sender", daemon=True)
        self._sender.start()
        self._receiver: threading.Thread | None = None
        self._hung_up = False  # whether it has closed its end of the pipe
        self._closed = False

    @property
    def pid(self) -> int | None:
        return None if self._closed else self._process.pid

    def listen(self, receive: Callable[[Peer, Reply], None], ended: Callable[[Peer], None]) -> None:
        self._receiver = threading.Thread(
            target=self._receive_all, args=(receive, ended), name="worker-receiver", daemon=True
        )
        self._receiver.start()

    def send(self, message: Message) -> None:
        self._outbox.put(message)

    def close(self) -> str:
        if self._closed:
            return "closed"
        self._closed = True
        if self._hung_up:
            self._process.join(PATIENCE_SECONDS)
        self._process.terminate()
        self._process.join(PATIENCE_SECONDS)
        if self._process.is_alive():
            self._process.kill()
            self._process.join(PATIENCE_SECONDS)
        self._outbox.put(None)
        for thread in (self._sender, self._receiver):
            if thread is not None:
                thread.join(PATIENCE_SECONDS)
        self._connection.close()
        code = self._process.exitcode
        if code is None:  # in the midst of a call into the system that cannot be interrupted
            return "it does not end"
        self._process.close()
        return f"signal {-code}" if code < 0 else f"exit code {code}"

    def _send_all(self) -> None:
        while (message := self._outbox.get()) is not None:
            with suppress(OSError):  # it has ended, as the receiver will notice
                self._connection.send_bytes(pack(message))
            del message  # before it waits for the next: recordings are large

    def _receive_all(self, receive: Callable[[Peer, Reply], None], ended: Callable[[Peer], None]) -> None:
        try:
            while True:
                receive(self, unpack(self._connection.recv_bytes(), REPLY))
        except (EOFError, OSError):
            self._hung_up = True
        finally:
            ended(self)
