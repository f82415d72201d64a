"""Named groups over several workers: join, leave, broadcast, presence, history, resume (W9)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from redis.asyncio import Redis

from fairlead import App
from fairlead.channels import Backoff, Channels, Entry, MemoryBackend, StreamPosition, StreamUnavailable
from fairlead.channels.line import Joined, Said
from fairlead.channels.redis import RedisBackend
from fairlead.errors import PayloadTooLarge, ServiceUnavailable
from fairlead.testing import AsyncTestClient
from tests.redis_server import RedisServer

from .mailbox import Mailbox

MakeWorker = Callable[..., Channels]


class Member(Mailbox):
    """A client that reads what it is sent."""

    async def next(self, kind: str = "message") -> dict[str, Any]:
        """The next thing of this kind; others are passed over."""
        while True:
            said: dict[str, Any] = json.loads(await self.received.get())
            if said["type"] == kind:
                return said

    async def data(self, count: int) -> list[Any]:
        """What the next messages say."""
        return [(await self.next())["data"] for _ in range(count)]


def stop_tasks(channels: Channels) -> None:
    """As the app does before it closes what the tasks use."""
    next(task for task in asyncio.all_tasks() if task.get_name() == f"run {id(channels)}").cancel()


@pytest.fixture(params=["memory", "redis"])
async def worker(request: pytest.FixtureRequest) -> AsyncIterator[MakeWorker]:
    """Makes workers that run, all over one backend; with `valkey=…` over that server."""
    tasks: list[asyncio.Task[None]] = []
    async with AsyncExitStack() as stack:
        memory = MemoryBackend()

        def make(**options: Any) -> Channels:
            backend: Any = memory
            if request.param == "redis":
                client = Redis.from_url(request.getfixturevalue("redis_url"))
                stack.push_async_callback(client.aclose)
                backend = RedisBackend(client)
            channels = Channels(backend, **options)
            tasks.append(asyncio.create_task(channels.run(), name=f"run {id(channels)}"))
            return channels

        yield make
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_broadcast_reaches_all_members_in_all_workers(worker: MakeWorker) -> None:
    """Each once, in one order, with the id from which to resume; other groups hear nothing of it."""
    here, there = worker(), worker()
    one, two, other = Member(), Member(), Member()
    async with here.group("a").join(one), there.group("a").join(two), there.group("b").join(other):
        ids = [await (here, there)[n % 2].group("a").broadcast({"n": n}) for n in range(10)]
        for member in (one, two):
            heard = [await member.next() for _ in range(10)]
            assert [message["data"]["n"] for message in heard] == list(range(10))
            assert [message["id"] for message in heard] == ids
            assert {message["group"] for message in heard} == {"a"}
        await here.group("b").broadcast("b")
        assert await other.data(1) == ["b"]


@pytest.mark.parametrize("name", ['100 %s "quoted" {braces}', "zürich/é\n", "x" * 200, "%"])
async def test_any_name_will_do(worker: MakeWorker, name: str) -> None:
    """What a name holds changes nothing about what members are sent."""
    channels, member = worker(), Member()
    async with channels.group(name).join(member):
        await channels.group(name).broadcast("%s")
        assert (await member.next("presence"))["group"] == name
        said = await member.next()
        assert (said["group"], said["data"]) == (name, "%s")


async def test_leaving(worker: MakeWorker) -> None:
    """Who has left hears nothing more."""
    channels, member, stays = worker(), Member(), Member()
    room = channels.group("a")
    async with room.join(stays):
        async with room.join(member):
            await room.broadcast(1)
            assert await member.data(1) == [1]
        await room.broadcast(2)
        assert await stays.data(2) == [1, 2]
    assert "2" not in [json.loads(text).get("data") for text in member.texts]


async def test_presence(worker: MakeWorker) -> None:
    """Members are told how many they are in all workers; it is asked for without joining, too."""
    here, there = worker(), worker()
    one, two = Member(), Member()
    async with here.group("a").join(one):
        assert (await one.next("presence"))["count"] == 1
        async with there.group("a").join(two):
            while (await one.next("presence"))["count"] != 2:
                pass
            while (await two.next("presence"))["count"] != 2:
                pass
            assert here.group("a").presence == there.group("a").presence == 2
            assert here.groups == {"a": 2}
            assert await worker().group("a").count() == 2
            assert await here.group("a").count() == 2
        while (await one.next("presence"))["count"] != 1:
            pass
    assert here.groups == {}
    assert worker().group("nobody").presence == 0
    assert await here.group("nobody").count() == 0


async def test_presence_without_announcements(worker: MakeWorker) -> None:
    """Members of a group can be left in peace; the number is there all the same."""
    channels, member = worker(announces_presence=False), Member()
    async with channels.group("a").join(member), channels.group("a").join(Member()):
        assert channels.group("a").presence == 2
        await channels.group("a").broadcast("x")
        await member.data(1)
        assert [json.loads(text)["type"] for text in member.texts] == ["message"]


async def test_a_quiet_group_is_told_from_a_dead_one(worker: MakeWorker) -> None:
    """The number is repeated now and then."""
    channels, member = worker(reminder_s=0.01), Member()
    async with channels.group("a").join(member):
        assert [(await member.next("presence"))["count"] for _ in range(4)] == [1, 1, 1, 1]


async def test_a_worker_that_stops_takes_its_members_along(worker: MakeWorker) -> None:
    """Closed in order, they are subtracted at once."""
    here, there = worker(heartbeat_s=60), worker(heartbeat_s=60)
    one = Member()
    async with here.group("a").join(one), there.group("a").join(Member()):
        while (await one.next("presence"))["count"] != 2:
            pass
        stop_tasks(there)
        await there.close()
        while (await one.next("presence"))["count"] != 1:
            pass


async def test_resuming(worker: MakeWorker) -> None:
    """Everything after the id, once, in order, then what comes next; at whichever worker."""
    here = worker()
    room = here.group("a")
    ids = [await room.broadcast(n) for n in range(5)]
    said = [2, 3, 4]
    for number, channels in enumerate((here, worker(), here)):
        member, newcomer = Member(), Member()
        async with channels.group("a").join(member, after=ids[1]):
            assert await member.data(len(said)) == said  # from here on this worker has heard all of them
            async with channels.group("a").join(newcomer, history=2):
                await room.broadcast(f"new {number}")
                assert await member.data(1) == [f"new {number}"]
                assert await newcomer.data(3) == [*said[-2:], f"new {number}"]
                said.append(f"new {number}")


async def test_history(worker: MakeWorker) -> None:
    """What was said last, for whoever asks, without joining."""
    room = worker().group("a")
    ids = [await room.broadcast({"n": n}) for n in range(5)]
    assert await room.history(2) == [{"id": ids[3], "data": {"n": 3}}, {"id": ids[4], "data": {"n": 4}}]
    assert await worker().group("empty").history() == []


async def test_resuming_beyond_what_a_worker_remembers(worker: MakeWorker) -> None:
    """The stream is asked then: a gap is what the backend does not hold, not what one worker has forgotten."""
    channels = worker(history=3)
    room = channels.group("a")
    async with room.join(Member()):
        ids = [await room.broadcast(n) for n in range(10)]
        member = Member()
        async with room.join(member, after=ids[0]):
            await room.broadcast(10)
            assert await member.data(10) == list(range(1, 11))


@pytest.mark.parametrize("after", ["99999999999999-0", "yesterday", ""])
async def test_resuming_from_an_unknown_past(worker: MakeWorker, after: str) -> None:
    """An id that the stream doesn't hold, or that is none, is answered by a gap: load anew, then go on."""
    room = worker().group("a")
    await room.broadcast("old")
    member = Member()
    async with room.join(member, after=after):
        assert (await member.next("gap")) == {"type": "gap", "group": "a"}
        await room.broadcast("new")
        assert await member.data(1) == ["new"]


