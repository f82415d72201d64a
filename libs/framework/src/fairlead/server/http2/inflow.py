"""The body of one stream on its way in, by the rules of `server/upload.py`.

The connection's window is given back as soon as data is here: a handler that doesn't read holds up its own stream and no other. The
stream's window is given back when the data has been taken: at most `STREAM_WINDOW_BYTES` wait for a handler.
"""

from __future__ import annotations

from contextlib import suppress
from math import inf
from typing import TYPE_CHECKING, Any

from h2.exceptions import ProtocolError

from fairlead.errors import FairleadException, PayloadTooLarge
from fairlead.http.clock import CLOCK
from fairlead.request import Request
from fairlead.server.upload import MIN_RATE_GRACE_S
from fairlead.streaming import RequestStream

if TYPE_CHECKING:
    from fairlead.server.http2.connection import Http2Connection
    from fairlead.server.http2.stream import Http2Stream

STREAM_WINDOW_BYTES = 65535


class Inflow:
    """Collects the body, or feeds the handler's stream. Raises `PayloadTooLarge` (413) for an announced length past the limit."""

    __slots__ = (
        "_awaits_continue",
        "_connection",
        "_ends_at",
        "_limit",
        "_owed",
        "_owner",
        "_pieces",
        "_received",
        "_request",
        "_since",
        "_timeout_s",
        "is_wanted",
        "stream",
    )

    def __init__(self, connection: Http2Connection, owner: Http2Stream, request: Request[Any, Any], route: Any) -> None:
        limits, head = connection.shared.limits, request.head
        limit: int | None = route.max_body_bytes
        if limit is None:
            limit = limits.upload_limit if route.stream else limits.max_body_bytes
        if head.length > limit:
            raise PayloadTooLarge(f"The body passes {limit} bytes")
        self._connection = connection
        self._owner = owner
        self._request = request
        self._limit = limit
        self._pieces: list[bytes] = []
        self._received = 0
        self._owed = 0  # of the window, for data that nobody has taken
        self._timeout_s = (limits.body_timeout_s if route.body_timeout_s is None else route.body_timeout_s) or inf
        self._since = CLOCK.now
        self._ends_at = CLOCK.now + self._timeout_s
        self._awaits_continue = head.expects_continue
        self.is_wanted = True
        self.stream: RequestStream | None = None
        if route.stream:
            self.stream = RequestStream(limit=limit, resume=self.want, high_water=STREAM_WINDOW_BYTES // 2)
            self.is_wanted = not self._awaits_continue
        else:
            self.want()

    @property
    def deadline(self) -> float:
        """Until when more of a body that is wanted must have come."""
        if not self.is_wanted:
            return inf
        rate = self._connection.shared.limits.min_body_rate
        if not rate or self._ends_at == inf:
            return self._ends_at
        return min(self._ends_at, self._since + MIN_RATE_GRACE_S + self._received / rate)

    def want(self) -> None:
        """The body is wanted: say so to a client that waits for this, and give the stream's window back."""
        if self._awaits_continue:
            self._awaits_continue = False
            with suppress(ProtocolError):  # reset meanwhile
                self._connection.h2.send_headers(self._owner.stream_id, [(b":status", b"100")])
            self._connection.flush_soon()
        if not self.is_wanted:
            self._ends_at = CLOCK.now + self._timeout_s
            self._since = CLOCK.now - self._received / (self._connection.shared.limits.min_body_rate or inf)
            self.is_wanted = True
        if self._owed >= STREAM_WINDOW_BYTES // 4:  # not for every frame
            self._connection.open_window(self._owner.stream_id, self._owed)
            self._owed = 0

    def send_no_continue(self) -> None:
        """The answer has begun."""
        self._awaits_continue = False

    def receive(self, data: bytes, window_bytes: int) -> None:
        """Take data, which has used up `window_bytes` of the window (padding counts)."""
        self._awaits_continue = False
        self._received += len(data)
        self._owed += window_bytes
        if self.stream is None:
            if self._received > self._limit:
                raise PayloadTooLarge(f"The body passes {self._limit} bytes")
            self._pieces.append(data)
            self.want()
            return
        self._ends_at = CLOCK.now + self._timeout_s
        try:
            wants_more = self.stream.feed(data)
        except FairleadException:  # its reader has been told
            self._owner.inflow = None
            return
        if wants_more:
            self.want()
        else:
            self.is_wanted = False

    def end(self) -> None:
        """The body is complete: a handler that takes it whole begins."""
        owner, owner_stream = self._owner, self.stream
        owner.inflow = None
        if owner_stream is not None:
            owner_stream.end()
            owner.renew_deadline()
        else:
            self._request.body = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
            owner.run()

    def fail(self, error: BaseException) -> None:
        """No more will be taken."""
        if self.stream is not None:
            self.stream.fail(error)
        self._owner.inflow = None
