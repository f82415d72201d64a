"""Which protocol a new connection speaks: what ALPN has agreed on, or else what its first bytes are.

Rejected: a look into the first bytes within `HttpConnection`, which every read of every connection would pay for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from fairlead.server.connection import HttpConnection
from fairlead.server.http2.connection import Http2Connection
from fairlead.server.link import CLOSING, Link
from fairlead.server.shared import Shared

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""What a client that speaks HTTP/2 begins with (RFC 9113 §3.4); over HTTP/1.1 it would be a malformed request."""


class Negotiator(Link):
    """Waits for the first bytes, at most `first_byte_timeout_s`, and hands the transport over."""

    __slots__ = ("_http1", "_start", "session")

    def __init__(self, shared: Shared, http1: Callable[[], HttpConnection]) -> None:
        """`http1` makes the connection for a client that speaks HTTP/1.1."""
        super().__init__(shared, final=True)
        self._http1 = http1
        self.session = None
        self._start = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.shared.connections.add(self)
        tls = transport.get_extra_info("ssl_object")
        if tls is not None:
            self._hand_over(tls.selected_alpn_protocol() == "h2")

    def data_received(self, data: bytes) -> None:
        """Compare with the preface as far as it has come."""
        self._start += data
        if self._start.startswith(PREFACE):
            self._hand_over(True)
        elif not PREFACE.startswith(self._start):
            self._hand_over(False)

    def _hand_over(self, is_http2: bool) -> None:
        shared = self.shared
        shared.connections.discard(self)
        protocol = Http2Connection(shared) if is_http2 else self._http1()
        self.transport.set_protocol(protocol)
        protocol.connection_made(self.transport)
        if self._start:
            protocol.data_received(self._start)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        self.shared.connections.discard(self)
        self.shared.changed()

    # The server's side

    def settle(self) -> None:
        self.end_transport()

    def expire(self) -> None:
        """It has said nothing, or not enough; or it does not take the end."""
        if self.state is CLOSING:
            self.abort()
        else:
            self.close()

    is_idle = True
    request = None

    def drain(self) -> None:
        """Its first request may be on the way: it is closed with the idle ones."""
