"""Prometheus' own judge of rules, from the machine or from Debian's package (unpacked below .tools/, nothing installed)."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from .helm import TOOLS

UNPACKED = TOOLS / "prometheus" / "usr" / "bin" / "promtool"


class Missing(Exception):
    """There is no promtool, and it can't be had; the text says why."""


def find() -> Path:
    """The program. Raises `Missing`."""
    found = shutil.which("promtool")
    if found:
        return Path(found)
    if not UNPACKED.exists():
        _unpack()
    return UNPACKED


def _unpack() -> None:
    if not shutil.which("apt-get"):
        raise Missing("promtool is not installed, and there is no apt-get to fetch it with")
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(["apt-get", "download", "prometheus"], cwd=folder, capture_output=True, text=True, check=False)
        packages = list(Path(folder).glob("*.deb"))
        if done.returncode or not packages:
            raise Missing(f"Debian's package prometheus can't be fetched: {done.stderr.strip().splitlines()[-1:]}")
        subprocess.run(["dpkg", "-x", str(packages[0]), str(TOOLS / "prometheus")], check=True)


def run(*arguments: str) -> None:
    """One command of promtool. Raises AssertionError with what it says when it finds fault."""
    done = subprocess.run([str(find()), *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