async def test_what_was_trimmed_is_a_gap(worker: MakeWorker) -> None:
    """Not a part of what was missed."""
    channels = worker(history=2, max_entries=100)
    room = channels.group("a")
    first = await room.broadcast("first")
    for number in range(300):
        await room.broadcast(number)
    member = Member()
    async with room.join(member, after=first):
        await member.next("gap")


async def test_a_repeat_is_stored_once(worker: MakeWorker) -> None:
    """With an id of the caller's, a repeat gets the first one's place and nobody hears it."""
    room, member = worker().group("a"), Member()
    async with room.join(member):
        first = await room.broadcast("once", message_id="order-7")
        assert await room.broadcast("once", message_id="order-7") == first
        await room.broadcast("next")
        assert await member.data(2) == ["once", "next"]
    assert len(await room.history()) == 2


async def test_a_repeat_is_found_among_others(worker: MakeWorker) -> None:
    """Whatever was said in between, a message whose id is known is not said again."""
    room = worker().group("a")
    for number in range(3):
        await room.broadcast(number, message_id=f"order-{number}")
    places = [message["id"] for message in await room.history()]
    assert str(await room.broadcast(1, message_id="order-1")) == places[1]
    assert len(await room.history()) == 3


async def test_a_worker_that_lags_gives_nothing_twice(worker: MakeWorker) -> None:
    """A client that comes from a faster worker makes the slower one read on first."""
    here, there = worker(), worker()
    member = Member()
    async with there.group("a").join(Member()):
        local = there.local("a")
        assert local is not None
        local.hear = lambda said: True  # type: ignore[method-assign]  # its line is slow
        ids = [await here.group("a").broadcast(n) for n in range(3)]
        del local.hear
        async with there.group("a").join(member, after=ids[1]):
            await here.group("a").broadcast("next")
            assert await member.data(2) == [2, "next"]


