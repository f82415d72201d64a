"""`fairlead migrate PACKAGE`: apply the revisions that the database lacks. Safe from any number of processes at once."""

from __future__ import annotations

import argparse
import asyncio
import logging

import msgspec

from fairlead.config import Config
from fairlead.errors import ConfigurationError
from fairlead.settings import Secret, load_settings
from fairlead.workers.configuration import configure_logs

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
    """Migrate. What is done, or that nothing was to do, is in the log."""
    config = Config.from_environment()
    package = arguments.package or str(config.TARGET).partition(":")[0].partition(".")[0]
    if not package:
        raise ConfigurationError("nothing to migrate: name a package, or set FAIRLEAD_TARGET")
    settings = load_settings(DatabaseSettings)
    stream = configure_logs(config, package)
    logging.getLogger("alembic").setLevel(logging.WARNING)  # it narrates each of its plugins
    from fairlead.workers.target import import_from_here

    import_from_here()
    try:
        from fairlead.postgres.migrations import upgrade
    except ModuleNotFoundError as error:
        raise ConfigurationError(f"{error.name} is not installed: pip install 'fairlead[postgres]'") from None
    try:
        asyncio.run(upgrade(package, settings.database_url))
    finally:
        stream.flush()
    return 0
