"""What every call of redis-py in this room has in common: its errors, and how its answers are read."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from fairlead.channels.stream import StreamUnavailable
from fairlead.redis_library import RedisError


@contextmanager
def guarded() -> Iterator[None]:
    """Around every call of redis-py: its errors become `StreamUnavailable`, and a cancellation is never lost in it.

    Whatever redis-py raises means for a caller: not now. A full, read-only or loading server is no better than none.
    Sending goes through `asyncio.wait_for`, which in Python 3.11 swallows a cancellation that comes in the same turn as
    its result; a loop that reads for ever would then survive its own end.
    """
    task = asyncio.current_task()
    cancellations = task.cancelling() if task is not None else 0
    try:
        yield
    except (RedisError, OSError) as error:
        raise StreamUnavailable(f"{type(error).__name__}: {error}") from error
    if task is not None and task.cancelling() > cancellations:
        raise asyncio.CancelledError


def text(raw: bytes | str) -> str:
    """An answer as text, whether or not the client decodes by itself."""
    return raw if isinstance(raw, str) else raw.decode("utf-8", "replace")
