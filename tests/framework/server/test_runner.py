"""The runner: a request that never waits costs no task, one that waits has an honest one from its first line to its last."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import AsyncIterator, Callable, Coroutine, Generator
from typing import Any

import pytest

from fairlead.request import DONE
from fairlead.server.runner import Runner

Handler = Callable[[], Coroutine[Any, Any, Any]]


async def serve_one(handle: Handler) -> Any:
    """What a driver does with one request."""
    return await handle()


class Rig:
    """A runner of handlers (a request is the handler itself here), and what has happened to them."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.drivers = 0
        self.ended: list[asyncio.Task[None]] = []
        self.runner = Runner(self.driver, self.loop)

    def finished(self, task: asyncio.Task[None]) -> None:
        """As the owner of every request."""
        self.ended.append(task)

    def driver(self) -> Generator[Any, Any, None]:
        """Runs one handler after another, as the dispatcher does."""
        self.drivers += 1
        while True:
            handler = yield DONE
            yield from serve_one(handler).__await__()

    async def start(self, *handlers: Handler) -> list[asyncio.Task[None] | None]:
        """Start handlers from the loop, in one turn."""
        outcome = self.loop.create_future()

        def call() -> None:
            try:
                outcome.set_result([self.runner.start(handler, self) for handler in handlers])  # type: ignore[arg-type]
            except BaseException as error:
                outcome.set_exception(error)

        self.loop.call_soon(call)
        return await outcome  # type: ignore[no-any-return]


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    """A runner."""
    made = Rig()
    yield made
    made.runner.close()


async def turns(number: int = 5) -> None:
    """Let the loop turn."""
    for _ in range(number):
        await asyncio.sleep(0)


async def test_handlers_that_never_wait_share_a_driver(rig: Rig) -> None:
    """They are over when `start` returns, without a task of their own."""
    seen: list[asyncio.Task[Any] | None] = []

    async def note() -> None:
        seen.append(asyncio.current_task())

    assert await rig.start(note, note, note) == [None, None, None]
    assert (rig.drivers, len(set(seen)), len(rig.runner.in_flight)) == (1, 1, 0)


async def test_handler_that_waits_keeps_its_task(rig: Rig) -> None:
    """The task that a handler saw at its first line is the one that `start` returns, that runs it on and that ends with it."""
    seen: list[asyncio.Task[Any] | None] = []
    gate = asyncio.Event()

    async def wait() -> None:
        seen.append(asyncio.current_task())
        await gate.wait()
        seen.append(asyncio.current_task())

    [task] = await rig.start(wait)
    assert task is not None
    assert (list(rig.runner.in_flight), rig.ended) == ([task], [])
    gate.set()
    await task
    await turns()
    assert (seen, rig.ended, len(rig.runner.in_flight)) == ([task, task], [task], 0)


async def test_context_of_each_request(rig: Rig) -> None:
    """What a handler sets stays with it when the task takes over, and reaches nobody else."""
    variable: contextvars.ContextVar[int] = contextvars.ContextVar("variable", default=0)
    seen: list[int] = []

    async def count() -> None:
        variable.set(variable.get() + 1)
        await asyncio.sleep(0)
        variable.set(variable.get() + 1)
        seen.append(variable.get())

    for task in await rig.start(count, count):
        assert task is not None
        await task
    assert (seen, variable.get()) == ([2, 2], 0)


async def test_awaited_result_and_error_reach_the_handler(rig: Rig) -> None:
    """What it waits for gives its value, or raises, within the handler."""
    seen: list[Any] = []
    good, bad = rig.loop.create_future(), rig.loop.create_future()

    async def wait() -> None:
        seen.append(await good)
        try:
            await bad
        except ValueError as error:
            seen.append(error)

    [task] = await rig.start(wait)
    assert task is not None
    good.set_result(7)
    await turns()
    bad.set_exception(error := ValueError("on purpose"))
    await task
    assert seen == [7, error]


