"""`fairlead healthcheck`: a probe for container engines, which have no HTTP client at hand (Docker's HEALTHCHECK).

Without an address it asks the management socket, which is there whatever port and address the service listens on, and
the management port where there is no socket.
"""

from __future__ import annotations

import argparse
import http.client

from fairlead.cli.management import Unreachable, ask
from fairlead.config import Config
from fairlead.management.private_socket import socket_path

__all__ = ["add_arguments", "run"]

_ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}
"""Where a service that listens everywhere is reached from inside."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("--probe", choices=("readyz", "livez", "startupz"), default="readyz", help="default: readyz")
    parser.add_argument("--host", help="default: FAIRLEAD_MANAGEMENT_HOST")
    parser.add_argument("--port", type=int, help="default: FAIRLEAD_MANAGEMENT_PORT")
    parser.add_argument("--timeout", metavar="S", type=float, default=2.0, help="seconds to wait (default: 2)")


def run(arguments: argparse.Namespace) -> int:
    """0 when the probe says that the service is well, 1 otherwise; its word is printed."""
    config = Config.from_environment()
    path = socket_path(config.MANAGEMENT_PORT, config.MANAGEMENT_SOCKET)
    if not (arguments.host or arguments.port) and path.is_socket():
        try:
            status, text = ask(path, "GET", f"/{arguments.probe}", arguments.timeout)
        except Unreachable as error:
            print(error)
            return 1
        print(text.strip())
        return 0 if status == 200 else 1
    host = arguments.host or config.MANAGEMENT_HOST
    port = arguments.port or config.MANAGEMENT_PORT
    connection = http.client.HTTPConnection(_ANY_ADDRESS.get(host, host), port, timeout=arguments.timeout)
    try:
        connection.request("GET", f"/{arguments.probe}")
        response = connection.getresponse()
        print(response.read(1000).decode("utf-8", "replace").strip())
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        print(f"no answer from {host}, port {port}: {reason}")
        return 1
    finally:
        connection.close()
    return 0 if response.status == 200 else 1
