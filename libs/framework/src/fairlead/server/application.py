"""What the server needs of an application."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any, Protocol

from fairlead.request import Request
from fairlead.types import Observer

if TYPE_CHECKING:
    from fairlead.taps import Taps


class Application(Protocol):
    """`fairlead.dispatch.Dispatcher` is one; anything with these six names can be served."""

    app: Any
    """What `request.app` shall be."""

    observer: Observer | None
    """Called once per response."""

    request_class: type[Request[Any, Any]]
    """What requests are made of."""

    taps: Taps | None
    """Who is told of connections and of the bytes that are written to them; usually nobody."""

    missing: Any
    """The route that `find` gives where there is none."""

    def find(self, request: Request[Any, Any]) -> Any:
        """The route for a request whose body has not arrived yet: has `stream`, `max_body_bytes`, `body_timeout_s`."""

    def driver(self) -> Generator[Any, Request[Any, Any], None]:
        """A generator that is sent requests, writes each response through `request.exchange` and yields `DONE`."""
