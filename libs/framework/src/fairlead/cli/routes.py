"""`fairlead routes MODULE:NAME`: every route with its methods, name and handler."""

from __future__ import annotations

import argparse
from typing import Any

from fairlead.cli.target import add_target, finalised_app

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    add_target(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the table, in the order of registration."""
    routes = finalised_app(arguments).router.routes
    rows = [("METHODS", "PATH", "NAME", "HANDLER"), *map(_row, routes)]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for row in rows:
        print("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())
    return 0


def _row(route: Any) -> tuple[str, str, str, str]:
    methods = "WEBSOCKET" if route.is_websocket else ",".join(sorted(route.methods))
    hosts = "|".join(sorted(route.hosts))
    handler = route.handler
    place = f"{handler.__module__}.{getattr(handler, '__qualname__', type(handler).__name__)}"
    return methods, f"{hosts}{route.path}", route.name, place
