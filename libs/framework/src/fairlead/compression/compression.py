"""`Compression`: answers in the coding that the client likes best.

    Compression().install(app)

What is compressed: bodies of at least `min_bytes` (and streams) whose media type is worth it, unless the answer is coded already,
a part (206), without a body, or says `Cache-Control: no-transform`. A whole body from `THREAD_FROM_BYTES` on is compressed in a
thread, so that the loop stays free. A stream is flushed after each piece, so that what was sent arrives. An answer that would
grow stays as it was.

What else changes, because the bytes are others: `Vary: Accept-Encoding`, also on the answer that was not compressed for this
client; a strong entity tag becomes a weak one (RFC 9110 §8.8.3.3), so that parts of two codings are never put together;
`Accept-Ranges` goes. An answer with a digest of its bytes stays as it is.

The weak tag means that If-Match, which compares strongly, never holds for it. Exempt a route whose clients send back tags to
change things, or keep its answers below `min_bytes`.

BREACH: where a compressed page over TLS repeats what an attacker can put into the request next to a secret, its length tells the
secret, guess by guess. `fairlead.csrf` masks its tokens for that reason; exempt pages that show other secrets.

Left out: `text/event-stream` (an encoder for each of thousands of connections, for messages that are too short to gain).
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Sequence
from typing import Any, Final

from fairlead.compression.codec import Encoder, available_codings, new_encoder
from fairlead.errors import ConfigurationError
from fairlead.extension import Extension
from fairlead.http.coding import IDENTITY, choose_coding
from fairlead.http.headers import Headers, add_vary
from fairlead.http.status import has_no_body
from fairlead.request import Request
from fairlead.response import HTTPResponse
from fairlead.streaming import ResponseStream, StreamSink
from fairlead.types import Middleware

__all__ = ["Compression"]

THREAD_FROM_BYTES: Final = 32_768
"""About a millisecond's work; handing it to a thread costs a tenth of that."""

COMPRESSIBLE: Final = re.compile(
    r"text/(?!event-stream)|application/(json|javascript|xml|xhtml\+xml|wasm|manifest\+json|x-ndjson|ld\+json|rtf|[^;]+\+(json|xml))"
    r"|image/svg\+xml|font/(ttf|otf)|application/(vnd\.ms-fontobject|x-font-ttf)",
    re.IGNORECASE,
).match
"""Media types that gain; those of images, sounds, films, archives and woff2 are compressed in themselves."""

_DIGESTS: Final = ("content-digest", "repr-digest", "digest", "content-md5")


class Compression(Extension):
    """Compress the answers of an app, a blueprint or a route; `@Compression.exempt` leaves a route out.

    `codings` are those to offer, the preferred one first; without it all that are installed. Raises `ConfigurationError` for a
    coding that isn't.
    """

    order = 800

    def __init__(self, *, min_bytes: int = 1024, codings: Sequence[str] | None = None) -> None:
        self._codings = tuple(codings) if codings is not None else available_codings()
        self._min_bytes = min_bytes
        for coding in self._codings:
            if coding not in available_codings():
                raise ConfigurationError(f"compression: {coding!r} can't be had here, only {', '.join(available_codings())}")

    def middleware(self) -> tuple[None, Middleware]:
        """After everything else."""
        return None, self._compress

    async def _compress(self, request: Request[Any, Any], response: HTTPResponse | ResponseStream) -> None:
        headers = response.headers
        if self.spares(request) or "content-encoding" in headers:
            return
        if response.status == 304:
            _describe_unmodified(request.headers, headers)
        elif self._is_worth_it(request, response):
            add_vary(headers, "Accept-Encoding")
            coding = choose_coding(", ".join(request.headers.getall("accept-encoding", [])), self._codings)
            if coding == IDENTITY:
                return
            if isinstance(response, ResponseStream):
                response.filter(lambda sink: CompressingSink(sink, new_encoder(coding)))
            elif not await _compress_body(response, coding):
                return
            _describe(headers, coding)

    def _is_worth_it(self, request: Request[Any, Any], response: HTTPResponse | ResponseStream) -> bool:
        headers = response.headers
        if has_no_body(response.status) or response.status == 206 or "no-transform" in headers.get("cache-control", "").lower():
            return False
        if not COMPRESSIBLE(headers.get("content-type") or response.content_type or "") or any(
            name in headers for name in _DIGESTS
        ):
            return False
        if isinstance(response, ResponseStream):
            length = headers.get("content-length", "")
            return not length.isdecimal() or int(length) >= self._min_bytes
        return len(response.body) >= self._min_bytes


async def _compress_body(response: HTTPResponse, coding: str) -> bool:
    """Whether the body has become shorter; else it stays."""

    def compress(body: bytes) -> bytes:
        encoder = new_encoder(coding)
        return encoder.compress(body) + encoder.finish()

    if len(response.body) < THREAD_FROM_BYTES:
        compressed = compress(response.body)
    else:
        compressed = await asyncio.get_running_loop().run_in_executor(None, compress, response.body)
    if len(compressed) >= len(response.body):
        return False
    response.body = compressed
    return True


def _describe(headers: Headers, coding: str) -> None:
    """Make the fields say what the body is now."""
    headers["content-encoding"] = coding
    for name in ("content-length", "accept-ranges"):
        headers.pop(name, None)
    tag = headers.get("etag")
    if tag is not None and not tag.startswith("W/"):
        headers["etag"] = f"W/{tag}"


def _describe_unmodified(wanted: Headers, headers: Headers) -> None:
    """A 304 names the tag that the client has, which is weak when its copy was compressed (RFC 9110 §15.4.5)."""
    add_vary(headers, "Accept-Encoding")
    tag = headers.get("etag")
    if tag is not None and f"W/{tag}" in ", ".join(wanted.getall("if-none-match", [])):
        headers["etag"] = f"W/{tag}"


class CompressingSink:
    """Stands between a response stream and its connection.

    `write_chunk` and `end_body` only note what is to be done; `drain`, which follows each of them, does it: in order, and for long
    pieces in a thread.
    """

    def __init__(self, sink: StreamSink, encoder: Encoder) -> None:
        self._sink = sink
        self._encoder = encoder
        self._pieces: deque[bytes] = deque()
        self._is_ending = False
        self._lock = asyncio.Lock()

    @property
    def bytes_sent(self) -> int:
        """Of the compressed body."""
        return self._sink.bytes_sent

    def write_head(self, response: HTTPResponse) -> None:
        """Send the head."""
        self._sink.write_head(response)

    def write_chunk(self, data: bytes) -> None:
        """Note a piece."""
        self._pieces.append(data)

    def end_body(self) -> None:
        """Note the end."""
        self._is_ending = True

    async def drain(self) -> None:
        """Compress and send what was noted, then wait while the peer reads too slowly."""
        async with self._lock:
            while self._pieces:
                piece = self._pieces.popleft()
                if len(piece) < THREAD_FROM_BYTES:
                    coded = self._compress(piece)
                else:
                    coded = await asyncio.get_running_loop().run_in_executor(None, self._compress, piece)
                self._sink.write_chunk(coded)
            if self._is_ending:
                self._is_ending = False
                self._sink.write_chunk(self._encoder.finish())
                self._sink.end_body()
        await self._sink.drain()

    def _compress(self, piece: bytes) -> bytes:
        return self._encoder.compress(piece) + self._encoder.flush()
