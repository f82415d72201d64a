"""Background tasks: named, supervised, ended in order (P2)."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest

from fairlead.tasks import TaskRegistry

APP = object()


@pytest.fixture
async def tasks() -> AsyncIterator[TaskRegistry]:
    """A registry whose application is starting."""
    registry = TaskRegistry()
    registry.open()
    yield registry
    await registry.shutdown(1)


async def turns(number: int = 3) -> None:
    """Let the loop turn."""
    for _ in range(number):
        await asyncio.sleep(0)


async def test_what_can_be_a_task(tasks: TaskRegistry) -> None:
    """A coroutine, an async or plain function that takes the app or nothing, or one that returns a coroutine."""
    seen: list[Any] = []

    async def note(app: Any = "without") -> Any:
        seen.append(app)
        return app

    def later(app: Any) -> Any:
        return note(app)

    started = [tasks.add(source, None, APP) for source in (note("coroutine"), note, lambda: seen.append("plain"), later, seen.copy)]
    results = [await task for task in started if task is not None]
    assert seen == ["coroutine", APP, "plain", APP]
    assert results[:4] == ["coroutine", APP, None, APP]
    assert isinstance(results[4], list)


async def test_tasks_wait_for_the_start() -> None:
    """What is added while an application is built starts with it, in order, and not before."""
    tasks, seen = TaskRegistry(), []

    async def note(name: str) -> None:
        seen.append(name)

    assert tasks.add(note("first"), "first", APP) is None
    tasks.add(lambda: note("second"), None, APP)
    await turns()
    assert (seen, len(tasks), tasks.get("first")) == ([], 0, None)
    tasks.open()
    tasks.start(APP)
    task = tasks.get("first")
    assert task is not None
    assert (len(tasks), task in list(tasks)) == (2, True)
    await turns()
    assert (seen, len(tasks), task.done()) == (["first", "second"], 0, True)


@pytest.mark.parametrize("ends", ["shutdown", "dropped"])
async def test_a_coroutine_whose_start_never_comes_is_closed(ends: str) -> None:
    """The application that failed to start is the news, and no coroutine that was never awaited (warnings are errors here)."""
    steps: list[str] = []

    async def work() -> None:
        steps.append("never")

    registry, source = TaskRegistry(), work()
    registry.add(source, None, APP)
    if ends == "shutdown":
        await registry.shutdown(1)
    del registry
    assert (inspect.getcoroutinestate(source), steps) == (inspect.CORO_CLOSED, [])


async def test_names(tasks: TaskRegistry) -> None:
    """A name is free again when its task is over; until then a second one is refused, and leaves no coroutine behind."""
    gate = asyncio.Event()
    first = tasks.add(gate.wait(), "name", APP)
    for source in (gate.wait(), gate.wait):
        with pytest.raises(ValueError, match="running already"):
            tasks.add(source, "name", APP)
    gate.set()
    await turns()
    second = tasks.add(gate.wait(), "name", APP)
    assert second is not first
    assert tasks.get("name") is second
    await turns()
    tasks.purge()
    assert tasks.get("name") is None


async def test_names_of_tasks_that_wait() -> None:
    """Two tasks of one name are refused when the second is added, not when the application starts."""
    tasks = TaskRegistry()
    tasks.add(asyncio.sleep, "name", APP)
    with pytest.raises(ValueError, match="name"):
        tasks.add(asyncio.sleep(0), "name", APP)
    tasks.add(asyncio.sleep(0), None, APP)
    await tasks.shutdown(0)


async def test_failure_is_logged_once(tasks: TaskRegistry, caplog: pytest.LogCaptureFixture) -> None:
    """A task that fails is logged with its name and cause; one that is cancelled is not."""

    async def fail() -> None:
        raise RuntimeError("on purpose")

    tasks.add(fail, "failing", APP)
    tasks.add(asyncio.Event().wait, "waiting", APP)
    await tasks.cancel("waiting", "enough")
    await turns()
    [record] = caplog.records
    assert record.task == "failing"  # type: ignore[attr-defined]
    assert record.exc_info is not None
    assert str(record.exc_info[1]) == "on purpose"


async def test_cancelling_waits_for_the_end(tasks: TaskRegistry) -> None:
    """When `cancel` returns the task is over, its `finally` included; it hears why. Again, or after its end, it is harmless."""
    seen: list[str] = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError as reason:
            await asyncio.sleep(0)
            seen.append(str(reason))
            raise

    tasks.add(work, "work", APP)
    await turns()
    await tasks.cancel("work", "enough")
    assert seen == ["enough"]
    await tasks.cancel("work")
    with pytest.raises(KeyError):
        await tasks.cancel("unknown")


async def test_cancelling_before_the_first_step(tasks: TaskRegistry) -> None:
    """A coroutine whose task is cancelled before it has begun is closed: no warning of one that was never awaited."""
    coroutine = asyncio.Event().wait()
    tasks.add(coroutine, "work", APP)
    await tasks.cancel("work")
    assert coroutine.cr_frame is None


async def test_shutdown_is_in_reverse_and_leaves_nothing(tasks: TaskRegistry) -> None:
    """The youngest task is cancelled first; what one starts in its `finally` is cancelled too; what never began is let go of."""
    seen: list[str] = []

    async def work(name: str) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            seen.append(name)
            if name == "young":
                tasks.add(work("born late"), None, APP)
                await asyncio.sleep(0)

    for name in ("old", "young"):
        tasks.add(work(name), None, APP)
    await turns()
    await tasks.shutdown(5)
    assert seen == ["young", "old", "born late"]
    assert len(tasks) == 0


async def test_task_that_swallows_its_cancellation_is_cancelled_again(
    tasks: TaskRegistry, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """One cancellation may be lost; one that is ignored for good is logged, and holds up nobody past the time."""
    monkeypatch.setattr("fairlead.tasks.CANCEL_AGAIN_S", 0.01)
    heard: list[str] = []

    async def stubborn(times: int, name: str) -> None:
        for _ in range(times):
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                heard.append(name)

    once = tasks.add(stubborn(2, "once"), "once", APP)
    tasks.add(stubborn(1000, "never"), "never", APP)
    await turns()
    await tasks.shutdown(0.05)
    assert once is not None
    assert once.done()
    assert heard.count("once") == 2
    assert [(record.levelno, record.task) for record in caplog.records] == [(logging.WARNING, "never")]  # type: ignore[attr-defined]
    never = tasks.get("never")
    while never is not None and not never.done():
        never.cancel()
        await turns(1)
