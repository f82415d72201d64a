"""Who has to know that a connection is gone: those who wait for it, and the handler that outlives it."""

from __future__ import annotations

import asyncio

from fairlead.websocket.ending import Ending

from .conftest import turns


async def test_several_wait() -> None:
    """All who wait go on when the connection is gone; one that gives up disturbs no other; whoever comes later need not wait."""
    ending = Ending()
    first, second = asyncio.create_task(ending.wait()), asyncio.create_task(ending.wait())
    await turns()
    first.cancel()
    await turns()
    assert (first.cancelled(), second.done()) == (True, False)
    ending.arrive()
    await second
    await ending.wait()


async def test_handler_that_begins_after_the_end() -> None:
    """A handler whose client has left before its first line has its time, too."""
    ending = Ending()
    ending.arrive()

    async def handler() -> bool:
        ending.watch(0.01)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return ending.has_cancelled()
        finally:
            ending.unwatch()
        raise AssertionError

    assert await asyncio.create_task(handler())


async def test_nobody_waits() -> None:
    """The end of a connection that has neither a handler nor anybody who waits for it."""
    ending = Ending()
    ending.arrive()
    await ending.wait()
    assert not ending.has_cancelled()
