"""How many are here, over several workers (W9)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack

import pytest

from fairlead.channels import Backoff, MemoryBackend, Presence, StreamUnavailable, Tally


class Worker:
    """A presence and the numbers that it has shown."""

    def __init__(self, tally: Tally, *, heartbeat_s: float = 60.0) -> None:
        self.shown: asyncio.Queue[int] = asyncio.Queue()
        self.presence = Presence(
            tally,
            on_change=self.shown.put_nowait,
            heartbeat_s=heartbeat_s,
            pause_s=0.0,
            backoff=lambda: Backoff(0.001, 0.001),
        )
        self.task = asyncio.create_task(self.presence.run())

    async def until(self, count: int) -> None:
        """Wait until this number is shown."""
        while await self.shown.get() != count:
            pass


class Fragile:
    """A tally whose backend can go away."""

    def __init__(self, tally: Tally) -> None:
        self.name = tally.name
        self._tally = tally
        self.is_away = False
        self.error: Exception = StreamUnavailable("away")
        self.reports = 0
        self.reported = asyncio.Event()

    async def report(self, count: int) -> int:
        self.reports += 1
        self.reported.set()
        if self.is_away:
            raise self.error
        return await self._tally.report(count)

    async def leave(self) -> None:
        if self.is_away:
            raise self.error
        await self._tally.leave()

    async def changes(self) -> AsyncIterator[None]:
        if self.is_away:
            raise self.error
        async for _ in self._tally.changes():
            yield


async def test_joins_and_leaves_show_in_every_worker_without_waiting_for_a_heartbeat() -> None:
    """Changes are published: with heartbeats a minute apart both workers follow at once."""
    backend = MemoryBackend()
    here, there = Worker(backend.tally("viewers")), Worker(backend.tally("viewers"))
    with here.presence.join():
        await there.until(1)
        with there.presence.join(), there.presence.join():
            await here.until(3)
            await there.until(3)
            assert here.presence.count == 3
        await here.until(1)
    await there.until(0)
    here.task.cancel()
    there.task.cancel()


async def test_the_own_join_shows_at_once() -> None:
    """A page that has just connected is told a number that includes itself, before any reply of the backend."""
    presence = Presence(MemoryBackend().tally("viewers"))
    with presence.join():
        assert presence.count == 1


async def test_many_joins_share_a_report() -> None:
    """A thousand tabs that return together cost a few reports, not a thousand."""
    tally = Fragile(MemoryBackend().tally("viewers"))
    worker = Worker(tally)
    await tally.reported.wait()
    with ExitStack() as stack:
        for _ in range(1000):
            stack.enter_context(worker.presence.join())
        await worker.until(1000)
        other = Worker(MemoryBackend().tally("elsewhere"))
        assert tally.reports < 10
        other.task.cancel()
    worker.task.cancel()


async def test_a_closed_worker_is_subtracted() -> None:
    """`close` takes the report back, and the others hear of it."""
    backend = MemoryBackend()
    here, there = Worker(backend.tally("viewers")), Worker(backend.tally("viewers"))
    with here.presence.join(), there.presence.join():
        await here.until(2)
        there.task.cancel()
        await there.presence.close()
        await here.until(1)
    here.task.cancel()


async def test_an_outage_keeps_the_last_number_and_counts_the_own_on() -> None:
    """While the backend is away the others' last number stays; afterwards the sum is right again by itself."""
    backend = MemoryBackend()
    fragile = Fragile(backend.tally("viewers"))
    here, there = Worker(fragile, heartbeat_s=0.001), Worker(backend.tally("viewers"))
    with there.presence.join(), there.presence.join():
        await here.until(2)
        fragile.is_away = True
        with here.presence.join():
            assert here.presence.count == 3
            fragile.reported.clear()
            await fragile.reported.wait()
            assert here.presence.count == 3
            fragile.is_away = False
            await there.until(3)
    here.task.cancel()
    there.task.cancel()


async def test_an_error_that_nobody_expected_does_not_end_the_count(caplog: pytest.LogCaptureFixture) -> None:
    """It is logged, and the next report sets the number right."""
    fragile = Fragile(MemoryBackend().tally("viewers"))
    fragile.error = ZeroDivisionError("a mistake")
    fragile.is_away = True
    worker = Worker(fragile)
    await fragile.reported.wait()
    fragile.is_away = False
    fragile.reported.clear()
    await fragile.reported.wait()
    assert "a mistake" in caplog.text
    worker.task.cancel()


async def test_closing_during_an_outage_is_quiet() -> None:
    """A worker can stop while the backend is away; its report expires by itself."""
    tally = Fragile(MemoryBackend().tally("viewers"))
    tally.is_away = True
    await Presence(tally).close()


async def test_nothing_is_shown_twice() -> None:
    """Heartbeats that change nothing are not announced to every page."""
    tally = Fragile(MemoryBackend().tally("viewers"))
    worker = Worker(tally, heartbeat_s=0.001)
    with worker.presence.join():
        await worker.until(1)
        for _ in range(5):
            tally.reported.clear()
            await tally.reported.wait()
        assert worker.shown.empty()
    worker.task.cancel()
