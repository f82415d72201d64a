"""An issuer's published keys, as a verifier sees them: fetched, kept, renewed, and good for a while without the issuer.

How this works. States: *empty* (never had keys: a request for one fetches them and waits), *fresh* (answers from
memory), *old* (answers from memory and renews in the background), *too old* (as empty). A fetch is shared by everybody
who waits for it; after one that failed the next is not tried before a pause that doubles from 1 s to 30 s, so an
issuer that is down is not hammered.

- A `kid` that is not in the set may be a new key, so it causes a fetch, at most once in `UNKNOWN_KID_PAUSE_S`: made-up
  ones can't be used to load the issuer (SEC-J13). An issuer publishes a key before it signs with it.
- A key that the issuer has removed is refused from the next renewal on, whatever the ``exp`` of its tokens.
- While the issuer is away the last set goes on serving for `MAX_STALE_S`. Without any set the answer is 503 with
  Retry-After: whether the token is good can't be known, so it is neither 401 nor 200.

Rejected: a task that renews on a timer (a service without requests needs no keys), fetching when the service starts and
failing when that fails (a restart of everything would depend on the order).
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from fairlead.auth.document import Document, FetchError, fetch, require_http_url
from fairlead.auth.keys import MAX_DOCUMENT_BYTES, Algorithm, KeySet, VerificationKey
from fairlead.backoff import Backoff, unscattered
from fairlead.errors import ServiceUnavailable

__all__ = ["KeySource", "RemoteKeySet"]

logger = logging.getLogger("fairlead.auth")

FETCH_TIMEOUT_S: Final = 3.0
DEFAULT_FRESH_S: Final = 300
MIN_FRESH_S: Final = 30
MAX_FRESH_S: Final = 3600
"""What the issuer's ``max-age`` may say: less than 30 s would load the issuer, more than an hour would keep removed
keys.
"""

MAX_STALE_S: Final = 86_400
UNKNOWN_KID_PAUSE_S: Final = 60
MIN_RETRY_S: Final = 1.0
MAX_RETRY_S: Final = 30.0


class KeySource(Protocol):
    """Where the guard looks keys up: a `KeySet` or a `RemoteKeySet`."""

    async def find(self, kid: str) -> VerificationKey | None:
        """The key with this `kid`, None when there is none. Raises `ServiceUnavailable` when that can't be known."""
        ...


Fetch = Callable[[str], Awaitable[Document]]


async def _fetch(url: str) -> Document:
    return await fetch(url, timeout_s=FETCH_TIMEOUT_S, max_bytes=MAX_DOCUMENT_BYTES)


class RemoteKeySet:
    """The JWK set at `url`. Call `close` at the end. Raises `ConfigurationError` when `url` is none."""

    def __init__(
        self,
        url: str,
        *,
        algorithm: Algorithm = "EdDSA",
        fetch: Fetch = _fetch,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        require_http_url(url, "jwks_url")
        self._url = url
        self._algorithm = algorithm
        self._fetch = fetch
        self._clock = clock
        self._keys: KeySet | None = None
        self._fetched_at = 0.0
        self._fresh_until = 0.0
        self._retry_at = 0.0
        self._backoff = Backoff(MIN_RETRY_S, MAX_RETRY_S, uniform=unscattered)
        self._unknown_kid_at = -math.inf
        self._error: str | None = None
        self._fetching: asyncio.Task[None] | None = None

    async def find(self, kid: str) -> VerificationKey | None:
        """See `KeySource.find`. Waits for the issuer only when there are no keys yet or `kid` is unknown."""
        keys = self._current()
        if keys is None:
            keys = await self._first()
        elif self._clock() >= self._fresh_until and self._may_fetch():
            self._start()
        return keys.get(kid) or await self._find_unknown(kid)

    async def check(self) -> None:
        """Raise `ServiceUnavailable` while there are no keys; fetches them when it is time. The guard's health
        check.
        """
        if self._current() is None:
            await self._first()

    async def close(self) -> None:
        """End a fetch that is under way."""
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.gather(self._fetching, return_exceptions=True)

    def _current(self) -> KeySet | None:
        if self._keys is not None and self._clock() - self._fetched_at > MAX_STALE_S:
            self._keys = None
        return self._keys

    async def _first(self) -> KeySet:
        if self._is_fetching or self._may_fetch():
            await self._refresh()
        keys = self._current()
        if keys is None:
            raise ServiceUnavailable(
                "Access tokens can't be verified at the moment",
                retry_after=max(1, math.ceil(self._retry_at - self._clock())),
                extra={"cause": f"{self._url}: {self._error}"},
            )
        return keys

    async def _find_unknown(self, kid: str) -> VerificationKey | None:
        if not self._is_fetching:
            if self._clock() - self._unknown_kid_at < UNKNOWN_KID_PAUSE_S or not self._may_fetch():
                return None
            self._unknown_kid_at = self._clock()
        await self._refresh()
        keys = self._current()
        return keys.get(kid) if keys is not None else None

    def _may_fetch(self) -> bool:
        return self._clock() >= self._retry_at

    async def _refresh(self) -> None:
        """Wait for the fetch that is under way, or for a new one. A waiter that is cancelled does not end it for
        others.
        """
        await asyncio.shield(self._start())

    @property
    def _is_fetching(self) -> bool:
        return self._fetching is not None and not self._fetching.done()

    def _start(self) -> asyncio.Task[None]:
        if self._fetching is None or self._fetching.done():
            self._fetching = asyncio.create_task(self._renew(), name="fetch access token keys")
        return self._fetching

    async def _renew(self) -> None:
        """Fetch the set once. Never raises: the outcome is in the attributes."""
        try:
            document = await self._fetch(self._url)
            self._keys = KeySet.from_json(document.body, self._algorithm)
        except (FetchError, ValueError) as error:
            self._failed(str(error))
        else:
            self._succeeded(document)

    def _succeeded(self, document: Document) -> None:
        if self._error is not None:
            logger.info("the keys of %s can be had again", self._url)
        now = self._clock()
        fresh_s = DEFAULT_FRESH_S if document.max_age_s is None else document.max_age_s
        self._fetched_at = now
        self._fresh_until = now + min(max(fresh_s, MIN_FRESH_S), MAX_FRESH_S)
        self._retry_at, self._error = now, None
        self._backoff.reset()

    def _failed(self, error: str) -> None:
        if self._error is None:
            kept = "going on with those of before" if self._keys is not None else "there are none to go on with"
            logger.warning("the keys of %s can't be had: %s; %s", self._url, error, kept)
        self._error = error
        self._retry_at = self._clock() + self._backoff.next_s()
