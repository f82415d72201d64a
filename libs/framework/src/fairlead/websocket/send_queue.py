"""Messages for one websocket from senders that must not wait: bounded, with a policy for the peer that is too slow (W10).

How it works. `put` never waits. As long as the transport has room a message goes straight to the websocket, where all
messages of a loop's turn leave in one write. While it has none (the peer does not read, and the transport's buffer is over
its high-water mark) messages wait here, and leave as soon as there is room again. No task and no timer: a queue that holds
nothing costs nothing. So a peer costs at most the transport's buffer and `max_messages`, and delays nobody.

What happens at the bound is the application's choice, since only it knows what a message means:

- `Overflow.CLOSE`: 1013, and the peer comes again and resumes. For streams in which every message counts.
- `Overflow.DROP_OLDEST`: for what grows stale, such as positions on a map.
- A `key` coalesces, under either policy: a message takes the place of the one with its key that still waits. For states,
  such as the price of one product: the peer gets the last one, however many there were.

Rejected: a task for each websocket (a thousand wake-ups a message, and 2 KiB each) and dropping the newest (the peer would
see an old state until something else happens).
"""

from __future__ import annotations

import enum
from collections import OrderedDict
from collections.abc import Hashable, Iterable
from typing import Final

from fairlead.websocket.prepared import PreparedMessage
from fairlead.websocket.websocket import Websocket

TRY_AGAIN_LATER: Final = 1013
"""The close code for a peer that is too slow (IANA websocket close code registry)."""


class Overflow(enum.Enum):
    """What is done when a queue is full."""

    CLOSE = "close"
    DROP_OLDEST = "drop_oldest"


class _Missed:
    """The key of a message of a backlog; no two are equal."""


_NOTHING: Final[OrderedDict[Hashable, PreparedMessage]] = OrderedDict()
"""What waits in most queues: one object for all of them. Never written to."""


class SendQueue:
    """The bounded way to one websocket, which has one at most, whatever the number of broadcasts that it takes part in.

    Messages of a queue keep their order among themselves; one that the handler sends by `ws.send` may overtake them.
    Raises RuntimeError for a websocket that has a queue already.
    """

    __slots__ = ("_backlog", "_max_messages", "_overflow", "_waiting", "ws")

    def __init__(self, ws: Websocket, *, max_messages: int = 256, overflow: Overflow = Overflow.CLOSE) -> None:
        if max_messages < 1:
            raise ValueError("a send queue holds at least one message")
        self.ws = ws
        """The websocket."""
        self._max_messages = max_messages
        self._overflow = overflow
        self._waiting = _NOTHING
        self._backlog = 0  # how many of those that wait are not counted
        if ws.outbox.queue is not None:
            raise RuntimeError("this websocket has a send queue: SendQueue.of(ws)")
        ws.outbox.queue = self

    @classmethod
    def of(cls, ws: Websocket) -> SendQueue:
        """The queue of a websocket; one that closes at 256 messages, unless it was made otherwise before."""
        queue = ws.outbox.queue
        return queue if isinstance(queue, SendQueue) else cls(ws)

    def __len__(self) -> int:
        """How many messages wait."""
        return len(self._waiting)

    def put(self, message: PreparedMessage, key: Hashable | None = None) -> bool:
        """Send `message` as soon as the peer takes it. False when the websocket is closed, now or by this call (1013)."""
        ws = self.ws
        if not ws.open:
            self._drop_all()
            return False
        if not self._waiting and not ws.outbox.is_paused:
            ws.post(message)
            return True
        return self._wait(message, object() if key is None else key)

    def put_backlog(self, messages: Iterable[PreparedMessage]) -> None:
        """Send what a peer that resumes has missed: it waits beyond the bound, since the history bounds it."""
        ws = self.ws
        for message in messages:
            if not ws.open:
                return
            if self._waiting or ws.outbox.is_paused:
                self._append(_Missed(), message)
                self._backlog += 1
            else:
                ws.post(message)

    def _wait(self, message: PreparedMessage, key: Hashable) -> bool:
        stats = self.ws.stats
        if key in self._waiting:
            self._waiting[key] = message
            stats.coalesced += 1
            return True
        if len(self._waiting) - self._backlog >= self._max_messages:
            if self._overflow is Overflow.CLOSE:
                self.ws.close_soon(TRY_AGAIN_LATER, "too slow")
                self._drop_all()
                return False
            self._take_oldest()
            stats.dropped += 1
        self._append(key, message)
        return True

    def _append(self, key: Hashable, message: PreparedMessage) -> None:
        if self._waiting is _NOTHING:
            self._waiting = OrderedDict()
        self._waiting[key] = message
        self.ws.stats.queued += 1

    def go_on(self) -> None:
        """There is room, or the end has come: for the outbox to call."""
        ws = self.ws
        while self._waiting and ws.open and not ws.outbox.is_paused:
            ws.post(self._take_oldest())
        if not ws.open:
            self._drop_all()

    def _take_oldest(self) -> PreparedMessage:
        key, message = self._waiting.popitem(last=False)
        self.ws.stats.queued -= 1
        if type(key) is _Missed:
            self._backlog -= 1
        return message

    def _drop_all(self) -> None:
        self.ws.stats.queued -= len(self._waiting)
        self.ws.stats.dropped += len(self._waiting)
        self._waiting = _NOTHING
        self._backlog = 0
