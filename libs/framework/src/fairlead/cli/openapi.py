"""`fairlead openapi MODULE:NAME`: the OpenAPI document of an application, as it serves it."""

from __future__ import annotations

import argparse
import sys

from fairlead.cli.target import add_target, finalised_app

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    add_target(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print it, with the title and version that `openapi.attach` was given, if it was."""
    from fairlead.openapi import build_document, encode_document

    app = finalised_app(arguments)
    document = app.openapi.build() if app.openapi is not None else build_document(app)
    sys.stdout.write(encode_document(document).decode())
    return 0
