"""Who is at the two ends of a connection, and what the application keeps about it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any


class ConnectionInfo:
    """The connection that a request came over; `ctx` lives as long as the connection does."""

    __slots__ = ("client", "client_ip", "client_port", "ctx", "lost", "root_path", "server", "server_name", "server_port", "ssl")

    def __init__(self, client: Any = None, server: Any = None, ssl: bool = False, server_name: str = "") -> None:
        self.ctx = SimpleNamespace()
        self.lost = False
        self.root_path = ""  # what an ASGI server has above the application, percent-encoded
        self.ssl = ssl
        self.server_name = server_name
        self.client_ip, self.client_port, self.client = _address(client)
        _, self.server_port, self.server = _address(server)


def _address(name: Any) -> tuple[str, int, str]:
    """(ip, port, printable) of a socket name: a tuple for IP, a path for unix sockets, None when the peer is gone already."""
    if isinstance(name, tuple):
        ip = str(name[0])
        return ip, int(name[1]), f"[{ip}]:{name[1]}" if ":" in ip else f"{ip}:{name[1]}"
    return "", 0, f"unix:{name}" if name else ""
