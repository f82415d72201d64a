"""A client of a fanout that keeps what it is sent, as text."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Iterable

from fairlead.channels import Publication


class Mailbox:
    """A `Recipient`; `is_open` can be taken away, as when a client leaves or was too slow."""

    def __init__(self) -> None:
        self.received: asyncio.Queue[str] = asyncio.Queue()
        self.publications: list[Publication] = []
        self.keys: list[Hashable | None] = []
        self.is_open = True

    def put(self, message: Publication, key: Hashable | None = None) -> bool:
        if self.is_open:
            self.publications.append(message)
            self.keys.append(key)
            self.received.put_nowait(str(message))
        return self.is_open

    def put_backlog(self, messages: Iterable[Publication]) -> None:
        for message in messages:
            self.put(message)

    @property
    def texts(self) -> list[str]:
        """All that has come."""
        return [str(message) for message in self.publications]

    async def take(self, count: int) -> list[str]:
        """The next ones."""
        return [await self.received.get() for _ in range(count)]
