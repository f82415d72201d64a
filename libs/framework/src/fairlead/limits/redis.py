"""Counters in Redis (or Valkey): one quota for all workers and pods.

A request is one round trip: a Lua script reads, decides and writes, so that of two requests at the same moment one gets the last
place. The script asks Redis for the time, so that the clocks of the workers need not agree. Keys expire as soon as they have
nothing left to remember.

While Redis is away, `RateLimit(on_outage=…)` decides what happens to a request. The outage is logged once, when it begins, and
once when it is over; during it one request a second finds out, and the others don't wait for Redis to be silent.

Rejected: INCR and EXPIRE (a fixed window, and two steps that can be torn apart), a sorted set of time stamps (a key costs as much
as its limit).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from fairlead.limits.rate_limit import Unreachable
from fairlead.limits.rule import ROUNDING, SLOTS, Decision, Rule, SlidingWindow
from fairlead.redis import OUTAGE

if TYPE_CHECKING:
    from fairlead.redis_library import Redis

__all__ = ["RedisBackend"]

logger = logging.getLogger("fairlead.limits")

TRY_AGAIN_AFTER_S: Final = 1.0

_NOW = """
local clock = redis.call('TIME')
local now = tonumber(clock[1]) + tonumber(clock[2]) / 1000000
"""

_SLIDING_WINDOW = """
local limit, window_s, cost, slots = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local slot_s = window_s / slots
local current = math.floor(now / slot_s)
local used, newest, counted = 0, nil, {}
local stored = redis.call('HGETALL', KEYS[1])
for i = 1, #stored, 2 do
  local slot, count = tonumber(stored[i]), tonumber(stored[i + 1])
  if slot < current - slots then
    redis.call('HDEL', KEYS[1], stored[i])
  else
    used = used + count
    newest = math.max(newest or slot, slot)
    counted[#counted + 1] = {slot, count}
  end
end
local allowed, wait = 0, 0
if used + cost <= limit then
  allowed = 1
  used = used + cost
  newest = current
  redis.call('HINCRBY', KEYS[1], string.format('%.0f', current), cost)
  redis.call('PEXPIRE', KEYS[1], math.ceil((slots + 1) * slot_s * 1000))
else
  wait = window_s
  table.sort(counted, function(a, b) return a[1] < b[1] end)
  local excess = used + cost - limit
  for _, entry in ipairs(counted) do
    excess = excess - entry[2]
    if excess <= 0 then
      wait = (entry[1] + slots + 1) * slot_s - now
      break
    end
  end
end
local reset = newest and (newest + slots + 1) * slot_s - now or 0
return {allowed, limit - used, tostring(reset), tostring(wait)}
"""

_TOKEN_BUCKET = """
local capacity, per_s, cost, rounding = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local stored = redis.call('HMGET', KEYS[1], 'tokens', 'at')
local passed_s = math.max(0, now - (tonumber(stored[2]) or now))
local tokens = math.min(capacity, (tonumber(stored[1]) or capacity) + passed_s * per_s)
local allowed, wait = 0, 0
if cost <= tokens + rounding then
  allowed = 1
  tokens = math.max(0, tokens - cost)
else
  wait = (cost - tokens) / per_s
end
redis.call('HSET', KEYS[1], 'tokens', string.format('%.9f', tokens), 'at', string.format('%.6f', now))
redis.call('PEXPIRE', KEYS[1], math.ceil(capacity / per_s * 1000))
return {allowed, math.floor(tokens + rounding), tostring((capacity - tokens) / per_s), tostring(wait)}
"""


class RedisBackend:
    """Counters under `prefix` in the Redis of `client` (see `fairlead.redis.attach`); a command may take `timeout_s`."""

    def __init__(
        self,
        client: Redis,
        *,
        prefix: str = "limits:",
        timeout_s: float = 0.5,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._prefix = prefix
        self._timeout_s = timeout_s
        self._clock = clock
        self._away_until: float | None = None
        self._sliding_window = client.register_script(_NOW + _SLIDING_WINDOW)
        self._token_bucket = client.register_script(_NOW + _TOKEN_BUCKET)

    async def take(self, key: str, rule: Rule, cost: int) -> Decision:
        """Count a request under `key`. Raises `Unreachable`."""
        if self._away_until is not None:
            if self._clock() < self._away_until:
                raise Unreachable
            self._away_until = self._clock() + TRY_AGAIN_AFTER_S  # the others go on while this one tries
        try:
            async with asyncio.timeout(self._timeout_s):
                answer = await self._run(self._prefix + key, rule, cost)
        except (*OUTAGE, TimeoutError) as error:
            if self._away_until is None:
                logger.warning("rate limits can't be counted, Redis is away: %s", repr(error))
            self._away_until = self._clock() + TRY_AGAIN_AFTER_S
            raise Unreachable from error
        if self._away_until is not None:
            self._away_until = None
            logger.info("rate limits are counted again")
        allowed, remaining, reset_s, retry_after_s = answer
        return Decision(bool(allowed), int(remaining), float(reset_s), float(retry_after_s))

    async def _run(self, key: str, rule: Rule, cost: int) -> Any:
        if isinstance(rule, SlidingWindow):
            return await self._sliding_window(keys=[key], args=[rule.limit, rule.window_s, cost, SLOTS])
        return await self._token_bucket(keys=[key], args=[rule.capacity, rule.limit / rule.window_s, cost, ROUNDING])
