"""One event loop for one test, and one task on it in which the whole test runs.

How it works: `LoopRunner.call` hands a coroutine to the runner's task and turns the loop until that coroutine has
ended. The set-up of every async fixture, the test and the teardown of the fixtures are thus steps of the *same* task,
in the same context: a fixture may hold a task group, a cancel scope or a context variable open over its `yield`.
Between two steps the loop stands still, background tasks included.

Rejected: `asyncio.Runner`, which makes a task for every step, so that `async with asyncio.TaskGroup()` around a
fixture's `yield` ends in another task than it began in; one loop for a module or for the session, where what one test
leaves behind decides whether the next one passes.
"""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import Coroutine
from typing import Any, TypeVar

from fairlead.testing.deadline import Deadline, DeadlineExceeded, running
from fairlead.testing.stacks import describe_task, describe_tasks

T = TypeVar("T")

CANCEL_GRACE_S = 5.0
"""How long the tasks that a test left behind may take to end after their cancellation."""

LOOPS = ("auto", "uvloop", "asyncio")


def new_loop(name: str) -> asyncio.AbstractEventLoop:
    """A new event loop: `uvloop`, `asyncio`, or `auto` for uvloop where it is installed."""
    if name not in LOOPS:
        raise ValueError(f"unknown event loop {name!r}: choose one of {', '.join(LOOPS)}")
    if name == "uvloop" or (name == "auto" and importlib.util.find_spec("uvloop") is not None):
        import uvloop

        return uvloop.new_event_loop()
    return asyncio.SelectorEventLoop()


class LoopRunner:
    """Runs the coroutines of one test, step by step, in one task of a fresh loop. Call `close` after the last one."""

    def __init__(self, loop_name: str = "auto") -> None:
        self.loop = new_loop(loop_name)
        self._steps: asyncio.Queue[tuple[Coroutine[Any, Any, Any], asyncio.Future[Any]]] = asyncio.Queue()
        self._worker: asyncio.Task[None] | None = None

    def call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run `coroutine` to its end and return its result.

        Raises what the coroutine raises, and `DeadlineExceeded` past the deadline of the running test: the coroutine is
        then cancelled and left behind, so that one that swallows its cancellation cannot hold up the run.
        """
        if asyncio._get_running_loop() is not None:
            coroutine.close()
            raise RuntimeError(
                "async code runs here already: name an async fixture as a parameter of the test, or use AsyncTestClient"
            )
        if self._worker is None:
            self._worker = self.loop.create_task(self._work(), name="test")
            self._worker.add_done_callback(_retrieve)
        outcome: asyncio.Future[T] = self.loop.create_future()
        self._steps.put_nowait((coroutine, outcome))
        deadline = running()
        if deadline is None or deadline.remaining_s is None:
            return self.loop.run_until_complete(outcome)
        timer = self.loop.call_later(deadline.remaining_s, self._abandon, outcome, deadline)
        try:
            return self.loop.run_until_complete(outcome)
        finally:
            timer.cancel()

    def close(self) -> None:
        """Cancel what is still running, close asynchronous generators, the default executor and the loop.

        Raises RuntimeError when a task does not end within `CANCEL_GRACE_S` of its cancellation.
        """
        try:
            stubborn = self._cancel_all()
            self.loop.run_until_complete(self.loop.shutdown_asyncgens())
            self.loop.run_until_complete(self.loop.shutdown_default_executor())
        finally:
            self.loop.close()
        if stubborn:
            raise RuntimeError(f"tasks that ignore their cancellation:\n{stubborn}")

    async def _work(self) -> None:
        while True:
            coroutine, outcome = await self._steps.get()
            try:
                result = await coroutine
            except (KeyboardInterrupt, SystemExit):
                self._worker = None  # the loop lets these through to its caller, and stops
                raise
            except BaseException as error:
                if outcome.done():  # abandoned at the deadline: nobody waits for this step or for this task any more
                    return
                outcome.set_exception(error)
            else:
                if outcome.done():
                    return
                outcome.set_result(result)

    def _abandon(self, outcome: asyncio.Future[Any], deadline: Deadline) -> None:
        if outcome.done() or self._worker is None or deadline.remaining_s is None:  # None: lifted since, for a debugger
            return
        tasks = describe_tasks(self.loop)
        outcome.set_exception(DeadlineExceeded(f"no end within {deadline.seconds:g} s; tasks at that moment:\n{tasks}"))
        self._worker.cancel()
        self._worker = None

    def _cancel_all(self) -> str:
        tasks = asyncio.all_tasks(self.loop)
        for task in tasks:
            task.cancel()
        if not tasks:
            return ""
        _, pending = self.loop.run_until_complete(asyncio.wait(tasks, timeout=CANCEL_GRACE_S))
        return "\n".join(describe_task(task) for task in pending)


def _retrieve(task: asyncio.Task[None]) -> None:
    """Look at how a task has ended, so that asyncio does not log that nobody has."""
    if not task.cancelled():
        task.exception()
