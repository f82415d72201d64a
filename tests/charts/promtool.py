"""Prometheus' own judge of rules, from the machine or from Debian's package (unpacked below .tools/, nothing installed)."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.observe.prometheus import Missing, program

__all__ = ["Missing", "find", "run"]


def find() -> Path:
    """The program. Raises `Missing`."""
    return program("promtool")


def run(*arguments: str) -> None:
    """One command of promtool. Raises AssertionError with what it says when it finds fault."""
    done = subprocess.run([str(find()), *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
