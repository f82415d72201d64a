"""`make chaos`: the table of what must hold when workers die, block, reload and stop under load.

    python -m tests.chaos --short                          a minute or two: 2 workers, small figures
    python -m tests.chaos --workers 1 2 4 --requests 100000
    python -m tests.chaos --short --events kill reload --loops asyncio

Exits with status 1 when a line does not hold. Every request's fate is counted by the client (see `tests.chaos.load`).
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path

from tests.chaos import changes, ends, leaks  # noqa: F401  each adds its events
from tests.chaos.table import EVENTS, Row, Setting

SHORT = {"requests": 3000, "reloads": 2, "kills": 2, "cycles": 2, "restarts": 8, "burials": 500}
FULL = {"requests": 100_000, "reloads": 10, "kills": 20, "cycles": 10, "restarts": 400, "burials": 10_000}
EVENT_LIMIT_S = 900.0


def main() -> int:
    """Print the table; 0 when everything held."""
    arguments = _arguments()
    size = dict(SHORT if arguments.short else FULL)
    size |= {name: value for name in size if (value := getattr(arguments, name)) is not None}
    workers = arguments.workers or ([2] if arguments.short else [1, 2, 4])
    with tempfile.TemporaryDirectory(prefix="fairlead-chaos-") as folder:
        stubs = Path(folder)
        (stubs / "uvloop.py").write_text("raise ImportError('hidden, to run on asyncio')\n")
        settings = [Setting(count, loop, stubs, **size) for count in workers for loop in arguments.loops]
        return asyncio.run(_table(settings, arguments.events))


async def _table(settings: list[Setting], events: list[str]) -> int:
    broken = 0
    for setting in settings:
        _print(f"\n{setting.workers} worker{'s' * (setting.workers > 1)}, {setting.loop}, ≥ {setting.requests} requests under load")
        _print(f"  {'event':<32} {'answered':>9}  failed | rest")
        for name in events:
            began_s = time.monotonic()
            row = await _row(name, setting)
            broken += bool(row.problems)
            verdict = f"  ✗ {'; '.join(row.problems)}" if row.problems else ""
            took = f"[{time.monotonic() - began_s:.0f} s]"
            _print(f"  {row.event:<32} {row.answered or '–':>9}  {row.failed} | {row.rest}{verdict} {took}")
    _print(f"\n{broken} lines do not hold" if broken else "\nall of it holds")
    return bool(broken)


async def _row(name: str, setting: Setting) -> Row:
    try:
        async with asyncio.timeout(EVENT_LIMIT_S):
            return await EVENTS[name](setting)
    except (TimeoutError, RuntimeError) as error:
        return Row(name, problems=[f"{type(error).__name__}: {error}"])


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make chaos")
    parser.add_argument("--short", action="store_true", help="small figures, 2 workers")
    parser.add_argument("--workers", type=int, nargs="+", help="numbers of workers (default: 1 2 4)")
    parser.add_argument("--loops", nargs="+", choices=("uvloop", "asyncio"), default=["uvloop", "asyncio"])
    parser.add_argument("--events", nargs="+", choices=list(EVENTS), default=list(EVENTS))
    for name in FULL:
        parser.add_argument(f"--{name}", type=int, help=f"default: {FULL[name]}, short: {SHORT[name]}")
    return parser.parse_args()


def _print(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
