"""The service, put together: what it stands on, and in which order that is opened and closed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final

from auth.accounts import Accounts
from auth.api.accounts import accounts
from auth.api.jwks import jwks
from auth.api.tokens import tokens
from auth.hashing import PasswordHasher
from auth.sessions import Sessions
from auth.settings import Settings
from auth.signing import load_keys, write_new_key
from auth.stores.accounts import AccountStore
from auth.stores.attempts import AttemptStore
from auth.stores.endings import Endings
from auth.stores.sessions import SessionStore
from fairlead import App, cors, openapi, outbox, postgres, redis
from fairlead.auth import TokenIssuer
from fairlead.auth import attach as attach_guard
from fairlead.errors import CommandError, ServiceUnavailable
from fairlead.postgres.revisions import require_revision

__all__ = ["build_app"]

logger = logging.getLogger("auth.service")

PURGE_INTERVAL_S: Final = 60.0


def build_app(settings: Settings) -> App[Any, Any]:
    """The app. Raises `ConfigurationError` without a signing key; starts, and answers 503, without PostgreSQL."""
    if settings.create_signing_key:
        with suppress(FileExistsError):
            write_new_key(settings.signing_key_file)
    signing_key, keys = load_keys(settings.signing_key_file, settings.published_keys_directory)

    app: App[Any, Any] = App("auth")
    database = postgres.attach(app, settings.database_url)
    require_revision(app, database, "auth")
    if settings.redis_url is not None:
        outbox.attach(app, database, redis.attach(app, settings.redis_url, critical=False))
    attach_guard(app, issuer=settings.issuer, audience=settings.audience, keys=keys)
    cors.attach(
        app,
        origins=settings.cors_origins,
        headers=("Authorization", "Content-Type"),
        expose_headers=("Retry-After", "X-Request-ID"),
    )

    endings = Endings(are_told=settings.redis_url is not None)
    hasher = PasswordHasher(settings.password_hash_concurrency)
    attempts, session_store = AttemptStore(database), SessionStore(database, endings)
    app.ctx.key_document = keys.to_json()
    app.ctx.accounts = Accounts(
        AccountStore(database, endings),
        attempts,
        hasher,
        failures_per_minute=settings.sign_in_failures_per_minute,
        registrations_per_minute=settings.registrations_per_minute,
        scopes=settings.new_account_scopes,
    )
    app.ctx.sessions = Sessions(
        session_store,
        TokenIssuer(
            signing_key,
            issuer=settings.issuer,
            audience=settings.audience,
            lifetime_s=settings.access_token_lifetime_s,
        ),
        token_lifetime_s=settings.refresh_token_lifetime_s,
        lifetime_s=settings.session_lifetime_s,
    )

    async def close_hasher(_app: App[Any, Any]) -> None:
        hasher.close()

    app.after_server_stop(close_hasher)

    async def purge() -> None:
        await attempts.purge()
        await session_store.purge()

    app.ctx.purge = purge
    app.add_task(lambda: _regularly(purge), name="purge")
    app.command(lock)
    app.command(unlock)
    for blueprint in (accounts, tokens, jwks):
        app.blueprint(blueprint)
    openapi.attach(app, title="Auth", version="1", description="Accounts, access tokens, and the keys to check them with.")
    return app


async def lock(app: App[Any, Any], email: str) -> str:
    """Keep an account out: its sessions end, what they have open is closed, and nobody signs in to it."""
    accounts: Accounts = app.ctx.accounts
    if not await accounts.lock(email):
        raise CommandError(f"no active account has the address {email}")
    return f"{email} is locked"


async def unlock(app: App[Any, Any], email: str) -> str:
    """Let an account sign in again."""
    accounts: Accounts = app.ctx.accounts
    if not await accounts.unlock(email):
        raise CommandError(f"no locked account has the address {email}")
    return f"{email} may sign in again"


async def _regularly(purge: Callable[[], Awaitable[None]]) -> None:
    """Forget, once a minute, what has expired. Every worker does; finding nothing left to do costs nothing."""
    while True:
        await asyncio.sleep(PURGE_INTERVAL_S)
        try:
            await purge()
        except ServiceUnavailable as error:
            logger.info("expired sessions stay until PostgreSQL is back: %s", error)