async def test_idle_groups_are_let_go(worker: MakeWorker) -> None:
    """After the last member, and not before `linger_s`; a group that is joined again works as before."""
    channels, member = worker(linger_s=0.01), Member()
    room = channels.group("a")
    for _ in range(3):
        async with room.join(member):
            await room.broadcast("x")
            assert await member.data(1) == ["x"]
            held = channels.local("a")
        while channels.local("a") is held:  # noqa: ASYNC110 - let go by a timer
            await asyncio.sleep(0.005)


async def test_many_groups(worker: MakeWorker) -> None:
    """A line carries them all."""
    channels = worker()
    async with AsyncExitStack() as stack:
        members = [Member() for _ in range(600)]
        await asyncio.gather(*(stack.enter_async_context(channels.group(f"g{n}").join(member)) for n, member in enumerate(members)))
        await asyncio.gather(*(channels.group(f"g{n}").broadcast(n) for n in range(600)))
        assert [await member.data(1) for member in members] == [[n] for n in range(600)]


async def test_with_an_application(worker: MakeWorker) -> None:
    """Attached, they run as a task of the worker and answer its readiness; they end with it."""
    app: App[Any, Any] = App("attached")
    backend = MemoryBackend()
    channels = Channels(backend).attach(app, name="rooms")
    with pytest.raises(StreamUnavailable, match="down"):
        await channels.check()
    other, member = Channels(backend), Member()
    async with AsyncTestClient(app):
        await channels.live.wait()
        await channels.check()
        async with channels.group("a").join(member):
            while await other.count("a") != 1:  # noqa: ASYNC110 - the worker reports when it is due
                await asyncio.sleep(0.005)
    assert await other.count("a") == 0


async def test_what_is_refused(worker: MakeWorker) -> None:
    """Names, ids, sizes and data that can't be."""
    channels = worker(max_message_bytes=10)
    for name in ("", "x" * 201):
        with pytest.raises(ValueError, match="200"):
            channels.group(name)
    room = channels.group("a")
    for message_id in ("", "two words", "x" * 129, "grüß"):
        with pytest.raises(ValueError, match="printable"):
            await room.broadcast(1, message_id=message_id)
    with pytest.raises(PayloadTooLarge):
        await room.broadcast("x" * 9)
    with pytest.raises(TypeError):
        await room.broadcast(object())
    with pytest.raises(ValueError, match="remembers"):
        Channels(MemoryBackend(), history=2, max_entries=1)


async def test_entries_of_others_are_left_out(worker: MakeWorker) -> None:
    """What somebody else has written to the stream is no message, and no reason to stop."""
    channels, member = worker(), Member()
    room = channels.group("a")
    await channels.stream("a").append({"text": "stranger"})
    async with room.join(member, history=5):
        await channels.stream("a").append({"text": "stranger"})
        await room.broadcast("ours")
        assert await member.data(1) == ["ours"]
    assert [message["data"] for message in await room.history()] == ["ours"]


# Outages


