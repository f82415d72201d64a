"""From a scope to a request: targets, roots, hosts, addresses."""

from __future__ import annotations

from typing import Any

import pytest

from fairlead import App
from fairlead.asgi.scope import connection_info, request_of
from fairlead.errors import BadRequest
from fairlead.websocket.handshake import is_upgrade
from tests.framework.asgi.harness import http_scope, websocket_scope

APP = App("scopes")


def request_for(scope: dict[str, Any]) -> Any:
    class Exchange:
        info = connection_info(scope)

    return request_of(APP.finalise(), Exchange(), scope)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "path", "server_path"),
    [
        ({"path": "/a"}, "/a", "/a"),
        ({"path": "/ü x", "raw_path": None}, "/%C3%BC%20x", "/%C3%BC%20x"),
        ({"path": "/a", "raw_path": b"/a?query"}, "/a", "/a"),
        ({"path": "/root/a", "root_path": "/root"}, "/a", "/root/a"),
        ({"path": "/root/a", "root_path": "/root/"}, "/a", "/root/a"),
        ({"path": "/root", "root_path": "/root"}, "/", "/root/"),
        ({"path": "/rooted", "root_path": "/root"}, "/rooted", "/root/rooted"),
        ({"path": "/a", "root_path": "/root"}, "/a", "/root/a"),
        ({"path": "/röt/a%2Fb", "raw_path": b"/r%C3%B6t/a%2Fb", "root_path": "/röt"}, "/a%2Fb", "/r%C3%B6t/a%2Fb"),
        ({"path": "/~me/a", "raw_path": b"/%7Eme/a", "root_path": "/~me"}, "/a", "/~me/a"),
        ({"path": "*", "method": "OPTIONS"}, "*", "*"),
    ],
)
def test_paths(changes: dict[str, Any], path: str, server_path: str) -> None:
    """Routes see what is below the root; the client's path is known as well."""
    changes = {"raw_path": changes["path"].encode(), **changes}
    request = request_for(http_scope(**changes))
    assert (request.path, request.server_path) == (path, server_path)


def test_url_below_a_root() -> None:
    """The URL is the one that the client has used."""
    scope = http_scope("/root/a", root_path="/root", query_string=b"b=1")
    assert request_for(scope).url == "http://shop.example/root/a?b=1"
    assert request_for(http_scope("/root/a", root_path="/root")).url == "http://shop.example/root/a"


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"raw_path": b"no-slash"}, "The request target is malformed"),
        ({"raw_path": "/ü".encode()}, "The request target is malformed"),
        ({"raw_path": b"/a\x00"}, "The request target is malformed"),
        ({"raw_path": b"/a#b"}, "The request target is malformed"),
        ({"query_string": b"a b"}, "The request target is malformed"),
        ({"headers": [(b"host", b"a"), (b"Host", b"b")]}, "The Host is malformed"),
        ({"headers": [(b"host", b"a/b")]}, "The Host is malformed"),
        ({"headers": [(b"content-length", b"1"), (b"content-length", b"2")]}, "The Content-Length is malformed"),
        ({"headers": [(b"content-length", b"+1")]}, "The Content-Length is malformed"),
    ],
)
def test_malformed_scopes(changes: dict[str, Any], problem: str) -> None:
    """What routing and URLs rely on is checked again: servers differ in what they let pass."""
    with pytest.raises(BadRequest, match=problem):
        request_for(http_scope(**changes))


def test_framing() -> None:
    """What is known of the body before it comes."""
    assert request_for(http_scope()).head.chunked is False
    assert request_for(http_scope(headers=[(b"content-length", b"5")])).head.length == 5
    assert request_for(http_scope(headers=[(b"transfer-encoding", b"chunked")])).head.chunked is True
    assert request_for(http_scope(headers=[(b"expect", b"100-continue")])).head.expects_continue is True
    assert request_for(http_scope(http_version="2")).head.chunked is True


@pytest.mark.parametrize(
    ("changes", "client", "server", "ssl"),
    [
        ({}, ("192.0.2.1", 50000), 80, False),
        ({"client": ["::1", 1], "server": ["::1", 443], "scheme": "https"}, ("::1", 1), 443, True),
        ({"client": None, "server": None}, ("", 0), 0, False),
        ({"client": ("", None), "server": ("/run/app.sock", None)}, ("", 0), 0, False),
    ],
)
def test_addresses(changes: dict[str, Any], client: tuple[str, int], server: int, ssl: bool) -> None:
    """IPv4, IPv6, unknown, unix sockets."""
    info = connection_info(http_scope(**changes))
    assert (info.client_ip, info.client_port, info.server_port, info.ssl) == (*client, server, ssl)


def test_websocket_over_http_2() -> None:
    """RFC 8441 has no Upgrade field: the request has one all the same, so that one question finds every handshake."""
    assert is_upgrade(request_for(websocket_scope(http_version="2")).headers)
    spelt = [(b"upgrade", b"websocket"), (b"connection", b"Upgrade")]
    request = request_for(websocket_scope(headers=spelt))
    assert (is_upgrade(request.headers), request.headers.getall("upgrade")) == (True, ["websocket"])
