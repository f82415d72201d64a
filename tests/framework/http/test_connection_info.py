"""Who is at the two ends of a connection."""

from __future__ import annotations

from typing import Any

import pytest

from fairlead.http.connection_info import ConnectionInfo


@pytest.mark.parametrize(
    ("name", "ip", "port", "printable"),
    [
        (("192.0.2.1", 80), "192.0.2.1", 80, "192.0.2.1:80"),
        (("2001:db8::1", 443, 0, 0), "2001:db8::1", 443, "[2001:db8::1]:443"),
        ("/run/app.sock", "", 0, "unix:/run/app.sock"),
        ("", "", 0, ""),
        (None, "", 0, ""),
    ],
    ids=["IPv4", "IPv6", "unix socket", "unnamed unix socket", "gone"],
)
def test_names_of_sockets(name: Any, ip: str, port: int, printable: str) -> None:
    """Both ends are told as Sanic tells them; a unix socket has no IP, and a peer that has left has nothing."""
    info = ConnectionInfo(name, name)
    assert (info.client_ip, info.client_port, info.client) == (ip, port, printable)
    assert (info.server_port, info.server) == (port, printable)


def test_namespace_of_a_connection() -> None:
    """`ctx` is one object for as long as the connection lasts; what there is not is no attribute."""
    info = ConnectionInfo()
    info.ctx.count = 1
    assert info.ctx.count == 1
    assert not hasattr(info, "clients")
