"""``/ws/products`` and, for browsers without websockets, ``/events/products``: every change of the catalogue, as it happens.
Reading is public, as it is over REST. Both resume with ``?after=<stream id>``, the second one by ``Last-Event-ID`` as well."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from fairlead import Blueprint, Request
from fairlead.channels import StreamPosition
from fairlead.errors import BadRequest
from fairlead.websocket import Websocket
from feed.domain.live import LiveProducts

__all__ = ["products"]

MAX_MESSAGE_BYTES: Final = 1024
"""Pages have nothing to say; what comes is read, so that pings and the closing handshake are seen, and dropped."""

MAX_MESSAGES: Final = 30
PER_S: Final = 10.0
POLICY_VIOLATION: Final = 1008


def products(origins: Sequence[str]) -> Blueprint:
    """The resource; pages of its own origin and of `origins` may connect, others are refused with 403 before the
    upgrade (RFC 6455 §10.2). Clients that are no browsers send no Origin and may connect too."""
    blueprint = Blueprint("products")
    blueprint.register_middleware(read_position, "request")
    blueprint.add_websocket_route(follow, "/ws/products", origins=tuple(origins), max_size=MAX_MESSAGE_BYTES)
    blueprint.add_route(stream_events, "/events/products")
    return blueprint


def read_position(request: Request[Any, Any]) -> None:
    """Take ``Last-Event-ID`` or ``?after=<stream id>`` in; 400, before the upgrade, for what no stream ever gave as an id."""
    after = request.headers.get("last-event-id") or request.args.get("after")
    try:
        request.ctx.after = None if after is None else StreamPosition.parse(after)
    except ValueError as error:
        raise BadRequest(f"after: {error}") from None


async def follow(request: Request[Any, Any], ws: Websocket) -> None:
    """Send what happens until the page leaves; with `after`, what has happened since then comes first."""
    live: LiveProducts = request.app.ctx.live
    with live.follow(ws, request.ctx.after):
        await ignore_messages(ws)


async def stream_events(request: Request[Any, Any]) -> None:
    """The same as server-sent events."""
    live: LiveProducts = request.app.ctx.live
    async with request.sse() as stream:
        with live.follow(stream, request.ctx.after):
            await stream.wait_closed()


async def ignore_messages(ws: Websocket) -> None:
    """Read and drop what the client sends until it leaves; one that goes on and on is closed with 1008."""
    clock = asyncio.get_running_loop().time
    began_s, count = clock(), 0
    async for _ in ws:
        if clock() - began_s > PER_S:
            began_s, count = clock(), 0
        count += 1
        if count > MAX_MESSAGES:
            await ws.close(POLICY_VIOLATION, "too many messages")
