"""``/.well-known/jwks.json``: the public keys that access tokens are checked with."""

from __future__ import annotations

from typing import Any, Final

from fairlead import Blueprint, HTTPResponse, Request, openapi, raw

__all__ = ["MAX_AGE_S", "jwks"]

MAX_AGE_S: Final = 300
"""How long a verifier may go on with a key that was taken away; see `auth.signing` for what that means for rotation."""

jwks = Blueprint("jwks", url_prefix="/.well-known")


@jwks.get("/jwks.json")
@openapi.response(200, {"application/jwk-set+json": dict[str, list[dict[str, str]]]})
def read_keys(request: Request[Any, Any]) -> HTTPResponse:
    """The JWK set (RFC 7517); anybody may read and cache it."""
    return raw(
        request.app.ctx.key_document,
        content_type="application/jwk-set+json",
        headers={"Cache-Control": f"public, max-age={MAX_AGE_S}"},
    )
