"""From an ASGI scope to a request.

The path that routes see is what lies below `root_path`; the whole one is `request.server_path` and part of `request.url`.
Servers differ in what they check, so what the router and `url_for` rely on is checked here again: the target and the Host.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

from fairlead.errors import BadRequest
from fairlead.http.connection_info import ConnectionInfo
from fairlead.http.head import Head
from fairlead.request import Exchange, Request
from fairlead.types import Scope

_TARGET = re.compile(rb'/[!-"$-~]*').fullmatch
_QUERY = re.compile(rb'[!-"$-~]*').fullmatch
_HOST = re.compile(rb"(?:[A-Za-z0-9\-._~%!$&'()*+,;=]*|\[[0-9A-Fa-f:.]+\])(?::[0-9]*)?").fullmatch
_DIGITS = re.compile(rb"[0-9]{1,18}").fullmatch
_SAFE = "/:@!$&'()*+,;=~-._"


def request_of(application: Any, exchange: Exchange, scope: Scope) -> Request[Any, Any]:
    """The request that a scope of type http or websocket describes. Raises `BadRequest` (400)."""
    target = _target(scope, scope.get("root_path", "").rstrip("/"))
    method = scope.get("method", "GET").encode("ascii", "replace")
    request: Request[Any, Any] = application.request_class(application.app, exchange, method, target, _head(scope), b"")
    return request


def connection_info(scope: Scope) -> ConnectionInfo:
    """Addresses of both sides, as far as the server tells them."""
    client, server = scope.get("client"), scope.get("server")
    info = ConnectionInfo(
        tuple(client) if client and client[1] is not None else None,
        tuple(server) if server and server[1] is not None else server[0] if server else None,
        scope.get("scheme", "http") in ("https", "wss"),
    )
    info.root_path = quote(scope.get("root_path", "").rstrip("/"), safe=_SAFE)
    return info


def _target(scope: Scope, root_path: str) -> bytes:
    raw: bytes = scope.get("raw_path") or quote(scope["path"], safe=_SAFE).encode()
    raw = raw.partition(b"?")[0]
    if root_path:
        raw = _below(raw, quote(root_path, safe=_SAFE).encode(), scope["path"], root_path)
    query: bytes = scope.get("query_string", b"")
    if _TARGET(raw) is None or _QUERY(query) is None:
        if raw == b"*":  # OPTIONS *
            return raw
        raise BadRequest("The request target is malformed")
    return raw + b"?" + query if query else raw


def _below(raw: bytes, root: bytes, path: str, root_path: str) -> bytes:
    """The path without the root; one that a proxy or an older server has cut off already is whole."""
    if raw == root or raw.startswith(root + b"/"):
        return raw[len(root) :] or b"/"
    if path.startswith(root_path + "/"):  # the root was sent in another spelling, such as %7E for ~
        return quote(path[len(root_path) :], safe=_SAFE).encode()
    return raw


def _head(scope: Scope) -> Head:
    pairs = [(bytes(name), bytes(value)) for name, value in scope.get("headers", ())]  # some servers have other types
    version = scope.get("http_version", "1.1")
    head = Head(pairs=pairs)
    head.version = version
    lengths: list[bytes] = []
    hosts: list[bytes] = []
    for name, value in pairs:
        name = name.lower()
        if name == b"content-length":
            lengths.append(value)
        elif name == b"host":
            hosts.append(value)
        elif name == b"transfer-encoding":
            head.chunked = True
        elif name == b"expect":
            head.expects_continue = True
    if len(hosts) > 1 or (hosts and _HOST(hosts[0]) is None):
        raise BadRequest("The Host is malformed")  # RFC 9112 §3.2
    if lengths:
        if len(lengths) > 1 or _DIGITS(lengths[0]) is None:
            raise BadRequest("The Content-Length is malformed")
        head.length = int(lengths[0])
    elif not version.startswith("1"):
        head.chunked = True  # from HTTP/2 on the end of a body is a frame's matter: there may be one
    if scope["type"] == "websocket" and not any(name == b"upgrade" for name, _ in pairs):
        head.pairs = [*pairs, (b"upgrade", b"websocket"), (b"connection", b"upgrade")]  # RFC 8441: said in HTTP/1.1's words
    return head
