"""The target on the command line: of `serve`, `check` and `routes`.

Imports the framework only when it is needed: `serve` declares its arguments before it has taken over the signals.
"""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fairlead.app import App

__all__ = ["add_target", "finalised_app", "import_from_here", "target_of"]


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


def import_from_here() -> None:
    """Let the current folder be imported from, as `python -m` does; an installed script does not."""
    folder = os.getcwd()
    if folder not in sys.path:
        sys.path.insert(0, folder)


def finalised_app(arguments: argparse.Namespace) -> App[Any, Any]:
    """Import the target in this process and compose its routes."""
    from fairlead.workers.configuration import apply_options
    from fairlead.workers.target import load_target

    import_from_here()
    app = load_target(target_of(arguments))
    apply_options(app, {})
    app.finalise()
    return app
