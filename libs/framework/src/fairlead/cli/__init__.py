"""The command line: `fairlead serve shop.main:create_app`, `fairlead routes …`, and the rest of `fairlead --help`.

How this works. Each command is a module of its own with two functions: `add_arguments(parser)` and `run(arguments)`, which
returns the exit status. Only the module of the command that was asked for is imported, so that `fairlead healthcheck`, run
every ten seconds, does not load a database driver. An exception with an `exit_status` is an answer for the operator: its
problems are printed on stderr, one line each. Bad input is one line and exit 2. Any other exception is a fault of ours or
of the service's code, and shows its traceback.
"""

from __future__ import annotations

import argparse
import importlib
import os
import signal
import sys
from collections.abc import Sequence
from typing import Final, NoReturn

from fairlead.hint import did_you_mean

__all__ = ["COMMANDS", "main"]

COMMANDS: Final = {
    "serve": "serve an application",
    "dev": "serve an application while it is written: reload on changes, errors in full",
    "status": "show the workers of a running service",
    "reload": "replace the workers of a running service, one after the other, without a gap",
    "scale": "change the number of workers of a running service",
    "stop": "let a running service finish its work and end",
    "dump": "show the threads and tasks of a worker of a running service",
    "profile": "show where a worker of a running service spends its time",
    "check": "import an application and look for mistakes, without serving it",
    "routes": "list the routes of an application",
    "exec": "run a command of the application's own",
    "call": "run a command of the application's own in a worker of a running service",
    "repl": "Python at a prompt, with the application started in memory",
    "openapi": "print the OpenAPI document of an application",
    "migrate": "bring the database schema of a service up to date",
    "healthcheck": "ask a running service whether it is well",
    "up": "run every service of this checkout with embedded PostgreSQL and Valkey",
    "version": "print versions",
}

ALIASES: Final = {"check-config": "check", "--version": "version", "-V": "version"}
"""Other words for a command."""

ELSEWHERE: Final = {
    "run": "serve",
    "start": "serve",
    "live": "serve",
    "restart": "reload",
    "shell": "repl",
    "console": "repl",
    "ps": "status",
}
"""What other tools call it: a hint, as for a word that was mistyped."""

SERVING: Final = ("serve", "dev")
"""These take signals over themselves; until then they may be blocked (see `fairlead.__main__`)."""

DEFAULT_COMMAND: Final = "serve"
"""`fairlead shop.main:app` serves it, as `sanic shop.main:app` would."""


class Parser(argparse.ArgumentParser):
    """One that complains in one line."""

    def error(self, message: str) -> NoReturn:
        """Print what is wrong and exit with status 2."""
        _, _, unknown = message.partition("unrecognized arguments: ")
        if unknown.startswith("--"):
            message += did_you_mean(unknown.split()[0].partition("=")[0], self._option_string_actions)
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] in ("-h", "--help", "help"):
        sys.stdout.write(_overview())
        return 0 if words else 2
    words[0] = ALIASES.get(words[0], words[0])
    if words[0] not in COMMANDS:
        if ":" not in words[0] and "." not in words[0]:
            hint = did_you_mean(ELSEWHERE.get(words[0], words[0]), (*COMMANDS, *ALIASES))
            return _complain("fairlead", f"there is no command {words[0]!r}{hint} (see fairlead --help)", 2)
        words.insert(0, DEFAULT_COMMAND)
    return _run(*words)


def _run(name: str, *words: str) -> int:
    module = importlib.import_module(f"fairlead.cli.{name}")
    if os.getpid() == 1 and name not in SERVING:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM, signal.SIGINT, signal.SIGHUP))
    parser = Parser(prog=f"fairlead {name}", description=_sentence(COMMANDS[name]))
    module.add_arguments(parser)
    try:
        return int(module.run(parser.parse_args(words)))
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        status = getattr(error, "exit_status", None)
        if not isinstance(status, int):
            raise
        return _complain("fairlead", error, status)


def _complain(who: str, what: object, status: int) -> int:
    for problem in getattr(what, "problems", None) or [what]:
        sys.stderr.write(f"{who}: {problem}\n")
    return status


def _overview() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {purpose}" for name, purpose in COMMANDS.items()]
    return "\n".join(
        [
            "usage: fairlead COMMAND …",
            "       fairlead MODULE:NAME …   the short form of `fairlead serve MODULE:NAME …`",
            "",
            *lines,
            "",
            "fairlead COMMAND --help tells more. Settings come from FAIRLEAD_… variables too; options are stronger.",
            "",
        ]
    )


def _sentence(purpose: str) -> str:
    return f"{purpose[0].upper()}{purpose[1:]}."
