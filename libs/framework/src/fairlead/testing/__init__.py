"""Testing a Fairlead application: clients in memory and over a real socket, and the pytest plugin (`fairlead.testing.plugin`).

The names below are loaded when they are first used: pytest loads this package in every project that has Fairlead installed,
and most of those runs need neither httpx nor the server.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fairlead.testing.client import AsyncTestClient, SyncWebsocket, TestClient
    from fairlead.testing.event_reader import EventReader, ReceivedEvent
    from fairlead.testing.overrides import override_dependencies
    from fairlead.testing.sanic_style import SanicResponse, SanicStyleClient
    from fairlead.testing.server import AppServer
    from fairlead.testing.websocket import HandshakeRefused, WebsocketClient

_MODULES = {
    "AppServer": "server",
    "AsyncTestClient": "client",
    "EventReader": "event_reader",
    "HandshakeRefused": "websocket",
    "ReceivedEvent": "event_reader",
    "SanicResponse": "sanic_style",
    "SanicStyleClient": "sanic_style",
    "SyncWebsocket": "client",
    "TestClient": "client",
    "WebsocketClient": "websocket",
    "override_dependencies": "overrides",
}

__all__ = [
    "AppServer",
    "AsyncTestClient",
    "EventReader",
    "HandshakeRefused",
    "ReceivedEvent",
    "SanicResponse",
    "SanicStyleClient",
    "SyncWebsocket",
    "TestClient",
    "WebsocketClient",
    "override_dependencies",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
