"""What the catalogue reads from its environment."""

from __future__ import annotations

from msgspec import Struct

from fairlead.settings import Secret

__all__ = ["Settings"]


class Settings(Struct, frozen=True):
    """`DATABASE_URL`, `REDIS_URL`, `AUTH_ISSUER`, `AUTH_JWKS_URL` and, for pages of other origins, `CORS_ORIGINS`."""

    database_url: Secret
    redis_url: Secret
    auth_issuer: str
    auth_jwks_url: str
    cors_origins: tuple[str, ...] = ()
