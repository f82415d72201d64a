"""Where a request carries its access token: one place for each kind of client, and never the URL (SEC-T05, RFC 6750 §5.3).

- `Authorization: Bearer …`, for programs and scripts. A request that has the header is judged by it alone.
- `Sec-WebSocket-Protocol: …, bearer.<token>`, for a page's websocket, which can set no header (SEC-W03). The page offers a
  subprotocol of the route's beside it, ``new WebSocket(url, ["orders.v1", "bearer." + token])``, and that is what is agreed on.
- A cookie, where `attach(cookie=…)` names one. Browsers send it with forged requests as well, so a request that may change
  something is refused by a RuntimeError (500) unless `fairlead.csrf.Csrf` has looked at it.
"""

from __future__ import annotations

import re
from typing import Any, Final

from fairlead.auth.tokens import InvalidToken
from fairlead.errors import BadRequest, Unauthorized
from fairlead.request import Request

__all__ = ["MissingToken", "token_of"]

_CREDENTIALS: Final = re.compile(r"bearer +([A-Za-z0-9\-._~+/]+=*) *", re.IGNORECASE | re.ASCII)
"""RFC 6750 §2.1 with RFC 9110 §11.4: the scheme's case does not matter, and what separates it is spaces, never a
tab.
"""

_OFFER: Final = "bearer."


class MissingToken(Unauthorized):
    """401 without an error code: the request has no token at all (RFC 6750 §3)."""

    def __init__(self) -> None:
        super().__init__("This needs an access token", headers={"WWW-Authenticate": "Bearer"})


def token_of(request: Request[Any, Any], cookie: str | None = None) -> str:
    """The token of a request. Raises `MissingToken` and `InvalidToken` (401), `BadRequest` (400) for two of them."""
    fields = request.headers.getall("authorization", [])
    if fields:
        return _from_header(fields)
    if request.route is not None and request.route.is_websocket:
        offers = [offer.strip() for value in request.headers.getall("sec-websocket-protocol", []) for offer in value.split(",")]
        tokens = [offer.removeprefix(_OFFER) for offer in offers if offer.startswith(_OFFER)]
        if len(tokens) > 1:
            raise _two_tokens()
        if tokens:
            return tokens[0]
    token = request.cookies.get(cookie) if cookie is not None else None
    if not token:
        raise MissingToken
    if not request.is_safe and not hasattr(request.ctx, "csrf"):
        raise RuntimeError("a token in a cookie needs protection against forged requests: install fairlead.csrf.Csrf")
    return token


def _from_header(fields: list[str]) -> str:
    if len(fields) > 1:
        raise _two_tokens()
    if not fields[0].lower().startswith("bearer"):
        raise MissingToken
    found = _CREDENTIALS.fullmatch(fields[0])
    if found is None:
        raise InvalidToken("malformed credentials")
    return found[1]


def _two_tokens() -> BadRequest:
    return BadRequest("Send one Authorization header", headers={"WWW-Authenticate": 'Bearer error="invalid_request"'})
