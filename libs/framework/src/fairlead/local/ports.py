"""TCP ports of this machine: free ones, and who holds the others."""

from __future__ import annotations

import socket

import psutil

__all__ = ["LOOPBACK", "free_port", "holder", "is_taken"]

LOOPBACK = "127.0.0.1"
COMMAND_WIDTH = 60


def free_port() -> int:
    """A port that nobody uses now. Whoever needs it must take it soon and be ready to ask for another."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def is_taken(port: int) -> bool:
    """Whether a server on `port` of the loopback address could not start."""
    with socket.socket() as probe:
        if probe.connect_ex((LOOPBACK, port)) == 0:
            return True
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections in TIME_WAIT do not count
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return True
    return False


def holder(port: int) -> str:
    """Who listens on `port`, as "pid 123 (nginx -g daemon off)"; "another process" when this user may not know."""
    try:
        for connection in psutil.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr[1:] == (port,) and connection.pid:
                return f"pid {connection.pid} ({_command(connection.pid)})"
    except psutil.Error:
        pass
    return "another process"


def _command(pid: int) -> str:
    program, *arguments = psutil.Process(pid).cmdline() or ["?"]
    words = " ".join([program.rpartition("/")[2], *arguments])
    return words if len(words) <= COMMAND_WIDTH else f"{words[:COMMAND_WIDTH]}…"
