"""From one to many within a worker: what is published once reaches every subscription.

How this works. Publishing never waits. Each recipient is the bounded queue of one connection: a websocket's `SendQueue`, or
an `EventStream`; both write what arrives in a turn of the loop at once, and hold back what their peer does not take. A
client whose network stalls holds up nobody but itself. When its queue is full it is closed with 1013 (an event stream
ends); it returns, resumes from the last id that it has seen and gets the same messages from the history, in order; nothing
was skipped behind its back. There is no task for a websocket. Where thousands are here, a message goes to them slice by slice,
so that nobody waits for all of them; messages that come meanwhile wait their turn.

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
from collections.abc import Hashable, Iterable, Iterator
from itertools import islice
from types import TracebackType
from typing import Final, Protocol, Self

from fairlead.channels.history import History
from fairlead.channels.publication import Publication
from fairlead.channels.stream import StreamPosition
from fairlead.websocket import SendQueue, Websocket

SLICE: Final = 250
"""So many clients are sent a message in a row, which takes two or three milliseconds; then the loop does what else waits."""

MAX_SENDING: Final = 32
"""So many messages may be on their way at once; who publishes faster than they can be sent is held up by sending them."""

GAP: Final = "gap"
"""The kind of notice that tells a client that messages were missed (see `Fanout.interrupt`)."""


class Recipient(Protocol):
    """The bounded way to one client."""

    def put(self, message: Publication, key: Hashable | None = None) -> bool:
        """Send soon, without waiting; False when the client is gone, now or by this call."""

    def put_backlog(self, messages: Iterable[Publication]) -> None:
        """Send what a client that resumes has missed, beyond the bound."""


class Subscription:
    """One client's membership, made by `Fanout.subscribe`; a context manager that leaves the fanout at its end."""

    __slots__ = ("_fanout", "recipient")

    def __init__(self, fanout: Fanout, recipient: Recipient) -> None:
        self._fanout = fanout
        self.recipient = recipient

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
        self._sending: deque[tuple[Iterator[Subscription], Publication, Hashable | None]] = deque()
        self._is_scheduled = False

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
        if len(self._subscriptions) <= SLICE and not self._sending:
            self._send_to(tuple(self._subscriptions), publication, key)
            return
        while len(self._sending) >= MAX_SENDING:
            self._advance()
        self._sending.append((iter(tuple(self._subscriptions)), publication, key))
        if not self._is_scheduled:
            self._send_slice()

    def _send_slice(self) -> None:
        """One slice now; the others have their turn after what else waits for the loop."""
        if self._sending:
            self._advance()
            asyncio.get_running_loop().call_soon(self._send_slice)
            self._is_scheduled = True
        else:
            self._is_scheduled = False

    def _advance(self) -> None:
        """Send the oldest message to some of those who were here when it was published."""
        recipients, publication, key = self._sending[0]
        part = tuple(islice(recipients, SLICE))
        self._send_to(part, publication, key)
        if len(part) < SLICE:
            self._sending.popleft()

    def _send_to(self, subscriptions: Iterable[Subscription], publication: Publication, key: Hashable | None) -> None:
        for subscription in subscriptions:
            if subscription in self._subscriptions and not subscription.recipient.put(publication, key):
                self.discard(subscription)
