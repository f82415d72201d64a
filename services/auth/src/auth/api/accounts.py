"""``/v1/accounts``: registering, changing one's password, logging out everywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final
from uuid import UUID

from msgspec import Meta, Struct

from auth.domain.account import MAX_EMAIL_CHARACTERS, Account
from auth.domain.password import MAX_PASSWORD_CHARACTERS
from fairlead import Blueprint, Body, HTTPResponse, Request, empty, json, openapi
from fairlead.auth import InvalidToken, Principal, protected

if TYPE_CHECKING:
    from auth.accounts import Accounts
    from auth.sessions import Sessions

__all__ = ["MAX_BODY_BYTES", "accounts"]

MAX_BODY_BYTES: Final = 131_072
"""Two passwords of 4,096 characters, each character written as an escaped pair of surrogates."""

accounts = Blueprint("accounts", url_prefix="/v1/accounts")

Password = Annotated[str, Meta(max_length=MAX_PASSWORD_CHARACTERS)]


class NewAccount(Struct, frozen=True, forbid_unknown_fields=True):
    """What a registration sends. Scopes are the service's to give (SEC-A02): any other field is refused."""

    email: Annotated[str, Meta(max_length=MAX_EMAIL_CHARACTERS)]
    password: Password


class NewPassword(Struct, frozen=True, forbid_unknown_fields=True):
    """What a change of password sends."""

    password: Password
    new_password: Password


@accounts.post("/", max_body_bytes=MAX_BODY_BYTES)
@openapi.response(201, Account)
@openapi.response(429)
async def register(request: Request[Any, Any], new: Body[NewAccount]) -> HTTPResponse:
    """201 with the account, never with the password's hash.

    An address that is taken gets the same answer, so that nobody learns who has an account (see `auth.accounts`).
    422 for what is no address or too weak a password, 429 for too many registrations from one network.
    """
    account = await _accounts(request).register(new.email, new.password, request.client_ip)
    return json(account, 201)


@accounts.post("/me/password", max_body_bytes=MAX_BODY_BYTES)
@openapi.response(204, description="Changed; every session has ended")
@openapi.response(401)
@openapi.response(429)
@protected
async def change_password(request: Request[Any, Any], new: Body[NewPassword], principal: Principal) -> HTTPResponse:
    """204, and every session of the account has ended; this access token, too, is not renewed.

    401 for a wrong password, counted like a failed sign-in; 422 for a new password that is too weak.
    """
    account_id = _id_of(principal)
    await _accounts(request).change_password(account_id, new.password, new.new_password, request.client_ip)
    return empty()


@accounts.delete("/me/sessions")
@openapi.response(204, description="Every session has ended")
@protected
async def log_out_everywhere(request: Request[Any, Any], principal: Principal) -> HTTPResponse:
    """204: every session of the account has ended, this one included; what they have open elsewhere is closed."""
    sessions: Sessions = request.app.ctx.sessions
    await sessions.end_all(_id_of(principal))
    return empty()


@accounts.on_response
async def forbid_storing(_request: Request[Any, Any], response: HTTPResponse) -> None:
    """Answers about accounts belong in no cache."""
    response.headers["Cache-Control"] = "no-store"


def _id_of(principal: Principal) -> UUID:
    try:
        return UUID(principal.subject)
    except ValueError:
        raise InvalidToken("sub is no account of this service") from None


def _accounts(request: Request[Any, Any]) -> Accounts:
    found: Accounts = request.app.ctx.accounts
    return found
