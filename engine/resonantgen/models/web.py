"""HTTP as the models need it: over HTTPS (or to this machine), with redirects, proxies, and patience where it may help.

Certificates are checked, as urllib does. Proxies are those of the environment; what is on this machine needs none.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from resonantgen import __version__
from resonantgen.errors import BadValue, DownloadFailed, quoted

PAUSES_SECONDS = (1.0, 2.0, 4.0, 8.0, 16.0)
TIMEOUT_SECONDS = 30.0  # without a single byte
LONGEST_PAUSE_SECONDS = 120.0  # that a server may ask for
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_PASSING = (408, 425, 429, 500, 502, 503, 504)  # statuses that another try may change


class Passing(Exception):
    """A trouble that may be over at the next try."""

    def __init__(self, reason: str, pause_seconds: float = 0.0) -> None:
        super().__init__(reason)
        self.pause_seconds = pause_seconds  # that the server asks for


class RangeRefused(Exception):
    """The server does not have the range that was asked for."""


@dataclass(frozen=True, slots=True)
class Wire:
    """The way to the network. Tests put their own clock into it."""

    sleep: Callable[[float], None] = time.sleep
    timeout_seconds: float = TIMEOUT_SECONDS
    on_wait: Callable[[str, float], None] = field(default=lambda reason, seconds: None)

    def open(self, url: str, headers: Mapping[str, str]) -> http.client.HTTPResponse:
        """Ask for an address: a response with status 200 or 206. Raises Passing, RangeRefused and DownloadFailed."""
        check_address(url)
        request = urllib.request.Request(url, headers={"User-Agent": f"resonantgen/{__version__}", **headers})
        try:
            response: http.client.HTTPResponse = _opener().open(request, timeout=self.timeout_seconds)
        except urllib.error.HTTPError as error:
            with error:
                raise _refusal(url, error) from None
        except urllib.error.URLError as error:
            if isinstance(error.reason, ssl.SSLCertVerificationError):
                raise DownloadFailed(f"{_host(url)} has no valid certificate: {error.reason.verify_message}.") from None
            raise Passing(_said(url, error.reason)) from None
        except (OSError, http.client.HTTPException) as error:
            raise Passing(_said(url, error)) from None
        if response.status not in (200, 206):
            response.close()
            raise DownloadFailed(f"{_host(url)} answered {response.status} for {url}.")
        return response


def read_some(response: http.client.HTTPResponse, limit: int) -> bytes:
    """What has come of a body, up to `limit` bytes; b"" at its end. Raises Passing."""
    try:
        return response.read1(limit)
    except (OSError, http.client.HTTPException) as error:
        raise Passing(f"the connection was cut ({_why(error)})") from None


class Patience:
    """Pauses between tries, each longer than the one before, until it has been enough."""

    def __init__(self, wire: Wire, pauses_seconds: tuple[float, ...] = PAUSES_SECONDS) -> None:
        self._wire = wire
        self._pauses = pauses_seconds
        self._failures = 0

    def gained(self) -> None:
        """The last try brought something: begin again with the shortest pause."""
        self._failures = 0

    def wait(self, trouble: Passing) -> None:
        """Wait for the next try. Raises DownloadFailed when there were enough."""
        if self._failures == len(self._pauses):
            told = f"{trouble}, {self._failures + 1} times in a row."
            raise DownloadFailed(told[0].upper() + told[1:]) from None
        seconds = max(self._pauses[self._failures], min(trouble.pause_seconds, LONGEST_PAUSE_SECONDS))
        self._failures += 1
        self._wire.on_wait(str(trouble), seconds)
        self._wire.sleep(seconds)


def check_address(url: str) -> None:
    """Only HTTPS leaves this machine. Raises BadValue."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        host = None
    if host and (parts.scheme == "https" or (parts.scheme == "http" and host in _LOOPBACK)):
        return
    raise BadValue(f"{quoted(url, 80)} is no address that models can come from. It has to start with https://.")


class _Redirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(  # type: ignore[no-untyped-def]
        self, req, fp, code, msg, headers, newurl
    ) -> urllib.request.Request | None:
        try:
            check_address(newurl)
        except BadValue:
            fp.close()
            raise DownloadFailed(f"{_host(req.full_url)} sends on to {quoted(newurl, 80)}, not HTTPS.") from None
        return super().redirect_request(req, fp, code, msg, headers, newurl)


class _Proxies(urllib.request.ProxyHandler):
    def proxy_open(self, req, proxy, type):  # type: ignore[no-untyped-def]
        return None if urlsplit(req.full_url).hostname in _LOOPBACK else super().proxy_open(req, proxy, type)


def _opener() -> urllib.request.OpenerDirector:
    return urllib.request.build_opener(_Redirects, _Proxies)


def _refusal(url: str, error: urllib.error.HTTPError) -> Exception:
    said = f"{_host(url)} answered {error.code} {error.reason}"
    if error.code == 416:
        return RangeRefused()
    if error.code in _PASSING:
        after = error.headers.get("Retry-After", "")
        return Passing(said, float(after) if after.isascii() and after.isdigit() else 0.0)
    if error.code in (401, 403, 404, 410):
        return DownloadFailed(f"{said} for {url}. RESONANTGEN_MODEL_HUB can name a mirror.")
    return DownloadFailed(f"{said} for {url}.")


def _said(url: str, error: object) -> str:
    return f"{_host(url)} cannot be reached ({_why(error)})"


def _why(error: object) -> str:
    if isinstance(error, socket.gaierror):
        return "its name is not known here: is this machine online?"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__


def _host(url: str) -> str:
    return urlsplit(url).netloc or url
