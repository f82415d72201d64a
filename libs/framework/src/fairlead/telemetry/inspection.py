"""What a process is doing right now: a dump of its threads and tasks, or a profile of some seconds.

Both are asked for by an operator, over the management socket (`fairlead dump`, `fairlead profile`), and cost nothing before. The
profile is made by pyinstrument (extra `fairlead[profiling]`), which looks at the loop's thread a thousand times a
second; requests go on, a few per cent slower.

Rejected: `cProfile` (halves the speed and blames small functions), a signal handler that dumps (runs between two lines of whatever
code is running, and where would its text go?).
"""

from __future__ import annotations

import asyncio
import sys
import threading
import traceback
from collections.abc import Iterator
from types import FrameType
from typing import Any, Literal

__all__ = ["MAX_PROFILE_S", "InspectionFailed", "dump", "inspect", "profile"]

MAX_PROFILE_S = 60.0
MAX_TEXT_BYTES = 4 * 1024 * 1024
MAX_TASKS = 1_000
MAX_FRAMES = 100

ProfileFormat = Literal["text", "html"]

_profiling = threading.Lock()


class InspectionFailed(Exception):
    """There is nothing to show; the message says why."""


def dump() -> str:
    """Every thread with its stack, then every task of the running loop with where it waits."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    parts = []
    for ident, frame in sys._current_frames().items():
        parts.append(f"thread {names.get(ident, ident)}\n{''.join(traceback.format_stack(frame))}")
    tasks = sorted(asyncio.all_tasks(), key=lambda task: task.get_name())
    parts.append(f"{len(tasks)} tasks\n")
    for task in tasks[:MAX_TASKS]:
        stack = "".join(line for frame in _frames(task.get_coro()) for line in traceback.format_stack(frame, limit=1))
        parts.append(f"task {task.get_name()!r}: {getattr(task.get_coro(), '__qualname__', task.get_coro())}\n{stack}")
    return _bounded("\n".join(parts))


async def profile(seconds: float, format: ProfileFormat = "text") -> str:
    """Where the loop's thread spends its time in the next `seconds`. Raises `InspectionFailed`."""
    if not 0 < seconds <= MAX_PROFILE_S:
        raise InspectionFailed(f"a profile takes up to {MAX_PROFILE_S:.0f} seconds")
    try:
        from pyinstrument import Profiler
    except ImportError:
        raise InspectionFailed("pyinstrument is not installed: fairlead[profiling]") from None
    if not _profiling.acquire(blocking=False):
        raise InspectionFailed("this worker is being profiled already")
    try:
        profiler = Profiler(async_mode="disabled")  # the whole thread, whichever task is running
        profiler.start()
        try:
            await asyncio.sleep(seconds)
        finally:
            profiler.stop()
        text = profiler.output_html() if format == "html" else profiler.output_text(unicode=True, show_all=True)
    finally:
        _profiling.release()
    return _bounded(text)


async def inspect(seconds: float, format: ProfileFormat = "text") -> tuple[str, str]:
    """A dump for 0 seconds, else a profile: the problem, or "" and the text."""
    try:
        return "", await profile(seconds, format) if seconds else dump()
    except InspectionFailed as failure:
        return str(failure), ""


def _frames(awaited: Any) -> Iterator[FrameType]:
    """From a task's coroutine down to where it waits. A websocket's handler is driven by `send`, not by awaiting it: there the way
    goes on in the frame's `driver` (websocket/waiter.py)."""
    for _ in range(MAX_FRAMES):
        frame = getattr(awaited, "cr_frame", None) or getattr(awaited, "gi_frame", None) or getattr(awaited, "ag_frame", None)
        if frame is None:
            return
        yield frame
        inner = getattr(awaited, "cr_await", None) or getattr(awaited, "gi_yieldfrom", None) or getattr(awaited, "ag_await", None)
        awaited = inner if inner is not None else frame.f_locals.get("driver")


def _bounded(text: str) -> str:
    if len(text) > MAX_TEXT_BYTES:
        return f"{text[:MAX_TEXT_BYTES]}\n… ({len(text) - MAX_TEXT_BYTES} more characters)\n"
    return text
