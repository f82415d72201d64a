"""Who is at the two ends of a connection, and what the application keeps about it."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any


class ConnectionInfo:
    """The connection that a request came over; `ctx` lives as long as the connection does.

    PERF: what few ask for is made when it is, as a websocket keeps this for long: 0.2 KiB less for each.
    """

    __slots__ = (
        "_client_path", "_server_ip", "_server_path", "client", "client_ip", "client_port", "ctx", "lost", "root_path", "server",
        "server_name", "server_port", "ssl",
    )  # fmt: skip

    client: str
    """The peer's address and port, printable."""
    server: str
    """Our own."""
    ctx: SimpleNamespace
    """Whatever an application keeps about the connection."""

    def __init__(self, client: Any = None, server: Any = None, ssl: bool = False, server_name: str = "") -> None:
        self.lost = False
        self.root_path = ""  # what an ASGI server has above the application, percent-encoded
        self.ssl = ssl
        self.server_name = server_name
        self.client_ip, self.client_port, self._client_path = _address(client)
        ip, self.server_port, self._server_path = _address(server)
        self._server_ip = sys.intern(ip)

    def __getattr__(self, name: str) -> Any:
        value: Any
        if name == "ctx":
            value = SimpleNamespace()
        elif name == "client":
            value = _printable(self.client_ip, self.client_port, self._client_path)
        elif name == "server":
            value = _printable(self._server_ip, self.server_port, self._server_path)
        else:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        setattr(self, name, value)
        return value


def _address(name: Any) -> tuple[str, int, str]:
    """(ip, port, path) of a socket name: a tuple for IP, a path for unix sockets, None when the peer is gone already."""
    if isinstance(name, tuple):
        return str(name[0]), int(name[1]), ""
    return "", 0, f"unix:{name}" if name else ""


def _printable(ip: str, port: int, path: str) -> str:
    return path or (f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}" if ip else "")
