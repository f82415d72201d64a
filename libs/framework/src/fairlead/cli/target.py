"""The target on the command line: of `serve`, `check` and `routes`.

Imports the framework only when it is needed: `serve` declares its arguments before it has taken over the signals.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fairlead.app import App

__all__ = ["CannotStart", "add_target", "finalised_app", "target_of"]


def add_target(parser: argparse.ArgumentParser) -> None:
    """Declare the argument."""
    parser.add_argument(
        "target",
        nargs="?",
        metavar="MODULE:NAME",
        help="an App, or a function that makes one; NAME is `app` when left out (default: FAIRLEAD_TARGET)",
    )


def target_of(arguments: argparse.Namespace) -> str:
    """The target that was given, or the environment's; "" when there is neither. Raises `ConfigurationError`."""
    from fairlead.config import Config

    return arguments.target or str(Config.from_environment().TARGET)


class CannotStart(Exception):
    """The application's own code failed: its traceback, without our frames, and the cause in one line."""

    exit_status = 1


def finalised_app(arguments: argparse.Namespace) -> App[Any, Any]:
    """Import the target and compose its routes. Raises `ConfigurationError`, and `CannotStart` for what the target raises."""
    from fairlead.errors import ConfigurationError
    from fairlead.workers.configuration import apply_options
    from fairlead.workers.failure import describe_failure
    from fairlead.workers.target import import_from_here, load_target

    target = target_of(arguments)
    import_from_here()
    try:
        app = load_target(target)
        apply_options(app, {})
        app.finalise()
    except ConfigurationError:
        raise
    except Exception as error:
        failure = describe_failure(error, target)
        sys.stderr.write(f"{failure.detail}\n")
        raise CannotStart(failure.cause) from error
    return app
