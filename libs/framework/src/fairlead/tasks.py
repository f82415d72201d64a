"""Background tasks: named, supervised, and cancelled in order at shutdown (mission P2)."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Callable, Coroutine, Iterator
from functools import partial
from typing import Any

logger = logging.getLogger("fairlead.tasks")

CANCEL_AGAIN_S = 1.0
"""How long a task that was cancelled may take for its `finally` before it is cancelled again."""

TaskSource = Coroutine[Any, Any, Any] | Callable[..., Any]


class _Kept:
    """What waits for the start. Should that never come, its coroutine is closed with it: the error that kept the start from coming
    is what there is to be seen, and no coroutine that was never awaited."""

    __slots__ = ("name", "source")

    def __init__(self, source: TaskSource, name: str | None) -> None:
        self.source: TaskSource | None = source
        self.name = name

    def take(self) -> TaskSource:
        """The source, which is the caller's from now on."""
        source, self.source = self.source, None
        assert source is not None
        return source

    def __del__(self) -> None:
        _discard(self.source)


class TaskRegistry:
    """The tasks of one application. A task that fails is logged once, with its name and traceback."""

    def __init__(self) -> None:
        self._named: dict[str, asyncio.Task[Any]] = {}
        self._running: dict[asyncio.Task[Any], None] = {}
        self._waiting: list[_Kept] = []
        self._open = False
        self.on_failure: Callable[[BaseException], None] | None = None
        """Told what a task failed with, beside the log."""

    def add(self, source: TaskSource, name: str | None, app: Any) -> asyncio.Task[Any] | None:
        """Start a coroutine, or a function that takes the app or nothing; before `open` it is kept until `start`.

        Raises ValueError when a task of that name is running or kept.
        """
        running = self._named.get(name) if name is not None else None
        if (running is not None and not running.done()) or (name is not None and name in [kept.name for kept in self._waiting]):
            _discard(source)
            raise ValueError(f"a task named {name!r} is running already")
        if not self._open:
            self._waiting.append(_Kept(source, name))
            return None
        return self._start(source, name, app)

    @property
    def is_open(self) -> bool:
        """Whether the application has been started."""
        return self._open

    def open(self) -> None:
        """The application is starting: from here on tasks that are added start at once."""
        self._open = True

    def start(self, app: Any) -> None:
        """Start what was added before: what the listeners have opened is there now."""
        waiting, self._waiting = self._waiting, []
        for kept in waiting:
            self._start(kept.take(), kept.name, app)

    def spawn(self, work: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        """Start a coroutine at once, in the running loop. Many may have one name, and `get` finds none of them."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._running[task] = None
        task.add_done_callback(partial(self._ended, work))
        return task

    def _start(self, source: TaskSource, name: str | None, app: Any) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(_run(source, app), name=name)
        self._running[task] = None
        if name is not None:
            self._named[name] = task
        task.add_done_callback(partial(self._ended, source))
        return task

    def _ended(self, source: TaskSource, task: asyncio.Task[Any]) -> None:
        self._running.pop(task, None)
        _discard(source)  # a coroutine whose task was cancelled before its first step
        error = None if task.cancelled() else task.exception()
        if error is not None:
            logger.error("task failed", exc_info=error, extra={"task": task.get_name()})
            if self.on_failure is not None:
                self.on_failure(error)

    def get(self, name: str) -> asyncio.Task[Any] | None:
        """The latest task of a name."""
        return self._named.get(name)

    def __iter__(self) -> Iterator[asyncio.Task[Any]]:
        return iter(list(self._running))

    def __len__(self) -> int:
        return len(self._running)

    async def cancel(self, name: str, message: str | None = None) -> None:
        """Cancel a named task and wait for its end. Raises KeyError for a name that never was."""
        await _cancel(self._named[name], message)

    def purge(self) -> None:
        """Forget the names of tasks that are over."""
        self._named = {name: task for name, task in self._named.items() if not task.done()}

    async def shutdown(self, timeout_s: float) -> None:
        """Cancel all, the youngest first, and wait for them within the time; what still runs then is logged.

        What they start in their `finally` is cancelled as well, and what was never started is let go of. A task that goes on is
        cancelled again: before Python 3.12 `asyncio.wait_for` can swallow a cancellation that comes in the same turn as its result.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        self._waiting.clear()
        while self._running and loop.time() < deadline:
            running = list(reversed(self._running))
            for task in running:
                task.cancel()
            await asyncio.wait(running, timeout=min(CANCEL_AGAIN_S, deadline - loop.time()))
        for task in self._running:
            logger.warning("task did not stop in time", extra={"task": task.get_name()})


def _discard(source: TaskSource | None) -> None:
    if inspect.iscoroutine(source):
        source.close()


async def _cancel(task: asyncio.Task[Any], message: str | None) -> None:
    if not task.done():
        task.cancel(message)
        await asyncio.wait([task])


async def _run(source: TaskSource, app: Any) -> Any:
    if callable(source):
        try:
            inspect.signature(source).bind(app)
        except TypeError:
            source = source()
        else:
            source = source(app)
    return await source if inspect.isawaitable(source) else source
