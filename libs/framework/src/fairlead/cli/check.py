"""`fairlead check MODULE:NAME`: would it start? Imports the app, reads its configuration, composes its routes."""

from __future__ import annotations

import argparse

from fairlead.cli.target import add_target, finalised_app

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    add_target(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print what was found: 0 when it can be served, 1 when its code fails, 2 when its configuration is wrong."""
    app = finalised_app(arguments)
    routes = app.router.routes
    websockets = sum(route.is_websocket for route in routes)
    checks = len(app.health.readiness) + len(app.health.startup)
    print(
        f"{app.name}: {_counted(len(routes), 'route')} ({_counted(websockets, 'websocket')}), "
        f"{_counted(len(app.blueprints), 'blueprint')}, {_counted(checks, 'health check')}; the configuration is valid"
    )
    if app.debug:
        print("warning: DEBUG is on, which shows code and values in error pages")
    return 0


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
