"""One websocket's share of a fanout: a bounded queue and the task that empties it.

How this works. Publishing never waits: `offer` appends to the queue and wakes the sender. The sender alone awaits the
socket, so a client whose network stalls holds up nobody but itself. When its queue is full the subscription is over:
the queue is dropped and the websocket closed with 1013 (try again later). The client returns, resumes from the last
id that it has seen and gets the same messages from the history, in order; nothing was skipped behind its back.

Two kinds of messages pass through:

- messages of the stream: each counts, order is kept, the bound applies;
- notices: statements about *now* (how many viewers, live or stale). A newer one replaces an unsent older one of its
  kind, so that they need no bound; they overtake the messages, since they are about now.

Rejected for streams: dropping the oldest (the client believes that it is complete), an unbounded queue (one phone in
a tunnel takes the worker's memory), awaiting `send` while publishing (one phone in a tunnel stops everybody).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Final, Protocol, Self, TypeAlias

from fairlead.websocket import PreparedMessage

Message: TypeAlias = str | PreparedMessage
"""A text of this client alone, or one that many are sent."""

TRY_AGAIN_LATER: Final = 1013
"""The close code for a client that is too slow (IANA websocket close code registry)."""


class Recipient(Protocol):
    """What is needed of a websocket."""

    async def send(self, data: Message, /) -> None:
        """Send a message; returns when the transport has room for more."""

    async def close(self, code: int, reason: str) -> None:
        """Start, or wait for, the closing handshake."""


class Subscription:
    """Made by `Fanout.subscribe`; a context manager that leaves the fanout at its end. Then `await deliver(ws)`."""

    def __init__(self, leave: Callable[[Subscription], None], queue_size: int, backlog: Iterable[Message] = ()) -> None:
        self._leave = leave
        self._messages = deque(backlog)
        self._capacity = queue_size + len(self._messages)
        self._notices: dict[str, Message] = {}
        self._wake = asyncio.Event()
        self._overflow = asyncio.Event()
        if self._messages:
            self._wake.set()

    @property
    def is_overflowed(self) -> bool:
        """Whether the client was too slow; nothing is taken any more."""
        return self._overflow.is_set()

    def __len__(self) -> int:
        """How many messages wait."""
        return len(self._messages) + len(self._notices)

    def offer(self, message: Message) -> bool:
        """Take a message of the stream; False when the queue is full, now or before."""
        if self.is_overflowed:
            return False
        if len(self._messages) >= self._capacity:
            self._messages.clear()
            self._overflow.set()
            return False
        self._messages.append(message)
        self._wake.set()
        return True

    def notify(self, kind: str, notice: Message) -> None:
        """Take a notice; it replaces an unsent one of the same kind."""
        if not self.is_overflowed:
            self._notices[kind] = notice
            self._wake.set()

    async def deliver(self, recipient: Recipient) -> None:
        """Send what comes until cancelled; returns only after closing a recipient that was too slow with 1013.

        An error of `send` (the websocket is closed) is raised.
        """
        sender = asyncio.ensure_future(self._send_all(recipient))
        overflow = asyncio.ensure_future(self._overflow.wait())
        try:
            await asyncio.wait((sender, overflow), return_when=asyncio.FIRST_COMPLETED)
            if sender.done():
                await sender
        finally:
            sender.cancel()
            overflow.cancel()
            await asyncio.gather(sender, overflow, return_exceptions=True)
        await recipient.close(TRY_AGAIN_LATER, "too slow, resume from the last id")

    async def _send_all(self, recipient: Recipient) -> None:
        while True:
            await self._wake.wait()
            while self._notices:
                await recipient.send(self._notices.pop(next(iter(self._notices))))
            if self._messages:
                await recipient.send(self._messages.popleft())
            if not self._messages and not self._notices:
                self._wake.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._leave(self)
