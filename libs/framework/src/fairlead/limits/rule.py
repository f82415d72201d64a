"""What a rate limit allows: two algorithms as pure functions of their state and the time.

- `SlidingWindow`: at most `limit` in *any* stretch of `window_s`, wherever it begins. The window moves in `SLOTS` steps; the
  step that is half outside still counts whole. So it never lets through more, and forgets up to a twentieth of the window late.
- `TokenBucket`: `limit` per `window_s` on average, and `burst` at once; tokens come back one by one.

Both keep a few numbers per key whatever the limit is. What is refused costs nothing: a client that keeps knocking is let in as
soon as one that waited would be.

Rejected: a fixed window (twice the limit around its edge), two fixed windows weighted (half as much again: it supposes that
requests come evenly), a log of every request (a key then costs as much as its limit).

The Lua scripts of `fairlead.limits.redis` are the same arithmetic; one test runs the same cases through both.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Final

__all__ = ["SLOTS", "Decision", "Rule", "SlidingWindow", "TokenBucket"]

SLOTS: Final = 20


@dataclass(frozen=True, slots=True)
class Decision:
    """What became of one request."""

    allowed: bool
    remaining: int
    """How many more would be let through now."""

    reset_s: float
    """Until all of the quota is there again, if nothing else comes."""

    retry_after_s: float
    """Until this request would be let through; 0 when it was."""


@dataclass(frozen=True, slots=True)
class SlidingWindow:
    """At most `limit` requests in any `window_s` seconds. Raises ValueError unless both are positive."""

    limit: int
    window_s: float

    def __post_init__(self) -> None:
        _check(self.limit, self.window_s)

    @property
    def capacity(self) -> int:
        """Requests that are let through at once."""
        return self.limit

    @property
    def refill_s(self) -> float:
        """Until all of them are there again."""
        return self.window_s

    @property
    def idle_after_s(self) -> float:
        """A key that was quiet for so long has nothing to remember."""
        return self.window_s * (1 + 1 / SLOTS)

    def take(self, slots: MutableMapping[int, int], now: float, cost: int) -> Decision:
        """Count a request in `slots` (number of the slot → count), which is brought up to date."""
        slot_s = self.window_s / SLOTS
        current = int(now / slot_s)
        for slot in [slot for slot in slots if slot < current - SLOTS]:
            del slots[slot]
        used = sum(slots.values())
        allowed = used + cost <= self.limit
        if allowed:
            slots[current] = slots.get(current, 0) + cost
            used += cost
        reset_s = (max(slots) + SLOTS + 1) * slot_s - now if slots else 0.0
        retry_after_s = 0.0 if allowed else self._wait(slots, used + cost - self.limit, slot_s, now)
        return Decision(allowed, self.limit - used, reset_s, retry_after_s)

    def _wait(self, slots: MutableMapping[int, int], excess: int, slot_s: float, now: float) -> float:
        """Until so many have left the window."""
        for slot in sorted(slots):
            excess -= slots[slot]
            if excess <= 0:
                return (slot + SLOTS + 1) * slot_s - now
        return self.window_s  # it costs more than the limit: never


@dataclass(frozen=True, slots=True)
class TokenBucket:
    """`limit` requests per `window_s` seconds on average, `burst` (as many as `limit` unless given) at once.

    Raises ValueError unless all are positive.
    """

    limit: int
    window_s: float
    burst: int | None = None

    def __post_init__(self) -> None:
        _check(self.limit, self.window_s)
        if self.burst is not None and self.burst < 1:
            raise ValueError("burst is at least 1")

    @property
    def capacity(self) -> int:
        """Tokens in a full bucket."""
        return self.limit if self.burst is None else self.burst

    @property
    def refill_s(self) -> float:
        """Until an empty bucket is full."""
        return self.capacity * self.window_s / self.limit

    @property
    def idle_after_s(self) -> float:
        """A bucket that was left alone for so long is full, and need not be remembered."""
        return self.refill_s

    def take(self, bucket: MutableMapping[str, float], now: float, cost: int) -> Decision:
        """Take tokens from `bucket` (`tokens` as of `at`; empty for a full one), which is brought up to date."""
        per_s = self.limit / self.window_s
        passed_s = max(0.0, now - bucket.get("at", now))
        tokens = min(float(self.capacity), bucket.get("tokens", float(self.capacity)) + passed_s * per_s)
        allowed = cost <= tokens + ROUNDING
        if allowed:
            tokens = max(0.0, tokens - cost)
        bucket["tokens"], bucket["at"] = tokens, now
        retry_after_s = 0.0 if allowed else (cost - tokens) / per_s
        return Decision(allowed, int(tokens + ROUNDING), (self.capacity - tokens) / per_s, retry_after_s)


Rule = SlidingWindow | TokenBucket

ROUNDING: Final = 1e-6
"""Ten tenths of a token are one, though floating point has 0.9999999."""


def _check(limit: int, window_s: float) -> None:
    if limit < 1:
        raise ValueError("a rate limit allows at least 1 request")
    if not window_s > 0:
        raise ValueError("window_s is positive")
