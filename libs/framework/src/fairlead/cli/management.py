"""How the commands that operate a running service reach it: HTTP over its unix socket."""

from __future__ import annotations

import argparse
import http.client
import json
import os
import socket
from pathlib import Path

from fairlead.config import Config
from fairlead.management.private_socket import socket_path

__all__ = ["Unreachable", "add_socket", "ask", "command", "socket_of"]


class Unreachable(Exception):
    """No service answers at the socket."""

    exit_status = 1


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout_s: float | None) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(os.fspath(self._path))


def add_socket(parser: argparse.ArgumentParser) -> None:
    """Declare how to say which service is meant."""
    parser.add_argument("--socket", metavar="PATH", help="its management socket (default: FAIRLEAD_MANAGEMENT_SOCKET)")
    parser.add_argument("--port", type=int, help="or its management port (default: FAIRLEAD_MANAGEMENT_PORT, or 9000)")


def socket_of(arguments: argparse.Namespace) -> Path:
    """Where that service's socket is."""
    config = Config.from_environment()
    named = arguments.socket or ("" if arguments.port else config.MANAGEMENT_SOCKET)
    return socket_path(arguments.port or config.MANAGEMENT_PORT, named)


def ask(path: Path, method: str, target: str, timeout_s: float | None = None, *, words: list[str] | None = None) -> tuple[int, str]:
    """Status and text of the answer; `words` are sent as JSON. Raises `Unreachable`."""
    connection = _UnixConnection(path, timeout_s)
    try:
        if words is None:
            connection.request(method, target)
        else:
            connection.request(method, target, json.dumps(words), {"content-type": "application/json"})
        response = connection.getresponse()
        return response.status, response.read().decode("utf-8", "replace")
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise Unreachable(f"no service answers at {path}: {reason}") from error
    finally:
        connection.close()


def command(arguments: argparse.Namespace, target: str) -> int:
    """Send a command and print its outcome; the exit status."""
    status, text = ask(socket_of(arguments), "POST", target)
    print(text.strip())
    return 0 if status == 200 else 1
