"""Pings of one websocket: those of the handler, and the regular ones that find a peer which is gone.

There is no timer: the server's sweep passes the time about once a second. The first ping is due at a random point of the
interval, so that 10,000 clients that reconnect together are not pinged together for ever after.
"""

from __future__ import annotations

import asyncio
import random
import secrets


class Heartbeat:
    """The pings that were sent and not yet answered, in order. `interval_s` None or 0: no regular pings."""

    __slots__ = ("_due_at", "_interval_s", "_overdue_at", "_regular", "_timeout_s", "_waiting", "latency_s")

    def __init__(self, now: float, interval_s: float | None, timeout_s: float | None) -> None:
        self._interval_s = interval_s or 0.0
        self._timeout_s = timeout_s or 0.0
        self._due_at = now + self._interval_s * random.uniform(0.5, 1.0)
        self._overdue_at = 0.0
        self._regular: bytes | None = None
        self._waiting: dict[bytes, tuple[asyncio.Future[float], float]] | None = None
        self.latency_s: float | None = None
        """Round-trip time of the last answered ping; None before."""

    def start(self, data: bytes | None, waiter: asyncio.Future[float], now: float) -> bytes:
        """Note a ping and return its payload; without `data` a random one. Raises ValueError if it is under way."""
        if self._waiting is None:
            self._waiting = {}
        payload = secrets.token_bytes(4) if data is None else data
        if payload in self._waiting:
            raise ValueError("a ping with this payload still waits for its pong")
        self._waiting[payload] = (waiter, now)
        return payload

    def start_regular(self, waiter: asyncio.Future[float], now: float) -> bytes:
        """Note the ping that `is_due`."""
        self._regular = self.start(None, waiter, now)
        self._due_at = now + self._interval_s
        self._overdue_at = now + self._timeout_s
        return self._regular

    def answered(self, payload: bytes, now: float) -> float | None:
        """A pong came: it answers its ping and all earlier ones (RFC 6455 §5.5.3). Unasked pongs are nothing.

        Gives the round-trip time of the ping that it repeats; None for an unasked one.
        """
        if not self._waiting or payload not in self._waiting:
            return None
        under_way = list(self._waiting)
        for earlier in under_way[: under_way.index(payload) + 1]:
            waiter, sent_at = self._waiting.pop(earlier)
            self.latency_s = now - sent_at
            if not waiter.done():
                waiter.set_result(self.latency_s)
            if earlier == self._regular:
                self._regular = None
        return self.latency_s

    def is_due(self, now: float) -> bool:
        """Whether the next regular ping is to be sent."""
        return self._interval_s > 0 and self._regular is None and now >= self._due_at

    def is_overdue(self, now: float) -> bool:
        """Whether the regular ping was not answered in time."""
        return self._regular is not None and self._timeout_s > 0 and now >= self._overdue_at

    def postpone(self, now: float) -> None:
        """Nothing is being read at the moment, so no pong can be seen: the time to answer begins anew."""
        self._overdue_at = now + self._timeout_s

    def abandon(self, error: BaseException) -> None:
        """The connection is over: nobody will answer."""
        for waiter, _ in (self._waiting or {}).values():
            if not waiter.done():
                waiter.set_exception(error)
                waiter.exception()  # a ping that nobody waits for is no unhandled error
        self._waiting = None
