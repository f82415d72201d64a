"""`fairlead call COMMAND --name=value …`: a command of the application's own (`@app.command`), in a worker of a running service.

It sees what that worker has: its connections, caches, open websockets. For work on its own there is `fairlead exec`.
"""

from __future__ import annotations

import argparse
import sys
from urllib.parse import quote

from fairlead.cli.management import add_socket, ask, socket_of

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    add_socket(parser)
    parser.add_argument("--worker", type=int, default=0, help="which one runs it (default: 0)")
    parser.add_argument("command", help="its name; what follows is for it")
    parser.add_argument("words", nargs=argparse.REMAINDER, metavar="--name=value …", help=argparse.SUPPRESS)


def run(arguments: argparse.Namespace) -> int:
    """0 with what it returned on stdout; 1 with the cause when it failed or could not be run."""
    target = f"/call/{quote(arguments.command, safe='')}?worker={arguments.worker}"
    status, text = ask(socket_of(arguments), "POST", target, words=arguments.words)
    if status != 200:
        sys.stderr.write(f"fairlead: {text.strip()}\n")
        return 1
    if text:
        print(text)
    return 0
