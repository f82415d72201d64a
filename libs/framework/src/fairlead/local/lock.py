"""One run at a time in a folder.

The lock is flock(2) on a file: it goes with the process, however that ends, so there is never a stale one. The file
holds the pid of whoever has the lock, for the sake of the message, and is emptied on a clean end: a pid in a file that
nobody has locked tells the next run that the last one was killed and its children may still be on their way out.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Self

from fairlead.local.failure import LocalError

__all__ = ["RunLock"]


class RunLock:
    """Held between entering and leaving the context. Entering raises LocalError when another process has it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1
        self.was_killed = False
        """Whether the run before this one had no time to clean up."""

    def __enter__(self) -> Self:
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        except PermissionError as error:
            raise LocalError(f"{error.filename} can't be written: it belongs to another user (a run as root?)") from None
        noted = self._path.read_text().strip()
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._descriptor)
            raise LocalError(f"the stack already runs in this folder (pid {noted}): stop that one first") from None
        self.was_killed = bool(noted)
        self._note(str(os.getpid()))
        return self

    def __exit__(self, *_: object) -> None:
        self._note("")
        os.close(self._descriptor)

    def _note(self, text: str) -> None:
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, text.encode(), 0)
