"""Rate limits: `RateLimit` on an application, a blueprint or a route; counters in memory or, for many workers, in Redis."""

from fairlead.limits.key import by_client_ip, by_header, by_principal
from fairlead.limits.memory import MemoryBackend
from fairlead.limits.rate_limit import Backend, RateLimit
from fairlead.limits.rule import Decision, Rule, SlidingWindow, TokenBucket

__all__ = [
    "Backend",
    "Decision",
    "MemoryBackend",
    "RateLimit",
    "Rule",
    "SlidingWindow",
    "TokenBucket",
    "by_client_ip",
    "by_header",
    "by_principal",
]
