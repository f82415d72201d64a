"""The scope of a request for a mounted application (ASGI specification, HTTP & WebSocket).

`path` is the client's whole path and `root_path` the part of it up to and with the prefix, as the specification has it: an
application's own routes begin behind `root_path`. Address and scheme are those that trusted proxies tell, as for our handlers.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

from fairlead.request import Request
from fairlead.types import Scope

HTTP_SPEC = "2.3"
"""What is sent to a client that has left goes nowhere. From 2.4 on it raises OSError, which frameworks handle less well: Starlette
then leaves the generator of a streamed response to the garbage collector, instead of ending it."""

WEBSOCKET_SPEC = "2.4"
"""Sending on a closed websocket raises OSError."""


def http_scope(request: Request[Any, Any], prefix: str, state: dict[str, Any] | None) -> Scope:
    """The scope of type http. `state` is what the application's lifespan has left; None without one."""
    return {"type": "http", "method": request.method, "extensions": {}, **_common(request, prefix, state, HTTP_SPEC)}


def websocket_scope(request: Request[Any, Any], prefix: str, state: dict[str, Any] | None) -> Scope:
    """The scope of type websocket; a refusal may be a whole response."""
    offers = [offer.strip() for value in request.headers.getall("sec-websocket-protocol", ()) for offer in value.split(",")]
    return {
        "type": "websocket",
        "subprotocols": [offer for offer in offers if offer],
        "extensions": {"websocket.http.response": {}},
        **_common(request, prefix, state, WEBSOCKET_SPEC),
    }


def _common(request: Request[Any, Any], prefix: str, state: dict[str, Any] | None, spec_version: str) -> Scope:
    info = request.conn_info
    outer = info.root_path  # when we are an ASGI application ourselves
    path = outer + request.path
    client_ip = request.client_ip
    scope: Scope = {
        "asgi": {"version": "3.0", "spec_version": spec_version},
        "http_version": request.version,
        "scheme": request.scheme,
        "path": unquote(path),
        "raw_path": path.encode("ascii"),
        "query_string": request.query_bytes,
        "root_path": unquote(outer) + prefix,
        "headers": [(name.lower(), value) for name, value in request.head.fields()],
        "client": (client_ip, info.client_port) if client_ip else None,
        "server": (request.server_name, request.server_port),
    }
    if state is not None:
        scope["state"] = state.copy()
    return scope
