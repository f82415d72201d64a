"""One HTTP request of an ASGI server: its body in, its response out, its client's leaving.

`respond` and the sink of a streamed response are called from code that doesn't wait, so they put messages into a list; `flush`
gives them to the server, which waits while the client reads too slowly.

The client's leaving is told by `receive`, which somebody must be waiting in: the *listener*, a task that runs while the handler
waits. It also takes a streamed body in, as fast as the handler reads it. Leaving means what it means on the native server: who
waits for the client gets `RequestCancelled`, and a handler that waits for something else is cancelled.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

from fairlead.asgi.scope import connection_info
from fairlead.errors import (
    FairleadException,
    PayloadTooLarge,
    RequestCancelled,
    RequestTimeout,
    ServerError,
    ServiceUnavailable,
    UpgradeRequired,
)
from fairlead.http.connection_info import ConnectionInfo
from fairlead.http.fields import BodyLength, response_fields, whole_length
from fairlead.http.limits import Limits
from fairlead.http.media import PROBLEM_JSON
from fairlead.http.problem import encode_problem, problem_of
from fairlead.http.status import has_no_body
from fairlead.request import Request
from fairlead.response import HTTPResponse
from fairlead.streaming import RequestStream, ResponseStream
from fairlead.types import Message, Receive, Scope, Send
from fairlead.websocket.stats import WebsocketStats

logger = logging.getLogger("fairlead.asgi")

SENDS_PER_TURN = 64
"""After so many sends that did not have to wait, one gives the loop a turn."""


class Shared:
    """What all exchanges of an application have in common."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.is_draining = False
        self.told_of_drain: set[Callable[[], None]] = set()
        self.websocket_stats = WebsocketStats()
        self.refused: Counter[int] = Counter()
        """Status → requests that were answered before a route was asked."""

    def drain(self) -> None:
        """The server has said that it stops."""
        self.is_draining = True
        for callback in list(self.told_of_drain):
            callback()
        self.told_of_drain.clear()


