"""What is asked of every server: who subscribes, and what is sent to them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

MESSAGE = json.dumps(
    {"type": "message", "group": "room:1", "id": "1732101010101-0", "data": {"text": "a price has changed", "n": 1}}
)
LONG = json.dumps(
    {"type": "message", "products": [{"name": f"Brass lamp {n}", "price": {"amount": n, "currency": "EUR"}} for n in range(12)]}
)


async def repeat(count: int, send: Callable[[], Any]) -> None:
    """Broadcast so often, one in each turn of the loop."""
    for _ in range(count):
        answer = send()
        if isinstance(answer, Awaitable):
            await answer
        await asyncio.sleep(0)


def run(main: Callable[[], Awaitable[None]]) -> None:
    """On uvloop, until SIGTERM."""
    import uvloop

    async def forever() -> None:
        await main()
        await asyncio.get_running_loop().create_future()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(forever())
