"""The live side of the catalogue in one worker: its stream, fanned out, and the number of viewers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from fairlead.channels import Fanout, Presence, Publication, ReaderState, Recipient, StreamPosition, StreamReader
from fairlead.channels.redis import RedisBackend
from fairlead.websocket import Websocket
from feed.domain import messages

__all__ = ["LiveProducts"]

STREAM: Final = "catalog:products"
TALLY: Final = "feed:viewers"

REMINDER_S: Final = 20.0
"""How often the number of viewers is repeated; a page that hears nothing for twice as long connects anew."""


class LiveProducts:
    """What every open page of this worker shares. `run` it as a task; `follow` it for each page."""

    def __init__(self, backend: RedisBackend) -> None:
        self.fanout = Fanout(gap_notice=messages.GAP)
        self.reader = StreamReader(backend.stream(STREAM), self.fanout, render=messages.change, on_state=self._show_state)
        self.presence = Presence(backend.tally(TALLY), on_change=self._show_viewers)

    async def run(self) -> None:
        """Read, count and remind until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.reader.run())
            group.create_task(self.presence.run())
            group.create_task(self._remind())

    @contextmanager
    def follow(self, client: Websocket | Recipient, after: StreamPosition | None = None) -> Iterator[None]:
        """Let `client` be a viewer for the length of a `with` block; it is told the number of viewers at once."""
        with self.presence.join(), self.fanout.subscribe(client, after) as subscription:
            subscription.notify("viewers", Publication(messages.viewers(self.presence.count)))
            if self.reader.state is ReaderState.STALE:
                subscription.notify("stream", Publication(messages.STALE))
            yield

    def _show_viewers(self, count: int) -> None:
        self.fanout.announce("viewers", messages.viewers(count))

    def _show_state(self, state: ReaderState) -> None:
        self.fanout.announce("stream", messages.LIVE if state is ReaderState.LIVE else messages.STALE)

    async def _remind(self) -> None:
        while True:
            await asyncio.sleep(REMINDER_S)
            self._show_viewers(self.presence.count)
