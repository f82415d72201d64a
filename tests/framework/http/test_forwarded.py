"""Who the client is when proxies stand between: only as configured (P4)."""

from __future__ import annotations

from typing import Any

import pytest

from fairlead import App, Request, json
from fairlead.http.forwarded import parse_forwarded, parse_x_forwarded
from fairlead.http.headers import Headers
from fairlead.testing import AsyncTestClient

SPOOFED = {
    "x-forwarded-for": "6.6.6.6",
    "x-real-ip": "6.6.6.7",
    "forwarded": "for=6.6.6.8;secret=guess",
    "x-forwarded-host": "evil.example",
}


def make_app(**config: Any) -> App:
    """Shows what a request knows of its client."""
    app = App("proxied", config)

    @app.get("/")
    async def index(request: Request) -> object:
        return json([request.remote_addr, request.client_ip, request.host, request.scheme, request.url])

    return app


async def test_strangers_are_not_believed() -> None:
    """Without configuration every forwarding header is ignored (SEC-P05)."""
    async with AsyncTestClient(make_app()) as client:
        remote, address, host, scheme, _ = (await client.get("/", headers=SPOOFED)).json()
    assert remote == ""
    assert not address.startswith("6.6.6")
    assert (host, scheme) == ("testserver", "http")


async def test_forwarded_with_the_secret() -> None:
    """The element that carries the secret is believed, also when a client sent one before it."""
    header = 'for=6.6.6.6;host=evil, for="[2001:DB8::1]:4711";proto=https;host=shop.example;secret=s3'
    async with AsyncTestClient(make_app(FORWARDED_SECRET="s3")) as client:
        answer = (await client.get("/", headers={"forwarded": header})).json()
        assert answer == ["[2001:db8::1]", "[2001:db8::1]", "shop.example", "https", "https://shop.example/"]
        assert (await client.get("/", headers=SPOOFED)).json()[0] == ""


async def test_number_of_proxies() -> None:
    """With PROXIES_COUNT the address is that which the outermost known proxy saw; too short a list is not believed."""
    async with AsyncTestClient(make_app(PROXIES_COUNT=2)) as client:
        for header, expected in (("6.6.6.6, 1.2.3.4, 10.0.0.1", "1.2.3.4"), ("10.0.0.1", ""), (",, 1.2.3.4,10.0.0.1", "1.2.3.4")):
            assert (await client.get("/", headers={"x-forwarded-for": header})).json()[0] == expected


async def test_real_ip_header() -> None:
    """REAL_IP_HEADER names the one header that the proxy always overwrites."""
    async with AsyncTestClient(make_app(REAL_IP_HEADER="x-real-ip")) as client:
        headers = {"x-real-ip": "1.2.3.4", "x-forwarded-proto": "HTTPS", "x-forwarded-port": "99999"}
        assert (await client.get("/", headers=headers)).json()[::3] == ["1.2.3.4", "https"]


@pytest.mark.parametrize("header", ["for=1.2.3.4;secret=s3 junk", 'for="1.2.3.4;secret=s3', ";;;", "secret", "secret=s3x"])
def test_malformed_forwarded(header: str) -> None:
    """What can't be read to its end is not believed at all."""
    assert parse_forwarded(Headers({"forwarded": header}), "s3") == {}


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("for=1.2.3.4:5678; by=s3", {"for": "1.2.3.4", "by": "s3"}),
        ("by=s3;for=_hidden", {"by": "s3", "for": "_hidden"}),
        ("for=unknown;secret=s3", {"for": "unknown"}),
        ('secret=s3;for="[::1]"', {"for": "[::1]"}),
        ('secret="s\\3";path="/a b";port=80;proto=WSS', {"path": "/a b", "port": "80", "proto": "wss"}),
        ("secret=s3;proto=gopher;host=a/b;port=0;path=b;other=1", {}),
        ("secret=s3;port=0000080", {}),
        ("secret=s3;port=x", {}),
        ("for=1.1.1.1;secret=s3, for=2.2.2.2;secret=s3", {"for": "2.2.2.2"}),
    ],
)
def test_elements_of_forwarded(header: str, expected: dict[str, str]) -> None:
    """Of the element of our own proxy, the last that carries the secret, what is well-formed counts (RFC 7239 §4)."""
    assert parse_forwarded(Headers({"forwarded": header}), "s3") == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, {}),
        ({"x-forwarded-for": "1.2.3.4"}, {"for": "1.2.3.4"}),
        ({"x-forwarded-for": "1.2.3.4", "x-scheme": "https"}, {"for": "1.2.3.4", "proto": "https"}),
        (
            {"x-forwarded-for": "::1", "x-scheme": "https", "x-forwarded-proto": "http", "x-forwarded-port": "8080"},
            {"for": "[::1]", "proto": "http", "port": "8080"},
        ),
        (
            {"x-forwarded-for": "a", "x-forwarded-host": "Shop.example:1", "x-forwarded-path": "/x"},
            {"for": "a", "host": "shop.example:1", "path": "/x"},
        ),
        ({"x-forwarded-for": "", "x-forwarded-host": "a"}, {}),
    ],
)
def test_fields_beside_the_address(fields: dict[str, str], expected: dict[str, str]) -> None:
    """The other fields count only beside an address; X-Forwarded-Proto before X-Scheme, as in Sanic."""
    assert parse_x_forwarded(Headers(fields), None, 1) == expected
    assert parse_x_forwarded(Headers(fields), None, None) == {}
