"""Burying the dead (mission K3).

On SIGCHLD the supervisor calls `reap`. Its own children end with a callback and their exit status. As PID 1 it also
inherits every orphan of the container, whose parents died before them; nobody else will ever wait for those, so they
are buried unnamed. Outside of that role, strangers are left alone: they belong to whoever started them in this process.

Rejected: asyncio's child watchers (a thread for each child, and blind to orphans); `waitpid(-1)` alone, which takes the
status of a child away from the `Popen` that owns it.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable

__all__ = ["Reaper"]


class Reaper:
    """Knows the processes that this one has started. `adopts`: bury orphans too; by default only as PID 1."""

    def __init__(self, *, adopts: bool | None = None) -> None:
        self._adopts = os.getpid() == 1 if adopts is None else adopts
        self._children: dict[int, tuple[subprocess.Popen[bytes], Callable[[int], object]]] = {}

    def watch(self, process: subprocess.Popen[bytes], ended: Callable[[int], object]) -> None:
        """Call `ended(status)` once, when the process has ended; the status is in `subprocess`'s notation."""
        self._children[process.pid] = process, ended

    def reap(self) -> None:
        """Bury whoever has died. One SIGCHLD may stand for many deaths."""
        for pid, (process, ended) in list(self._children.items()):
            status = process.poll()
            if status is not None:
                del self._children[pid]
                ended(status)
        if self._adopts:
            self._reap_orphans()

    def _reap_orphans(self) -> None:
        while (pid := _next_dead()) is not None and pid not in self._children:  # a child of ours comes with a SIGCHLD
            os.waitpid(pid, 0)


def _next_dead() -> int | None:
    """Look at the next dead child without burying it."""
    try:
        dead = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return None
    return dead.si_pid if dead is not None else None
