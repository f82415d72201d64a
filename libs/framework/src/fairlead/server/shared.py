"""What the connections of one server share: the application, the limits, the runner, and the list of the connections themselves.

It knows nothing of what a connection speaks: `Server` makes connections, and each of them is given this.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from fairlead.http.head import usual_line
from fairlead.http.limits import Limits
from fairlead.server.admission import Admission
from fairlead.server.application import Application
from fairlead.server.runner import Runner


class Shared:
    """What all connections of a server have in common."""

    __slots__ = (
        "admission",
        "app",
        "application",
        "connections",
        "draining",
        "limits",
        "loop",
        "refused",
        "request_class",
        "runner",
        "told_of_drain",
        "usual_line",
        "waiter",
        "websocket_stats",
    )

    def __init__(self, application: Application, limits: Limits, loop: asyncio.AbstractEventLoop) -> None:
        self.application = application
        self.app = application.app
        self.request_class = application.request_class
        self.limits = limits
        self.loop = loop
        self.runner = Runner(application.driver, loop, self.changed)
        self.connections: set[Any] = set()  # `HttpConnection`s, and those of HTTP/2
        self.admission = Admission(limits, self.connections)
        self.usual_line = usual_line(limits.max_target_bytes)
        self.draining = False
        self.refused: dict[int, int] = {}
        self.told_of_drain: set[Callable[[], None]] = set()
        self.websocket_stats: Any = None  # made by the first websocket
        self.waiter: asyncio.Future[None] | None = None

    def changed(self) -> None:
        """A connection or a request has ended: wake the drain."""
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_result(None)
