"""A command of the application's own, run in a service that is up, for an operator who waits for its outcome."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from fairlead.app import App
from fairlead.commands import text_of
from fairlead.errors import CommandError

__all__ = ["call"]

logger = logging.getLogger("fairlead.workers")

MAX_TEXT_CHARACTERS = 1_000_000
"""What an answer may hold: it goes through the control channel, beside the worker's signs of life."""


async def call(app: App[Any, Any], name: str, words: Sequence[str]) -> tuple[str, str]:
    """Run a command: the problem, or "" and what it returned, as text or JSON. Its exceptions are logged, with their traceback."""
    logger.info("command", extra={"command": name})
    try:
        text = text_of(await app.commands.run(app, name, words))
    except CommandError as error:
        return str(error), ""
    except Exception as error:
        logger.exception("command failed", extra={"command": name})
        return f"{name}: {type(error).__name__}: {error}", ""
    if len(text) > MAX_TEXT_CHARACTERS:
        return f"{name}: its answer is longer than {MAX_TEXT_CHARACTERS:,} characters", ""
    return "", text
