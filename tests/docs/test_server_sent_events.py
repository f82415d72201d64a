"""docs/guide/server-sent-events.md: every block runs and does what the text around it says (P9)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from fairlead.testing import AsyncTestClient

PAGE = Path(__file__).resolve().parents[2] / "docs" / "guide" / "server-sent-events.md"


def names_of(number: int) -> dict[str, Any]:
    """What the block defines."""
    block = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)[number]
    names: dict[str, Any] = {}
    exec(compile(block, f"{PAGE}:{number}", "exec"), names)
    return names


def test_no_block_is_left_out() -> None:
    """A block that is added to the page needs a test here."""
    assert PAGE.read_text().count("```python") == 3


async def test_countdown() -> None:
    """From the beginning, and with the page's own test from where the client was."""
    app = names_of(0)["app"]
    async with AsyncTestClient(app) as client, client.sse("/countdown") as events:
        received = [event async for event in events]
        assert [event.id for event in received] == [str(number) for number in range(9, -1, -1)]
        assert {event.event for event in received} == {"tick"}
        assert events.parser.retry_ms == 2000
    await names_of(2)["check"](app)


async def test_from_a_generator() -> None:
    """All letters, or those after the last one."""
    async with AsyncTestClient(names_of(1)["app"]) as client:
        for last, letters in ((None, "abc"), ("a", "bc")):
            async with client.sse("/letters", last_event_id=last) as events:
                assert [event.data async for event in events] == list(letters)
