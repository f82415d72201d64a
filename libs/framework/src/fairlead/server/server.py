"""A server: the listening sockets of one worker, its connections, the sweep of their deadlines, and the drain.

The sockets are given, never made: the supervisor owns them, so that connections which wait in an accept queue outlive a worker.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from fairlead.http.clock import CLOCK
from fairlead.http.limits import Limits
from fairlead.request import current_request
from fairlead.server.application import Application
from fairlead.server.connection import HttpConnection
from fairlead.server.link import LINGER_S
from fairlead.server.shared import Shared

if TYPE_CHECKING:
    from fairlead.server.tls import Certificates

logger = logging.getLogger("fairlead.server")

SWEEP_INTERVAL_S = 1.0

IDLE_GRACE_S = 1.0
"""How long a draining server keeps a connection that was in use just now: its next request may be on the way, and closing then
would lose it. It is answered with `Connection: close`."""


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
        backlog: int = 100,
        tls: Certificates | None = None,
    ) -> None:
        if observer is not None:
            application.observer = observer
        self._application = application
        self._sockets = list(sockets)
        self._limits = limits or Limits()
        self._backlog = backlog
        self._certificates = tls
        self._tls_options: dict[str, Any] = {}
        if tls is not None:
            self._tls_options = {
                "ssl": tls.context,
                "ssl_handshake_timeout": self._limits.tls_handshake_timeout_s,
                "ssl_shutdown_timeout": LINGER_S,
            }
        self._servers: list[asyncio.Server] = []
        self._sweep_handle: asyncio.TimerHandle | None = None
        self.shared: Shared | None = None

    async def start(self) -> None:
        """Listen. The sockets stay open, and the caller's, when the server is done."""
        loop = asyncio.get_running_loop()
        self.shared = Shared(self._application, self._limits, loop)
        CLOCK.refresh()
        self._sweep_handle = loop.call_later(SWEEP_INTERVAL_S, self.sweep)
        for listening in self._sockets:
            listening.setblocking(False)
            self._servers.append(
                await loop.create_server(self.protocol, sock=listening.dup(), backlog=self._backlog, **self._tls_options)
            )

    def protocol(self) -> asyncio.Protocol:
        """The protocol object for a new connection."""
        assert self.shared is not None
        if not self._limits.http2:
            return self._http1_protocol()
        from fairlead.server.http2 import Negotiator

        return Negotiator(self.shared, self._http1_protocol)

    def _http1_protocol(self) -> HttpConnection:
        assert self.shared is not None
        taps = self._application.taps
        if taps is None:
            return HttpConnection(self.shared)
        from fairlead.server.tap import TappedConnection

        return TappedConnection(self.shared, taps)

    @property
    def open_connections(self) -> int:
        """How many connections are open, websockets included."""
        return len(self.shared.connections) if self.shared is not None else 0

    @property
    def in_flight(self) -> int:
        """How many requests are waiting for their handler, open websockets included."""
        return len(self.shared.runner.in_flight) if self.shared is not None else 0

    @property
    def draining(self) -> bool:
        """Whether the end has begun."""
        return self.shared is not None and self.shared.draining

    @property
    def refused(self) -> dict[int, int]:
        """Status → how many messages were answered with it before they became a request."""
        return dict(self.shared.refused) if self.shared is not None else {}

    @property
    def websocket_stats(self) -> Any:
        """Counters of the websockets; None before the start."""
        return self.shared.websocket_stats if self.shared is not None else None

    def sweep(self) -> None:
        """Refresh the coarse clock and end what has passed its deadline. Calls itself once a second after the start."""
        assert self.shared is not None
        assert self._sweep_handle is not None
        self._sweep_handle.cancel()
        self._sweep_handle = self.shared.loop.call_later(SWEEP_INTERVAL_S, self.sweep)
        CLOCK.refresh()
        now = CLOCK.now
        if self._certificates is not None:
            self._certificates.sweep(now)
        expired = []
        for connection in self.shared.connections:
            if connection.deadline <= now or connection.write_deadline <= now or connection.session is not None:
                expired.append(connection)
        for connection in expired:
            try:
                if connection.session is None or connection.write_deadline <= now:
                    connection.expire()
                else:
                    connection.session.sweep(self.shared.loop.time())
            except Exception:
                logger.exception("a connection could not be ended at its deadline: it is cut")
                connection.abort()

    async def stop_accepting(self) -> None:
        """Take what waits in the accept queues, then listen no more. A TLS handshake has `IDLE_GRACE_S`. Safe to call twice."""
        assert self.shared is not None
        loop = self.shared.loop
        if isinstance(loop, asyncio.SelectorEventLoop):  # it gives a connection its transport a turn after it has accepted
            for accepting in (listening for server in self._servers for listening in server.sockets):
                loop.remove_reader(accepting)
            await asyncio.sleep(0)  # and drops the connection when the server was closed meanwhile
        for server in self._servers:
            server.close()
        listening_sockets, self._servers, self._sockets = self._sockets, [], []
        await asyncio.sleep(0)  # uvloop lets go of its copies of the sockets a turn later
        while arriving := [  # until none has come meanwhile: the caller can then close the sockets without losing one
            loop.create_task(loop.connect_accepted_socket(self.protocol, accepted, **self._tls_options))
            for listening in listening_sockets
            for accepted in _accept_all(listening)
        ]:
            done, late = await asyncio.wait(arriving, timeout=IDLE_GRACE_S)
            for task in late:
                task.cancel()
            for task in done:
                if task.exception() is not None:
                    logger.info("a connection from the accept queue was gone", exc_info=task.exception())

    async def drain(self, deadline: float) -> int:
        """Stop: accept no more, answer what is under way, close what is idle; cut what remains at the deadline.

        `deadline` is in `loop.time()`. Returns how many requests were cut.
        """
        assert self.shared is not None
        shared, loop = self.shared, self.shared.loop
        shared.draining = True
        for connection in list(shared.connections):
            if connection.session is None:
                connection.drain()
        for tell in list(shared.told_of_drain):
            tell()
        await self.stop_accepting()
        loop.call_later(min(IDLE_GRACE_S, max(0.0, deadline - loop.time())), self._close_idle)
        self._close_websockets(deadline)
        cut = 0
        if not await self._wait_until_ended(deadline):
            cut = await self._cut()
        for connection in list(shared.connections):
            connection.close()
        assert self._sweep_handle is not None
        self._sweep_handle.cancel()
        shared.runner.close()
        return cut

    def _close_idle(self) -> None:
        assert self.shared is not None
        for connection in list(self.shared.connections):
            if connection.is_idle:
                connection.close()

    def _close_websockets(self, deadline: float) -> None:
        """Close them with 1012, spread over the jitter, so that not all clients come back in one moment (mission W12)."""
        assert self.shared is not None
        loop = self.shared.loop
        sessions = [connection.session for connection in self.shared.connections if connection.session is not None]
        spread = min(self._limits.websocket_drain_jitter_s, max(0.0, (deadline - loop.time()) / 2))
        for index, session in enumerate(sessions):
            loop.call_later(spread * index / len(sessions), self._close_websocket, session)

    @staticmethod
    def _close_websocket(session: Any) -> None:
        from fairlead.websocket import restart_reason  # there is a websocket, so this is loaded

        session.close_soon(1012, restart_reason())

    async def _wait_until_ended(self, deadline: float) -> bool:
        assert self.shared is not None
        shared, loop = self.shared, self.shared.loop
        while shared.runner.in_flight or not all(connection.is_ended for connection in shared.connections):
            left = deadline - loop.time()
            if left <= 0:
                return False
            shared.waiter = loop.create_future()
            await asyncio.wait([shared.waiter], timeout=left)
        return True

    async def _cut(self) -> int:
        """Cancel what still runs at the deadline, and let it answer 503."""
        assert self.shared is not None
        tasks = list(self.shared.runner.in_flight)
        for connection in self.shared.connections:
            request = connection.request
            if request is not None:
                token = current_request.set(request)  # whose id the logs show
                logger.warning("request cut at the deadline of the drain", extra={"route": request.uri_template})
                current_request.reset(token)
        for task in tasks:
            task.cancel("the deadline of the drain has passed")
        if tasks:
            await asyncio.wait(tasks, timeout=0.5)
        return len(tasks)


def _accept_all(listening: socket.socket) -> Iterator[socket.socket]:
    """The connections that wait to be accepted, until there are none."""
    while True:
        try:
            accepted, _ = listening.accept()
        except ConnectionAbortedError:  # this one gave up; others may wait
            continue
        except OSError as exc:
            if not isinstance(exc, BlockingIOError):
                logger.warning("the accept queue could not be emptied", exc_info=exc)
            return
        accepted.setblocking(False)
        yield accepted
