"""Listeners and background tasks, at the times that the ASGI server says.

Sanic's order holds as far as ASGI has the moments: `before_server_start` and `after_server_start` run before the server takes
requests, `before_server_stop` and `after_server_stop` when it has answered the last one.
"""

from __future__ import annotations

import logging
from typing import Any

from fairlead.app import App
from fairlead.asgi.exchange import Shared
from fairlead.asgi.telemetry import AsgiTelemetry
from fairlead.errors import ConfigurationError
from fairlead.types import Receive, Send

logger = logging.getLogger("fairlead.asgi")

UNHEARD_EVENTS = ("main_process_start", "main_process_ready", "main_process_stop")


async def run_lifespan(app: App[Any, Any], shared: Shared, telemetry: AsgiTelemetry | None, receive: Receive, send: Send) -> None:
    """Start the application, wait for the end of the server, stop the application.

    What goes wrong is told to the server with its cause (`lifespan.startup.failed`), so that it refuses to start.
    """
    await receive()  # lifespan.startup
    try:
        app.finalise()
        if telemetry is not None:
            telemetry.begin()
        await app.startup()
        await app.started()
    except Exception as exc:
        if not isinstance(exc, ConfigurationError):  # those say all in their own words
            logger.error("the application could not start", exc_info=exc)
        await app.shutdown()
        if telemetry is not None:
            await telemetry.end()
        await send({"type": "lifespan.startup.failed", "message": _cause(exc)})
        return
    unheard = [event for event in UNHEARD_EVENTS if app.lifecycle.listeners(event)]
    if unheard:
        logger.warning("these listeners don't run under an ASGI server", extra={"on": unheard})
    await send({"type": "lifespan.startup.complete"})
    await receive()  # lifespan.shutdown
    shared.drain()
    try:
        await app.stopping()
        await app.shutdown()
    except Exception as exc:
        logger.error("the application could not stop in order", exc_info=exc)
        await send({"type": "lifespan.shutdown.failed", "message": _cause(exc)})
        return
    finally:
        if telemetry is not None:
            await telemetry.end()
    await send({"type": "lifespan.shutdown.complete"})


def _cause(exc: Exception) -> str:
    return str(exc) if isinstance(exc, ConfigurationError) else f"{type(exc).__name__}: {exc}"
