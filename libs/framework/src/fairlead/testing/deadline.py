"""The time that a phase of a test may take: an alarm that ends it and, behind that, a last resort that ends the run.

How it works, in the order in which the three lines of defence act:
1. An async step, also one of a sync test client, is ended by its own loop (`LoopRunner.call`), which still turns: the
   failure shows every task.
2. Code that blocks, in a sync test or inside the loop, is interrupted by SIGALRM `ALARM_AFTER_S` later: the handler
   raises in the blocked frame, so the test's traceback ends in the very line. Only where SIGALRM exists (not on
   Windows) and only on the main thread.
3. Code that cannot be interrupted from Python (a C extension that never returns) is shown by `faulthandler`, which then
   ends the process: a run that says where it hung is worth more than one that hangs.

An alarm that someone else has set (pytest-timeout) is respected: then the first and the third line remain.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
import time
from types import FrameType, TracebackType
from typing import Any

from fairlead.testing.stacks import describe_tasks

ALARM_AFTER_S = 0.5
"""The loop's own timer comes first, because it can still say what each task waits for."""


_running: list[Deadline] = []


class DeadlineExceeded(BaseException):
    """A phase of a test took longer than it may. Like pytest's own outcomes it is no `Exception`: the code under test
    must not swallow it."""


class Deadline:
    """A context manager around one phase; `None` seconds means no limit. Raises `DeadlineExceeded` inside the phase."""

    def __init__(self, seconds: float | None) -> None:
        self.seconds = seconds
        self._expires_at = None if seconds is None else time.monotonic() + seconds
        self._previous: Any = None
        self._armed = False

    @property
    def remaining_s(self) -> float | None:
        """Seconds that are left, never negative; None without a limit."""
        return None if self._expires_at is None else max(self._expires_at - time.monotonic(), 0.0)

    def __enter__(self) -> Deadline:
        _running.append(self)
        if self.seconds is not None and _alarm_is_free():
            self._previous = signal.signal(signal.SIGALRM, self._on_alarm)
            signal.setitimer(signal.ITIMER_REAL, self.seconds + ALARM_AFTER_S)
            self._armed = True
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        _running.remove(self)
        self.disarm()

    def disarm(self) -> None:
        """Take the limit away for the rest of the phase (a debugger has been entered, say)."""
        self._expires_at = None
        if self._armed:
            self._armed = False
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, self._previous)

    def _on_alarm(self, signum: int, frame: FrameType | None) -> None:
        text = f"no end within {self.seconds:g} s: blocked in the last line of the traceback"
        with contextlib.suppress(RuntimeError):  # no loop turns in this thread: a sync test
            text += f"; tasks at that moment:\n{describe_tasks(asyncio.get_running_loop())}"
        raise DeadlineExceeded(text)


def lift() -> None:
    """Disarm what is running: a debugger has been entered and someone is reading."""
    for deadline in _running:
        deadline.disarm()


def running() -> Deadline | None:
    """The deadline of the phase that is running; None outside of a test."""
    return _running[-1] if _running else None


def _alarm_is_free() -> bool:
    return (
        hasattr(signal, "setitimer")
        and threading.current_thread() is threading.main_thread()
        and signal.getitimer(signal.ITIMER_REAL)[0] == 0.0
    )