@pytest.fixture
async def restartable(valkey: RedisServer) -> AsyncIterator[MakeWorker]:
    """Makes workers over a server that the test may kill."""
    tasks: list[asyncio.Task[None]] = []
    clients: list[Redis] = []

    def make(**options: Any) -> Channels:
        clients.append(Redis.from_url(valkey.url))
        channels = Channels(RedisBackend(clients[-1]), backoff=Backoff(0.01, 0.05), **options)
        tasks.append(asyncio.create_task(channels.run()))
        return channels

    yield make
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for client in clients:
        await client.aclose()


async def test_a_restart_of_the_server_loses_nothing(restartable: MakeWorker, valkey: RedisServer) -> None:
    """What is said while a worker's line is down reaches its members when it is back; a broadcast waits for the server."""
    here, there = restartable(), restartable()
    one, two = Member(), Member()
    async with here.group("a").join(one), there.group("a").join(two):
        await here.group("a").broadcast(0)
        valkey.kill()
        for member in (one, two):
            await member.next("stale")
        saying = asyncio.create_task(there.group("a").broadcast(1))
        valkey.start()
        await saying
        await here.group("a").broadcast(2)
        for member in (one, two):
            await member.next("live")
        for member in (one, two):
            said = [json.loads(text) for text in member.texts]
            assert [message["data"] for message in said if message["type"] == "message"][:1] == [0]
        await here.group("a").broadcast(3)
        for member in (one, two):
            while 3 not in (data := [m.get("data") for m in map(json.loads, member.texts) if m["type"] == "message"]):
                await member.received.get()
            assert data == [0, 1, 2, 3]


async def test_a_server_that_loses_its_data(restartable: MakeWorker, valkey: RedisServer) -> None:
    """Members are told of the gap, and hear what is said from then on."""
    valkey.kill()
    valkey.keeps_data = False
    valkey.start()
    channels, member = restartable(), Member()
    async with channels.group("a").join(member):
        await channels.group("a").broadcast("old")
        assert await member.data(1) == ["old"]
        valkey.kill()
        await member.next("stale")
        valkey.start()
        await member.next("gap")
        await channels.group("a").broadcast("new")
        assert await member.data(1) == ["new"]


async def test_joining_while_the_server_is_away(restartable: MakeWorker, valkey: RedisServer) -> None:
    """A group that the worker knows takes members in, who are told; one that it doesn't is a 503, and so is a broadcast."""
    channels = restartable(join_timeout_s=0.1, broadcast_timeout_s=0.1)
    known, member, late = channels.group("known"), Member(), Member()
    async with known.join(member):
        seen = await known.broadcast("before")
        await member.data(1)
        valkey.kill()
        await member.next("stale")
        async with known.join(late, after=seen):
            await late.next("stale")
        with pytest.raises(StreamUnavailable):
            await channels.check()
        future = str(seen.partition("-")[0]) + "9-0"
        for refused in (known.join(Member(), after=future), channels.group("unknown").join(Member())):
            with pytest.raises(ServiceUnavailable):
                await refused.__aenter__()
        for asked in (known.broadcast("x"), known.count(), known.history()):
            with pytest.raises(ServiceUnavailable):
                await asked
        valkey.start()
        await member.next("live")
        await channels.check()


async def test_a_line_that_drops_messages(restartable: MakeWorker) -> None:
    """A message whose predecessor was not heard makes the worker read the stream: nothing is skipped or swapped."""
    channels, member = restartable(), Member()
    async with channels.group("a").join(member):
        local = channels.local("a")
        assert local is not None
        hear = local.hear

        def forgetful(said: Said) -> bool:
            return hear(said) if int(said.entry.fields["data"]) % 3 == 2 else True

        local.hear = forgetful  # type: ignore[method-assign]
        for number in range(9):
            await channels.group("a").broadcast(number)
        assert await member.data(9) == list(range(9))


