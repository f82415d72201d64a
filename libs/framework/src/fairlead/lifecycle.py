"""Listeners, in Sanic's order.

Start: `main_process_start` (in the process that a developer starts), then in each worker `before_server_start`, the sockets open,
`after_server_start`. Stop: `before_server_stop`, the sockets are closed and requests have ended, background tasks are cancelled,
`after_server_stop`. Start events run in the order of registration, stop events in reverse, so that what was opened last is closed
first. A listener takes `(app)` or `(app, loop)`. One that raises at start stops the start; one that raises at the end is logged,
and the others still run.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from typing import Any

from fairlead.types import Listener

logger = logging.getLogger("fairlead.lifecycle")

START_EVENTS = ("main_process_start", "main_process_ready", "reload_process_start", "before_server_start", "after_server_start")
STOP_EVENTS = ("before_server_stop", "after_server_stop", "main_process_stop", "reload_process_stop", "before_reload_trigger")
EVENTS = (*START_EVENTS, *STOP_EVENTS, "after_reload_trigger")


class Lifecycle:
    """The listeners of one application."""

    def __init__(self) -> None:
        self._listeners: dict[str, list[tuple[int, Listener]]] = {event: [] for event in EVENTS}

    def add(self, event: str, listener: Listener, priority: int = 0) -> None:
        """Register a listener; a higher priority runs earlier. Raises ValueError for an event that doesn't exist."""
        if event not in self._listeners:
            raise ValueError(f"there is no event {event!r}; there are {', '.join(EVENTS)}")
        self._listeners[event].append((priority, listener))

    def listeners(self, event: str) -> list[Listener]:
        """The listeners of an event in the order in which they run."""
        registered = self._listeners[event]
        if event in STOP_EVENTS:
            registered = list(reversed(registered))
        return [listener for _, listener in sorted(registered, key=lambda entry: -entry[0])]

    async def run(self, event: str, app: Any) -> None:
        """Run all listeners of an event."""
        for listener in self.listeners(event):
            try:
                result = listener(app, asyncio.get_running_loop()) if _takes_loop(listener) else listener(app)
                if inspect.isawaitable(result):
                    await result
            except Exception:
                if event not in STOP_EVENTS:
                    raise
                logger.exception("listener failed", extra={"listener": _name(listener), "on": event})


def _takes_loop(listener: Listener) -> bool:
    """Whether a second argument must be given; one with a default is the listener's own business."""
    try:
        inspect.signature(listener).bind(None)
    except TypeError:
        return True
    return False


def _name(listener: Listener) -> str:
    return f"{getattr(listener, '__module__', '')}.{getattr(listener, '__qualname__', repr(listener))}"
