"""A handler's wait for messages, without a server: what a step does, and what is left to the task."""

from __future__ import annotations

import asyncio
import inspect
import types
from collections.abc import Callable, Generator
from contextvars import Context, ContextVar, copy_context
from typing import Any

import pytest

from fairlead.websocket.waiter import AWAITED, NOBODY, Waiter

VALUE: ContextVar[str] = ContextVar("value", default="outside")


class Rig:
    """A waiter, and a handler whose task is played by the test: `woken` counts how often it would have gone on."""

    def __init__(self, handler: Callable[[Rig], Any]) -> None:
        self.loop = asyncio.get_running_loop()
        self.waiter = Waiter(self.loop)
        self.task: Any = self
        self.context: Context | None = copy_context()
        self.woken = 0
        self.waiter.identity = self
        self.conducted = self.waiter.conduct(handler(self))
        assert self.conducted.send(None) is self.waiter
        self.waiter.add_done_callback(self.wake_up, context=copy_context())

    def wake_up(self, waiter: Waiter) -> None:
        """What the waiter calls."""
        self.woken += 1

    @types.coroutine
    def message(self) -> Generator[Any, None, Any]:
        """What `recv` does."""
        self.waiter.state = AWAITED
        try:
            yield self.waiter
        finally:
            self.waiter.state = NOBODY
        return self.waiter.message

    async def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call it from the loop, where no task is running; then let the loop turn."""
        done = self.loop.create_future()

        def run() -> None:
            try:
                done.set_result(function(*arguments))
            except BaseException as error:
                done.set_exception(error)

        self.loop.call_soon(run)
        result = await done
        await asyncio.sleep(0)
        return result


async def test_step_runs_the_handler_as_its_task() -> None:
    """It gets the message under its task's name and in its context, and the task hears nothing of it."""
    seen: list[Any] = []

    async def handler(rig: Rig) -> None:
        while True:
            message = await rig.message()
            seen.append((message, asyncio.current_task() is rig.task, VALUE.get()))
            VALUE.set(message)

    rig = Rig(handler)
    assert rig.waiter.can_step
    await rig.call(rig.waiter.step, "a")
    await rig.call(rig.waiter.step, "b")
    assert seen == [("a", True, "outside"), ("b", True, "a")]
    assert (rig.woken, VALUE.get()) == (0, "outside")
    rig.conducted.close()


async def test_outcome_is_passed_on_by_the_task() -> None:
    """What the handler waits for then, and in the end its result, leave through `conduct` when the task goes on."""

    async def handler(rig: Rig) -> str:
        await rig.message()
        await asyncio.sleep(0)
        await rig.message()
        return "result"

    rig = Rig(handler)
    await rig.call(rig.waiter.step, "a")
    assert (rig.woken, rig.waiter.can_step) == (1, False)
    assert await rig.call(rig.conducted.send, None) is None  # a bare yield: sleep(0)
    assert await rig.call(rig.conducted.send, None) is rig.waiter
    rig.waiter.add_done_callback(rig.wake_up, context=copy_context())
    await rig.call(rig.waiter.step, "b")
    assert rig.woken == 2
    with pytest.raises(StopIteration) as end:
        rig.conducted.send(None)
    assert end.value.value == "result"


@pytest.mark.parametrize("how_it_ends", ["result", "error"])
async def test_thrown_away_after_the_handler_has_ended(how_it_ends: str) -> None:
    """A task that is torn down (its loop was stopped) before it has heard of the end: nothing is left running, nothing hidden."""

    async def handler(rig: Rig) -> None:
        await rig.message()
        if how_it_ends == "error":
            raise ValueError("on purpose")

    rig = Rig(handler)
    await rig.call(rig.waiter.step, "a")
    if how_it_ends == "error":
        with pytest.raises(ValueError, match="on purpose"):
            rig.conducted.close()
    else:
        rig.conducted.close()
    assert inspect.getgeneratorstate(rig.conducted) == inspect.GEN_CLOSED


async def test_cancelled_after_the_handler_has_ended() -> None:
    """A cancellation that meets the end of the handler hits what comes after it, and the handler's result is kept."""

    async def handler(rig: Rig) -> str:
        await rig.message()
        return "result"

    async def cancelled() -> None:
        with pytest.raises(StopIteration, match="result"):
            rig.conducted.throw(asyncio.CancelledError("why"))
        await asyncio.sleep(0)

    rig = Rig(handler)
    await rig.call(rig.waiter.step, "a")
    with pytest.raises(asyncio.CancelledError, match="why"):
        await asyncio.create_task(cancelled())


@pytest.mark.parametrize("waits_for", ["future", "turn"])
async def test_cancelled_where_a_step_has_led(waits_for: str) -> None:
    """What the handler waits for is cancelled, as a task does it; a wait for nothing but a turn is over at once."""

    async def handler(rig: Rig) -> None:
        await rig.message()
        await (future if waits_for == "future" else asyncio.sleep(0))

    future = asyncio.get_running_loop().create_future()
    rig = Rig(handler)
    await rig.call(rig.waiter.step, "a")
    if waits_for == "future":
        assert rig.conducted.throw(asyncio.CancelledError("why")) is future
        assert future.cancelled()
        rig.conducted.close()
    else:
        with pytest.raises(asyncio.CancelledError, match="why"):
            rig.conducted.throw(asyncio.CancelledError("why"))


async def test_interruption_leaves_by_the_loop() -> None:
    """KeyboardInterrupt is raised where the message was read; the task is told that it is over."""

    async def handler(rig: Rig) -> None:
        await rig.message()
        raise KeyboardInterrupt

    rig = Rig(handler)
    with pytest.raises(KeyboardInterrupt):
        await rig.call(rig.waiter.step, "a")
    await asyncio.sleep(0)
    assert rig.woken == 1
    with pytest.raises(asyncio.CancelledError):
        rig.conducted.send(None)


async def test_another_task_is_not_stepped() -> None:
    """Only the handler's own wait is: a task that it has started is woken in the loop's next turn."""

    async def handler(rig: Rig) -> None:
        await rig.message()

    rig = Rig(handler)
    others: list[Waiter] = []
    rig.waiter.can_step = False
    rig.waiter.add_done_callback(others.append, context=copy_context())
    assert not rig.waiter.can_step
    await rig.call(rig.waiter.wake_soon)
    assert others == [rig.waiter]
    rig.conducted.close()
