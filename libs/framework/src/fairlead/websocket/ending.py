"""The end of a websocket's TCP connection, and who has to know of it: those who wait for it, and the handler that outlives it.

PERF: 10,000 idle websockets wait for nothing here, so the future is made for the first who waits, and the timer at the end.
"""

from __future__ import annotations

import asyncio


class Ending:
    """Call `arrive` once, when the connection is gone."""

    __slots__ = ("_future", "_grace_s", "_has_arrived", "_has_cancelled", "_task", "_timer")

    def __init__(self) -> None:
        self._future: asyncio.Future[None] | None = None
        self._has_arrived = False
        self._task: asyncio.Task[object] | None = None
        self._grace_s = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._has_cancelled = False

    def arrive(self) -> None:
        """The connection is gone."""
        self._has_arrived = True
        if self._future is not None:
            self._future.set_result(None)
        if self._task is not None:
            self._begin_grace(self._task)

    async def wait(self) -> None:
        """Return when the connection is gone."""
        if not self._has_arrived:
            if self._future is None:
                self._future = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._future)  # shared: cancelling one who waits must not wake the others

    def watch(self, grace_s: float) -> None:
        """Cancel the running task when it still runs `grace_s` after the end, unless `unwatch` is called before."""
        task = asyncio.current_task()
        assert task is not None  # a handler is always run in one
        self._task, self._grace_s = task, grace_s
        if self._has_arrived:
            self._begin_grace(task)

    def unwatch(self) -> None:
        """The handler has ended."""
        self._task = None
        if self._timer is not None:
            self._timer.cancel()

    def has_cancelled(self) -> bool:
        """Whether the cancellation that has just arrived in the task is ours alone."""
        return self._has_cancelled and self._task is not None and self._task.uncancel() == 0

    def _begin_grace(self, task: asyncio.Task[object]) -> None:
        self._timer = task.get_loop().call_later(self._grace_s, self._cancel, task)

    def _cancel(self, task: asyncio.Task[object]) -> None:
        self._has_cancelled = True
        task.cancel("the websocket's connection is gone")
