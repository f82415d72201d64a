"""What a task awaits until there is a message: like a future, but used again and again, and without a turn of the loop.

How it works. asyncio's tasks wait for anything that keeps the protocol of its futures (`_asyncio_future_blocking`, `get_loop`,
`add_done_callback`, `result`, `cancel`): they leave a callback and go on when it is called, for which a future takes the loop's
next turn. So does `wake_soon`. But most handlers wait for message after message, and nothing else. For these the server lends a
`step` (see `server/runner.py`), which runs the handler on to its next wait under the name and in the context of its task, while
that task goes on waiting here: it is only told when the handler waits for something else, or ends.

PERF: waking the handler through a future, a handle and a turn takes a fifth more instructions for a whole echo.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context
from typing import Any, Protocol


class Stepper(Protocol):
    """Who can run a task's coroutine by hand."""

    @property
    def task(self) -> asyncio.Task[Any]:
        """The task."""

    def step(self, waiter: Any) -> None:
        """Run it on until it waits again; when that is not for `waiter`, call `waiter.wake_soon`."""


class Waiter:
    """Wakes the one task that awaits it. `expect` before each `yield` of it."""

    __slots__ = (
        "_asyncio_future_blocking",
        "_callback",
        "_context",
        "_error",
        "_is_woken",
        "_loop",
        "is_awaited",
        "step",
        "stepper",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._asyncio_future_blocking = False
        self._callback: Callable[[Any], object] | None = None
        self._context: Context | None = None
        self._error: asyncio.CancelledError | None = None
        self._is_woken = False
        self.step: Callable[[Waiter], None] | None = None
        """Call it with this waiter to let the task go on now; None when only `wake_soon` can. For callbacks of the loop, where no
        task is running."""
        self.is_awaited = False
        """Whether a task waits, or is about to."""
        self.stepper: Stepper | None = None
        """Who can run the handler's own task by hand."""

    def expect(self) -> Waiter:
        """From now on being woken counts. RuntimeError when a task waits already."""
        if self.is_awaited:
            raise RuntimeError("another task waits in recv already")
        self.is_awaited = self._asyncio_future_blocking = True
        self._is_woken = False
        return self

    def wake_soon(self) -> None:
        """Let the task go on in the loop's next turn."""
        self._is_woken = True
        callback = self._callback
        if callback is not None:
            self._callback = self.step = None
            self._loop.call_soon(callback, self, context=self._context)

    # What asyncio's tasks call

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """The loop of the tasks that may wait."""
        return self._loop

    def add_done_callback(self, callback: Callable[[Any], object], *, context: Context) -> None:
        """A task waits."""
        self._callback, self._context = callback, context
        if self._is_woken:  # between `expect` and this
            self.wake_soon()
        elif self.stepper is not None and getattr(callback, "__self__", None) is self.stepper.task:
            self.step = self.stepper.step

    def result(self) -> None:
        """The task goes on, or is cancelled."""
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def cancel(self, msg: Any = None) -> bool:
        """The task is being cancelled."""
        self._error = asyncio.CancelledError() if msg is None else asyncio.CancelledError(msg)
        self.wake_soon()
        return True
