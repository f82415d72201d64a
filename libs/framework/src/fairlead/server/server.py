"""A server: the listening sockets of one worker, its connections, the sweep of their deadlines, and the drain.

The sockets are given, never made: the supervisor owns them, so that connections which wait in an accept queue outlive a worker.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Sequence
from typing import Any

from fairlead.http.clock import CLOCK
from fairlead.http.limits import Limits
from fairlead.server.application import Application
from fairlead.server.connection import HttpConnection
from fairlead.server.runner import Runner

logger = logging.getLogger("fairlead.server")

SWEEP_INTERVAL_S = 1.0


class Shared:
    """What all connections of a server have in common."""

    __slots__ = ("app", "application", "connections", "limits", "loop", "refused", "runner", "websocket_stats")

    def __init__(self, application: Application, limits: Limits, loop: asyncio.AbstractEventLoop) -> None:
        from fairlead.websocket.stats import WebsocketStats

        self.application = application
        self.app = application.app
        self.limits = limits
        self.loop = loop
        self.runner = Runner(application.driver, loop)
        self.connections: set[HttpConnection] = set()
        self.refused: dict[int, int] = {}
        self.websocket_stats = WebsocketStats()


class Server:
    """Serves an application on sockets that are bound and listening already.

    `await start()`, later `await drain(deadline)`; a server is used once.
    """

    def __init__(
        self,
        application: Application,
        sockets: Sequence[socket.socket],
        *,
        limits: Limits | None = None,
        observer: Any = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        if observer is not None:
            application.observer = observer
        self._application = application
        self._sockets = list(sockets)
        self._limits = limits or Limits()
        self._tls = tls
        self._servers: list[asyncio.Server] = []
        self._sweep_handle: asyncio.TimerHandle | None = None
        self.shared: Shared | None = None
        self.draining = False

    async def start(self) -> None:
        """Listen. The sockets stay open, and the caller's, when the server is done."""
        loop = asyncio.get_running_loop()
        self.shared = shared = Shared(self._application, self._limits, loop)
        CLOCK.refresh()
        self._sweep_handle = loop.call_later(SWEEP_INTERVAL_S, self._sweep)
        for listening in self._sockets:
            listening.setblocking(False)
            self._servers.append(await loop.create_server(lambda: HttpConnection(shared), sock=listening.dup(), ssl=self._tls))

    @property
    def open_connections(self) -> int:
        """How many connections are open, websockets included."""
        return len(self.shared.connections) if self.shared is not None else 0

    @property
    def in_flight(self) -> int:
        """How many requests are waiting for their handler, open websockets included."""
        return len(self.shared.runner.in_flight) if self.shared is not None else 0

    @property
    def refused(self) -> dict[int, int]:
        """Status → how many messages were answered with it before they became a request."""
        return dict(self.shared.refused) if self.shared is not None else {}

    @property
    def websocket_stats(self) -> Any:
        """Counters of the websockets; None before the start."""
        return self.shared.websocket_stats if self.shared is not None else None

    def _sweep(self) -> None:
        """Once a second: refresh the coarse clock, end what has passed its deadline."""
        assert self.shared is not None
        CLOCK.refresh()
        now = CLOCK.now
        expired = []
        for connection in self.shared.connections:
            if connection.deadline <= now or connection.write_deadline <= now:
                expired.append(connection)
            elif connection.session is not None:
                expired.append(connection)
        for connection in expired:
            if connection.session is not None:
                connection.session.sweep(self.shared.loop.time())
            else:
                connection.expire()
        self._sweep_handle = self.shared.loop.call_later(SWEEP_INTERVAL_S, self._sweep)

    async def stop_accepting(self) -> None:
        """Take what waits in the accept queues, then listen no more."""
        assert self.shared is not None
        for server in self._servers:
            server.close()
        for listening in self._sockets:
            while True:
                try:
                    accepted, _ = listening.accept()
                except OSError:  # nothing waits, or a peer that gave up
                    break
                accepted.setblocking(False)
                connection = HttpConnection(self.shared)
                await self.shared.loop.connect_accepted_socket(lambda made=connection: made, accepted, ssl=self._tls)  # type: ignore[misc]
        self._servers = []

    async def drain(self, deadline: float) -> int:
        """Stop: accept no more, answer what is under way, close what is idle; cut what remains at the deadline.

        `deadline` is in `loop.time()`. Returns how many requests were cut.
        """
        assert self.shared is not None
        self.draining = True
        await self.stop_accepting()
        shared, loop = self.shared, self.shared.loop
        websockets = [connection.session for connection in shared.connections if connection.session is not None]
        for connection in list(shared.connections):
            if connection.session is None:
                connection.drain()
        spread = min(self._limits.websocket_drain_jitter_s, max(0.0, (deadline - loop.time()) / 2))
        for index, session in enumerate(websockets):
            loop.call_later(spread * index / len(websockets), session.close_soon)
        while shared.connections and loop.time() < deadline:
            await asyncio.sleep(min(0.02, max(0.0, deadline - loop.time())))
            if not shared.runner.in_flight and not any(_is_busy(connection) for connection in shared.connections):
                await self._close_rest()
        cut = await self._cut()
        await self._close_rest()
        if self._sweep_handle is not None:
            self._sweep_handle.cancel()
        shared.runner.close()
        return cut

    async def _cut(self) -> int:
        """Cancel what still runs at the deadline, and let it answer 503."""
        assert self.shared is not None
        tasks = list(self.shared.runner.in_flight)
        for connection in list(self.shared.connections):
            request = connection._request
            if request is not None and connection._task is not None:
                logger.warning(
                    "request cut at the deadline of the drain", extra={"request_id": request.id, "route": request.uri_template}
                )
        for task in tasks:
            task.cancel("the deadline of the drain has passed")
        if tasks:
            await asyncio.wait(tasks, timeout=0.5)
        return len(tasks)

    async def _close_rest(self) -> None:
        assert self.shared is not None
        for connection in list(self.shared.connections):
            connection.transport.close()
        await asyncio.sleep(0)


def _is_busy(connection: HttpConnection) -> bool:
    return connection.session is not None or connection.is_busy
