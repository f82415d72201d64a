"""`fairlead up`: all services of this checkout beside each other, with embedded PostgreSQL and Valkey (`make run`).

Ctrl-C, SIGTERM and a closed terminal stop everything in order; a second signal makes it short. The exit status is 0
after such a stop, 1 when a process ended by itself or something could not start, 2 for a malformed [tool.fairlead].
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from fairlead.local.console import Console
from fairlead.local.failure import LocalError
from fairlead.local.lock import RunLock
from fairlead.local.plan import read_services
from fairlead.local.stack import Stack

__all__ = ["add_arguments", "run"]

INSIST_AFTER_S: Final = 0.5
"""One Ctrl-C can arrive twice, to the group and through make; two of a person are further apart."""
CALLER_POLL_S: Final = 0.5
FREED_TIMEOUT_S: Final = 5.0
"""How long the services of a run that was killed may keep their ports: they still drain."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's options."""
    parser.description = "Run every service of this checkout with embedded PostgreSQL and Valkey."
    parser.add_argument("--root", type=Path, default=Path(), help="the checkout (default: the current folder)")
    parser.add_argument("--clean", action="store_true", help="remove all local data first")
    parser.add_argument("--stop-with", type=int, metavar="PID", help="stop when this process, the caller, is gone")


def run(arguments: argparse.Namespace) -> int:
    """Runs the stack until it is told to stop, and gives the exit status.

    Raises ConfigurationError and LocalError, whose problems are one line each."""
    root = arguments.root.resolve()
    services = read_services(root)
    in_colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    console = Console(["PostgreSQL", "Valkey", *(service.name for service in services)], in_colour=in_colour)
    data = root / ".local"
    with RunLock(data / "run.lock") as lock:
        stack = Stack(services, data=data, environ=os.environ, console=console)
        work = _work(stack, console, clean=arguments.clean, ports_wait_s=FREED_TIMEOUT_S if lock.was_killed else 0.0)
        return asyncio.run(_until_told(work, stack, console, caller=arguments.stop_with))


async def _work(stack: Stack, console: Console, *, clean: bool, ports_wait_s: float) -> None:
    await stack.check_ports(wait_s=ports_wait_s)
    if clean:
        await stack.erase()
    async with stack:
        console.say("Ctrl-C stops everything; the data stays in .local/ (`make run-clean` starts empty).")
        console.say()
        ended = await stack.wait()
        console.say(f"{ended}; stopping the others …")
    raise LocalError(ended)


async def _until_told(work: Coroutine[Any, Any, None], stack: Stack, console: Console, *, caller: int | None) -> int:
    """Awaits `work`, or ends it in order at the first signal, and in a hurry at the second."""
    task = asyncio.create_task(work)

    loop = asyncio.get_running_loop()
    stopping_since = 0.0

    def stop() -> None:
        nonlocal stopping_since
        if not task.cancelling():
            stopping_since = loop.time()
            task.cancel()
            console.say("Stopping …")

    def insist() -> None:
        if task.cancelling() and loop.time() > stopping_since + INSIST_AFTER_S:
            stack.hurry()
        stop()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, insist)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as nohup(1) asks
        loop.add_signal_handler(signal.SIGHUP, stop)
    console.on_lost = stop
    watch = asyncio.create_task(_watch_caller(caller, stop)) if caller is not None else None
    try:
        with suppress(asyncio.CancelledError):
            await task
        console.say("Stopped.")
        return 0
    finally:
        if watch is not None:
            watch.cancel()
        for number in (signal.SIGINT, signal.SIGTERM):  # an impatient Ctrl-C does not spoil the exit status
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_IGN)


async def _watch_caller(pid: int, stop: Callable[[], None]) -> None:
    """Calls `stop` when our parent is no longer `pid`: `make` can be killed with SIGKILL, and nothing tells us then."""
    while os.getppid() == pid:  # noqa: ASYNC110
        await asyncio.sleep(CALLER_POLL_S)
    stop()
