"""The body of one request on its way in, when it doesn't come whole with its head.

How it works. The body's route is looked for as soon as the head is read, because it says how long the body may be and whether the
handler takes it as a stream. A handler that does is started at once and fed; for others the body is collected first. What may go
wrong, goes to whoever can answer: before the handler has started the connection refuses the message, afterwards the handler's
reader raises what happened.

A client that sends `Expect: 100-continue` is told to go on when its body is wanted and not before: a body that is refused, or for
which there is no route, never travels.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Any

from fairlead.errors import FairleadException, PayloadTooLarge
from fairlead.http.clock import CLOCK
from fairlead.http.wire import CONTINUE
from fairlead.request import Request
from fairlead.server.body import BodyReader
from fairlead.server.link import BODY
from fairlead.streaming import RequestStream

if TYPE_CHECKING:
    from fairlead.server.connection import HttpConnection


def begin_upload(connection: HttpConnection, request: Request[Any, Any], data: bytes) -> bytes | None:
    """Start on a body, of which `data` is here. The bytes after the message, if it was answered; None to wait.

    Raises `PayloadTooLarge` (413) for a body whose announced length the route does not take, and as `Upload.receive`.
    """
    application = connection.shared.application
    route = application.find(request)
    if route is application.missing:
        connection.final = True  # the body will not be read
        connection.run(request)
        return None
    upload = connection.upload = Upload(connection, request, route, has_begun=bool(data))
    if not upload.begin(stream=route.stream):
        return None
    return upload.receive(data) if data else None


class Upload:
    """What is left to read of one body, and whose it is. The connection's `upload` until the body has ended or failed."""

    __slots__ = ("_awaits_continue", "_connection", "_reader", "request")

    def __init__(self, connection: HttpConnection, request: Request[Any, Any], route: Any, *, has_begun: bool) -> None:
        head, limits = request.head, connection.shared.limits
        limit = limits.max_body_bytes if route.max_body_bytes is None else route.max_body_bytes
        if head.length > limit:
            raise PayloadTooLarge(f"The body passes {limit} bytes")
        self._connection = connection
        self._reader = BodyReader(head, limit)
        self._awaits_continue = head.expects_continue and not has_begun
        self.request = request

    def begin(self, *, stream: bool) -> bool:
        """Start the handler, if it takes a stream. False when it has answered already, without having waited for the body."""
        connection, request = self._connection, self.request
        if not stream:
            connection.state = BODY
            connection.deadline = CLOCK.now + connection.shared.limits.body_timeout_s
            self.want()
            return True
        connection.final |= connection.shared.draining
        request.stream = self._reader.stream = RequestStream(limit=self._reader.limit, resume=self.want)
        if connection.run(request):
            return True
        connection.end(request)
        return False

    def want(self) -> None:
        """The body is wanted: tell a client that waits for this, and read on."""
        if self._awaits_continue:
            self._awaits_continue = False
            self._connection.send(CONTINUE)
        transport = self._connection.transport
        if not transport.is_reading():
            transport.resume_reading()

    def send_no_continue(self) -> None:
        """The answer has begun: a 100 would stand in the middle of it."""
        self._awaits_continue = False

    def receive(self, data: bytes) -> bytes | None:
        """Take a part of the body. The bytes after the message, if it was answered; None to wait."""
        connection, reader = self._connection, self._reader
        try:
            wants_more, rest = reader.feed(data)
        except FairleadException as exc:
            if reader.stream is None:
                connection.upload = None
                connection.refuse(exc)
            else:
                self.fail(exc)
            return None
        if reader.ended:
            connection.upload = None
        if reader.stream is not None:
            if connection.deadline is not inf:  # a stream may take as long as it likes, as long as it comes
                connection.deadline = CLOCK.now + connection.handling_timeout_s
            if not wants_more:
                connection.transport.pause_reading()
            connection.keep(rest)
            return None
        return self._conclude(rest) if reader.ended else None

    def _conclude(self, rest: bytes) -> bytes | None:
        """The body was collected: run the handler."""
        connection, request = self._connection, self.request
        request.body = self._reader.collected()
        connection.final |= connection.shared.draining and not rest
        if connection.run(request):
            connection.keep(rest)
            return None
        return rest if request.head.keep_alive and not connection.final else None

    def fail(self, error: BaseException) -> None:
        """The body can't come to its end: the handler is told so, and what it answers is the last answer."""
        self._reader.fail(error)
        self._connection.upload = None
        self._connection.final = True
