"""The management app on its port: in the supervisor's loop, or in a thread beside a single process.

It is served by our own `Server`, with limits that suit a kubelet and a scraper. It stays up until the very end: while the
service drains the probes still have to be answered.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from fairlead.http.limits import Limits
from fairlead.management.app import build_management_app
from fairlead.management.fleet import Fleet, Operator
from fairlead.management.private_socket import close_private_socket
from fairlead.server import Server

__all__ = ["serve_management", "serve_operations"]

LIMITS = Limits(max_body_bytes=0, max_connections=100, keep_alive_timeout_s=30.0, response_timeout_s=10.0)

COMMAND_LIMITS = Limits(max_body_bytes=0, max_connections=20, keep_alive_timeout_s=30.0, response_timeout_s=3600.0)
"""A command is answered when it has been carried out: a rolling restart waits for each worker's last request."""

LAST_ANSWERS_S = 0.1
"""How long an answer that is under way may take at the end."""


@asynccontextmanager
async def serve_management(fleet: Fleet, listener: socket.socket, operator: Operator | None = None) -> AsyncIterator[None]:
    """Serve probes, metrics and, for an operator, commands while the context is open. The listener is closed at the end."""
    app = build_management_app(fleet, operator)
    server = Server(app.finalise(), [listener], limits=LIMITS if operator is None else COMMAND_LIMITS)
    await server.start()
    try:
        yield
    finally:
        await server.drain(asyncio.get_running_loop().time() + LAST_ANSWERS_S)
        listener.close()


@asynccontextmanager
async def serve_operations(
    fleet: Fleet, operator: Operator, listener: socket.socket, commands: socket.socket | None
) -> AsyncIterator[None]:
    """Probes and metrics on the port; on the private socket, where there is one, commands too. Its file is removed at the end."""
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(serve_management(fleet, listener))
        if commands is not None:
            stack.callback(close_private_socket, commands)
            await stack.enter_async_context(serve_management(fleet, commands.dup(), operator))
        yield