async def test_a_silent_server_is_noticed(restartable: MakeWorker, valkey: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection over which nothing comes, not even the answer to a ping, is given up."""
    monkeypatch.setattr("fairlead.channels.redis_line.QUIET_S", 0.02)
    channels, member = restartable(), Member()
    async with channels.group("a").join(member):
        valkey.pause()
        await member.next("stale")
        valkey.resume()
        await member.next("live")
        await channels.group("a").broadcast("x")
        assert await member.data(1) == ["x"]


# What should not happen


def position(channels: Channels, ahead: int) -> StreamPosition:
    """A place in group "a" so many minutes ahead of the last one: behind whatever is said meanwhile."""
    local = channels.local("a")
    assert local is not None
    assert local._position is not None
    return StreamPosition(local._position.ms + 60_000 * ahead, 0)


async def test_a_message_that_the_stream_does_not_hold() -> None:
    """Heard of by a server that has lost it since: after some looking, members are told of the gap, and it goes on."""
    backend = MemoryBackend()
    channels, member = Channels(backend), Member()
    task = asyncio.create_task(channels.run())
    async with channels.group("a").join(member):
        await channels.group("a").broadcast("before")
        await member.data(1)
        entry = Entry(position(channels, 2), {"id": "x", "data": '"lost"'})
        backend._say(Said("channel:a", position(channels, 1), entry))
        await channels.group("a").broadcast("while it is looked for")
        await member.next("gap")
        await channels.group("a").broadcast("after")
        said = [message for message in map(json.loads, member.texts) if message["type"] == "message"]
        while said[-1]["data"] != "after":
            await member.received.get()
            said = [message for message in map(json.loads, member.texts) if message["type"] == "message"]
        assert [message["data"] for message in said] == ["before", "while it is looked for", "after"]
    task.cancel()


async def test_what_waits_while_the_stream_is_read_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not fit is found in the stream."""
    monkeypatch.setattr("fairlead.channels.local_group.MAX_PENDING", 3)
    backend = MemoryBackend()
    channels, member = Channels(backend), Member()
    task = asyncio.create_task(channels.run())
    async with channels.group("a").join(member):
        local = channels.local("a")
        assert local is not None
        local._is_reading = True
        for number in range(10):
            await channels.group("a").broadcast(number)
        for _ in range(50):
            await asyncio.sleep(0)
        assert 0 < len(local._pending) <= 3
        await local.read_on()
        assert await member.data(10) == list(range(10))
    task.cancel()


async def test_an_error_that_nobody_expected(caplog: pytest.LogCaptureFixture) -> None:
    """It is logged with its traceback, and the loops go on: a feed must not end for ever with one mistake."""

    class Broken(MemoryBackend):
        def __init__(self) -> None:
            super().__init__()
            self.failing = {"line", "report"}

        def line(self) -> Any:
            self._fail("line")
            return super().line()

        def tally(self, name: str, *, group: str | None = None) -> Any:
            tally = super().tally(name, group=group)
            report = tally.report

            async def fail_once(count: int) -> int:
                self._fail("report")
                return await report(count)

            tally.report = fail_once  # type: ignore[method-assign]
            return tally

        def _fail(self, what: str) -> None:
            if what in self.failing:
                self.failing.remove(what)
                raise ZeroDivisionError("a mistake")

    channels, member = Channels(Broken(), heartbeat_s=0.01, backoff=Backoff(0.001, 0.001)), Member()
    task = asyncio.create_task(channels.run())
    async with channels.group("a").join(member):
        await channels.group("a").broadcast("x")
        assert await member.data(1) == ["x"]
    while caplog.text.count("a mistake") < 2:  # noqa: ASYNC110 - the count repeats itself by a timer
        await asyncio.sleep(0.005)
    task.cancel()


async def test_what_the_line_says_too_late_or_twice() -> None:
    """News of a group that nobody here is in any more are nothing; a group that will be read on anyway is read on once."""
    channels, member = Channels(MemoryBackend()), Member()
    running = asyncio.create_task(channels.run())
    async with channels.group("a").join(member), asyncio.TaskGroup() as tasks:
        channels._take(Joined("channel:gone"), tasks)
        assert len(tasks._tasks) == 0
        for _ in range(2):
            channels._take(Joined("channel:a"), tasks)
        assert len(tasks._tasks) == 1
    running.cancel()


async def test_a_stream_that_cannot_be_read_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """One group's trouble is not the others': the line stays up, and the group is live as soon as it can be."""
    backend = MemoryBackend()
    channels, member = Channels(backend), Member()
    stream, failures = backend.stream("channel:a"), 2
    extent = stream.extent

    async def fail_twice() -> Any:
        nonlocal failures
        if failures:
            failures -= 1
            raise StreamUnavailable("not now")
        return await extent()

    monkeypatch.setattr(stream, "extent", fail_twice)
    task = asyncio.create_task(channels.run())
    async with channels.group("a").join(member):
        assert failures == 0
        assert channels.live.is_set()
    task.cancel()
