"""What `fairlead up` shows: its own steps, a table, and the lines of every process behind the name of that process."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TextIO

__all__ = ["Console"]

COLOURS = ("36", "33", "35", "32", "34", "31")
MARGIN = "  "


class Console:
    """Writes to one stream, in colour where a person reads it and has not asked for none (NO_COLOR)."""

    def __init__(self, names: Sequence[str], *, stream: TextIO = sys.stdout, in_colour: bool = False) -> None:
        self._stream = stream
        self._width = max(map(len, names), default=0)
        self.on_lost: Callable[[], None] = _ignore
        """Called once, when nobody reads the stream any more; what is written later is dropped."""
        self._is_lost = False
        self._colours = dict(zip(names, COLOURS * len(names), strict=False)) if in_colour else {}

    def say(self, text: str = "") -> None:
        """One line of our own."""
        self._write(f"{MARGIN}{text}".rstrip())

    @contextmanager
    def step(self, name: str, done: str) -> Iterator[None]:
        """Says, when the block ends well, what was done and how long it took."""
        started = time.monotonic()
        yield
        self._write(f"{self._label(name)} | {done} ({time.monotonic() - started:.1f} s)")

    def line(self, name: str, line: bytes) -> None:
        """One line that the process `name` wrote."""
        self._write(f"{self._label(name)} | {line.decode(errors='replace')}")

    def table(self, rows: Sequence[Sequence[str]]) -> None:
        """Rows of equal length in columns; the first row is the heading."""
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        self.say()
        for row in rows:
            self.say("   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)))
        self.say()

    def _label(self, name: str) -> str:
        text = name.ljust(self._width)
        return f"\x1b[{self._colours[name]}m{text}\x1b[0m" if name in self._colours else text

    def _write(self, text: str) -> None:
        if self._is_lost:
            return
        try:
            self._stream.write(f"{text}\n")
            self._stream.flush()
        except OSError:  # a closed pipe or terminal
            self._is_lost = True
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())
            self.on_lost()


def _ignore() -> None:
    return None
