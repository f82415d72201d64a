"""An app on its server, from the first listener to the last: the same in a worker and in a single process."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Sequence
from typing import Any

from fairlead.app import App
from fairlead.server import Server
from fairlead.telemetry.composed import begin_opentelemetry, observer_of
from fairlead.telemetry.logging import LogStream
from fairlead.telemetry.metrics import RequestMetrics, Snapshot, registry
from fairlead.telemetry.process_metrics import ProcessMetrics
from fairlead.telemetry.server_metrics import CertificateMetrics, ServerMetrics
from fairlead.telemetry.tracing import unobserved
from fairlead.telemetry.watchdog import Watchdog
from fairlead.types import Observer
from fairlead.workers.messages import Beat, CheckResult
from fairlead.workers.recycling import Recycling, resident_bytes
from fairlead.workers.tls import certificates_of

__all__ = ["Service"]

logger = logging.getLogger("fairlead.workers")

CHECK_INTERVAL_S = 2.0
"""Between two rounds of health checks; a probe is answered from the last one."""

BEAT_INTERVAL_S = 1.0

LAST_EXPORT_S = 0.5
"""For the last traces, when listeners and tasks have used up all the rest."""

CLEANUP_S = 3.0
"""Beyond the drain's deadline, for listeners and tasks; a second less than the supervisor grants."""


class Service:
    """Call `start_unless`, then let `beats` and `keep_checking` run beside the requests, then `drain`; once, in one loop."""

    def __init__(self, app: App[Any, Any], sockets: Sequence[socket.socket], stream: LogStream) -> None:
        self.app = app
        self._sockets = sockets
        self._stream = stream
        self._server: Server | None = None
        self._watchdog: Watchdog | None = None
        self._checks: tuple[CheckResult, ...] | None = None
        self._requests = RequestMetrics()
        self._process = ProcessMetrics()
        self._otel: Any = None
        self._recycling = Recycling(app.config)
        self._certificates = certificates_of(app.config)

    async def start_unless(self, asked_to_stop: asyncio.Event) -> bool:
        """Start, but give that up when the event is set: False, and nothing is in flight that would need a drain.

        What the app's listeners raise comes through.
        """
        start = asyncio.create_task(self.start(), name="start")
        asked = asyncio.create_task(asked_to_stop.wait(), name="asked to stop")
        try:
            await asyncio.wait([start, asked], return_when=asyncio.FIRST_COMPLETED)
            if start.done():
                await start
            return start.done()
        finally:
            for task in (start, asked):
                task.cancel()
            await asyncio.wait([start, asked])

    async def start(self) -> None:
        """Compose the routes, run the listeners, take connections."""
        self.app.finalise()
        self._otel = begin_opentelemetry(self.app.name, self._stream, self._requests)
        self.app.dispatcher.tracer = self._otel.engine if self._otel is not None else None
        await self.app.startup()
        config = self.app.config
        self._server = Server(
            self.app.dispatcher,
            self._sockets,
            limits=config.limits(),
            observer=self._observer(),
            backlog=config.BACKLOG,
            tls=self._certificates,
        )
        await self._server.start()
        registry.add(ServerMetrics(self._server))
        if self._certificates is not None:
            registry.add(CertificateMetrics(self._certificates))
        await self.app.started()
        await self._run_checks()
        if self.app.config.BLOCKED_LOOP_THRESHOLD:
            self._watchdog = Watchdog(self.app.config.BLOCKED_LOOP_THRESHOLD)
            self._watchdog.start()

    @property
    def has_certificates(self) -> bool:
        """Whether it serves TLS."""
        return self._certificates is not None

    def reload_certificates(self) -> int:
        """Load renewed certificates now, without waiting for the next look at their files; how many were loaded."""
        return self._certificates.reload() if self._certificates is not None else 0

    def beat(self, lag_s: float = 0.0) -> Beat:
        """The state of things, now."""
        server = self._server
        return Beat(
            time_s=time.monotonic(),
            lag_s=round(lag_s, 4),
            in_flight=server.in_flight if server is not None else 0,
            connections=server.open_connections if server is not None else 0,
            checks=self._checks,
        )

    def retirement_cause(self) -> str:
        """Why this worker should be replaced by a fresh one; "" as long as it need not be."""
        if self._recycling.is_off:
            return ""
        return self._recycling.due(self._requests.total, resident_bytes())

    def metrics(self) -> Snapshot:
        """All counters of this process, since its start."""
        return registry.snapshot()

    async def beats(self) -> AsyncIterator[Beat]:
        """A beat each second, from the loop itself: when it stands still, none comes."""
        while True:
            due_s = time.monotonic() + BEAT_INTERVAL_S
            await asyncio.sleep(BEAT_INTERVAL_S)
            yield self.beat(max(time.monotonic() - due_s, 0))

    async def keep_checking(self) -> None:
        """Run the health checks again and again."""
        while True:
            await asyncio.sleep(CHECK_INTERVAL_S)
            await self._run_checks()

    async def drain(self, deadline_s: float) -> None:
        """End everything in order, by `deadline_s` (CLOCK_MONOTONIC): listeners, connections, tasks, listeners.

        Sanic's order: `before_server_stop` while requests can still be answered, `after_server_stop` when none is left.
        """
        await self._within(self.app.stopping(), deadline_s, "before_server_stop")
        if self._server is not None:
            await self._server.stop_accepting()
            for listener in self._sockets:  # from here on the kernel refuses what we would not accept any more
                listener.close()
            loop = asyncio.get_running_loop()
            cut = await self._server.drain(loop.time() + max(deadline_s - time.monotonic(), 0))
            if cut:
                logger.warning("requests were cut at the deadline", extra={"requests": cut})
        end_s = deadline_s + CLEANUP_S
        left_s = max(end_s - time.monotonic(), 0)
        await self._within(self.app.shutdown(left_s / 2), end_s, "after_server_stop")
        if self._watchdog is not None:
            self._watchdog.stop()
        self._process.end()
        if self._otel is not None:
            await self._otel.end(max(end_s - time.monotonic(), LAST_EXPORT_S))

    async def _within(self, listeners: Awaitable[None], until_s: float, event: str) -> None:
        try:
            async with asyncio.timeout(max(until_s - time.monotonic(), 0)):
                await listeners
        except TimeoutError:
            logger.error("listeners were not done in time", extra={"on": event})

    async def _run_checks(self) -> None:
        health = self.app.health
        with unobserved():
            await health.run()
        self._checks = tuple(
            CheckResult(check.name, kind, check.critical, check.error or "")
            for kind, checks in (("startup", health.startup), ("readiness", health.readiness))
            for check in checks
        )

    def _observer(self) -> Observer | None:
        """Metrics always; the access log as configured."""
        registry.add(self._requests)
        registry.add(self._stream)
        self._process.begin()
        registry.add(self._process)
        return observer_of(self.app.config, self._stream, self._requests, self._otel)
