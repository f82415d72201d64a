"""The parser of server-sent events, held to the standard's own examples (WHATWG HTML §9.2.6)."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead import App, Request, text
from fairlead.event_stream import encode_event
from fairlead.testing import AsyncTestClient, ReceivedEvent
from fairlead.testing.event_reader import EventParser

LINES = st.text(st.characters(exclude_characters="\r\n\0", exclude_categories=["Cs"]), max_size=8)


def parse(*pieces: bytes) -> list[ReceivedEvent]:
    parser = EventParser()
    return [event for piece in pieces for event in parser.feed(piece)]


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        (b"data: YHOO\ndata: +2\ndata: 10\n\n", [ReceivedEvent("YHOO\n+2\n10")]),
        (
            b": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n",
            [ReceivedEvent("first event", id="1"), ReceivedEvent("second event"), ReceivedEvent(" third event")],
        ),
        (b"data\n\ndata\ndata\n\ndata:", [ReceivedEvent(""), ReceivedEvent("\n")]),
        (b"data:test\n\ndata: test\n\n", [ReceivedEvent("test"), ReceivedEvent("test")]),
        (b"event: add\r\ndata: 1\r\n\r\nevent: lost\r\rdata: 2\n\n", [ReceivedEvent("1", "add"), ReceivedEvent("2")]),
        (b"id: a\0b\nretry: soon\nunknown: x\ndata: y\n\n", [ReceivedEvent("y")]),
        ("data: a\u2028b\x0bc\n\n".encode(), [ReceivedEvent("a\u2028b\x0bc")]),
    ],
)
def test_examples(stream: bytes, events: list[ReceivedEvent]) -> None:
    """Whole, and byte by byte."""
    assert parse(stream) == events
    assert parse(*(stream[at : at + 1] for at in range(len(stream)))) == events


def test_comments_and_retry_are_kept() -> None:
    """What a browser keeps to itself, a test may want to see."""
    parser = EventParser()
    assert list(parser.feed(b": hello\nretry: 250\n\n")) == []
    assert (parser.comments, parser.retry_ms) == (["hello"], 250)


@given(st.lists(LINES, min_size=1), LINES.filter(bool), LINES)
def test_what_is_encoded_is_what_is_parsed(lines: list[str], name: str, last_id: str) -> None:
    """`parse(encode(event)) == event`, for any text, whatever lines it has."""
    data = "\n".join(lines)
    assert parse(encode_event(data, event=name, id=last_id)) == [ReceivedEvent(data, name, last_id)]


async def test_what_is_no_stream() -> None:
    """An error's status, and an answer of another kind, are told at once."""
    app: App[Any, Any] = App("plain")

    @app.get("/")
    def plain(request: Request[Any, Any]) -> Any:
        return text("hello")

    async with AsyncTestClient(app) as client:
        with pytest.raises(httpx.HTTPStatusError):
            async with client.sse("/missing"):
                pass
        with pytest.raises(AssertionError, match="text/plain"):
            async with client.sse("/"):
                pass
