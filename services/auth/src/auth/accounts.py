"""Registering, signing in, changing a password: what the handlers ask for, step by step.

The order of the steps is the point. A sign-in first asks the throttle without waiting for anything, then waits for its
turn to hash, then reserves its attempt, looks the account up and checks the password, which takes as long for an
account that does not exist. Every way out that is not success is the same error (SEC-P04).

Registering an address that is taken is answered like any other registration, by an account that is not stored: the
answer must not say who has an account here (SEC-P04), and there is no mail yet that could tell the owner. The account
of before stays as it is; whoever knows its password signs in to it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from uuid import UUID

from auth.domain.account import Account, StoredAccount, normalise_email
from auth.domain.password import problem_of
from auth.domain.throttle import Keys, registration_key
from auth.hashing import PasswordHasher
from auth.stores.accounts import AccountStore
from auth.stores.attempts import AttemptStore
from fairlead.errors import TooManyRequests, Unauthorized, ValidationFailed

__all__ = ["Accounts", "TooManyAttempts", "WrongCredentials"]


class WrongCredentials(Unauthorized):
    """401: no such account, another password, or deactivated; the answer does not say which."""

    def __init__(self) -> None:
        super().__init__("The email or the password is wrong", scheme="Bearer", context={"error": "invalid_grant"})


class TooManyAttempts(TooManyRequests):
    """429: too many failures, or registrations, in the last minute."""

    def __init__(self, retry_after_s: int) -> None:
        super().__init__("Too many attempts; try again later", retry_after=retry_after_s)


class Accounts:
    """The use of accounts. Every method raises `ServiceUnavailable` while PostgreSQL is away or the hasher is full."""

    def __init__(
        self,
        accounts: AccountStore,
        attempts: AttemptStore,
        hasher: PasswordHasher,
        *,
        failures_per_minute: int,
        registrations_per_minute: int,
        scopes: Sequence[str],
    ) -> None:
        self._accounts = accounts
        self._attempts = attempts
        self._hasher = hasher
        self._failures_per_minute = failures_per_minute
        self._registrations_per_minute = registrations_per_minute
        self._scopes = list(scopes)

    async def register(self, email: str, password: str, client_ip: str) -> Account:
        """Add an account. Raises `ValidationFailed` (422) for what is no address or no acceptable password."""
        address = _address(email)
        _require_acceptable(password, address, "body.password")
        refused = await self._attempts.take(registration_key(client_ip), self._registrations_per_minute)
        if refused is not None:
            raise TooManyAttempts(max(1, round(refused.oldest_leaves_in_s)))
        async with self._hasher.slot():
            password_hash = await self._hasher.hash(password)
        return await self._accounts.claim(address, password_hash, self._scopes)

    async def sign_in(self, email: str, password: str, client_ip: str) -> StoredAccount:
        """The account of an address and its password. Raises `WrongCredentials` (401) and `TooManyAttempts` (429)."""
        address = _address_or_nobody(email)
        async with self._attempt(Keys.of(client_ip, address)):
            account = await self._accounts.by_email(address)
            await self._require_password(account, password)
        assert account is not None
        return account

    async def change_password(self, account_id: UUID, password: str, new_password: str, client_ip: str) -> None:
        """Change the password, and end every session of the account. Guessing the old one is throttled like signing in.

        Raises as `sign_in` does, and `ValidationFailed` (422) for a new password that is not acceptable.
        """
        account = await self._accounts.by_id(account_id)
        if account is None:
            raise WrongCredentials
        _require_acceptable(new_password, account.email, "body.new_password")
        async with self._attempt(Keys.of(client_ip, account.email)):
            await self._require_password(account, password)
            password_hash = await self._hasher.hash(new_password)
        if not await self._accounts.change_password(account, password_hash):
            raise WrongCredentials

    async def lock(self, email: str) -> bool:
        """Keep an account out, and end its sessions; False when no active one has this address."""
        return await self._accounts.lock(_address_or_nobody(email))

    async def unlock(self, email: str) -> bool:
        """Let an account in again; False when none that is locked has this address."""
        return await self._accounts.unlock(_address_or_nobody(email))

    @asynccontextmanager
    async def _attempt(self, keys: Keys) -> AsyncIterator[None]:
        """The right to check a password once: counted, and taken back when the block does not raise."""
        verdict = await self._attempts.look(keys, self._failures_per_minute)
        if not verdict.allowed:
            raise TooManyAttempts(verdict.retry_after_s)
        async with self._hasher.slot():
            verdict, reservation = await self._attempts.reserve(keys, self._failures_per_minute)
            if not verdict.allowed:
                raise TooManyAttempts(verdict.retry_after_s)
            try:
                yield
            except WrongCredentials:
                if verdict.under_attack:
                    raise TooManyAttempts(verdict.retry_after_s) from None
                raise
        await self._attempts.release(reservation)

    async def _require_password(self, account: StoredAccount | None, password: str) -> None:
        is_right = await self._hasher.verify(account.password_hash if account is not None else None, password)
        if account is None or not is_right or not account.is_active:
            raise WrongCredentials
        if self._hasher.is_outdated(account.password_hash):
            await self._accounts.renew_hash(account, await self._hasher.hash(password))


def _address(email: str) -> str:
    try:
        return normalise_email(email)
    except ValueError as error:
        raise ValidationFailed([{"location": "body.email", "message": str(error)}]) from None


def _address_or_nobody(email: str) -> str:
    """To sign in with what is no address fails like any unknown address: with the same steps, for an account of nobody."""
    try:
        return normalise_email(email)
    except ValueError:
        return ""


def _require_acceptable(password: str, email: str, location: str) -> None:
    problem = problem_of(password, email)
    if problem is not None:
        raise ValidationFailed([{"location": location, "message": problem}])
