"""Fetch one small document over HTTP: all that a verifier needs to learn an issuer's keys.

How this works. One GET on a connection of its own (``Connection: close``), with one time-out for everything and a
limit for the body, parsed by httptools, which the server is built on. No redirects (the address is configuration; a
redirect would let the issuer's host choose another), no cookies, no proxies, no retries: `RemoteKeySet` knows when to
try again.

Rejected: httpx (five more packages and 0.1 s of import in every service, for one request in five minutes), urllib in a
thread (a thread can't be cancelled, so a peer that drips bytes would hold up the end of the process).
"""

from __future__ import annotations

import asyncio
import re
import ssl
from dataclasses import dataclass
from typing import Final
from urllib.parse import SplitResult, urlsplit

import httptools

from fairlead.errors import ConfigurationError

__all__ = ["Document", "FetchError", "fetch", "require_http_url"]

_MAX_AGE: Final = re.compile(r"(?:^|[\s,])max-age=(\d{1,9})(?:$|[\s,])", re.IGNORECASE)
_CHUNK_BYTES: Final = 16_384


class FetchError(Exception):
    """The document could not be had; one line that says why."""


@dataclass(frozen=True, slots=True)
class Document:
    """A body and how long it may be used without asking again (None when the server does not say)."""

    body: bytes
    max_age_s: int | None


def require_http_url(url: str, name: str) -> None:
    """Raise `ConfigurationError` unless `url` is an absolute http or https URL."""
    try:
        parts = urlsplit(url)
        valid = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        valid = False
    if not valid:
        raise ConfigurationError(f"{name}: {url!r} is no http or https URL")


async def fetch(url: str, *, timeout_s: float, max_bytes: int) -> Document:
    """GET `url`. Raises `FetchError` for everything but a complete 200 of at most `max_bytes` within `timeout_s`."""
    try:
        async with asyncio.timeout(timeout_s):
            return await _fetch(urlsplit(url), max_bytes)
    except TimeoutError:
        raise FetchError(f"no answer within {timeout_s:g} s") from None
    except (OSError, ssl.SSLError) as error:
        raise FetchError(f"{type(error).__name__}: {error}") from None
    except httptools.HttpParserError:
        raise FetchError("the answer is not HTTP") from None


async def _fetch(url: SplitResult, max_bytes: int) -> Document:
    context = ssl.create_default_context() if url.scheme == "https" else None
    port = url.port or (443 if context else 80)
    reader, writer = await asyncio.open_connection(url.hostname, port, ssl=context)
    try:
        target = (url.path or "/") + (f"?{url.query}" if url.query else "")
        host = url.netloc.rpartition("@")[2]
        writer.write(
            f"GET {target} HTTP/1.1\r\nHost: {host}\r\nAccept: application/json, application/jwk-set+json\r\n"
            "User-Agent: fairlead\r\nConnection: close\r\n\r\n".encode("ascii")
        )
        answer = _Answer(max_bytes)
        while not answer.complete:
            data = await reader.read(_CHUNK_BYTES)
            if not data:
                break
            answer.feed(data)
        return answer.document()
    finally:
        writer.transport.abort()


class _Answer:
    """Collects the callbacks of httptools."""

    def __init__(self, max_bytes: int) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._max_bytes = max_bytes
        self._body = bytearray()
        self._max_age_s: int | None = None
        self._is_delimited = False
        self.complete = False

    def feed(self, data: bytes) -> None:
        self._parser.feed_data(data)
        if len(self._body) > self._max_bytes:
            raise FetchError(f"more than {self._max_bytes} bytes")

    def document(self) -> Document:
        """Without Content-Length and chunks the end of the connection is the end of the body (RFC 9112 §6.3)."""
        status = self._parser.get_status_code()
        if status != 200:
            raise FetchError(f"status {status}" if status else "the connection ended before the answer")
        if not self.complete and self._is_delimited:
            raise FetchError("the connection ended inside the answer")
        return Document(bytes(self._body), self._max_age_s)

    def on_header(self, name: bytes, value: bytes) -> None:
        match name.lower():
            case b"cache-control":
                if found := _MAX_AGE.search(value.decode("latin-1")):
                    self._max_age_s = int(found[1])
            case b"content-length" | b"transfer-encoding":
                self._is_delimited = True

    def on_body(self, data: bytes) -> None:
        self._body += data

    def on_message_complete(self) -> None:
        self.complete = True
