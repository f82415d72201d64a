"""Signals: caught from the first moment, delivered in order, named in logs.

How this works. `SignalInbox.install` may be called before there is a loop and before anything slow is imported: what
arrives meanwhile waits in a queue and is delivered by `attach`. This matters most for PID 1, to which the kernel does
not even deliver a signal that has no handler: a SIGTERM in the first moments would be lost without a trace.

Rejected: `loop.add_signal_handler`, which can be called only once a loop exists; ignoring signals with `SIG_IGN`, which
every program that a service starts would inherit (a Python handler is undone by exec).
"""

from __future__ import annotations

import os
import signal
from asyncio import AbstractEventLoop
from collections import deque
from collections.abc import Callable, Iterable
from types import FrameType
from typing import Any

__all__ = ["SignalInbox", "describe_exit", "disregard", "has_terminal", "signal_name"]


class SignalInbox:
    """Signals of this process as a queue. Install in the main thread; attach when the loop runs; restore at the end."""

    def __init__(self, signals: Iterable[signal.Signals]) -> None:
        self._signals = tuple(signals)
        self._pending: deque[signal.Signals] = deque()
        self._previous: dict[signal.Signals, Any] = {}
        self._loop: AbstractEventLoop | None = None
        self._receive: Callable[[signal.Signals], object] | None = None

    def install(self) -> SignalInbox:
        """Take the signals over from now on. Installing twice changes nothing."""
        for number in self._signals:
            if number not in self._previous:
                self._previous[number] = signal.signal(number, self._caught)
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
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True
