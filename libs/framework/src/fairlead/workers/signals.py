"""Signals: caught from the first moment, delivered in order, named in logs.

How this works. `SignalInbox.install` may be called before there is a loop and before anything slow is imported: what
arrives meanwhile waits in a queue and is delivered by `attach`. This matters most for PID 1, to which the kernel does
not even deliver a signal that has no handler: a SIGTERM in the first moments would be lost without a trace. There
`fairlead.__main__` blocks them until `install` unblocks them.

Rejected: `loop.add_signal_handler`, which can be called only once a loop exists; ignoring signals with `SIG_IGN`, which
every program that a service starts would inherit (a Python handler is undone by exec).
"""

from __future__ import annotations

import os
import signal
import time
from collections import deque
from collections.abc import Callable
from enum import Enum
from types import FrameType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

__all__ = [
    "HELD_SIGNALS",
    "STOP_SIGNALS",
    "SignalInbox",
    "Wish",
    "Wishes",
    "describe_exit",
    "disregard",
    "has_terminal",
    "signal_name",
]

STOP_SIGNALS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGHUP") if hasattr(signal, name))
"""What asks a service for its end, or for a rolling restart, where there is such a signal (Windows has no SIGHUP)."""

HELD_SIGNALS = STOP_SIGNALS
"""Blocked in a worker from its spawn until it has handlers for them."""


class SignalInbox:
    """Signals of this process as a queue. Install in the main thread; attach when a loop runs; restore at the end."""

    def __init__(self) -> None:
        self._pending: deque[signal.Signals] = deque()
        self._previous: dict[signal.Signals, Any] = {}
        self._loop: AbstractEventLoop | None = None
        self._receive: Callable[[signal.Signals], object] | None = None

    def install(self, *numbers: signal.Signals) -> SignalInbox:
        """Take these signals over from now on, those that were held back included. Those that were taken already stay so."""
        for number in numbers:
            if number not in self._previous:
                self._previous[number] = signal.signal(number, self._caught)
        if hasattr(signal, "pthread_sigmask"):
            signal.pthread_sigmask(signal.SIG_UNBLOCK, numbers)
        return self

    def attach(self, loop: AbstractEventLoop, receive: Callable[[signal.Signals], object]) -> None:
        """Deliver to `receive`, in the loop: first what has arrived already, then each signal as it comes."""
        self._loop, self._receive = loop, receive
        loop.call_soon(self._deliver)

    def restore(self) -> None:
        """Give the signals back to who had them before."""
        self._loop = self._receive = None
        while self._previous:
            number, handler = self._previous.popitem()
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)

    def _caught(self, number: int, frame: FrameType | None) -> None:
        self._pending.append(signal.Signals(number))
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._deliver)

    def _deliver(self) -> None:
        while self._pending and self._receive is not None:
            self._receive(self._pending.popleft())


class Wish(Enum):
    """What whoever sent a signal wants."""

    STOP = "stop"
    FORCE = "force"
    RELOAD = "reload"
    NOTHING_NEW = "nothing new"


class Wishes:
    """Makes sense of the signals that ask for an end or a restart. Make it at the start: it remembers the terminal.

    The first SIGTERM or SIGINT asks to stop, a second one forces. One that comes together with the first is the same
    wish once more: a terminal signals the whole process group while the parent passes on what it got, and `timeout`
    signals both the process and its group. SIGHUP asks for a rolling restart; when the terminal was closed it means
    what it says, the end.
    """

    SAME_WISH_S = 0.25

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.first: signal.Signals | None = None
        """The signal that asked to stop."""
        self._first_s = 0.0
        self._clock = clock
        self._had_terminal = has_terminal()

    def judge(self, number: signal.Signals) -> Wish:
        """What this signal, after those before it, asks for."""
        if number.name == "SIGHUP" and not (self._had_terminal and not has_terminal()):
            return Wish.RELOAD
        if self.first is None:
            self.first, self._first_s = number, self._clock()
            return Wish.STOP
        return Wish.NOTHING_NEW if self._clock() - self._first_s <= self.SAME_WISH_S else Wish.FORCE


def disregard(*numbers: signal.Signals) -> None:
    """Do nothing on these signals: somebody else decides (a worker on the terminal's Ctrl-C)."""
    for number in numbers:
        signal.signal(number, lambda *_: None)


def signal_name(number: int) -> str:
    """`SIGKILL` for 9; `signal 34` for a number without a name."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def describe_exit(status: int) -> str:
    """How a process ended, in words, from a status in `subprocess`'s notation (negative: minus the signal's number)."""
    return f"killed by {signal_name(-status)}" if status < 0 else f"exited with status {status}"


def has_terminal() -> bool:
    """True while this process has a controlling terminal; a terminal that was closed is one no more."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | getattr(os, "O_NOCTTY", 0)))
    except OSError:
        return False
    return True
