"""Runs requests: without a task as long as the handler doesn't wait, in a task of its own from then on.

A task per request costs about a tenth of the whole path, and most requests that come from a cache or a computation never wait.
So a driver (see `fairlead.dispatch`) is stepped straight from `data_received`. What is needed for that to be honest:

- *Identity.* Code may ask for `asyncio.current_task()` (`asyncio.timeout` does). Each driver has a *spare* task, which lends its
  identity while the driver is stepped. When the handler waits for something, that very task takes the driver over and runs it to
  the request's end; a new driver with a new spare is made for the requests that follow.
- *Context.* Every request runs in its own copy of the context, so nothing that it sets leaks into another (W3C trace context,
  request id). The copy stays with the request when the task takes over.
- *Cancellation.* `task.cancel()` can arrive while the request waits (an ordinary cancellation of what it awaits), between its first
  wait and the task's first step (the task passes it on), or, by misuse, after a request that never waited has ended (the spare is
  replaced, and no later request is hit). When it is the client that has left (`leave`), the handler sees `RequestCancelled`, a kind
  of `CancelledError`, and so can tell the two.

PERF: what a task runs is the spare itself, which has the methods of a coroutine. A real one would be two frames (asyncio takes no
generator from Python 3.12 on), 0.5 KiB for as long as a request lasts, and websockets last; nor would one that was never started
see that it is cancelled.

Rejected: eager tasks (`asyncio.eager_task_factory`, Python ≥ 3.12) do the same for the price of a task object per request, and
uvloop has them only from 3.12 on.
"""

from __future__ import annotations

import asyncio
from asyncio.tasks import _enter_task, _leave_task
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context, copy_context
from types import FrameType
from typing import Any, Protocol

from fairlead.errors import RequestCancelled
from fairlead.request import DONE, Request

Driver = Generator[Any, Any, None]


class Owner(Protocol):
    """Whose request it is."""

    def finished(self, task: asyncio.Task[None]) -> None:
        """The request had waited and is over."""


class _Spare(Coroutine[Any, Any, None]):
    """A driver, the task that may take it over, and, for that task, the coroutine that it runs."""

    __slots__ = ("client_left", "context", "driver", "owner", "task", "waits_for")

    __name__ = "request"  # in the task's repr

    def __init__(self, driver: Driver, loop: asyncio.AbstractEventLoop) -> None:
        self.driver = driver
        self.context: Context | None = None
        self.owner: Owner | None = None
        self.waits_for: Any = loop.create_future()
        """What the task is to wait for next: at first for a request; `DONE` when only the driver can tell."""
        self.client_left = False
        self.task = loop.create_task(self, context=Context())

    # What asyncio's task calls

    def send(self, value: Any) -> Any:
        """Wait until there is a request under this task's name, then run that to its end."""
        if self.context is None:
            self.waits_for._asyncio_future_blocking = True
            return self.waits_for
        if self.waits_for is DONE:
            return self._yielded(self.context.run(self.driver.send, value))
        waits_for, self.waits_for = self.waits_for, DONE
        return waits_for

    def throw(self, kind: Any, value: Any = None, traceback: Any = None) -> Any:
        """The task is cancelled, or what it waited for was no future."""
        error: BaseException = kind if value is None else value
        if self.context is None:
            raise error
        waits_for, self.waits_for = self.waits_for, DONE
        if waits_for is not DONE and waits_for is not None and waits_for.cancel(*error.args):
            return waits_for
        return self._yielded(self.context.run(self.driver.throw, self._reason(error)))

    def close(self) -> None:
        """The request is given up."""
        self.driver.close()

    def __await__(self) -> Generator[Any, Any, None]:
        raise TypeError("a request is run by its task")

    @staticmethod
    def _yielded(waits_for: Any) -> Any:
        if waits_for is DONE:
            raise StopIteration
        return waits_for

    def _reason(self, error: BaseException) -> BaseException:
        """What the handler is to see of a cancellation."""
        if self.client_left and isinstance(error, asyncio.CancelledError):
            self.client_left = False  # a later cancellation has another reason
            return RequestCancelled("the client is gone")
        return error

    # What shows where a task stands

    @property
    def cr_frame(self) -> FrameType | None:
        """The driver's."""
        return getattr(self.driver, "gi_frame", None)

    @property
    def cr_await(self) -> Any:
        """What the driver awaits."""
        return getattr(self.driver, "gi_yieldfrom", None)


class Runner:
    """Runs the requests of one event loop."""

    __slots__ = ("_context", "_end", "_ended", "_loop", "_make_driver", "_send", "_spare", "_task", "in_flight")

    def __init__(
        self, make_driver: Callable[[], Driver], loop: asyncio.AbstractEventLoop, ended: Callable[[], None] = lambda: None
    ) -> None:
        """`ended` is called when a request is no longer in flight."""
        self._ended = ended
        self._make_driver = make_driver
        self._loop = loop
        self._end = self._forget  # PERF: one bound method and one context for all tasks, as an idle websocket has one for long
        self._context = copy_context()
        self.in_flight: dict[asyncio.Task[None], _Spare] = {}
        self._renew()

    def _renew(self) -> None:
        driver = self._make_driver()
        driver.send(None)
        self._spare = _Spare(driver, self._loop)
        self._task = self._spare.task
        self._send = driver.send

    def start(self, request: Request[Any, Any], owner: Owner) -> asyncio.Task[None] | None:
        """Run a request. None: it is finished. Otherwise its task; `owner.finished(task)` is called from the loop at its end."""
        loop, task = self._loop, self._task
        if task.cancelling() or task.done():  # cancelled by somebody who kept a finished request's task
            self._renew()
            task = self._task
        context = copy_context()
        _enter_task(loop, task)
        try:
            yielded = context.run(self._send, request)
        except BaseException:
            self._renew()  # the driver is dead: KeyboardInterrupt and the like
            raise
        finally:
            _leave_task(loop, task)
        if yielded is DONE:
            return None
        spare = self._spare
        wake, spare.waits_for = spare.waits_for, yielded
        spare.context, spare.owner = context, owner
        if not wake.done():
            wake.set_result(None)
        self.in_flight[task] = spare
        task.add_done_callback(self._end, context=self._context)
        self._renew()
        return task

    def identity(self) -> _Spare | None:
        """Task and context of the request that is running now; None in a task that isn't a request's."""
        task = asyncio.current_task()
        return self._spare if task is self._task else self.in_flight.get(task) if task is not None else None

    def leave(self, task: asyncio.Task[None]) -> None:
        """Cancel a request in flight because its client is gone: what it waits for raises `RequestCancelled`."""
        self.in_flight[task].client_left = True
        task.cancel("the client is gone")

    def _forget(self, task: asyncio.Task[None]) -> None:
        spare = self.in_flight.pop(task)
        self._ended()
        assert spare.owner is not None
        spare.owner.finished(task)

    def close(self) -> None:
        """Let go of the spare task. Called when the server stops."""
        self._task.cancel()
