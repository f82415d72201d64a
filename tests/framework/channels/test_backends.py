"""The two backends keep one contract: whatever runs on one runs on the other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from fairlead.channels import MemoryBackend, StreamPosition
from fairlead.channels.redis import RedisBackend
from fairlead.channels.stream import BEGINNING

Backend = MemoryBackend | RedisBackend


@pytest.fixture(params=["memory", "redis"])
async def backend(request: pytest.FixtureRequest) -> AsyncIterator[Backend]:
    if request.param == "memory":
        yield MemoryBackend()
        return
    client = Redis.from_url(request.getfixturevalue("redis_url"))
    yield RedisBackend(client)
    await client.aclose()


async def test_a_missing_stream_is_an_empty_one(backend: Backend) -> None:
    """Before the first entry there is an extent, and it is complete."""
    extent = await backend.stream("s").extent()
    assert extent == (None, BEGINNING, False)
    assert await backend.stream("s").newest(10) == []


async def test_entries_come_back_in_order(backend: Backend) -> None:
    """What is appended is read after the position before it, fields unchanged."""
    stream = backend.stream("s")
    first = await stream.append({"id": "1", "text": "naïve ✓"})
    second = await stream.append({"id": "2"})
    assert BEGINNING < first < second
    assert await stream.read(BEGINNING) == [(first, {"id": "1", "text": "naïve ✓"}), (second, {"id": "2"})]
    assert await stream.read(first) == [(second, {"id": "2"})]
    assert await stream.newest(1) == [(second, {"id": "2"})]
    assert await stream.extent() == (first, second, False)


async def test_a_read_waits_for_the_next_entry(backend: Backend) -> None:
    """A reader that is up to date is woken by what is appended, whoever appends it."""
    stream = backend.stream("s")
    first = await stream.append({"id": "1"})
    reading = asyncio.create_task(stream.read(first))
    await asyncio.sleep(0)
    second = await backend.stream("s").append({"id": "2"})
    entries = await reading
    while not entries:  # a read may come back empty
        entries = await stream.read(first)
    assert entries == [(second, {"id": "2"})]


async def test_trimming_is_visible(backend: Backend) -> None:
    """Where the old end was cut off, the extent says so."""
    stream = backend.stream("s")
    for number in range(300):
        await stream.append({"id": str(number)}, max_entries=100)
    extent = await stream.extent()
    assert extent.is_cut
    assert not extent.holds_all_after(StreamPosition(1, 0))


async def test_a_tally_adds_its_members_up(backend: Backend) -> None:
    """Each member's last report counts once; leaving takes it back."""
    one, two = backend.tally("viewers"), backend.tally("viewers")
    assert await one.report(2) == 2
    assert await two.report(3) == 5
    assert await one.report(1) == 4
    assert await backend.tally("others").report(7) == 7
    await two.leave()
    assert await one.report(1) == 1


async def test_a_tally_tells_its_members_of_a_change(backend: Backend) -> None:
    """Every member hears of a new sum, and of nothing when the sum stays the same."""
    one, two = backend.tally("viewers"), backend.tally("viewers")
    changes = two.changes()
    await anext(changes)
    await one.report(1)
    await anext(changes)
    await one.report(1)
    waiting = asyncio.ensure_future(anext(changes))
    await one.report(1)
    assert not waiting.done()
    await one.leave()
    await waiting
    await changes.aclose()  # type: ignore[attr-defined]
