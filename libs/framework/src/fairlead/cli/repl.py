"""`fairlead repl MODULE:NAME`: Python with the application at hand, and `await` at the prompt.

The application is started in memory, with its listeners: `app`, its `ctx`, and `client`, which asks it without a port:
`(await client.get("/items")).json()`. Its loop turns only while something is awaited. The end of input leaves.
"""

from __future__ import annotations

import argparse
import ast
import asyncio
import code
import inspect
import types
from typing import Any

from fairlead.cli.target import add_target, finalised_app

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    add_target(parser)


class Console(code.InteractiveConsole):
    """A prompt whose code may await."""

    def __init__(self, names: dict[str, Any], runner: asyncio.Runner) -> None:
        super().__init__(names)
        self.compile.compiler.flags |= ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        self._runner = runner

    def runcode(self, code: types.CodeType) -> None:
        """Run what was typed; an exception is shown, and the prompt comes back."""
        try:
            result = types.FunctionType(code, self.locals)()
            if inspect.iscoroutine(result):
                self._runner.run(result)
        except SystemExit:
            raise
        except BaseException:
            self.showtraceback()


def run(arguments: argparse.Namespace) -> int:
    """Read, run, print, until the input ends."""
    from fairlead.testing import AsyncTestClient

    app = finalised_app(arguments)
    with asyncio.Runner() as runner:
        client = AsyncTestClient(app)
        runner.run(client.__aenter__())
        try:
            console = Console({"app": app, "ctx": app.ctx, "client": client, "__name__": "__repl__"}, runner)
            console.interact(f"{app.name}: app, ctx, client; `await client.get('/')`. Ctrl-D leaves.", exitmsg="")
        finally:
            runner.run(client.__aexit__(None, None, None))
    return 0
