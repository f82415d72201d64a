"""What the websockets of one server have done, in plain integers: the telemetry reads them, the hot path only adds."""

from __future__ import annotations

from bisect import bisect_left
from typing import Final

ROUND_TRIP_BOUNDS_S: Final = (0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""From the same host to a phone at the edge of its network."""


class WebsocketStats:
    """One per server, shared by its websockets. Bytes are payload bytes, without headers and after decompression."""

    __slots__ = (
        "bytes_received",
        "bytes_sent",
        "closed",
        "coalesced",
        "dropped",
        "messages_received",
        "messages_sent",
        "opened",
        "queued",
        "round_trips",
    )

    def __init__(self) -> None:
        self.opened = 0
        self.closed: dict[int, int] = {}
        """How many ended, by close code (1006: without a closing handshake)."""
        self.messages_received = 0
        self.messages_sent = 0
        self.bytes_received = 0
        self.bytes_sent = 0
        self.queued = 0
        """How many messages wait in send queues now."""
        self.dropped = 0
        """How many never left a send queue: dropped as the oldest, or with their connection."""
        self.coalesced = 0
        """How many in a send queue were replaced by a newer one with their key."""

        self.round_trips: list[float] = [0.0, *[0] * (len(ROUND_TRIP_BOUNDS_S) + 1)]
        """Pings that were answered: the sum of their round trips in seconds, then how many fell below each bound, and beyond."""

    @property
    def open(self) -> int:
        """How many are connected now."""
        return self.opened - sum(self.closed.values())

    def count_closed(self, code: int) -> None:
        """One has ended with `code`."""
        self.closed[code] = self.closed.get(code, 0) + 1

    def count_round_trip(self, seconds: float) -> None:
        """A ping was answered."""
        self.round_trips[0] += seconds
        self.round_trips[bisect_left(ROUND_TRIP_BOUNDS_S, seconds) + 1] += 1
