"""A streamed response on an HTTP/2 stream."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from fairlead.http.fields import BodyLength
from fairlead.http.status import has_no_body
from fairlead.request import Request
from fairlead.response import HTTPResponse

if TYPE_CHECKING:
    from fairlead.server.http2.connection import Http2Connection
    from fairlead.server.http2.stream import Http2Stream

SENDS_PER_TURN = 64
"""After so many sends that did not have to wait, one gives the loop a turn."""


class Http2Sink:
    """Pieces become DATA frames as the windows allow."""

    __slots__ = ("_burst", "_connection", "_is_bodyless", "_length", "_request", "_stream", "bytes_sent")

    def __init__(self, connection: Http2Connection, stream: Http2Stream, request: Request[Any, Any]) -> None:
        self._connection = connection
        self._stream = stream
        self._request = request
        self._burst = 0
        self._is_bodyless = False
        self._length = BodyLength(None)
        self.bytes_sent = 0

    def write_head(self, response: HTTPResponse) -> None:
        """Send the head. Raises `ServerError` for a Content-Length that is no number, ValueError for fields that can't be sent."""
        self._length = BodyLength(response.set_headers)
        self._is_bodyless = self._request.raw_method == b"HEAD" or has_no_body(response.status)
        self._stream.begin_response(response, self._length.declared, ends=self._is_bodyless)

    def write_chunk(self, data: bytes) -> None:
        """Send a piece. Raises `ServerError` for more than the Content-Length says."""
        if not self._is_bodyless:
            self._length.take(len(data))
            self.bytes_sent += len(data)
            self._stream.outflow.put(data, is_last=False)
            self._connection.send_soon(self._stream)

    def end_body(self) -> None:
        """The body is complete. Raises `ServerError` for less than the Content-Length says."""
        if not self._is_bodyless:
            self._length.end()
            self._stream.outflow.put(b"", is_last=True)
            self._connection.send_soon(self._stream)

    async def drain(self) -> None:
        """Wait while the peer takes it too slowly; every so often let the others have a turn."""
        if not self._is_bodyless:
            await self._stream.outflow.room()
        self._burst += 1
        if self._burst >= SENDS_PER_TURN:
            self._burst = 0
            await asyncio.sleep(0)
