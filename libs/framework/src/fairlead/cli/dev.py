"""`fairlead dev MODULE:NAME`: serve an application while it is written.

How this works. It is `fairlead serve` with one worker, debug mode and readable logs, and a watcher that asks for a rolling
restart when a source file changes. The supervisor and its worker are those of production, so a change that does not even
import leaves the last good worker serving, with the error in the log, and the next change is tried again.

Files are watched through the `watchfiles` library where it is installed (`fairlead[dev]`: events of the kernel), else by
looking at their times twice a second.

A worker has no terminal. For a debugger: `fairlead serve --single-process --debug MODULE:NAME`.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fairlead.workers.signals import STOP_SIGNALS, SignalInbox

if TYPE_CHECKING:
    from fairlead.management.fleet import Operator

__all__ = ["add_arguments", "changes", "run"]

LOOK_S = 0.5

SUFFIXES = frozenset((".py", ".html", ".jinja", ".sql", ".toml", ".json", ".yaml", ".yml", ".env"))
"""What an application is made of; what it writes (databases, logs) would make it reload for ever."""

SKIPPED = frozenset(("__pycache__", "node_modules", "site-packages", "venv"))
"""Folders, beside those with a leading dot."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    from fairlead.cli.target import add_target

    add_target(parser)
    parser.add_argument("-H", "--host", help="address to listen on (default: 127.0.0.1)")
    parser.add_argument("-p", "--port", type=int, help="port to listen on; 0 takes a free one (default: 8000)")
    parser.add_argument("--management-port", metavar="PORT", type=int, help="port of probes and metrics (default: 9000)")
    parser.add_argument(
        "--watch", metavar="FOLDER", type=Path, action="append", help="where sources are (default: this folder); repeatable"
    )


def run(arguments: argparse.Namespace) -> int:
    """Serve until asked to stop."""
    signals = SignalInbox().install(*STOP_SIGNALS)
    from fairlead.cli.target import target_of
    from fairlead.workers.serving import serve

    folders = arguments.watch or [Path.cwd()]

    @asynccontextmanager
    async def watcher(operator: Operator) -> AsyncIterator[None]:
        watching = asyncio.create_task(_reload_on_changes(operator, folders), name="watch files")
        try:
            yield
        finally:
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching

    return serve(
        target_of(arguments),
        signals=signals,
        companions=[watcher],
        host=arguments.host,
        port=arguments.port,
        management_port=arguments.management_port,
        workers=1,
        debug=True,
        log_format="console",
        graceful_shutdown_timeout=2.0,
        websocket_drain_jitter=0.0,
    )


def changes(folders: list[Path]) -> AsyncGenerator[set[str], None]:
    """The source files that have changed, come or gone, each time that some have."""
    try:
        from watchfiles import awatch
    except ImportError:
        return _polled(folders)
    logging.getLogger("watchfiles").setLevel(logging.WARNING)  # debug mode would show every five seconds that nothing changed
    return _told(awatch, folders)


async def _told(awatch: Callable[..., AsyncIterator[Any]], folders: list[Path]) -> AsyncGenerator[set[str], None]:
    tops = [folder.resolve() for folder in folders]
    async for events in awatch(*tops, watch_filter=lambda _, path: _is_source_below(tops, path)):
        yield {path for _, path in events}


async def _reload_on_changes(operator: Operator, folders: list[Path]) -> None:
    async for changed in changes(folders):
        names = sorted(Path(path).name for path in changed)
        shown = names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"
        await operator.reload(f"changed: {shown}")


async def _polled(folders: list[Path]) -> AsyncGenerator[set[str], None]:
    before = dict(_times(folders))
    while True:
        await asyncio.sleep(LOOK_S)
        now = dict(_times(folders))
        changed = {path for path, _ in before.items() ^ now.items()}
        before = now
        if changed:
            yield changed


def _times(folders: list[Path]) -> Iterator[tuple[str, int]]:
    for top in folders:
        for folder, below, files in os.walk(top.resolve()):
            below[:] = [name for name in below if not _is_skipped(name)]
            for name in files:
                if Path(name).suffix in SUFFIXES:
                    path = os.path.join(folder, name)
                    with suppress(OSError):
                        yield path, os.stat(path).st_mtime_ns


def _is_source_below(tops: list[Path], path: str) -> bool:
    """What lies above the watched folders, a hidden folder perhaps, doesn't matter."""
    found = Path(path)
    inner = next((found.relative_to(top) for top in tops if found.is_relative_to(top)), found)
    return inner.suffix in SUFFIXES and not any(map(_is_skipped, inner.parts[:-1]))


def _is_skipped(folder: str) -> bool:
    return folder.startswith(".") or folder in SKIPPED
