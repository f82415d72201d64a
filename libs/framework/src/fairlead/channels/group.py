"""`Group`: what an application does with a named group; made by `Channels.group`."""

from __future__ import annotations

import re
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import msgspec

from fairlead.channels.fanout import Recipient, Subscription
from fairlead.channels.line import DATA
from fairlead.channels.stream import StreamPosition, StreamUnavailable
from fairlead.errors import PayloadTooLarge, ServiceUnavailable
from fairlead.websocket import Websocket

if TYPE_CHECKING:
    from fairlead.channels.switchboard import Channels

_MESSAGE_ID: Final = re.compile(r"[!-~]{1,128}").fullmatch


class Group:
    """A name under which clients of any worker hear the same messages in the same order.

    Costs nothing until somebody joins; two groups of one name are the same group.
    """

    __slots__ = ("_channels", "name")

    def __init__(self, channels: Channels, name: str) -> None:
        self._channels = channels
        self.name = name

    @asynccontextmanager
    async def join(
        self, client: Websocket | Recipient, *, after: str | StreamPosition | None = None, history: int = 0
    ) -> AsyncIterator[Subscription]:
        """Let a websocket or an event stream be a member for the length of the block.

        It is sent, as JSON: what was said after the id `after` (or else the last `history` messages), then what is said from now
        on, as ``{"type": "message", "group": …, "id": …, "data": …}``, each once and in order; ``{"type": "presence", "group": …,
        "count": n}``; ``{"type": "gap", …}`` when messages after its id are lost (also for an id that is none): then it must load
        its data anew; ``{"type": "stale", …}`` and ``{"type": "live", …}`` around an outage of the backend.

        Raises `ServiceUnavailable` (503; 1013 on a websocket) when the backend can't be reached and this worker does not know the
        group yet.
        """
        async with self._channels.hold(self.name) as local:
            with local.presence.join():
                try:
                    subscription = await local.admit(client, after, history)
                except StreamUnavailable as error:
                    raise _unavailable() from error
                with subscription:
                    yield subscription

    async def broadcast(self, data: Any, *, message_id: str | None = None) -> str:
        """Say `data`, which msgspec encodes as JSON, to all members in all workers. Returns the message's id once it is stored.

        Repeated by itself through a short outage, and stored once all the same. A caller that may repeat it, too (a queue's
        worker, an HTTP client with an idempotency key), gives a `message_id` of its own: as long as the history holds the first
        one, the second gets the first one's id and nobody hears it.

        Raises `ServiceUnavailable` (503) when the backend stays away: it may be stored or not. `PayloadTooLarge` (413),
        ValueError for a `message_id` that is no printable ASCII of at most 128 characters, TypeError for what is no JSON.
        """
        if message_id is not None and _MESSAGE_ID(message_id) is None:
            raise ValueError("a message id is printable ASCII without spaces, at most 128 characters")
        encoded = msgspec.json.encode(data)
        if len(encoded) > self._channels.max_message_bytes:
            raise PayloadTooLarge(f"A message holds at most {self._channels.max_message_bytes} bytes")
        try:
            position = await self._channels.post(
                self.name, encoded.decode(), message_id or secrets.token_hex(12), message_id is not None
            )
        except StreamUnavailable as error:
            raise _unavailable() from error
        return str(position)

    @property
    def presence(self) -> int:
        """How many members there are in all workers, as far as this worker knows: it does while it has one itself."""
        local = self._channels.local(self.name)
        return local.presence.count if local is not None else 0

    async def count(self) -> int:
        """How many members there are in all workers, asked of the backend. Raises `ServiceUnavailable`."""
        try:
            return await self._channels.count(self.name)
        except StreamUnavailable as error:
            raise _unavailable() from error

    async def history(self, count: int = 100) -> list[dict[str, Any]]:
        """The last messages, oldest first, each with `id` and `data`, from the backend. Raises `ServiceUnavailable`."""
        try:
            entries = await self._channels.stream(self.name).newest(count)
        except StreamUnavailable as error:
            raise _unavailable() from error
        return [
            {"id": str(entry.position), "data": msgspec.json.decode(entry.fields[DATA])}
            for entry in entries
            if DATA in entry.fields
        ]


def _unavailable() -> ServiceUnavailable:
    return ServiceUnavailable("The channel can't be reached at the moment", retry_after=1)
