"""What the feed reads from its environment."""

from __future__ import annotations

import re

from msgspec import Struct

from fairlead.http.origin import is_origin
from fairlead.settings import Secret

__all__ = ["Settings"]

is_room = re.compile(r"[a-z0-9-]{1,32}").fullmatch


class Settings(Struct, frozen=True):
    """`REDIS_URL`, `AUTH_ISSUER`, `AUTH_JWKS_URL`, `PUBLIC_AUTH_URL` and `PUBLIC_CATALOG_URL` (where browsers find these
    services: scheme, host, port); for pages of other origins `WEBSOCKET_ORIGINS`; and `ROOMS`, the rooms that there are."""

    redis_url: Secret
    auth_issuer: str
    auth_jwks_url: str
    public_auth_url: str
    public_catalog_url: str
    websocket_origins: tuple[str, ...] = ()
    rooms: tuple[str, ...] = ("harbour", "market", "workshop")

    def __post_init__(self) -> None:
        """Raises ValueError: these texts end up in a Content-Security-Policy and in an allow-list of origins."""
        for name in ("public_auth_url", "public_catalog_url"):
            if not is_origin(getattr(self, name)):
                raise ValueError(f"{name.upper()}: Expected scheme://host[:port] in lower case, without a path")
        for room in self.rooms:
            if not is_room(room):
                raise ValueError("ROOMS: Expected names of lower-case letters, digits and hyphens, at most 32 characters")
        for origin in self.websocket_origins:
            if not is_origin(origin):
                raise ValueError("WEBSOCKET_ORIGINS: Expected origins as browsers send them, scheme://host[:port]")
