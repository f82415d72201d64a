"""A request whose handler waits for something: its task, its time, and what becomes of it when that is over."""

from __future__ import annotations

import asyncio
import logging
from math import inf
from typing import TYPE_CHECKING, Any

from fairlead.errors import FairleadException, RequestTimeout, ServiceUnavailable
from fairlead.http.clock import CLOCK
from fairlead.request import Request, current_request

if TYPE_CHECKING:
    from fairlead.server.connection import HttpConnection

logger = logging.getLogger("fairlead.server")


class Handling:
    """Made when a handler waits for the first time; the connection's `handling` until its task is done."""

    __slots__ = ("_connection", "_timed_out", "request", "task")

    def __init__(self, connection: HttpConnection, request: Request[Any, Any], task: asyncio.Task[None]) -> None:
        self._connection = connection
        self._timed_out = False
        self.request = request
        self.task = task

    def client_left(self) -> None:
        """Nobody waits for the answer any more: the route's policy says whether the handler is let finish."""
        shared, route = self._connection.shared, self.request.route
        if route is None or route.on_disconnect != "finish":
            shared.runner.leave(self.task)

    def renew_deadline(self) -> None:
        """Begin the client's time while more of its body is wanted, else the handler's; an answer under way has no end."""
        connection = self._connection
        if connection.upload is not None and connection.upload.is_wanted:
            connection.deadline = connection.upload.deadline
        elif self.request._response is not None:
            connection.deadline = inf
        else:
            connection.deadline = CLOCK.now + self._timeout_s

    @property
    def _timeout_s(self) -> float:
        route = self.request.route
        own: float | None = route.response_timeout_s if route is not None else None
        return self._connection.shared.limits.response_timeout_s if own is None else own

    def expire(self) -> None:
        """Whose time is over: the client's who doesn't send on, or the handler's? One that ignores that is cut next time."""
        connection = self._connection
        if connection.upload is not None and connection.upload.is_wanted:
            connection.upload.fail(RequestTimeout("The body did not arrive in time"))
            self.renew_deadline()
        elif self._timed_out:
            connection.abort()
        else:
            self._timed_out = True
            connection.deadline = CLOCK.now + self._timeout_s
            self.task.cancel("the response took too long")

    def report(self, failure: BaseException | None) -> None:
        """Log that the task ended without an answer, under the request's id."""
        token = current_request.set(self.request)
        logger.error("a request ended without its answer", exc_info=failure)
        current_request.reset(token)

    def why_cancelled(self) -> FairleadException:
        """The answer of a handler that was cancelled while its client waits."""
        if self._timed_out:
            return ServiceUnavailable("The response took too long", extra={"route": self.request.uri_template})
        return ServiceUnavailable("The request was cancelled by the server")
