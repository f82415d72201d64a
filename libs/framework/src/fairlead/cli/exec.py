"""`fairlead exec MODULE:NAME COMMAND --name=value …`: a command of the application's own (`@app.command`).

It runs in this process, between the application's `before_server_start` and `after_server_stop` listeners, so that what they open
is there; nothing is served and no background tasks are started. What it returns is printed: text as it is, anything else as JSON.
Without a COMMAND the application's commands are listed.
"""

from __future__ import annotations

import argparse
import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fairlead.app import App

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("words", nargs=argparse.REMAINDER, metavar="[MODULE:NAME] COMMAND --name=value …", help=argparse.SUPPRESS)
    parser.epilog = "MODULE:NAME may be left out where FAIRLEAD_TARGET is set; without a COMMAND they are listed."


def run(arguments: argparse.Namespace) -> int:
    """Run the command; 0, unless it raises."""
    from fairlead.cli.target import finalised_app
    from fairlead.commands import text_of

    words: list[str] = arguments.words
    has_target = bool(words) and (":" in words[0] or "." in words[0]) and not words[0].startswith("-")
    arguments.target = words.pop(0) if has_target else None
    app = finalised_app(arguments)
    if not words:
        _print_commands(app)
        return 0
    text = text_of(asyncio.run(_run(app, words[0], words[1:])))
    if text:
        print(text)
    return 0


async def _run(app: App[Any, Any], name: str, words: list[str]) -> Any:
    await app.lifecycle.run("before_server_start", app)
    try:
        return await app.commands.run(app, name, words)
    finally:
        await app.injector.close()
        await app.lifecycle.run("after_server_stop", app)


def _print_commands(app: App[Any, Any]) -> None:
    if not len(app.commands):
        print(f"{app.name} has no commands")
    for usage, purpose in app.commands.describe():
        print(f"{usage}  {purpose}".rstrip())
