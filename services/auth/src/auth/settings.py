"""What the service reads from its environment."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

from msgspec import Meta, Struct

from fairlead.settings import Secret

__all__ = ["Settings"]

DAY_S: Final = 86_400


class Settings(Struct, frozen=True, kw_only=True):
    """Each field is read from the variable of its name in capitals, or from the file that ``<NAME>_FILE`` names."""

    database_url: Secret

    redis_url: Secret | None = None
    """Where other services hear of sessions that have ended. Without it, what was opened with an access token stays open until
    that expires.
    """

    issuer: str
    """Where this service is known as issuer, character by character what the other services compare: its public URL."""

    signing_key_file: Path
    """The Ed25519 private key (PEM or JWK) that signs access tokens; the service does not start without."""

    create_signing_key: bool = False
    """Make the key when the file is missing: for a developer's machine. In a cluster every replica needs the same
    one.
    """

    published_keys_directory: Path | None = None
    """Further keys to publish: the one before a rotation until its tokens have expired, the one after it in advance."""

    audience: str = "fairlead"

    access_token_lifetime_s: Annotated[int, Meta(ge=10, le=900)] = 600
    """An access token can't be called back: this is how long a logout or a lock takes to reach those who don't listen to
    ``auth:sessions``.
    """

    refresh_token_lifetime_s: Annotated[int, Meta(ge=60)] = 14 * DAY_S
    """A session that is not used for this long has ended."""

    session_lifetime_s: Annotated[int, Meta(ge=60)] = 90 * DAY_S
    """After this a user signs in again, however often the session was used."""

    sign_in_failures_per_minute: Annotated[int, Meta(ge=1, le=100)] = 10
    """For an account, and for a client's network; see `auth.domain.throttle`."""

    registrations_per_minute: Annotated[int, Meta(ge=1)] = 60
    """For a client's network."""

    password_hash_concurrency: Annotated[int, Meta(ge=1, le=64)] = 2
    """Passwords that a worker hashes at a time: 19 MiB and about 40 ms of a CPU each."""

    new_account_scopes: tuple[str, ...] = ("catalog:write",)
    cors_origins: tuple[str, ...] = ()
