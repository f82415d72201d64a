"""docs/guide/channels.md: every block runs and does what the text around it says (P9)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from fairlead.testing import AsyncTestClient, WebsocketClient

PAGE = Path(__file__).resolve().parents[2] / "docs" / "guide" / "channels.md"


def app_of(name: str, redis_url: str = "") -> Any:
    """The application that the block with `App("name")` makes, on the test's Redis."""
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    (block,) = [block for block in blocks if f'App("{name}")' in block]
    names: dict[str, Any] = {}
    exec(compile(block.replace("redis://127.0.0.1:6379/0", redis_url), f"{PAGE}:{name}", "exec"), names)
    return names["app"], names["channels"]


async def message_of(ws: WebsocketClient) -> dict[str, Any]:
    """The next message of a group."""
    while True:
        said: dict[str, Any] = await ws.recv_json()
        if said["type"] == "message":
            return said


def test_no_block_is_left_out() -> None:
    """A block that is added to the page needs a test here."""
    assert re.findall(r"App\(\"([\w-]+)\"\)", PAGE.read_text()) == ["rooms", "rooms-everywhere"]
    assert PAGE.read_text().count("```python") == 2


async def test_rooms() -> None:
    """Two websockets and an event stream in one room; a page that comes later, and one that comes back."""
    app, _ = app_of("rooms")
    async with AsyncTestClient(app) as client:
        async with client.websocket("/rooms/1") as one, client.websocket("/rooms/1") as two:
            assert await one.recv_json() == {"type": "presence", "group": "room:1", "count": 1}
            await two.send("hello")
            said = await message_of(one)
            assert (said["group"], said["data"]) == ("room:1", {"text": "hello"})
            assert await message_of(two) == said
            await two.send("again")
            again = await message_of(one)
            async with client.sse("/rooms/1/events", last_event_id=said["id"]) as events:
                event = await events.next()
                assert (event.json(), event.id) == (again, again["id"])
            about = (await client.get("/rooms/1/about")).json()
            assert about["members"] >= 2
            assert [entry["data"]["text"] for entry in about["last"]] == ["hello", "again"]
        async with client.websocket(f"/rooms/1?after={said['id']}") as back:
            assert await message_of(back) == again
        async with client.websocket("/rooms/1") as late:
            assert [await message_of(late), await message_of(late)] == [said, again]


async def test_rooms_everywhere(redis_url: str) -> None:
    """The same over Redis."""
    app, channels = app_of("rooms-everywhere", redis_url)
    async with AsyncTestClient(app):
        group = channels.group("room:1")
        first = await group.broadcast("hello")
        assert await group.history() == [{"id": first, "data": "hello"}]
        await app.health.run()
        assert app.health.ready
