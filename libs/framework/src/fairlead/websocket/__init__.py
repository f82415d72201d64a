"""Websockets: the opening handshake and the `ws` object of a handler (RFC 6455, RFC 7692).

    @app.websocket("/echo")
    async def echo(request, ws):
        async for message in ws:
            await ws.send(message)

A server's connection calls, in this order, `negotiate`, `handshake_response`, `Websocket(…)` and `serve`.
"""

from websockets.protocol import State

from fairlead.errors import WebsocketClosed
from fairlead.websocket.conversation import ending_of, restart_reason, serve
from fairlead.websocket.handshake import Accepted, handshake_response, is_upgrade, negotiate
from fairlead.websocket.prepared import PreparedMessage
from fairlead.websocket.send_queue import Overflow, SendQueue
from fairlead.websocket.stats import WebsocketStats
from fairlead.websocket.view import WebsocketView
from fairlead.websocket.websocket import Websocket

__all__ = [
    "Accepted",
    "Overflow",
    "PreparedMessage",
    "SendQueue",
    "State",
    "Websocket",
    "WebsocketClosed",
    "WebsocketStats",
    "WebsocketView",
    "ending_of",
    "handshake_response",
    "is_upgrade",
    "negotiate",
    "restart_reason",
    "serve",
]
