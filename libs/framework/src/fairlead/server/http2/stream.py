"""One request of an HTTP/2 connection: the `Exchange` of its handler.

    waits for its body      body time-out: 408
    waits for its handler   response time-out: 503; body time-out while a streamed body comes: 408 for its reader
    sends                   write time-out: reset

A stream that the client resets is a client that has left; one that is answered before its body's end is reset without an error
(RFC 9113 §8.1), so that the client stops sending.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from math import inf
from typing import TYPE_CHECKING, Any

from h2.errors import ErrorCodes
from h2.exceptions import ProtocolError
from hpack import NeverIndexedHeaderTuple

from fairlead.errors import (
    FairleadException,
    RequestCancelled,
    RequestTimeout,
    ServerError,
    ServiceUnavailable,
    UpgradeRequired,
)
from fairlead.http.clock import CLOCK
from fairlead.http.connection_info import ConnectionInfo
from fairlead.http.fields import Fields, response_fields, whole_length
from fairlead.http.media import PROBLEM_JSON
from fairlead.http.problem import encode_problem, problem_of
from fairlead.http.status import has_no_body
from fairlead.request import Request, current_request
from fairlead.response import HTTPResponse
from fairlead.server.http2.inflow import Inflow
from fairlead.server.http2.outflow import Outflow
from fairlead.server.http2.sink import Http2Sink
from fairlead.streaming import ResponseStream

if TYPE_CHECKING:
    from fairlead.server.http2.connection import Http2Connection

logger = logging.getLogger("fairlead.server")

_NEVER_INDEXED = frozenset((b"set-cookie", b"x-request-id"))
"""A secret that compression must not give away (RFC 7541 §7.1.3), and a value that never comes again."""


class Http2Stream:
    """From the request's head to the end of both directions."""

    __slots__ = (
        "_connection",
        "_ends_at",
        "_has_left",
        "_has_timed_out",
        "_is_answered",
        "_task",
        "has_client_ended",
        "inflow",
        "outflow",
        "request",
        "stream_id",
    )

    def __init__(self, connection: Http2Connection, stream_id: int, *, has_client_ended: bool) -> None:
        self._connection = connection
        self.stream_id = stream_id
        self.request: Request[Any, Any] | None = None
        self.inflow: Inflow | None = None
        """The request's body; None when it is over."""
        self.outflow = Outflow(connection, stream_id)
        self._task: asyncio.Task[None] | None = None
        self._ends_at = inf  # the handler's time
        self._has_timed_out = False
        self._has_left = False
        self._is_answered = False
        self.has_client_ended = has_client_ended
        """Nothing more comes from the client: its request is whole, or it has reset the stream."""

    # The request

    def begin(self, request: Request[Any, Any], *, has_body: bool) -> None:
        """The head has come. Raises `PayloadTooLarge` (413)."""
        self.request = request
        if not has_body:
            self.run()
            return
        application = self._connection.shared.application
        route = application.find(request)
        if route is application.missing:
            self.run()  # the body will not be read
            return
        self.inflow = inflow = Inflow(self._connection, self, request, route)
        if route.stream:
            request.stream = inflow.stream
            self.run()

    def run(self) -> None:
        """Start the handler."""
        assert self.request is not None
        self._task = self._connection.shared.runner.start(self.request, self)
        if self._task is None:
            self._conclude()
        else:
            self._connection.handlers += 1
            self.renew_deadline()

    def finished(self, task: asyncio.Task[None]) -> None:
        """The handler, which had waited, has ended."""
        self._task = None
        self._connection.handlers -= 1
        failure = None if task.cancelled() else task.exception()
        if (failure is not None or task.cancelled()) and not self._connection.lost:
            token = current_request.set(self.request)
            logger.error("a request ended without its answer", exc_info=failure)
            current_request.reset(token)
            self.reset(ErrorCodes.INTERNAL_ERROR)
        self._conclude()
        self._connection.flush()

    def _conclude(self) -> None:
        """The handler is done; what it has sent may still be on its way."""
        if self.inflow is not None:
            self.inflow.fail(ServerError("The request was answered before its body was read"))
        self._connection.check_end(self)

    @property
    def is_over(self) -> bool:
        """Nothing is left to be done for it."""
        return self._task is None and self.outflow.is_done

    @property
    def is_handled(self) -> bool:
        """Whether its handler waits for something."""
        return self._task is not None

    # What the client does

    def client_ended(self) -> None:
        """The request is whole."""
        self.has_client_ended = True
        if self.inflow is not None:
            self.inflow.end()

    def client_left(self) -> None:
        """The client has reset the stream, or its connection is gone."""
        self._has_left = self.has_client_ended = True
        self.outflow.close()
        if self.inflow is not None:
            self.inflow.fail(RequestCancelled("the client is gone"))
        if self._task is not None:
            assert self.request is not None
            route = self.request.route
            if route is None or route.on_disconnect != "finish":
                self._connection.shared.runner.leave(self._task)
        self._connection.check_end(self)

    # Time, once a second

    def renew_deadline(self) -> None:
        """The client's time while more of its body is wanted, else the handler's; a streamed answer has no end."""
        assert self.request is not None
        limits, route = self._connection.shared.limits, self.request.route
        own = route.response_timeout_s if route is not None else None
        is_sending = self.request._response is not None or self._is_answered
        self._ends_at = inf if is_sending else CLOCK.now + (limits.response_timeout_s if own is None else own)

    def sweep(self) -> None:
        """End what has passed its time."""
        now = CLOCK.now
        if self.outflow.is_stalled():
            self.reset(ErrorCodes.CANCEL)
            self.client_left()
        elif self.inflow is not None and self.inflow.deadline <= now:
            error = RequestTimeout("The body did not arrive in time")
            if self._task is None:
                self.refuse(error)
            else:
                self.inflow.fail(error)
        elif self._task is not None and self._ends_at <= now and (self.inflow is None or not self.inflow.is_wanted):
            if self._has_timed_out:
                self.reset(ErrorCodes.INTERNAL_ERROR)
            else:
                self._has_timed_out = True
                self.renew_deadline()
                self._task.cancel("the response took too long")

    # Exchange: what requests use

    upgraded = False

    @property
    def info(self) -> ConnectionInfo:
        """The connection's."""
        return self._connection.info

    def respond(self, request: Request[Any, Any], response: HTTPResponse) -> None:
        """Send a whole response. Raises ValueError, with nothing sent, for fields that can't be."""
        head_only = request.raw_method == b"HEAD"
        fields = self._fields(request, response, whole_length(response.set_headers, response.body, head_only=head_only))
        body = b"" if head_only or has_no_body(response.status) else response.body
        self.send_head(fields, ends=not body)
        if body:
            self.outflow.put(body, is_last=True)
            self._connection.send_soon(self)

    def _fields(self, request: Request[Any, Any], response: HTTPResponse, length: int | None) -> Fields:
        request_id = request.id if self._connection.shared.limits.request_id_header else ""
        return [
            (b":status", b"%d" % response.status),
            (b"date", CLOCK.date_line[6:-2]),
            *(
                NeverIndexedHeaderTuple(*field) if field[0] in _NEVER_INDEXED else field
                for field in response_fields(response.status, response.content_type, response.set_headers, length, request_id)
            ),
        ]

    def begin_response(self, response: HTTPResponse, length: int | None, *, ends: bool) -> None:
        """Send the head of a streamed response."""
        assert self.request is not None
        self.send_head(self._fields(self.request, response, length), ends=ends)

    def send_head(self, fields: Fields, *, ends: bool) -> None:
        """Send the response's head; with `ends` it is all of the response."""
        self._is_answered = True
        if self.inflow is not None:
            self.inflow.send_no_continue()
        if self.outflow.is_done:
            return
        try:
            self._connection.h2.send_headers(self.stream_id, fields, end_stream=ends)
        except ProtocolError:  # the client's reset has come with its request, and is still to be told
            self.outflow.close()
        if ends:
            self.outflow.close()
        self._connection.flush_soon()

    def begin_stream(self, request: Request[Any, Any], response: HTTPResponse) -> ResponseStream:
        """A response in pieces."""
        self._ends_at = inf
        sink = Http2Sink(self._connection, self, request)
        return ResponseStream(sink if request.span is None else request.span.watch_stream(sink), response)

    def cancelled(self, request: Request[Any, Any]) -> FairleadException | None:
        """Why the handler was cancelled, as an answer; None when there is nobody to answer."""
        if self._has_left:
            return None
        if self._has_timed_out:
            return ServiceUnavailable("The response took too long", extra={"route": request.uri_template})
        return ServiceUnavailable("The request was cancelled by the server")

    def when_draining(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Have `callback` called once, when the server begins to stop; at once if it has."""
        told = self._connection.shared.told_of_drain
        if self._connection.shared.draining:
            callback()
        else:
            told.add(callback)
        return lambda: told.discard(callback)

    def upgrade(self, request: Request[Any, Any], options: dict[str, Any]) -> Awaitable[Any]:
        """Websockets are opened over HTTP/1.1 here: 426."""
        raise UpgradeRequired("A websocket is opened over HTTP/1.1 here")

    def abort(self) -> None:
        """A response that was begun can't be completed: the stream is reset, the connection goes on."""
        self.reset(ErrorCodes.INTERNAL_ERROR)

    def reset(self, code: ErrorCodes) -> None:
        """Send nothing more, and let the client know."""
        self._connection.h2_reset(self.stream_id, code)
        self.outflow.close()
        self._connection.check_end(self)

    def refuse(self, error: FairleadException) -> None:
        """Answer what never became a request, and read no more of it."""
        shared = self._connection.shared
        shared.refused[error.status_code] = shared.refused.get(error.status_code, 0) + 1
        response = HTTPResponse(encode_problem(problem_of(error)), error.status_code, error.headers, PROBLEM_JSON)
        fields = response_fields(response.status, response.content_type, response.set_headers, len(response.body))
        self.send_head([(b":status", b"%d" % response.status), *fields, (b"date", CLOCK.date_line[6:-2])], ends=False)
        self.outflow.put(response.body, is_last=True)
        self._connection.send_soon(self)
        if self.inflow is not None:
            self.inflow.fail(error)
        self._connection.check_end(self)
