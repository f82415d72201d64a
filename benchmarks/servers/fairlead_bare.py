"""Fairlead's server alone: no metrics, no logs, no watchdog, no management port."""

from __future__ import annotations

import asyncio
import socket

from benchmarks.servers import fairlead

TITLE = "Fairlead, telemetry off"
PACKAGES = fairlead.PACKAGES
WORKLOADS = fairlead.WORKLOADS


def serve(port: int) -> None:
    """Run until SIGTERM."""
    import uvloop

    from fairlead.server import Server

    async def run() -> None:
        app = fairlead.build()
        app.finalise()
        await app.startup()
        with socket.create_server(("127.0.0.1", port), backlog=2048) as listener:
            await Server(app.dispatcher, [listener], limits=app.config.limits()).start()
            await asyncio.Event().wait()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())
