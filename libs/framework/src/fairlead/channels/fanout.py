"""From one to many within a worker: what is published once reaches every subscription.

How this works. Publishing never waits. Each recipient is the bounded queue of one connection: a websocket's `SendQueue`, or
an `EventStream`; both hold back what their peer does not take. A client whose network stalls holds up nobody but itself. When its
queue is full it is closed with 1013 (an event stream ends); it returns, resumes from the last id that it has seen and gets the
same messages from the history, in order; nothing was skipped behind its back. There is no task for a websocket.

A few clients are sent a message at once. Where thousands are here they are sent to slice by slice, a slice in each turn of the
loop, so that nobody else waits for all of them. Messages that come meanwhile wait for the next round, which takes all of them:
so the faster they come, the fewer system calls does each of them take. A websocket that has nothing waiting, which is nearly
every one, is handed the bytes here: without compression they are the same for all of them.

Two kinds of messages pass through:

- messages of the stream: each counts and order is kept;
- notices: statements about *now* (how many viewers, live or stale). A newer one takes the place of an unsent one of its
  kind.

Rejected: an unbounded queue (one phone in a tunnel takes the worker's memory), awaiting `send` while publishing (one phone
in a tunnel stops everybody), coalescing the messages of a stream (what comes last would carry an id that lies about the
ones before it).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Hashable, Iterable, Iterator, Sequence
from itertools import islice
from types import TracebackType
from typing import Final, Protocol, Self, TypeAlias

from fairlead.channels.history import History
from fairlead.channels.publication import Publication
from fairlead.channels.stream import StreamPosition
from fairlead.websocket import SendQueue, Websocket, WebsocketStats
from fairlead.websocket.outbox import Outbox

SLICE: Final = 250
"""So many clients are sent to in a row, which takes one or two milliseconds; then the loop does what else waits."""

MAX_WAITING: Final = 32
"""So many messages may wait for the next round; who publishes faster than they can be sent is held up by sending them."""

ROUND_BYTES: Final = 16384
"""A round takes messages until they have this size, so that its slices don't grow long, nor a slow peer's buffer."""

GAP: Final = "gap"
"""The kind of notice that tells a client that messages were missed (see `Fanout.interrupt`)."""


_Message: TypeAlias = tuple[Publication, Hashable | None]
"""And its key, by which newer ones replace it."""


class Recipient(Protocol):
    """The bounded way to one client."""

    def put(self, message: Publication, key: Hashable | None = None) -> bool:
        """Send soon, without waiting; False when the client is gone, now or by this call."""

    def put_backlog(self, messages: Iterable[Publication]) -> None:
        """Send what a client that resumes has missed, beyond the bound."""


class Subscription:
    """One client's membership, made by `Fanout.subscribe`; a context manager that leaves the fanout at its end."""

    __slots__ = ("_fanout", "is_over", "outbox", "recipient", "since", "stats")

    def __init__(self, fanout: Fanout, recipient: Recipient) -> None:
        self._fanout = fanout
        self.recipient = recipient
        self.since = fanout.number
        """The number of the last message that was published before it came."""
        self.is_over = False
        """It has left."""
        self.outbox: Outbox | None = None
        """Of a websocket that may be handed the same bytes as others; None for all else, and after leaving."""
        self.stats: WebsocketStats | None = None
        """Where what `outbox` is handed is counted."""
        if isinstance(recipient, SendQueue):
            ws = recipient.ws
            # counters that stand in for the server's want to be told of each message, and compression is a matter of the websocket
            if type(ws.stats) is WebsocketStats and not ws.compresses:
                self.outbox, self.stats = ws.outbox, ws.stats

    def end(self) -> None:
        """It leaves: messages on their way to many are not sent to it any more."""
        self.is_over = True
        self.outbox = None

    def notify(self, kind: str, notice: Publication) -> None:
        """Tell this client alone; a newer notice takes the place of an unsent one of its kind."""
        self.recipient.put(notice, (self._fanout, kind))

    def leave(self) -> None:
        """Get nothing more. Safe to call twice."""
        self._fanout.discard(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.leave()


class _Batch:
    """What goes to everybody in one round."""

    __slots__ = ("first", "frames", "messages", "size")

    def __init__(self, messages: Sequence[_Message], last: int) -> None:
        self.messages = messages
        self.first = last - len(messages) + 1
        """The number of its first message."""
        self.size = sum(publication.size for publication, _ in messages)
        """Payload bytes."""
        self.frames = messages[0][0].plain if len(messages) == 1 else b"".join([publication.plain for publication, _ in messages])
        """As websockets without compression are sent it."""


class Fanout:
    """The subscriptions of one worker, and the history from which they resume.

    All methods are plain functions of the event loop's thread: nothing can come between the look into the history and
    the entry into the list, so a resuming client misses nothing and gets nothing twice.

    `gap_notice` is what a client is sent when it must load its data anew, since the messages between its position and the
    present are not known here.
    """

    def __init__(self, *, gap_notice: str, history_size: int = 1000) -> None:
        self.history = History(history_size)
        self._gap_notice = Publication(gap_notice)
        self._subscriptions: dict[Subscription, None] = {}
        self.number = 0
        """How many messages there were so far."""
        self._waiting: deque[_Message] = deque()
        self._batch: _Batch | None = None  # on its way, to those of:
        self._recipients: Iterator[Subscription] = iter(())
        self._is_scheduled = False  # something was sent in this turn of the loop, and `_turn` will be called in the next one

    def __len__(self) -> int:
        """How many subscriptions there are."""
        return len(self._subscriptions)

    def subscribe(
        self,
        client: Websocket | Recipient,
        after: StreamPosition | None = None,
        *,
        older: Iterable[Publication] = (),
        newest: int = 0,
    ) -> Subscription:
        """Send to a client what is published from now on or, with `after`, from that position on.

        `older` are messages up to `after` that the history does not hold any more; without `after`, `newest` is how many of
        the last messages the client is sent first.

        A websocket's bound and policy are those of its `SendQueue`: make one before, where they are not to be the usual
        ones (256 messages, then 1013).
        """
        recipient = SendQueue.of(client) if isinstance(client, Websocket) else client
        subscription = Subscription(self, recipient)
        backlog = self.history.newest(newest) if after is None else self.history.after(after)
        if backlog is not None:
            recipient.put_backlog((*older, *backlog))
        elif self.history.is_started:  # else the reader's start interrupts everybody anyway
            subscription.notify(GAP, self._gap_notice)
        self._subscriptions[subscription] = None
        return subscription

    def discard(self, subscription: Subscription) -> None:
        """Send it nothing more."""
        subscription.end()
        self._subscriptions.pop(subscription, None)

    def publish(self, position: StreamPosition, message: str) -> None:
        """Give the next message of the stream, already encoded, to everybody, and keep it for those who resume.

        It is framed, and compressed for each kind of client, only once (W11).
        """
        publication = Publication(message, position)
        self.history.add(position, publication)
        self._send(publication, None)

    def announce(self, kind: str, notice: str) -> None:
        """Give everybody a statement about now; it is not kept, and a newer one of its kind replaces it."""
        self._send(Publication(notice), (self, kind))

    def interrupt(self, floor: StreamPosition) -> None:
        """The stream was lost up to `floor`: forget the history and tell everybody to load anew."""
        self.history.restart(floor)
        self._send(self._gap_notice, (self, GAP))

    def _send(self, publication: Publication, key: Hashable | None) -> None:
        if not self._subscriptions:
            return
        self.number += 1
        if self._is_busy or len(self._subscriptions) > SLICE:
            while len(self._waiting) >= MAX_WAITING:
                self._advance()
            self._waiting.append((publication, key))
            if not self._is_scheduled:
                self._turn()
            return
        batch, everybody = _Batch(((publication, key),), self.number), tuple(self._subscriptions)
        if self._is_scheduled:
            for subscription in everybody:
                self._put(subscription, batch)  # which collects what a websocket is sent in this turn
        else:
            self._hand(everybody, batch)
            self._schedule()

    @property
    def _is_busy(self) -> bool:
        return self._batch is not None or bool(self._waiting)

    def _turn(self) -> None:
        """One slice now; the others have their turn after what else waits for the loop."""
        self._is_scheduled = False
        if self._is_busy:
            self._advance()
            self._schedule()

    def _schedule(self) -> None:
        self._is_scheduled = True
        asyncio.get_running_loop().call_soon(self._turn)

    def _advance(self) -> None:
        """Send what is on its way to some more; when all have it, what waits is next."""
        if self._batch is None:
            self._batch, self._recipients = self._next_batch(), iter(tuple(self._subscriptions))
        part = tuple(islice(self._recipients, SLICE))
        self._hand(part, self._batch)
        if len(part) < SLICE:
            self._batch = None

    def _next_batch(self) -> _Batch:
        waiting = self._waiting
        messages, size = [waiting.popleft()], 0
        while waiting and (size := size + messages[-1][0].size) < ROUND_BYTES:
            messages.append(waiting.popleft())
        return _Batch(messages, self.number - len(waiting))

    def _hand(self, subscriptions: Iterable[Subscription], batch: _Batch) -> None:
        """Most websockets have nothing waiting, and are handed the frames here; all else is their recipient's business.

        PERF: by `put`, `post` and a flush at the turn's end a delivery costs 0.9 µs more than the transport's own work, so 0.15 µs.
        """
        frames, first, stats, count = batch.frames, batch.first, None, 0
        for subscription in subscriptions:
            outbox = subscription.outbox
            if outbox is not None and outbox.is_clear and subscription.since < first:
                transport = outbox.transport
                if not transport.is_closing():
                    transport.write(frames)
                if subscription.stats is not stats:
                    _count(stats, count, batch)
                    stats, count = subscription.stats, 0
                count += 1
            else:
                self._put(subscription, batch)
        _count(stats, count, batch)

    def _put(self, subscription: Subscription, batch: _Batch) -> None:
        for number, (publication, key) in enumerate(batch.messages, batch.first):
            if subscription.is_over:
                return
            if subscription.since < number and not subscription.recipient.put(publication, key):
                self.discard(subscription)


def _count(stats: WebsocketStats | None, recipients: int, batch: _Batch) -> None:
    if stats is not None:
        stats.messages_sent += recipients * len(batch.messages)
        stats.bytes_sent += recipients * batch.size
