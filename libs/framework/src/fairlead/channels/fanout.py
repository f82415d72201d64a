"""From one to many within a worker: what is published once reaches every subscription."""

from __future__ import annotations

from fairlead.channels.history import History
from fairlead.channels.stream import StreamPosition
from fairlead.channels.subscription import Subscription
from fairlead.websocket import PreparedMessage

GAP = "gap"
"""The kind of notice that tells a client that messages were missed (see `Fanout.interrupt`)."""


class Fanout:
    """The subscriptions of one worker, and the history from which they resume.

    All methods are plain functions of the event loop's thread: nothing can come between the look into the history and
    the entry into the list, so a resuming client misses nothing and gets nothing twice.

    `queue_size` bounds the unsent messages of one subscription; `gap_notice` is what a client is sent when it must
    load its data anew, since the messages between its position and the present are not known here.
    """

    def __init__(self, *, gap_notice: str, history_size: int = 1000, queue_size: int = 256) -> None:
        self.history = History(history_size)
        self.overflows = 0
        self._gap_notice = gap_notice
        self._queue_size = queue_size
        self._subscriptions: set[Subscription] = set()

    def __len__(self) -> int:
        """How many subscriptions there are."""
        return len(self._subscriptions)

    def subscribe(self, after: StreamPosition | None = None) -> Subscription:
        """Join, from now on or, with `after`, from that position on. Use it in a `with` block."""
        backlog = () if after is None else self.history.after(after)
        subscription = Subscription(self._subscriptions.discard, self._queue_size, backlog or ())
        if backlog is None and self.history.is_started:  # else the reader's start interrupts everybody anyway
            subscription.notify(GAP, self._gap_notice)
        self._subscriptions.add(subscription)
        return subscription

    def publish(self, position: StreamPosition, message: str) -> None:
        """Give the next message of the stream, already encoded, to everybody, and keep it for those who resume.

        It is framed, and compressed for each kind of client, only once (W11).
        """
        self.history.add(position, message)
        prepared = PreparedMessage(message)
        for subscription in tuple(self._subscriptions):
            if not subscription.offer(prepared):
                self.overflows += 1
                self._subscriptions.discard(subscription)

    def announce(self, kind: str, notice: str) -> None:
        """Give everybody a statement about now; it is not kept, and a newer one of its kind replaces it."""
        prepared = PreparedMessage(notice)
        for subscription in self._subscriptions:
            subscription.notify(kind, prepared)

    def interrupt(self, floor: StreamPosition) -> None:
        """The stream was lost up to `floor`: forget the history and tell everybody to load anew."""
        self.history.restart(floor)
        self.announce(GAP, self._gap_notice)
