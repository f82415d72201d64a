"""A server that an earlier run left behind, found by the pid that it noted.

A pid proves nothing: after a power cut, and all the time in containers, another process gets the same number.
PostgreSQL itself then refuses to start ("another postmaster may be running"). So the process must name our directory
on its command line before anything is sent to it, and a note that fits no such process is removed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
from pathlib import Path

import psutil

from fairlead.local.failure import LocalError

__all__ = ["end_leftover", "erase"]

POLL_S = 0.02


async def end_leftover(note: Path, directory: Path, stop_signal: signal.Signals, timeout_s: float) -> None:
    """Ends the server on `directory` whose pid is the first line of the file `note`, and removes the note.

    Call it while holding the lock of the run: nobody else's server can then be meant. Raises LocalError when the server
    does not end within `timeout_s`."""
    pid = _noted_pid(note)
    if pid is not None and _works_on(pid, directory):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, stop_signal)
        deadline = asyncio.get_running_loop().time() + timeout_s
        while _works_on(pid, directory):
            if asyncio.get_running_loop().time() > deadline:
                raise LocalError(f"a server of an earlier run still works on {directory} (pid {pid}): end it first")
            await asyncio.sleep(POLL_S)
    note.unlink(missing_ok=True)


def erase(directory: Path) -> None:
    """Removes a server's directory; raises LocalError when it belongs to somebody else."""
    try:
        if directory.exists():
            shutil.rmtree(directory)
    except PermissionError:
        raise LocalError(f"{directory} belongs to another user (a run as root?): remove it as root") from None


def _noted_pid(note: Path) -> int | None:
    try:
        return int(note.read_text().split("\n", 1)[0])
    except (OSError, ValueError):
        return None


def _works_on(pid: int, directory: Path) -> bool:
    try:
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and str(directory) in process.cmdline()
    except psutil.Error:
        return False
