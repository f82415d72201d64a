"""``/v1/token``: signing in, refreshing, logging out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from msgspec import Meta, Struct

from auth.api.accounts import MAX_BODY_BYTES, Password
from auth.domain.account import MAX_EMAIL_CHARACTERS
from auth.domain.refresh_token import MAX_REFRESH_TOKEN_CHARACTERS
from auth.sessions import TokenPair
from fairlead import Blueprint, Body, HTTPResponse, Request, empty, json, openapi

if TYPE_CHECKING:
    from auth.accounts import Accounts
    from auth.sessions import Sessions

__all__ = ["tokens"]

tokens = Blueprint("tokens", url_prefix="/v1/token")

RefreshToken = Annotated[str, Meta(max_length=MAX_REFRESH_TOKEN_CHARACTERS)]


class PasswordGrant(Struct, frozen=True, forbid_unknown_fields=True, tag_field="grant_type", tag="password"):
    """``{"grant_type": "password", "email": …, "password": …}``"""

    email: Annotated[str, Meta(max_length=MAX_EMAIL_CHARACTERS)]
    password: Password


class RefreshGrant(Struct, frozen=True, forbid_unknown_fields=True, tag_field="grant_type", tag="refresh_token"):
    """``{"grant_type": "refresh_token", "refresh_token": …}``"""

    refresh_token: RefreshToken


class Logout(Struct, frozen=True, forbid_unknown_fields=True):
    """``{"refresh_token": …}``"""

    refresh_token: RefreshToken


@tokens.post("/", max_body_bytes=MAX_BODY_BYTES)
@openapi.response(200, TokenPair)
@openapi.response(401)
@openapi.response(429)
async def grant(request: Request[Any, Any], grant: Body[PasswordGrant | RefreshGrant]) -> HTTPResponse:
    """200 with an access token and a refresh token; 401 when the grant is not valid, 429 after too many failures.

    A refresh token is good once: its second use ends the session (RFC 9700 §4.14.2).
    """
    accounts: Accounts = request.app.ctx.accounts
    sessions: Sessions = request.app.ctx.sessions
    if isinstance(grant, RefreshGrant):
        return json(await sessions.refresh(grant.refresh_token))
    account = await accounts.sign_in(grant.email, grant.password, request.client_ip)
    return json(await sessions.begin(account))


@tokens.post("/revoke", max_body_bytes=MAX_BODY_BYTES)
@openapi.response(204, description="The session has ended")
async def revoke(request: Request[Any, Any], logout: Body[Logout]) -> HTTPResponse:
    """204: the session of this refresh token has ended. The same for a token that is not known (RFC 7009 §2.2)."""
    sessions: Sessions = request.app.ctx.sessions
    await sessions.end(logout.refresh_token)
    return empty()


@tokens.on_response
async def forbid_storing(_request: Request[Any, Any], response: HTTPResponse) -> None:
    """Tokens belong in no cache (RFC 6749 §5.1, SEC-T06)."""
    response.headers["Cache-Control"] = "no-store"
