"""From an HTTP request to a websocket on the same connection: negotiate, answer 101, hand the transport over.

Everything that can be refused is refused before 101, with its real status. Websockets of a server that is draining are refused
with 503, so that a client looks for another one.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from fairlead.errors import ServiceUnavailable
from fairlead.request import Request
from fairlead.request_attributes import forget_parsed
from fairlead.websocket import Websocket, WebsocketStats, handshake_response, negotiate

if TYPE_CHECKING:
    from fairlead.server.connection import HttpConnection


class UpgradedProtocol(asyncio.Protocol):
    """What the transport talks to from the handshake on: bytes go straight to the websocket, all else to the connection.

    PERF: on the way through the connection they would pay for two more calls, a twentieth of an echo.
    """

    __slots__ = ("_connection", "data_received")

    def __init__(self, connection: HttpConnection, websocket: Websocket) -> None:
        self._connection = connection
        self.data_received = websocket.inbox.read  # type: ignore[method-assign]

    def eof_received(self) -> bool:
        """The client has ended its side."""
        return self._connection.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """The end."""
        self._connection.connection_lost(exc)

    def pause_writing(self) -> None:
        """The client does not read."""
        self._connection.pause_writing()

    def resume_writing(self) -> None:
        """It does again."""
        self._connection.resume_writing()


def open_websocket(connection: HttpConnection, request: Request[Any, Any], options: dict[str, Any]) -> Websocket:
    """Answer the handshake. Raises the refusal (400, 403, 405, 426, 503), with nothing written."""
    shared = connection.shared
    if shared.draining:
        raise ServiceUnavailable("The server is restarting", retry_after=1)
    accepted = negotiate(
        request, origins=options["origins"], subprotocols=options["subprotocols"], compression=options["compression"]
    )
    if shared.websocket_stats is None:
        shared.websocket_stats = WebsocketStats()
    websocket = Websocket(
        connection.transport,
        request,
        accepted,
        max_size=options["max_size"],
        max_queue=options["max_queue"],
        ping_interval_s=options["ping_interval_s"],
        ping_timeout_s=options["ping_timeout_s"],
        close_timeout_s=options["close_timeout_s"],
        frame_timeout_s=options["frame_timeout_s"],
        max_pings=options["max_pings"],
        stats=shared.websocket_stats if request.span is None else request.span.watch_messages(shared.websocket_stats),
    )
    fields = [*options.get("headers", ()), *([("x-request-id", request.id)] if shared.limits.request_id_header else [])]
    connection.send_now(handshake_response(accepted, fields))
    connection.transport.set_protocol(UpgradedProtocol(connection, websocket))
    forget_parsed(request)
    return websocket
