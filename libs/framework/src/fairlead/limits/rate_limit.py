"""`RateLimit`: refuses with 429 who asks too often, and tells everybody else how much is left.

    RateLimit("api", 1000, window_s=60).install(app)

    @app.post("/login")
    @RateLimit("login", 5, window_s=60)
    async def login(request): ...

The answer carries `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-10), one member for each limit that
looked at the request; a 429 carries `Retry-After` as well. Limits are looked at in the order application, blueprint, route; the
first that refuses ends it, and those before it have counted the request. A websocket's handshake counts like any request and is
refused before the protocol changes (mission W7, W8).

While the backend is away, requests are let through without headers (`on_outage="allow"`) or refused with 503 (`"refuse"`).
"""

from __future__ import annotations

import hashlib
import inspect
import math
from collections.abc import Callable
from typing import Any, Final, Literal, Protocol

from fairlead.errors import ServiceUnavailable, TooManyRequests
from fairlead.extension import Extension, provided
from fairlead.limits.key import Key, by_client_ip, by_principal
from fairlead.limits.memory import MemoryBackend
from fairlead.limits.rule import Decision, Rule, SlidingWindow, TokenBucket
from fairlead.request import Request
from fairlead.response import HTTPResponse
from fairlead.types import Middleware

__all__ = ["Backend", "RateLimit", "Unreachable"]

DIGEST_BYTES: Final = 16
AFTER_GUARD: Final = 300
"""Who is to be counted by account has to be known first (`fairlead.auth.Protected` has 400)."""


class Unreachable(Exception):
    """A backend can't count at the moment. Backends raise it; `RateLimit` decides what that means."""


class Backend(Protocol):
    """Where counters are kept."""

    async def take(self, key: str, rule: Rule, cost: int) -> Decision:
        """Count a request under a key, atomically. Raises `Unreachable`."""
        ...


class RateLimit(Extension):
    """`limit` requests per `window_s` seconds for each client. Install it on an app or a blueprint, or decorate a route.

    `algorithm` is "sliding_window" or "token_bucket", the latter with `burst`. `key` says who is counted (`by_client_ip`); None
    from it is not counted. `cost` is what a request takes of the quota: a number, or a function of the request. `name` is what
    the header fields show and counters are kept under: limits of one name and rule share a quota in a backend that they share.
    `backend` is one, or a function of the app that gives one; without it the limit counts in this process.

    Raises ValueError for arguments that make no limit. Refuses with `TooManyRequests` (429), or `ServiceUnavailable` (503).
    """

    order = 700

    def __init__(
        self,
        name: str,
        limit: int,
        *,
        window_s: float,
        algorithm: Literal["sliding_window", "token_bucket"] = "sliding_window",
        burst: int | None = None,
        key: Key = by_client_ip,
        cost: int | Callable[[Request[Any, Any]], int] = 1,
        backend: Backend | Callable[[Any], Backend] | None = None,
        on_outage: Literal["allow", "refuse"] = "allow",
    ) -> None:
        if not name or not name.isascii() or not name.isprintable() or '"' in name or "\\" in name:
            raise ValueError(f"the name {name!r} of a limit can't stand in a header")
        if algorithm not in ("sliding_window", "token_bucket") or on_outage not in ("allow", "refuse"):
            raise ValueError("algorithm is sliding_window or token_bucket, on_outage is allow or refuse")
        if burst is not None and algorithm != "token_bucket":
            raise ValueError("burst belongs to the token bucket")
        if key is by_principal:
            self.order = AFTER_GUARD
        self.name = name
        self.rule: Rule = TokenBucket(limit, window_s, burst) if algorithm == "token_bucket" else SlidingWindow(limit, window_s)
        self._key = key
        self._cost = cost
        self._backend = MemoryBackend() if backend is None else backend
        self._refuses_on_outage = on_outage == "refuse"
        self._policy = f'"{name}";q={self.rule.capacity};w={math.ceil(self.rule.refill_s)}'
        self._prefix = f"{name}:{algorithm}:{limit}:{window_s:g}:{self.rule.capacity}:"

    def middleware(self) -> tuple[Middleware, Middleware]:
        """Count before the handler, tell after it."""
        return self._count, _tell

    async def _count(self, request: Request[Any, Any]) -> None:
        if self.spares(request):
            return
        key = self._key(request)
        if inspect.isawaitable(key):
            key = await key
        if key is None:
            return
        cost = max(0, self._cost if isinstance(self._cost, int) else self._cost(request))
        try:
            decision = await provided(self._backend, request).take(self._stored_key(key), self.rule, cost)
        except Unreachable as error:
            if self._refuses_on_outage:
                raise ServiceUnavailable("Requests can't be counted at the moment", retry_after=1) from error
            return
        told: list[tuple[str, str]] = request.ctx.__dict__.setdefault("rate_limits", [])
        told.append((self._policy, f'"{self.name}";r={decision.remaining};t={math.ceil(decision.reset_s)}'))
        if not decision.allowed:
            raise TooManyRequests("Too many requests", retry_after=max(1, math.ceil(decision.retry_after_s)))

    def _stored_key(self, key: str) -> str:
        digest = hashlib.blake2b(key.encode("utf-8", "surrogateescape"), digest_size=DIGEST_BYTES).hexdigest()
        return self._prefix + digest


def _tell(request: Request[Any, Any], response: HTTPResponse) -> None:
    """Add the header fields, once for all limits of the request."""
    told: list[tuple[str, str]] = request.ctx.__dict__.pop("rate_limits", [])
    if told:
        response.headers["ratelimit-policy"] = ", ".join(policy for policy, _ in told)
        response.headers["ratelimit"] = ", ".join(state for _, state in told)
