"""A websocket that is not open yet.

A websocket's handler takes `(request, ws, …)`, and whatever else it asks for may be the reason to refuse: a guard, a dependency, a
value that doesn't fit. So what stands around the handler is given an `Opening` in the place of the websocket, and only the call of
the handler itself negotiates the upgrade. Until then every refusal is a plain HTTP answer with its status, as middleware's is.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from fairlead.request import Request

Around = Callable[[Callable[..., Any]], Callable[..., Any]]
Serve = Callable[
    [Request[Any, Any], Awaitable[Any], Callable[..., Any], Sequence[Any], Mapping[str, Any]], Awaitable[BaseException | None]
]


class Opening:
    """The upgrade of one request, to come. `serve` is `fairlead.websocket.serve`; `around` is put around the handler."""

    __slots__ = ("_around", "_options", "_serve", "failure")

    def __init__(self, serve: Serve, options: dict[str, Any], around: Around | None) -> None:
        self._serve = serve
        self._options = options
        self._around = around
        self.failure: BaseException | None = None
        """What the handler raised; the websocket has been closed and the failure logged."""

    async def serve(self, request: Request[Any, Any], handler: Callable[..., Any], values: Any, named: Mapping[str, Any]) -> None:
        """Upgrade, run the handler, and return when the connection is gone. Raises the refusal of the upgrade.

        What the handler has raised is raised again: the dependencies that it was given are to see it at their ends.
        """
        upgrade = request.exchange.upgrade(request, self._options)
        call = handler if self._around is None else self._around(handler)
        self.failure = await self._serve(request, upgrade, call, values, named)
        if self.failure is not None:
            raise self.failure


class Opened:
    """A handler behind its upgrade: takes an `Opening` for the websocket."""

    __slots__ = ("handler",)

    def __init__(self, handler: Callable[..., Any]) -> None:
        self.handler = handler

    def __call__(self, request: Request[Any, Any], opening: Opening, *values: Any, **named: Any) -> Awaitable[None]:
        """A coroutine that returns when the connection is gone."""
        return opening.serve(request, self.handler, values, named)
