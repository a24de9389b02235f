"""A model hub on this machine, as the Hugging Face Hub answers, and one that can do to a download what networks do.

Big files (those that the hub keeps in Git LFS) are sent on to another path first, as the hub sends them to its own
content network; small ones come at once. `trouble` queues what is to happen to the next requests for a file.
"""

from __future__ import annotations

import hashlib
import json
import socket
import ssl
import struct
import threading
from collections import defaultdict, deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

from resonantgen.models.catalog import ModelInfo

API = "/api/models/"
CDN = "/cdn"


@dataclass(frozen=True, slots=True)
class Trouble:
    """What happens to one request for a file, or for the list of files (under the name API)."""

    status: int = 0  # answer this instead
    retry_after: str = ""
    location: str = ""  # send on to this address
    ignore_range: bool = False
    content: bytes | None = None  # send this instead, as if it were the file
    cut_after: int | None = None  # so many bytes of the body, then no more, though the headers promised them
    reset: bool = False  # when it is cut: as a crash does, not as an end
    extent: str | None = None  # as Content-Range, instead of what is true
    no_length: bool = False  # the body ends when the connection does
    gate: threading.Event | None = None  # the rest after `cut_after` waits for it, and comes


@dataclass(frozen=True, slots=True)
class Asked:
    path: str
    range: str | None
    if_range: str | None


@dataclass
class _Repository:
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    main: str = ""


class ModelServer:
    """`with ModelServer() as server:`, then `server.address` for RESONANTGEN_MODEL_HUB. With a context: HTTPS."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.asked: list[Asked] = []
        self.halfway = threading.Event()  # a body was cut, or waits at its gate
        self._repositories: dict[str, _Repository] = defaultdict(_Repository)
        self._troubles: dict[str, deque[Trouble]] = defaultdict(deque)
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._scheme = "http" if context is None else "https"
        if context is not None:
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    @property
    def address(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> ModelServer:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def publish(self, repository: str, files: Mapping[str, bytes]) -> str:
        """Commit files to main; the commit."""
        content = hashlib.sha1(repr(sorted(files.items())).encode()).hexdigest()
        found = self._repositories[repository]
        found.commits[content] = dict(files)
        found.main = content
        return content

    def trouble(self, name: str, *troubles: Trouble) -> None:
        """What the next requests for a file meet, one after the other."""
        self._troubles[name].extend(troubles)

    def asked_for(self, name: str) -> list[Asked]:
        """The requests for a file's content, in order."""
        return [asked for asked in self.asked if asked.path.endswith(f"/{name}") and not _is_sent_on(asked.path, name)]

    # -- for the handler ----------------------------------------------------------------------------------------------

    def note(self, asked: Asked) -> None:
        with self._lock:
            self.asked.append(asked)

    def next_trouble(self, name: str) -> Trouble:
        with self._lock:
            return self._troubles[name].popleft() if self._troubles[name] else Trouble()

    def find(self, repository: str, revision: str) -> tuple[str, dict[str, bytes]] | None:
        found = self._repositories.get(repository)
        if found is None:
            return None
        commit = found.main if revision == "main" else revision
        return (commit, found.commits[commit]) if commit in found.commits else None


def is_big(name: str) -> bool:
    """Whether the hub keeps a file in Git LFS."""
    return name.endswith((".safetensors", ".bin"))


def git_blob_id(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def tiny_model(info: ModelInfo, weights: Mapping[str, bytes]) -> dict[str, bytes]:
    """Files of a repository: those that the catalogue names, some that it does not, and weights."""
    files = {name: f'{{"file": "{name}", "of": "{info.name}"}}\n'.encode() for name in info.files}
    return {**files, ".gitattributes": b"* text\n", "README.md": b"# A model\n", **weights}


def _is_sent_on(path: str, name: str) -> bool:
    return is_big(name) and not path.startswith(CDN)


def _handler(server: ModelServer) -> type[BaseHTTPRequestHandler]:
    class Handler(_Handler):
        models = server

    return Handler


class _Handler(BaseHTTPRequestHandler):
    models: ModelServer
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        """Tests say themselves what they saw."""

    def do_GET(self) -> None:
        self.models.note(Asked(self.path, self.headers["Range"], self.headers["If-Range"]))
        with suppress(ConnectionError):  # the client has gone
            path = self.path.partition("?")[0]
            if path.startswith(API):
                self._list(path)
            else:
                self._file(path)

    def _list(self, path: str) -> None:
        trouble = self.models.next_trouble(API)
        repository, _, revision = path.removeprefix(API).partition("/revision/")
        found = self.models.find(repository, revision)
        if trouble.status or found is None:
            self._refuse(trouble.status or 404, trouble)
            return
        commit, files = found
        siblings = []
        for name, content in files.items():
            sibling: dict[str, object] = {"rfilename": name, "size": len(content), "blobId": git_blob_id(content)}
            if is_big(name):
                sibling["lfs"] = {
                    "sha256": hashlib.sha256(content).hexdigest(),
                    "size": len(content),
                    "pointerSize": 135,
                }
            siblings.append(sibling)
        document = json.dumps({"id": repository, "sha": commit, "siblings": siblings}).encode()
        self._send(document if trouble.content is None else trouble.content, trouble, tag="")

    def _file(self, path: str) -> None:
        repository, _, rest = path.removeprefix(CDN).strip("/").partition("/resolve/")
        commit, _, name = rest.partition("/")
        found = self.models.find(repository, commit)
        if found is None or name not in found[1]:
            self._refuse(404, Trouble())
        elif _is_sent_on(path, name):
            self.send_response(302)
            self.send_header("Location", f"{self.models.address}{CDN}{path}")
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            trouble = self.models.next_trouble(name)
            if trouble.status or trouble.location:
                self._refuse(trouble.status or 302, trouble)
                return
            content = found[1][name] if trouble.content is None else trouble.content
            self._send(content, trouble, tag=f'"{hashlib.sha256(content).hexdigest()[:16]}"')

    def _refuse(self, status: int, trouble: Trouble) -> None:
        self.send_response(status)
        if trouble.retry_after:
            self.send_header("Retry-After", trouble.retry_after)
        if trouble.location:
            self.send_header("Location", trouble.location)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _send(self, content: bytes, trouble: Trouble, tag: str) -> None:
        start = self._start(content, trouble, tag)
        if start >= len(content) > 0:
            self._refuse(416, trouble)
            return
        self.send_response(206 if start else 200)
        if start:
            extent = f"bytes {start}-{len(content) - 1}/{len(content)}"
            self.send_header("Content-Range", extent if trouble.extent is None else trouble.extent)
        if tag:
            self.send_header("ETag", tag)
        if trouble.no_length:
            self.close_connection = True
            self.send_header("Connection", "close")
        else:
            self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        self._send_body(content[start:], trouble)

    def _start(self, content: bytes, trouble: Trouble, tag: str) -> int:
        asked, if_range = self.headers["Range"], self.headers["If-Range"]
        if asked is None or trouble.ignore_range or (if_range is not None and if_range != tag):
            return 0
        return int(asked.removeprefix("bytes=").removesuffix("-"))

    def _send_body(self, body: bytes, trouble: Trouble) -> None:
        if trouble.cut_after is None:
            self.wfile.write(body)
            return
        self.wfile.write(body[: trouble.cut_after])
        self.wfile.flush()
        self.models.halfway.set()
        if trouble.gate is not None:
            trouble.gate.wait()
            self.wfile.write(body[trouble.cut_after :])
            return
        self.close_connection = True
        if trouble.reset:
            # closing with nothing to linger for sends RST: what has not been read at the other end is lost
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
