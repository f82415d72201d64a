"""Following a stream through outages, repeats and holes (W9)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

import pytest

from fairlead.channels import (
    Backoff,
    Entry,
    Extent,
    Fanout,
    ReaderState,
    StreamPosition,
    StreamReader,
    StreamUnavailable,
)
from fairlead.channels.memory import MemoryStream
from fairlead.channels.stream import BEGINNING

from .mailbox import Mailbox

GAP = "load anew"


class Moody(MemoryStream):
    """A stream whose server can go away: reads that wait are cut off, everything else is refused."""

    def __init__(self) -> None:
        self.seconds = 1.0
        super().__init__("moody", clock=lambda: self.seconds)
        self.error: Exception = StreamUnavailable("away")
        self._gone = asyncio.Event()
        self.refused = asyncio.Event()

    def go_away(self) -> None:
        self.refused.clear()
        self._gone.set()

    def come_back(self) -> None:
        self._gone.clear()

    def lose_everything(self) -> None:
        """What a restart without persistence does."""
        self._entries.clear()
        self._last = BEGINNING
        self._is_cut = False

    async def extent(self) -> Extent:
        self._refuse()
        return await super().extent()

    async def newest(self, count: int) -> Sequence[Entry]:
        self._refuse()
        return await super().newest(count)

    async def read(self, after: StreamPosition) -> Sequence[Entry]:
        self._refuse()
        reading = asyncio.ensure_future(super().read(after))
        gone = asyncio.ensure_future(self._gone.wait())
        try:
            await asyncio.wait((reading, gone), return_when=asyncio.FIRST_COMPLETED)
            self._refuse()
            return await reading
        finally:
            reading.cancel()
            gone.cancel()

    async def add(self, text: str, event_id: str | None = None, max_entries: int | None = None) -> StreamPosition:
        return await self.append({"id": event_id or text, "text": text}, max_entries=max_entries)

    def _refuse(self) -> None:
        if self._gone.is_set():
            self.refused.set()
            raise self.error


class Rig:
    """A stream, a reader with short back-off, and a subscriber."""

    def __init__(self, *, preload: int = 100) -> None:
        self.stream = Moody()
        self.fanout = Fanout(gap_notice=GAP)
        self.states: asyncio.Queue[ReaderState] = asyncio.Queue()
        self.mailbox = Mailbox()
        self.received = self.mailbox.received
        self.reader = StreamReader(
            self.stream,
            self.fanout,
            render=self.render,
            on_state=self.states.put_nowait,
            backoff=Backoff(0.001, 0.001),
            preload=preload,
        )

    def render(self, entry: Entry) -> str | None:
        text = entry.fields["text"]
        return None if text == "silent" else text

    async def run(self) -> None:
        """Read until cancelled; the subscriber is there from the beginning."""
        with self.fanout.subscribe(self.mailbox):
            await self.reader.run()

    async def start(self) -> asyncio.Task[None]:
        task = asyncio.create_task(self.run())
        assert await self.states.get() is ReaderState.LIVE
        assert await self.received.get() == GAP
        return task

    async def take(self, count: int) -> list[str]:
        return [await self.received.get() for _ in range(count)]


async def test_entries_reach_the_fanout_as_they_come() -> None:
    """What is appended is published once, in order."""
    rig = Rig()
    task = await rig.start()
    for text in ("a", "b", "c"):
        await rig.stream.add(text)
    assert await rig.take(3) == ["a", "b", "c"]
    assert rig.received.empty()
    task.cancel()


async def test_the_history_is_filled_at_the_start() -> None:
    """A client that resumes right after a deploy gets what it missed, from a worker that did not exist then (W9)."""
    rig = Rig()
    first = await rig.stream.add("a")
    await rig.stream.add("b")
    await rig.stream.add("c")
    task = await rig.start()
    assert [str(message) for message in rig.fanout.history.after(first) or ()] == ["b", "c"]
    assert [str(message) for message in rig.fanout.history.after(BEGINNING) or ()] == ["a", "b", "c"]
    task.cancel()


async def test_a_history_that_does_not_reach_back_is_not_called_complete() -> None:
    """With more entries than are loaded, the oldest loaded one is the floor: who knows it misses nothing."""
    rig = Rig(preload=2)
    positions = [await rig.stream.add(text) for text in ("a", "b", "c")]
    task = await rig.start()
    assert rig.fanout.history.after(positions[0]) is None
    assert [str(message) for message in rig.fanout.history.after(positions[1]) or ()] == ["c"]
    task.cancel()


async def test_a_trimmed_stream_is_not_called_complete() -> None:
    """Entries that were removed before the start are not passed over in silence."""
    rig = Rig()
    positions = [await rig.stream.add(text, max_entries=2) for text in ("a", "b", "c")]
    task = await rig.start()
    assert rig.fanout.history.after(BEGINNING) is None
    assert [str(message) for message in rig.fanout.history.after(positions[1]) or ()] == ["c"]
    task.cancel()


async def test_a_repeat_is_left_out() -> None:
    """The publisher delivers at least once; the same event id is shown once, also
    when the first came with the history."""
    rig = Rig()
    await rig.stream.add("a", "event-1")
    task = await rig.start()
    await rig.stream.add("a again", "event-1")
    await rig.stream.add("b", "event-2")
    await rig.stream.add("b again", "event-2")
    await rig.stream.add("c", "event-3")
    assert await rig.take(2) == ["b", "c"]
    task.cancel()


async def test_an_outage_is_caught_up() -> None:
    """What was appended while the backend was away arrives afterwards, in order, without a gap notice."""
    rig = Rig()
    task = await rig.start()
    await rig.stream.add("a")
    assert await rig.take(1) == ["a"]
    rig.stream.go_away()
    assert await rig.states.get() is ReaderState.STALE
    with pytest.raises(StreamUnavailable):
        await rig.reader.check()
    await rig.stream.add("b")
    await rig.stream.add("c")
    rig.stream.refused.clear()
    await rig.stream.refused.wait()  # several attempts are made
    assert rig.received.empty()
    rig.stream.come_back()
    assert await rig.take(2) == ["b", "c"]
    assert await rig.states.get() is ReaderState.LIVE
    await rig.reader.check()
    assert rig.states.empty()
    task.cancel()


async def test_a_start_while_the_backend_is_away() -> None:
    """The worker starts, says that it is stale, and is live when the backend comes."""
    rig = Rig()
    await rig.stream.add("a")
    rig.stream.go_away()
    task = asyncio.create_task(rig.run())
    assert await rig.states.get() is ReaderState.STALE
    rig.stream.come_back()
    assert await rig.states.get() is ReaderState.LIVE
    await rig.stream.add("b")
    assert await rig.take(2) == [GAP, "b"]
    task.cancel()


async def test_a_stream_that_was_lost_is_a_gap() -> None:
    """After a restart without persistence nobody knows what was lost: clients load anew, and what comes then
    arrives."""
    rig = Rig()
    task = await rig.start()
    old = await rig.stream.add("a")
    assert await rig.take(1) == ["a"]
    rig.stream.go_away()
    assert await rig.states.get() is ReaderState.STALE
    rig.stream.lose_everything()
    rig.stream.seconds = 2.0
    await rig.stream.add("published after the loss")
    rig.stream.come_back()
    assert await rig.states.get() is ReaderState.LIVE
    await rig.stream.add("b")
    assert await rig.take(2) == [GAP, "b"]
    assert rig.fanout.history.after(old) is None
    task.cancel()


async def test_a_stream_that_was_trimmed_past_our_place_is_a_gap() -> None:
    """Too long an outage: entries that were never seen are gone."""
    rig = Rig()
    task = await rig.start()
    await rig.stream.add("a")
    assert await rig.take(1) == ["a"]
    rig.stream.go_away()
    assert await rig.states.get() is ReaderState.STALE
    for text in ("b", "c", "d"):
        await rig.stream.add(text, max_entries=2)
    rig.stream.come_back()
    assert await rig.take(1) == [GAP]
    await rig.stream.add("e")
    assert await rig.take(1) == ["e"]
    task.cancel()


async def test_an_error_that_nobody_expected_does_not_end_the_reader(caplog: pytest.LogCaptureFixture) -> None:
    """A mistake in a backend is logged with its traceback; the feed is stale, and goes on when the mistake is over."""
    rig = Rig()
    task = await rig.start()
    rig.stream.error = ZeroDivisionError("a mistake")
    rig.stream.go_away()
    assert await rig.states.get() is ReaderState.STALE
    await rig.stream.add("a")
    rig.stream.come_back()
    assert await rig.take(1) == ["a"]
    assert "unexpected error" in caplog.text
    assert "a mistake" in caplog.text
    task.cancel()


async def test_an_entry_that_cannot_be_shown_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """A malformed entry is logged and left out, one that renders to None is left out in silence."""
    rig = Rig()
    task = await rig.start()
    with caplog.at_level(logging.ERROR, logger="fairlead.channels"):
        await rig.stream.append({"id": "x", "no": "text"})
        await rig.stream.add("silent")
        await rig.stream.add("a")
        assert await rig.take(1) == ["a"]
    assert [record.getMessage() for record in caplog.records] == ["stream moody: entry 1000-0 can't be shown"]
    task.cancel()


async def test_an_entry_without_event_id_is_shown() -> None:
    """Streams of other publishers have no event id: nothing is taken for a repeat."""
    rig = Rig()
    task = await rig.start()
    await rig.stream.append({"text": "a"})
    await rig.stream.append({"text": "a"})
    assert await rig.take(2) == ["a", "a"]
    task.cancel()


async def test_the_memory_of_event_ids_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the newest event ids are remembered, the oldest is the first to be forgotten."""
    monkeypatch.setattr("fairlead.channels.reader.MEMORY", 2)
    rig = Rig()
    task = await rig.start()
    for text in ("a", "b", "c", "b", "a"):
        await rig.stream.add(text)
    assert await rig.take(4) == ["a", "b", "c", "a"]
    task.cancel()


async def test_a_read_that_brings_nothing() -> None:
    """A stream may answer with nothing: the place stays, and what comes next is shown once."""
    rig = Rig()
    task = await rig.start()
    await rig.stream.add("one")
    assert await rig.take(1) == ["one"]
    rig.reader._take([])
    await rig.stream.add("two")
    assert await rig.take(1) == ["two"]
    task.cancel()
