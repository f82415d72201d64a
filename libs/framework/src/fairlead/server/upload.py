"""The body of one request on its way in, when it doesn't come whole with its head.

How it works. The body's route is looked for as soon as the head is read, because it says how long the body may be and whether the
handler takes it as a stream. A handler that does is started at once and fed; for others the body is collected first. What may go
wrong, goes to whoever can answer: before the handler has started the connection refuses the message, afterwards the handler's
reader raises what happened.

A client that sends `Expect: 100-continue` is told to go on when its body is wanted and not before: a body that is refused, or for
which there is no route, never travels.

A body has two clocks, which run only while it is wanted: a handler that reads slowly costs its client nothing. One is the body
time-out: for the whole body when it is collected, from piece to piece when it is a stream, which may take as long as it likes. The
other is the minimum rate, on average after a grace: a body that drips, a byte a minute, would hold a stream for ever. A route on
which both sides talk for as long as they like says `body_timeout_s=0`, and has neither.
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

MIN_RATE_GRACE_S = 5.0
"""What a client may lag behind the minimum rate: slow starts and short stalls are no attack (the precedent is Kestrel's)."""

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

    __slots__ = (
        "_awaits_continue",
        "_connection",
        "_ends_at",
        "_paused_at",
        "_reader",
        "_received",
        "_since",
        "_timeout_s",
        "request",
    )

    def __init__(self, connection: HttpConnection, request: Request[Any, Any], route: Any, *, has_begun: bool) -> None:
        head, limits = request.head, connection.shared.limits
        limit = route.max_body_bytes
        if limit is None:
            limit = limits.upload_limit if route.stream else limits.max_body_bytes
        if head.length > limit:
            raise PayloadTooLarge(f"The body passes {limit} bytes")
        self._connection = connection
        self._reader = BodyReader(head, limit)
        self._awaits_continue = head.expects_continue and not has_begun
        self._timeout_s = (limits.body_timeout_s if route.body_timeout_s is None else route.body_timeout_s) or inf
        self._received = 0
        self._since = CLOCK.now
        self._ends_at = CLOCK.now + self._timeout_s
        self._paused_at: float | None = CLOCK.now if self._awaits_continue else None
        self.request = request

    def begin(self, *, stream: bool) -> bool:
        """Start the handler, if it takes a stream. False when it has answered already, without having waited for the body."""
        connection, request = self._connection, self.request
        if not stream:
            connection.state = BODY
            self.want()
            connection.deadline = self.deadline
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
        if self._paused_at is not None:
            self._since += CLOCK.now - self._paused_at
            self._ends_at = CLOCK.now + self._timeout_s
            self._paused_at = None
            if self._connection.handling is not None:
                self._connection.handling.renew_deadline()
        transport = self._connection.transport
        if not transport.is_reading():
            transport.resume_reading()

    @property
    def is_wanted(self) -> bool:
        """Whether it is the client's turn: it was told to send, and the handler can take more."""
        return self._paused_at is None

    @property
    def deadline(self) -> float:
        """Until when more of a body that is wanted must have come."""
        rate = self._connection.shared.limits.min_body_rate
        if not rate or self._ends_at == inf:
            return self._ends_at
        return min(self._ends_at, self._since + MIN_RATE_GRACE_S + self._received / rate)

    def send_no_continue(self) -> None:
        """The answer has begun: a 100 would stand in the middle of it."""
        self._awaits_continue = False

    def receive(self, data: bytes) -> bytes | None:
        """Take a part of the body. The bytes after the message, if it was answered; None to wait."""
        connection, reader = self._connection, self._reader
        self._received += len(data)
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
        if reader.stream is None:
            if reader.ended:
                return self._conclude(rest)
            connection.deadline = self.deadline
            return None
        self._ends_at = CLOCK.now + self._timeout_s
        if not wants_more:
            self._paused_at = CLOCK.now
            connection.transport.pause_reading()
        assert connection.handling is not None
        connection.handling.renew_deadline()
        connection.keep(rest)
        return None

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
