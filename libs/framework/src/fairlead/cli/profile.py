"""`fairlead profile`: where a running worker spends its time, while requests go on. The service needs `fairlead[profiling]`."""

from __future__ import annotations

import argparse
from pathlib import Path

from fairlead.cli.management import add_socket, ask, socket_of

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("--worker", type=int, default=0, help="which one (default: 0)")
    parser.add_argument("--seconds", type=float, default=5.0, help="for how long (default: 5)")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a page for browsers to this file")
    add_socket(parser)


def run(arguments: argparse.Namespace) -> int:
    """0 with the profile on stdout, or in the file; 1 with the cause when there is none."""
    kind = "html" if arguments.html else "text"
    target = f"/profile?worker={arguments.worker}&seconds={arguments.seconds:.3f}&format={kind}"
    status, text = ask(socket_of(arguments), "POST", target)
    if status == 200 and arguments.html:
        arguments.html.write_text(text)
        print(f"written to {arguments.html}")
        return 0
    print(text.strip())
    return 0 if status == 200 else 1
