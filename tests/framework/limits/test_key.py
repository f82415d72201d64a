"""Who is counted: addresses as trusted proxies give them, accounts, API keys."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from fairlead import App, Request, text
from fairlead.limits import by_client_ip, by_header, by_principal
from fairlead.testing import AsyncTestClient


def request_of(address: str, **headers: str) -> Any:
    return SimpleNamespace(client_ip=address, ctx=SimpleNamespace(), headers=headers)


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("[2001:db8:1:2::9]", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("fe80::1%eth0", "fe80::/64"),
        ("_hidden", "_hidden"),
        ("", ""),
    ],
)
def test_client_ip(address: str, key: str) -> None:
    """An IPv6 network is one client, a mapped IPv4 address is that address, what is no address is taken as it is."""
    assert by_client_ip(request_of(address)) == key


@pytest.mark.parametrize(
    ("config", "headers", "expected"),
    [
        ({}, {"x-forwarded-for": "198.51.100.1", "forwarded": "for=198.51.100.1", "x-real-ip": "198.51.100.1"}, "127.0.0.1"),
        ({"PROXIES_COUNT": 1}, {"x-forwarded-for": "10.9.9.9, 198.51.100.1"}, "198.51.100.1"),
        ({"REAL_IP_HEADER": "x-real-ip"}, {"x-real-ip": "198.51.100.1", "x-forwarded-for": "10.9.9.9"}, "198.51.100.1"),
    ],
)
async def test_forwarded_addresses(config: dict[str, Any], headers: dict[str, str], expected: str) -> None:
    """What a stranger writes into a header gives nobody a fresh quota (SEC-P05)."""
    app: App[Any, Any] = App("app", config)

    @app.get("/")
    def show(request: Request[Any, Any]) -> Any:
        return text(by_client_ip(request) or "")

    async with AsyncTestClient(app, live=True) as client:
        assert (await client.get("/", headers=headers)).text == expected


def test_principal() -> None:
    """The account when there is one, whatever its address; an account's name can't pass for an address."""
    request = request_of("192.0.2.7")
    assert by_principal(request) == "192.0.2.7"
    request.ctx.principal = SimpleNamespace(subject="192.0.2.8")
    assert by_principal(request) == "subject 192.0.2.8"


def test_header() -> None:
    """The header when it is there; a value can't pass for an address either."""
    key = by_header("x-api-key")
    assert key(request_of("192.0.2.7", **{"x-api-key": "192.0.2.8"})) == "x-api-key 192.0.2.8"
    assert key(request_of("192.0.2.7")) == "192.0.2.7"
