"""Word to systemd (`Type=notify`) or whoever else set NOTIFY_SOCKET, as sd_notify(3) describes it."""

from __future__ import annotations

import os
import socket
from contextlib import suppress

__all__ = ["notify"]


def notify(*assignments: str) -> None:
    """Send `READY=1`, `STOPPING=1` … in one datagram. Without NOTIFY_SOCKET, or when nobody listens, it is a no-op."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    if address.startswith("@"):  # the abstract namespace
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock, suppress(OSError):
        sock.sendto("\n".join(assignments).encode(), address)
