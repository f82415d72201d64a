"""`fairlead migrate PACKAGE`: apply the revisions that the database lacks. Safe from any number of processes at once."""

from __future__ import annotations

import argparse
import asyncio

import msgspec

from fairlead.config import Config
from fairlead.errors import ConfigurationError
from fairlead.settings import Secret, load_settings

__all__ = ["add_arguments", "run"]


class DatabaseSettings(msgspec.Struct, frozen=True):
    """Where the schema is: `DATABASE_URL`, or the file that `DATABASE_URL_FILE` names."""

    database_url: Secret


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument(
        "package", nargs="?", metavar="PACKAGE", help="the package that has the migrations (default: FAIRLEAD_TARGET's)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Migrate, and say what was done."""
    package = arguments.package or str(Config.from_environment().TARGET).partition(":")[0].partition(".")[0]
    if not package:
        raise ConfigurationError("nothing to migrate: name a package, or set FAIRLEAD_TARGET")
    settings = load_settings(DatabaseSettings)
    try:
        from fairlead.postgres.migrations import upgrade
    except ModuleNotFoundError as error:
        raise ConfigurationError(f"{error.name} is not installed: pip install 'fairlead[postgres]'") from None
    applied = asyncio.run(upgrade(package, settings.database_url))
    print(f"{package}: applied {', '.join(applied)}" if applied else f"{package}: nothing to do")
    return 0