class HttpExchange:
    """The `Exchange` of a request. `open`, the handler with `listen` and `stop` around its waiting, then `finish`."""

    upgraded = False
    _message = "http.response"

    # PERF: most requests need none of these, and an attribute of the class costs a request nothing
    task: asyncio.Task[Any] | None = None
    """Runs the handler."""
    is_lost = False
    """The client is gone."""
    _request: Request[Any, Any]
    _info: ConnectionInfo | None = None
    _stream: RequestStream | None = None
    _response: ResponseStream | None = None
    _listener: asyncio.Task[None] | None = None
    _timer: asyncio.TimerHandle | None = None
    _wanted: asyncio.Event  # more of the streamed body
    _body_timeout_s: float | None = None
    _cancellations = 0
    _has_timed_out = False
    _has_left = False  # and the handler hasn't seen it
    _is_cancelled_by_server = False
    _is_cut = False

    def __init__(self, shared: Shared, scope: Scope, receive: Receive, send: Send) -> None:
        self._shared = shared
        self._limits = shared.limits
        self._scope = scope
        self._receive = receive
        self._send = send
        self._pending: list[Message] = []

    @property
    def info(self) -> ConnectionInfo:
        """Addresses of both sides, looked up when first asked for."""
        info = self._info
        if info is None:
            info = self._info = connection_info(self._scope)
            info.lost = self.is_lost
        return info

    def lose(self) -> None:
        """The client is gone."""
        self.is_lost = True
        if self._info is not None:
            self._info.lost = True

    # The request

    async def open(self, request: Request[Any, Any], application: Any) -> bool:
        """Read the body, or make it a stream where the route wants one. False when the client has left meanwhile.

        Raises `PayloadTooLarge` (413), `RequestTimeout` (408).
        """
        self._request = request
        head = request.head
        if not head.length and not head.chunked:
            return True
        route = application.find(request)
        if route is application.missing:
            return True  # the body will not be read
        limit: int | None = route.max_body_bytes
        if limit is None:
            limit = self._limits.upload_limit if route.stream else self._limits.max_body_bytes
        self._body_timeout_s = (self._limits.body_timeout_s if route.body_timeout_s is None else route.body_timeout_s) or None
        if head.length > limit:
            raise PayloadTooLarge(f"The body passes {limit} bytes")
        if route.stream:
            self._wanted = asyncio.Event()
            self._wanted.set()
            request.stream = self._stream = RequestStream(limit=limit, resume=self._wanted.set)
            return True
        try:
            async with asyncio.timeout(self._body_timeout_s):
                body = await self._collect(limit)
        except TimeoutError:
            raise RequestTimeout("The body did not arrive in time") from None
        if body is None:
            return False
        request.body = body
        return True

    async def _collect(self, limit: int) -> bytes | None:
        pieces: list[bytes] = []
        left = limit
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                return None
            piece = message.get("body", b"")
            left -= len(piece)
            if left < 0:
                raise PayloadTooLarge(f"The body passes {limit} bytes")
            pieces.append(piece)
            if not message.get("more_body", False):
                return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    # While the handler waits

    def listen(self) -> None:
        """The handler waits: hear the client, and watch the time."""
        self._listener = asyncio.create_task(self._listen())
        if self._stream is None:
            self._limit_time()

    def stop(self) -> None:
        """The handler is done."""
        task, self.task = self.task, None
        if self._listener is not None:
            self._listener.cancel()
        if self._timer is not None:
            self._timer.cancel()
        if self._stream is not None and not self._stream.ended:
            self._stream.fail(ServerError("The request was answered before its body was read"))
        for _ in range(self._cancellations):
            assert task is not None
            task.uncancel()

    def _limit_time(self) -> None:
        if self._response is None:
            route = self._request.route
            own = route.response_timeout_s if route is not None else None
            time_s = self._limits.response_timeout_s if own is None else own
            self._timer = asyncio.get_running_loop().call_later(time_s, self._expire)

    def _expire(self) -> None:
        self._has_timed_out = True
        self._cancel("the response took too long")

    def _cancel(self, message: str) -> None:
        if self.task is not None:
            self._cancellations += 1
            self.task.cancel(message)

    async def _listen(self) -> None:
        try:
            if self._stream is None or await self._take_body(self._stream):
                while (await self._receive())["type"] != "http.disconnect":
                    pass
        except FairleadException:  # the reader of the stream has been told
            return
        except Exception as exc:
            logger.warning("the ASGI server's receive failed: the client counts as gone", exc_info=exc)
        self.leave()

    async def _take_body(self, stream: RequestStream) -> bool:
        """Feed the stream until the body's end. False when the client has left before it."""
        while not stream.ended:
            await self._wanted.wait()
            try:
                async with asyncio.timeout(self._body_timeout_s):
                    message = await self._receive()
            except TimeoutError:
                error = RequestTimeout("The body did not arrive in time")
                stream.fail(error)
                raise error from None
            if message["type"] == "http.disconnect":
                return False
            piece = message.get("body", b"")
            if piece and not stream.feed(piece):
                self._wanted.clear()
            if not message.get("more_body", False):
                stream.end()
        self._limit_time()
        return True

    def leave(self) -> None:
        """The client is gone. After the end of the response that is the server's usual word, and means nothing."""
        if self._response is not None and self._response.ended:
            return
        self.lose()
        if self._stream is not None:
            self._stream.fail(RequestCancelled("the client is gone"))
        route = self._request.route
        if route is None or route.on_disconnect != "finish":
            self._has_left = True
            self._cancel("the client is gone")

    def reason_of(self, error: BaseException) -> BaseException:
        """What the handler is to see of a cancellation."""
        if self._has_left and isinstance(error, asyncio.CancelledError):
            self._has_left = False  # a later cancellation has another reason
            return RequestCancelled("the client is gone")
        return error

    # The response

    def respond(self, request: Request[Any, Any], response: HTTPResponse) -> None:
        """Put a whole response into the list; `finish` sends it."""
        head_only = request.raw_method == b"HEAD"
        length = whole_length(response.set_headers, response.body, head_only=head_only)
        self._begin(request, response, length)
        body = b"" if head_only or has_no_body(response.status) else response.body
        self.put({"type": f"{self._message}.body", "body": body, "more_body": False})

    def begin_stream(self, request: Request[Any, Any], response: HTTPResponse) -> ResponseStream:
        """A response in pieces; it may take as long as it likes."""
        if self._timer is not None:
            self._timer.cancel()
        sink = AsgiSink(self, request)
        self._response = ResponseStream(sink if request.span is None else request.span.watch_stream(sink), response)
        return self._response

    def _begin(self, request: Request[Any, Any], response: HTTPResponse, length: int | None) -> None:
        request_id = request.id if self._limits.request_id_header else ""
        fields = response_fields(response.status, response.content_type, response.set_headers, length, request_id)
        self.put({"type": f"{self._message}.start", "status": response.status, "headers": fields})

    def put(self, message: Message) -> None:
        """Send a message with the next `flush`."""
        self._pending.append(message)

    async def flush(self) -> None:
        """Send what was put; waits while the client reads too slowly. Raises `RequestCancelled` when it is gone."""
        pending, self._pending = self._pending, []
        for message in pending:
            if self.is_lost:
                raise RequestCancelled("the client is gone")
            try:
                await self._send(message)
            except OSError as exc:  # what the specification says of a client that is gone, from version 2.4 on
                self.lose()
                raise RequestCancelled("the client is gone") from exc

    def refuse(self, error: FairleadException) -> None:
        """Answer what never became a request."""
        self._shared.refused[error.status_code] += 1
        response = HTTPResponse(encode_problem(problem_of(error)), error.status_code, error.headers, PROBLEM_JSON)
        fields = response_fields(response.status, response.content_type, response.set_headers, len(response.body))
        self.put({"type": f"{self._message}.start", "status": response.status, "headers": fields})
        self.put({"type": f"{self._message}.body", "body": response.body, "more_body": False})

    async def finish(self) -> None:
        """Send the rest. Raises `ResponseCut` when the response can't be completed: the server then cuts the connection."""
        if self._is_cut:
            raise ResponseCut("the response could not be completed; its cause is logged above")
        try:
            await self.flush()
        except RequestCancelled:
            if self._is_cancelled_by_server:
                raise
            return
        if self._is_cancelled_by_server:
            raise asyncio.CancelledError

    # What the dispatcher asks

    def cancelled(self, request: Request[Any, Any]) -> FairleadException | None:
        """Why the handler was cancelled, as an answer; None when there is nobody to answer."""
        if self.is_lost:
            return None
        if self._has_timed_out:
            return ServiceUnavailable("The response took too long", extra={"route": request.uri_template})
        self._is_cancelled_by_server = True
        return ServiceUnavailable("The request was cancelled by the server")

    def abort(self) -> None:
        """A response that was begun can't be completed."""
        self._is_cut = True

    def when_draining(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Have `callback` called once, when the ASGI server begins `lifespan.shutdown`; at once if it has."""
        told = self._shared.told_of_drain
        if self._shared.is_draining:
            callback()
        else:
            told.add(callback)
        return lambda: told.discard(callback)

    def upgrade(self, request: Request[Any, Any], options: dict[str, Any]) -> Awaitable[Any]:
        """This is no handshake, or the server beneath has no websockets."""
        raise UpgradeRequired("This resource speaks websocket")


class ResponseCut(RuntimeError):
    """Raised to the ASGI server, whose only way to learn that a response is to be cut this is."""


class AsgiSink:
    """The exchange's side of a streamed response."""

    __slots__ = ("_burst", "_exchange", "_is_bodyless", "_length", "_request", "bytes_sent")

    def __init__(self, exchange: HttpExchange, request: Request[Any, Any]) -> None:
        self._exchange = exchange
        self._request = request
        self._burst = 0
        self._is_bodyless = False
        self._length = BodyLength(None)
        self.bytes_sent = 0

    def write_head(self, response: HTTPResponse) -> None:
        """Put the head. Raises `ServerError` for a Content-Length that is no number, ValueError for fields that can't be sent."""
        self._length = BodyLength(response.set_headers)
        self._is_bodyless = self._request.raw_method == b"HEAD" or has_no_body(response.status)
        self._exchange._begin(self._request, response, self._length.declared)

    def write_chunk(self, data: bytes) -> None:
        """Put a piece. Raises `ServerError` for more than the Content-Length says."""
        if not self._is_bodyless:
            self._length.take(len(data))
            self.bytes_sent += len(data)
            self._exchange.put({"type": f"{self._exchange._message}.body", "body": data, "more_body": True})

    def end_body(self) -> None:
        """The body is complete. Raises `ServerError` for less than the Content-Length says."""
        if not self._is_bodyless:
            self._length.end()
        last = self._exchange._pending[-1] if self._exchange._pending else None
        if last is not None and "more_body" in last:
            last["more_body"] = False
        else:
            self._exchange.put({"type": f"{self._exchange._message}.body", "body": b"", "more_body": False})

    async def drain(self) -> None:
        """Send; every so often let the others have a turn."""
        await self._exchange.flush()
        self._burst += 1
        if self._burst >= SENDS_PER_TURN:
            self._burst = 0
            await asyncio.sleep(0)
