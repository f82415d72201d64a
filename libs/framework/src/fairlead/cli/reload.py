"""`fairlead reload`: new code, new settings, no request lost. Returns when every worker has been replaced."""

from __future__ import annotations

import argparse

from fairlead.cli.management import add_socket, command

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    add_socket(parser)


def run(arguments: argparse.Namespace) -> int:
    """0 when all were replaced; 1 with the cause when a new one failed and the old ones stayed."""
    return command(arguments, "/reload")
