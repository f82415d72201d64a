"""The connection's side of a streamed response: head, pieces in the right framing, end."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from fairlead.errors import ServerError
from fairlead.http.status import has_no_body
from fairlead.http.wire import encode_head
from fairlead.request import Request
from fairlead.response import HTTPResponse

if TYPE_CHECKING:
    from fairlead.server.connection import HttpConnection

SENDS_PER_TURN = 64
"""After so many sends that did not have to wait, one gives the loop a turn: a fast reader must not starve the others."""


class ResponseSink:
    """Chunked for HTTP/1.1, until the connection closes for HTTP/1.0, and counted when a Content-Length was set."""

    __slots__ = ("_bodyless", "_burst", "_chunked", "_connection", "_left", "_request", "bytes_sent")

    def __init__(self, connection: HttpConnection, request: Request[Any, Any]) -> None:
        self._connection = connection
        self._request = request
        self._chunked = False
        self._bodyless = False
        self._burst = 0
        self._left: int | None = None
        self.bytes_sent = 0

    def write_head(self, response: HTTPResponse) -> None:
        """Send the head. Raises `ServerError` for a Content-Length that is no number."""
        connection, request = self._connection, self._request
        headers = response.headers
        text = headers.get("content-length")
        if text is not None and not text.isdecimal():
            raise ServerError(extra={"content-length": text})
        self._left = int(text) if text is not None else None
        self._bodyless = request.raw_method == b"HEAD" or has_no_body(response.status)
        old = request.head.version == "1.0"
        self._chunked = self._left is None and not old and not self._bodyless
        if self._left is None and old:
            connection.final = True
        connection.answer_begins()
        connection.send_now(
            encode_head(
                response.status,
                response.content_type,
                headers,
                self._left,
                keep_alive=request.head.keep_alive and not connection.final,
                extra=b"x-request-id: " + request.id.encode() + b"\r\n" if connection.shared.limits.request_id_header else b"",
                http_1_0=old,
            )
        )

    def write_chunk(self, data: bytes) -> None:
        """Send a piece. Raises `ServerError` for more than the Content-Length says."""
        if self._bodyless:
            return
        size = len(data)
        if self._left is not None:
            self._left -= size
            if self._left < 0:
                raise ServerError("The body is longer than its Content-Length")
        self.bytes_sent += size
        if self._chunked:
            data = b"%x\r\n%b\r\n" % (size, data)
        self._connection.send_now(data)

    def end_body(self) -> None:
        """The body is complete. Raises `ServerError` for less than the Content-Length says."""
        if self._chunked:
            self._connection.send_now(b"0\r\n\r\n")
        elif self._left and not self._bodyless:
            raise ServerError("The body is shorter than its Content-Length")
        if self._connection.final or not self._request.head.keep_alive:
            self._connection.close_after(self._request)

    async def drain(self) -> None:
        """Wait while the peer reads too slowly; every so often let the others have a turn."""
        await self._connection.writable()
        self._burst += 1
        if self._burst >= SENDS_PER_TURN:
            self._burst = 0
            await asyncio.sleep(0)
