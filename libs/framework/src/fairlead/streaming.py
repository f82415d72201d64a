"""Bodies in pieces, in both directions.

`RequestStream` stands between the connection, which feeds it as bytes arrive, and the handler, which iterates over it. It holds
at most about `high_water` bytes: past that the connection stops reading from the socket until the handler has caught up.

`ResponseStream` is what `request.respond()` returns. Its head is sent with the first piece; `send` waits while the peer reads
too slowly, so a handler never fills the memory.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any, Protocol

from fairlead.errors import PayloadTooLarge, RequestCancelled, ServerError

if TYPE_CHECKING:
    from fairlead.http.cookies import Cookie, CookieJar
    from fairlead.response import HTTPResponse


class RequestStream:
    """The body of a request as it arrives: `async for chunk in request.stream`, or `await request.stream.read()`."""

    __slots__ = ("_chunks", "_ended", "_error", "_held", "_high_water", "_limit", "_resume", "_total", "_waiter")

    def __init__(
        self, *, limit: int, high_water: int = 65536, resume: Callable[[], None] = lambda: None, complete: bytes | None = None
    ) -> None:
        self._chunks: deque[bytes] = deque()
        self._error: BaseException | None = None
        self._high_water = high_water
        self._held = 0
        self._limit = limit
        self._resume = resume
        self._total = 0
        self._waiter: asyncio.Future[None] | None = None
        self._ended = complete is not None
        if complete:
            self._chunks.append(complete)

    # For the connection

    def feed(self, chunk: bytes) -> bool:
        """Take a piece; False asks the connection to stop reading. Raises `PayloadTooLarge` (413) past the limit."""
        self._total += len(chunk)
        if self._total > self._limit:
            error = PayloadTooLarge(f"The body passes {self._limit} bytes")
            self.fail(error)
            raise error
        self._chunks.append(chunk)
        self._held += len(chunk)
        self._wake()
        return self._held < self._high_water

    def end(self) -> None:
        """The body is complete."""
        self._ended = True
        self._wake()

    def fail(self, error: BaseException) -> None:
        """No more will come; whoever reads gets this error."""
        if not self._ended:
            self._error = error
            self._wake()

    @property
    def ended(self) -> bool:
        """Whether the whole body has arrived."""
        return self._ended

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    # For the handler

    async def read(self) -> bytes | None:
        """The next piece, None at the end; one reader at a time.

        Raises what ended the body early: `PayloadTooLarge`, `BadRequest`, `RequestTimeout`, `RequestCancelled`.
        """
        if self._waiter is not None:
            raise RuntimeError("this stream is being read already")
        while not self._chunks:
            if self._error is not None:
                raise self._error
            if self._ended:
                return None
            self._resume()
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            except asyncio.CancelledError:
                if not isinstance(self._error, RequestCancelled):  # else both have come, and this is the cause
                    raise
            finally:
                self._waiter = None
        chunk = self._chunks.popleft()
        self._held -= len(chunk)
        return chunk

    async def collect(self, limit: int) -> bytes:
        """The rest of the body. Raises `PayloadTooLarge` (413) past `limit` bytes, and what `read` raises."""
        pieces: list[bytes] = []
        size = 0
        async for chunk in self:
            pieces.append(chunk)
            size += len(chunk)
            if size > limit:
                raise PayloadTooLarge(f"The body passes {limit} bytes")
        return b"".join(pieces)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while (chunk := await self.read()) is not None:
            yield chunk


class StreamSink(Protocol):
    """The connection's side of a streamed response."""

    @property
    def bytes_sent(self) -> int:
        """How many bytes of the body went out: none in answer to HEAD, the compressed ones of a compressed body."""

    def write_head(self, response: HTTPResponse) -> None:
        """Send the response's head."""

    def write_chunk(self, data: bytes) -> None:
        """Send a piece of the body."""

    def end_body(self) -> None:
        """The body is complete."""

    async def drain(self) -> None:
        """Wait while the peer reads too slowly. Raises `RequestCancelled` when it is gone."""


class ResponseStream:
    """A response under way. `send` pieces, then `eof`; the server calls `eof` when the handler returns without it."""

    __slots__ = ("_sink", "ended", "failed", "head_sent", "response")

    def __init__(self, sink: StreamSink, response: HTTPResponse) -> None:
        self._sink = sink
        self.response = response
        self.head_sent = False
        self.ended = False
        self.failed = False
        """The handler raised after the head was sent: the body breaks off."""

    @property
    def bytes_sent(self) -> int:
        """How many bytes of the body went out."""
        return self._sink.bytes_sent

    @property
    def status(self) -> int:
        """The response's status."""
        return self.response.status

    @property
    def headers(self) -> Any:
        """The response's headers; can be changed until the first `send`."""
        return self.response.headers

    @property
    def content_type(self) -> str | None:
        """The response's content type."""
        return self.response.content_type

    @property
    def cookies(self) -> CookieJar:
        """The cookies that the response sets, until the first `send`."""
        return self.response.cookies

    def add_cookie(self, key: str, value: str, **options: Any) -> Cookie:
        """Set a cookie, with the options of `HTTPResponse.add_cookie`. Raises RuntimeError after the first `send`."""
        self._check_head()
        return self.response.add_cookie(key, value, **options)

    def delete_cookie(self, key: str, **options: Any) -> Cookie:
        """Tell the client to forget a cookie, as `HTTPResponse.delete_cookie` does. Raises RuntimeError after the first `send`."""
        self._check_head()
        return self.response.delete_cookie(key, **options)

    def _check_head(self) -> None:
        if self.head_sent:
            raise RuntimeError("the response's head is sent: set cookies before the first piece")

    def filter(self, make: Callable[[StreamSink], StreamSink]) -> None:
        """Put something between this stream and the connection, such as compression; before the first `send`."""
        self._sink = make(self._sink)

    async def send(self, data: bytes | str | None = None, end_stream: bool | None = None) -> None:
        """Send a piece and wait until the peer can take more. Raises `ServerError` after the end."""
        if self.ended:
            raise ServerError("The response was ended before")
        if not self.head_sent:
            self._sink.write_head(self.response)
            self.head_sent = True
        if data:
            chunk = data.encode() if isinstance(data, str) else bytes(data)
            self._sink.write_chunk(chunk)
        if end_stream:
            self._sink.end_body()
            self.ended = True
        await self._sink.drain()

    async def eof(self) -> None:
        """End the body. Safe to call twice."""
        if not self.ended:
            await self.send(end_stream=True)