@pytest.mark.parametrize("waits_for", ["event", "turn", "done"])
@pytest.mark.parametrize("when", ["same turn", "later"])
async def test_cancellation_of_a_handler_that_waits(rig: Rig, waits_for: str, when: str) -> None:
    """It is cancelled where it waits, whatever it waits for, in the very turn in which it began to or later."""
    seen: list[str] = []
    done = rig.loop.create_future()
    done.set_result(None)

    async def wait() -> None:
        seen.append("began")
        try:
            if waits_for == "turn":
                await asyncio.sleep(0)
            elif waits_for == "done":
                await asyncio.wait([done])
            await asyncio.Event().wait()
        except asyncio.CancelledError as error:
            seen.append(str(error))
            raise

    async def cancel() -> None:
        next(iter(rig.runner.in_flight)).cancel("why")

    if when == "same turn":
        [task, _] = await rig.start(wait, cancel)
    else:
        [task] = await rig.start(wait)
        await turns()
        await rig.start(cancel)
    assert task is not None
    await asyncio.wait([task])
    assert task.cancelled()
    assert seen == ["began", "why"]


@pytest.mark.parametrize("is_new", [True, False])
async def test_cancellation_by_the_handler_itself(rig: Rig, is_new: bool) -> None:
    """It arrives where the handler waits next, also when the loop has never stepped that task: the request is not lost."""
    seen: list[str] = []

    async def wait() -> None:
        await asyncio.sleep(0)

    async def cancelled() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            seen.append("cancelled")

    await turns()
    for task in await (rig.start(wait, cancelled, wait) if is_new else rig.start(cancelled, wait)):
        assert task is not None
        await task
    assert seen == ["cancelled"]


@pytest.mark.parametrize("uncancels", [False, True])
async def test_cancellation_that_comes_too_late_hits_nobody(rig: Rig, uncancels: bool) -> None:
    """The task of a request that never waited, cancelled by whoever kept it, is replaced before the next request has it."""
    seen: list[str] = []

    async def careless() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        if uncancels:
            task.uncancel()

    async def innocent() -> None:
        await asyncio.sleep(0)
        seen.append("served")

    if uncancels:  # the loop notices first
        await rig.start(careless)
        await turns()
        tasks = await rig.start(innocent)
    else:
        tasks = (await rig.start(careless, innocent))[1:]
    [task] = tasks
    assert task is not None
    await task
    assert seen == ["served"]


async def test_handler_that_kills_its_driver(rig: Rig) -> None:
    """What no driver survives (a BaseException) comes out of `start`, or of the task; the next request has a new driver."""

    class Fatal(BaseException):
        pass

    async def at_once() -> None:
        raise Fatal

    async def later() -> None:
        await asyncio.sleep(0)
        raise Fatal

    async def fine() -> None: ...

    with pytest.raises(Fatal):
        await rig.start(at_once)
    [task] = await rig.start(later)
    assert task is not None
    await asyncio.wait([task])
    assert isinstance(task.exception(), Fatal)
    assert await rig.start(fine) == [None]


async def test_task_shows_where_it_stands(rig: Rig) -> None:
    """Who looks at the tasks of a loop finds the driver's frame and what it awaits; the repr says what the task is for."""
    gate = asyncio.Event()

    async def wait() -> None:
        await gate.wait()

    [task] = await rig.start(wait)
    assert task is not None
    coroutine: Any = task.get_coro()
    assert coroutine.cr_frame.f_code is Rig.driver.__code__
    assert coroutine.cr_await is coroutine.driver.gi_yieldfrom is not None
    assert "request()" in repr(task)
    gate.set()
    await task


async def test_what_a_task_runs_is_only_the_tasks(rig: Rig) -> None:
    """Awaiting it is refused; closing it ends the handler where it waits, as closing any coroutine does."""
    closed = False

    async def wait() -> None:
        nonlocal closed
        try:
            await asyncio.sleep(0)
        finally:
            closed = True

    [task] = await rig.start(wait)
    assert task is not None
    coroutine: Any = task.get_coro()
    with pytest.raises(TypeError):
        await coroutine
    coroutine.close()
    assert closed
    await asyncio.wait([task])


async def test_close_lets_go_of_the_spare(rig: Rig) -> None:
    """After `close` no task of the runner is left."""
    rig.runner.close()
    await turns()
    assert asyncio.all_tasks() == {asyncio.current_task()}
