"""The class-based style: one object for each connection, one method for each thing that happens (W13).

    class Chat(WebsocketView, attach=app, uri="/chat/<room:str>"):
        async def on_open(self, room: str) -> None:
            self.room = room

        async def on_message(self, message: str) -> None:
            await self.ws.send(f"{self.room}: {message}")

        async def on_close(self, code: int, reason: str) -> None:
            ...

It is an ordinary handler below: `Chat.as_view()` gives it, and what is true of handlers (refusals before the upgrade, close codes
for exceptions, the drain) is true of it.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, ClassVar, Protocol

import msgspec

from fairlead.errors import WebsocketClosed
from fairlead.request import Request
from fairlead.websocket.conversation import ending_of
from fairlead.websocket.websocket import Websocket

INVALID_DATA = 1007
"""The close code for a message whose content is not what its type demands (RFC 6455 §7.4.1)."""


class Routes(Protocol):
    """An app or a blueprint."""

    def add_websocket_route(self, handler: Any, uri: str, **options: Any) -> Any:
        """Register a handler."""


class WebsocketView:
    """Subclass it; an instance lives as long as its connection. `attach` and `uri`, with the options of `add_websocket_route`,
    register the subclass where it is defined.

    `message_type`: with one, messages are JSON and are converted to it (msgspec: a Struct, a dataclass, `dict`, `Any` …); the first
    that does not fit closes with 1007 and says why. Without one, they come as `str` and `bytes`.
    """

    message_type: ClassVar[Any] = None

    def __init_subclass__(cls, attach: Routes | None = None, uri: str = "", **options: Any) -> None:
        super().__init_subclass__()
        if attach is not None:
            cls.attach(attach, uri, **options)
        elif uri or options:
            raise TypeError(f"{cls.__name__}: {', '.join(['uri'] * bool(uri) + list(options))} without attach")

    def __init__(self, request: Request[Any, Any], ws: Websocket) -> None:
        self.request = request
        self.ws = ws

    async def on_open(self, *_: Any, **parameters: Any) -> None:
        """The websocket is open. The path's parameters come by name: say which you take. An exception ends the connection;
        `on_close` is called all the same."""

    async def on_message(self, message: Any) -> None:
        """A message has come; the next one waits until this returns."""

    async def on_close(self, code: int, reason: str) -> None:
        """The end, whoever began it; called exactly once after `on_open` was, and nothing can be sent any more."""

    @classmethod
    def as_view(cls) -> Callable[..., Coroutine[Any, Any, None]]:
        """The handler for `add_websocket_route`."""
        decode = None if cls.message_type is None else msgspec.json.Decoder(cls.message_type).decode

        async def view(request: Request[Any, Any], ws: Websocket, **parameters: Any) -> None:
            self = cls(request, ws)
            try:
                await self.on_open(**parameters)
                async for message in ws:
                    await self.on_message(message if decode is None else decode(message))
            except WebsocketClosed as error:
                ws.close_soon(*ending_of(error))  # already, unless it came from another one
            except msgspec.DecodeError as error:  # ValidationError is one
                ws.close_soon(INVALID_DATA, str(error))
            except BaseException as error:
                ws.close_soon(*ending_of(error))
                raise
            finally:
                await self.on_close(ws.close_code or 1006, ws.close_reason or "")

        view.__name__ = view.__qualname__ = cls.__name__
        view.__doc__, view.__module__ = cls.__doc__, cls.__module__
        return view

    @classmethod
    def attach(cls, to: Routes, uri: str, **options: Any) -> None:
        """Register the class with an app or a blueprint; options are those of `add_websocket_route`."""
        to.add_websocket_route(cls.as_view(), uri, **options)
