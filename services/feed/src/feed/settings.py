"""What the feed reads from its environment."""

from __future__ import annotations

from msgspec import Struct

from fairlead.cors import is_origin
from fairlead.settings import Secret

__all__ = ["Settings"]


class Settings(Struct, frozen=True):
    """`REDIS_URL`, `PUBLIC_AUTH_URL` and `PUBLIC_CATALOG_URL` (where browsers find these services: scheme, host, port)
    and, for pages of other origins, `WEBSOCKET_ORIGINS`."""

    redis_url: Secret
    public_auth_url: str
    public_catalog_url: str
    websocket_origins: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Raises ValueError: these texts end up in a Content-Security-Policy and in an allow-list of origins."""
        for name in ("public_auth_url", "public_catalog_url"):
            if not is_origin(getattr(self, name)):
                raise ValueError(f"{name.upper()}: Expected scheme://host[:port] in lower case, without a path")
        for origin in self.websocket_origins:
            if not is_origin(origin):
                raise ValueError("WEBSOCKET_ORIGINS: Expected origins as browsers send them, scheme://host[:port]")
