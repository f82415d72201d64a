"""The thread that ends a worker which cannot end itself.

The control channel tells a worker that its supervisor is gone, but only a loop that turns hears it. This thread hears it
too, by the change of the parent's process id, and waits: first for the loop to drain as usual; past the time that a drain
may take it ends the process. The same for the way out: a thread of `run_blocking` that never returns would keep the
interpreter from exiting.

Rejected: PR_SET_PDEATHSIG, which ends the worker at once and with it every request that could still be answered.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable

__all__ = ["Lifeline"]

_LOOK_S = 1.0


class Lifeline:
    """Watches from its own thread. `start` it before anything that may block."""

    def __init__(
        self,
        supervisor_pid: int,
        grace_s: float,
        *,
        leave: Callable[[int], object] = os._exit,
        parent: Callable[[], int] = os.getppid,
    ) -> None:
        self._supervisor_pid = supervisor_pid
        self._grace_s = grace_s
        self._leave = leave
        self._parent = parent
        self._exit: tuple[float, int] | None = None

    def start(self) -> None:
        """Begin to watch."""
        threading.Thread(target=self._watch, name="fairlead-lifeline", daemon=True).start()

    def leave_by(self, until_s: float, status: int) -> None:
        """End the process with `status` if it still runs at `until_s` (CLOCK_MONOTONIC). The earliest moment counts."""
        if self._exit is None or until_s < self._exit[0]:
            self._exit = until_s, status

    def look(self) -> bool:
        """Look once; True when the process was told to end."""
        if self._exit is None and self._parent() != self._supervisor_pid:
            self.leave_by(time.monotonic() + self._grace_s, 1)
        if self._exit is None or time.monotonic() < self._exit[0]:
            return False
        self._leave(self._exit[1])
        return True

    def _watch(self) -> None:
        while not self.look():
            time.sleep(_LOOK_S)
