"""Password hashes: argon2id in a few threads of their own, with a bounded queue before them (SEC-P01, SEC-P02).

How this works. A hash takes 19 MiB and tens of milliseconds on purpose, so it never runs on the event loop. `slot`
admits as many callers at a time as there are threads; further ones wait in order, and when too many wait the next
hears 503 instead of making everybody wait longer. The threads have a lower priority than the loop where the system
allows that (Linux), so a burst of sign-ins does not slow down what else the worker serves.

Every check of a password costs one hash, also when there is no account: `verify` with None compares with a hash of a
random password and is false (SEC-P04).
"""

from __future__ import annotations

import asyncio
import os
import secrets
import threading
import unicodedata
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from typing import Final, TypeVar

import argon2

from fairlead.errors import ServiceUnavailable

__all__ = ["PARAMETERS", "Parameters", "PasswordHasher"]

T = TypeVar("T")

MAX_WAITING: Final = 200
"""At 25 hashes a second and thread, the last of them waits for a few seconds: as long as people do."""

THREAD_NICENESS: Final = 10
RETRY_AFTER_S: Final = 2

Parameters = argon2.Parameters
PARAMETERS: Final = Parameters(
    type=argon2.Type.ID,
    version=argon2.low_level.ARGON2_VERSION,
    salt_len=16,
    hash_len=32,
    time_cost=2,
    memory_cost=19_456,
    parallelism=1,
)
"""OWASP Password Storage: m = 19 MiB, t = 2, p = 1. Hashes with other parameters are renewed at the next sign-in."""


class PasswordHasher:
    """Hashes and checks passwords. `close` at the end."""

    def __init__(self, concurrency: int, parameters: Parameters = PARAMETERS, *, max_waiting: int = MAX_WAITING) -> None:
        self._argon2 = argon2.PasswordHasher.from_parameters(parameters)
        self._decoy = self._argon2.hash(secrets.token_urlsafe())
        self._executor = ThreadPoolExecutor(concurrency, "password", initializer=_lower_priority)
        self._slots = asyncio.Semaphore(concurrency)
        self._max_waiting = max_waiting
        self._waiting = 0

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Wait for one's turn; hash or verify inside. Raises `ServiceUnavailable` when too many are waiting."""
        if self._waiting >= self._max_waiting:
            raise ServiceUnavailable("Too many sign-ins at once", retry_after=RETRY_AFTER_S)
        self._waiting += 1
        try:
            await self._slots.acquire()
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._slots.release()

    async def hash(self, password: str) -> str:
        """A new hash in PHC form, with a new salt."""
        return await self._run(lambda: self._argon2.hash(_canonical(password)))

    async def verify(self, password_hash: str | None, password: str) -> bool:
        """Is it the password? None stands for an account that is not there: as slow, and false."""
        is_right = await self._run(lambda: self._matches(password_hash or self._decoy, password))
        return is_right and password_hash is not None

    def is_outdated(self, password_hash: str) -> bool:
        """Was it made with parameters that are not those of today?"""
        return self._argon2.check_needs_rehash(password_hash)

    def close(self) -> None:
        """End the threads; what still waits is cancelled."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _matches(self, password_hash: str, password: str) -> bool:
        try:
            return self._argon2.verify(password_hash, _canonical(password))
        except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError):
            return False

    async def _run(self, function: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, function)


def _canonical(password: str) -> bytes:
    """Keyboards differ in how they compose the same characters (NIST SP 800-63B-4 §3.1.1.2 recommends NFKC)."""
    return unicodedata.normalize("NFKC", password).encode("utf-8", "surrogatepass")


def _lower_priority() -> None:
    """On Linux a thread has a niceness of its own; elsewhere this would slow down the whole process."""
    if hasattr(os, "sched_getaffinity"):
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), THREAD_NICENESS)
