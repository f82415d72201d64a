"""Where the tasks of a loop stand, as text.

`Task.get_stack` gives only the outermost coroutine of a suspended task; the interesting line is the innermost one, so
the chain of awaits is walked here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from types import CodeType, FrameType
from typing import Any

FRAMES = ("cr_frame", "gi_frame", "ag_frame")
INNER = ("cr_await", "gi_yieldfrom", "ag_await")


def describe_tasks(loop: asyncio.AbstractEventLoop) -> str:
    """Every unfinished task of `loop` with the chain of awaits in which it stands, outermost first."""
    tasks = sorted(asyncio.all_tasks(loop), key=lambda task: task.get_name())
    return "\n".join(describe_task(task) for task in tasks) or "(no task is left)"


def describe_task(task: asyncio.Task[Any]) -> str:
    """One task: its name and a line for each coroutine between the task and what it waits for."""
    lines = [f"task {task.get_name()!r}"]
    lines += [f"  {code.co_filename}:{line} in {code.co_qualname}" for code, line in _await_chain(task.get_coro())]
    return "\n".join(lines)


def _await_chain(awaitable: object) -> Iterator[tuple[CodeType, int]]:
    while awaitable is not None:
        frame: FrameType | None = _first(awaitable, FRAMES)
        if frame is None:
            return
        yield frame.f_code, frame.f_lineno
        awaitable = _first(awaitable, INNER)


def _first(thing: object, names: tuple[str, ...]) -> Any:
    return next((value for name in names if (value := getattr(thing, name, None)) is not None), None)
