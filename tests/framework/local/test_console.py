"""`Console`: names in front of lines, steps, a table."""

from __future__ import annotations

import io
import os
import re

from fairlead.local.console import Console


def test_lines() -> None:
    """Every line stands behind the name of its process, in one column; what is no UTF-8 is shown as well as it can."""
    stream = io.StringIO()
    console = Console(["auth", "catalog"], stream=stream)
    console.line("auth", "grüß".encode())
    console.line("catalog", b"\xff!")
    assert "auth    | grüß\ncatalog | \ufffd!\n" == stream.getvalue()


def test_colour() -> None:
    """In colour each name has its own; the line keeps the one that it came with."""
    stream = io.StringIO()
    console = Console(["auth", "feed"], stream=stream, in_colour=True)
    console.line("auth", b"x")
    console.line("feed", b"x")
    assert "\x1b[36mauth\x1b[0m | x\n\x1b[33mfeed\x1b[0m | x\n" == stream.getvalue()


def test_step() -> None:
    """A step tells its time when it is done."""
    stream = io.StringIO()
    with Console(["auth"], stream=stream).step("auth", "migrated"):
        assert "" == stream.getvalue()
    assert re.fullmatch(r"auth \| migrated \(\d+\.\d s\)\n", stream.getvalue())


def test_table() -> None:
    """Columns are as wide as their widest cell, and no line ends in blanks."""
    stream = io.StringIO()
    Console([], stream=stream).table([("service", "workers"), ("auth", "2")])
    assert "\n  service   workers\n  auth      2\n\n" == stream.getvalue()


def test_reader_gone() -> None:
    """When nobody reads any more (`make run | head`), the console says so once and drops the rest."""
    read, write = os.pipe()
    os.close(read)
    calls = []
    with os.fdopen(write, "w") as stream:
        console = Console(["auth"], stream=stream)
        console.on_lost = lambda: calls.append("lost")
        console.line("auth", b"x")
        console.line("auth", b"y")
    assert ["lost"] == calls
