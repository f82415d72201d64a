"""The runner of one test's coroutines, and how it tells where tasks stand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from fairlead.testing import loop as loop_module
from fairlead.testing.loop import LoopRunner, new_loop
from fairlead.testing.stacks import describe_task, describe_tasks


@pytest.fixture
def runner() -> Iterator[LoopRunner]:
    """A runner that is closed in the end."""
    runner = LoopRunner()
    yield runner
    if not runner.loop.is_closed():
        runner.close()


def test_unknown_loop() -> None:
    """A misspelt name of a loop says what there is."""
    with pytest.raises(ValueError, match="auto, uvloop, asyncio"):
        new_loop("uv")


def test_results_and_exceptions_pass(runner: LoopRunner) -> None:
    """What a step returns or raises, cancellation included, comes out of `call`; the next step runs all the same."""

    async def give(value: object) -> object:
        if isinstance(value, BaseException):
            raise value
        return value

    assert runner.call(give(1)) == 1
    for error in (ValueError("x"), asyncio.CancelledError(), KeyboardInterrupt()):
        with pytest.raises(type(error)):
            runner.call(give(error))
    assert runner.call(give(2)) == 2


def test_one_task_for_all_steps(runner: LoopRunner) -> None:
    """All steps are one task, so that a cancel scope can reach over several."""

    async def who() -> object:
        return asyncio.current_task()

    assert runner.call(who()) is runner.call(who())


async def test_no_loop_in_a_loop() -> None:
    """Inside of running code there is no second loop to turn."""
    runner = LoopRunner()

    async def never() -> None:
        raise AssertionError("unreachable")

    with pytest.raises(RuntimeError, match="AsyncTestClient"):
        runner.call(never())
    runner.loop.close()


def test_close_ends_what_is_left(runner: LoopRunner) -> None:
    """Tasks are cancelled, asynchronous generators closed."""
    ended: list[str] = []

    async def generate() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            ended.append("generator")

    async def wait() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("task")

    generator = generate()

    async def leave() -> None:
        await anext(generator)
        runner.background = asyncio.create_task(wait())  # type: ignore[attr-defined]
        await asyncio.sleep(0)

    runner.call(leave())
    runner.close()
    assert ended == ["task", "generator"]


def test_stubborn_task_is_named(runner: LoopRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    """A task that ignores its cancellation fails the test that left it, with the place where it stands."""
    monkeypatch.setattr(loop_module, "CANCEL_GRACE_S", 0.01)
    release = asyncio.Event()

    async def stubborn() -> None:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    async def leave() -> None:
        asyncio.create_task(stubborn(), name="mule").add_done_callback(lambda _: None)
        await asyncio.sleep(0)

    runner.call(leave())
    with pytest.raises(RuntimeError, match="mule") as caught:
        runner.close()
    assert "in test_stubborn_task_is_named.<locals>.stubborn" in str(caught.value)


async def test_stacks_reach_the_innermost_wait() -> None:
    """Coroutines, asynchronous generators and the line of each are named, from the outside in."""

    async def numbers() -> AsyncIterator[int]:
        await asyncio.Event().wait()
        yield 1

    async def outer() -> None:
        async for _ in numbers():
            pass

    task = asyncio.create_task(outer(), name="reader")
    await asyncio.sleep(0)
    lines = describe_task(task).splitlines()
    assert lines[0] == "task 'reader'"
    assert lines[1].endswith("<locals>.outer")
    assert "task 'reader'" in describe_tasks(asyncio.get_running_loop())
    task.cancel()


def test_stacks_of_an_idle_loop(runner: LoopRunner) -> None:
    """A loop without tasks says so."""
    assert describe_tasks(runner.loop) == "(no task is left)"
