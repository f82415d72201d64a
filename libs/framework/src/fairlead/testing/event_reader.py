"""The client's end of a stream of server-sent events, as the standard's parser reads it (WHATWG HTML §9.2.6)."""

from __future__ import annotations

import codecs
from collections.abc import AsyncIterator, Iterator

import httpx
import msgspec


class ReceivedEvent(msgspec.Struct, frozen=True):
    """An event as a browser would dispatch it."""

    data: str
    event: str = "message"
    id: str = ""

    def json(self) -> object:
        """The data, decoded."""
        return msgspec.json.decode(self.data)


class EventParser:
    """Bytes in any pieces go in, events come out. `last_event_id`, `retry_ms` and `comments` are what it has seen so far."""

    def __init__(self) -> None:
        self.last_event_id = ""
        self.retry_ms: int | None = None
        self.comments: list[str] = []
        self._decode = codecs.getincrementaldecoder("utf-8")().decode
        self._rest = ""
        self._data: list[str] = []
        self._event = ""

    def feed(self, data: bytes) -> Iterator[ReceivedEvent]:
        """The events that are complete now."""
        for line in self._lines(data):
            if line:
                self._take(line)
                continue
            if self._data:
                yield ReceivedEvent("\n".join(self._data), self._event or "message", self.last_event_id)
            self._data, self._event = [], ""

    def _lines(self, data: bytes) -> Iterator[str]:
        text = self._rest + self._decode(data)
        held = text.endswith("\r")  # a line feed that belongs to it may follow
        text, self._rest = (text[:-1], "\r") if held else (text, "")
        *lines, last = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        self._rest = last + self._rest
        yield from lines

    def _take(self, line: str) -> None:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not name:
            self.comments.append(value)
        elif name == "data":
            self._data.append(value)
        elif name == "event":
            self._event = value
        elif name == "id" and "\0" not in value:
            self.last_event_id = value
        elif name == "retry" and value.isdecimal():
            self.retry_ms = int(value)


class EventReader:
    """The stream of a test client: iterate over it, or take the `next` event; see `AsyncTestClient.sse`."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self.parser = EventParser()
        self._events = self._read()

    async def _read(self) -> AsyncIterator[ReceivedEvent]:
        async for piece in self.response.aiter_bytes():
            for event in self.parser.feed(piece):
                yield event

    def __aiter__(self) -> AsyncIterator[ReceivedEvent]:
        return self._events

    async def next(self) -> ReceivedEvent:
        """The next event. Raises EOFError at the end of the stream."""
        try:
            return await anext(self._events)
        except StopAsyncIteration:
            raise EOFError("the stream has ended") from None

    async def next_json(self) -> object:
        """The data of the next event, decoded."""
        return (await self.next()).json()

    @property
    def last_event_id(self) -> str:
        """What a browser would send as Last-Event-ID when it comes back."""
        return self.parser.last_event_id
