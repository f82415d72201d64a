"""The rooms: ``/ws/rooms/<room>`` for those who speak and listen, ``/events/rooms/<room>`` for browsers without websockets, and
``/v1/rooms`` over REST.

A client of the websocket sends JSON:

- ``{"type": "refresh", "token": "…"}``: an access token, to sign in and again before it expires.
  Answer: ``{"type": "signed-in", "as": "<alias>", "expires_in_s": n}``, or the close code 4401.
- ``{"type": "say", "text": "…", "id": "…"}``: say something; `id` is the client's own.
  When it can't be said: ``{"type": "refused", "id": "…", "reason": "…", "retry_after_s": n}``.

When the session that the token was issued in is ended (logout, change of password, lock), the connection is closed with 1008
``signed out``.

What it is sent besides is what `fairlead.channels` sends to members (docs/guide/channels.md). Both kinds resume with
``?after=<id>``.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Annotated, Any, Final

import msgspec

from fairlead import Blueprint, Body, HTTPResponse, Query, Request, json
from fairlead.auth import InvalidToken, Principal, guard_of, protected
from fairlead.errors import FairleadException, NotFound
from fairlead.websocket import WebsocketView
from feed.domain.allowance import ConnectionAllowance
from feed.domain.ended_sessions import EndedSessions
from feed.domain.rooms import MessageId, Rooms, Text, alias_of
from feed.domain.speaker import SIGN_IN_AGAIN, Speaker, TokenRefused

__all__ = ["rooms"]

MAX_MESSAGE_BYTES: Final = 8192
"""A token, or as much text as can be said at once."""

BEGIN_WITH: Final = 50
POLICY_VIOLATION: Final = 1008
SIGNED_OUT: Final = "signed out"


class Refresh(msgspec.Struct, tag="refresh", forbid_unknown_fields=True):
    """A token."""

    token: Annotated[str, msgspec.Meta(max_length=4096)]


class Say(msgspec.Struct, tag="say", forbid_unknown_fields=True):
    """Something to be said."""

    text: Text
    id: MessageId | None = None


class NewMessage(msgspec.Struct, forbid_unknown_fields=True):
    """What is posted over REST."""

    text: Text
    id: MessageId | None = None


class HistoryQuery(msgspec.Struct, forbid_unknown_fields=True):
    """How many messages."""

    count: Annotated[int, msgspec.Meta(ge=1, le=200)] = BEGIN_WITH


def rooms(origins: Sequence[str]) -> Blueprint:
    """The resource. Pages of its own origin and of `origins` may connect."""
    blueprint = Blueprint("rooms")
    blueprint.register_middleware(find_room, "request")
    RoomView.attach(blueprint, "/ws/rooms/<room:str>", origins=tuple(origins), max_size=MAX_MESSAGE_BYTES, compression="deflate")
    blueprint.add_route(follow, "/events/rooms/<room:str>")
    blueprint.add_route(list_rooms, "/v1/rooms")
    blueprint.add_route(read_messages, "/v1/rooms/<room:str>/messages")
    blueprint.add_route(post_message, "/v1/rooms/<room:str>/messages", methods=["POST"])
    return blueprint


async def find_room(request: Request[Any, Any]) -> None:
    """404 for a room that there is not, before an upgrade or a stream begins; 401 for a header with a token that is no good."""
    room = request.match_info.get("room")
    if room is not None and room not in _rooms(request).names:
        raise NotFound("There is no such room")
    if "authorization" in request.headers:
        _ended(request).check(await guard_of(request.app).authenticate(request))


class RoomView(WebsocketView):
    """One connection in one room."""

    async def on_open(self, room: str) -> None:
        """Join; who sent a token with the handshake is signed in."""
        self.room = room
        self.allowance = ConnectionAllowance()
        self.stack = AsyncExitStack()
        self.speaker = Speaker(
            guard_of(self.request.app),
            _ended(self.request),
            expire=lambda: self.ws.close_soon(SIGN_IN_AGAIN, "token expired"),
            end=lambda: self.ws.close_soon(POLICY_VIOLATION, SIGNED_OUT),
        )
        self.stack.callback(self.speaker.leave)
        group = _rooms(self.request).group(room)
        await self.stack.enter_async_context(group.join(self.ws, after=self.request.args.get("after"), history=BEGIN_WITH))
        principal = getattr(self.request.ctx, "principal", None)
        if principal is None:
            return
        try:
            self.speaker.take(principal)
        except InvalidToken:  # ended while the room was joined
            await self.ws.close(POLICY_VIOLATION, SIGNED_OUT)
        else:
            await self._welcome(principal)

    async def on_message(self, message: str | bytes) -> None:
        """Count it, then do what it says."""
        size = len(message.encode() if isinstance(message, str) else message)
        if not self.allowance.take(size, asyncio.get_running_loop().time()):
            await self.ws.close(POLICY_VIOLATION, "too many messages")
            return
        wish = decode(message)
        if isinstance(wish, Refresh):
            await self._sign_in(wish)
        else:
            await self._say(wish)

    async def on_close(self, code: int, reason: str) -> None:
        """Leave the room."""
        await self.stack.aclose()

    async def _sign_in(self, wish: Refresh) -> None:
        try:
            await self._welcome(await self.speaker.present(wish.token))
        except TokenRefused as error:
            await self.ws.close(SIGN_IN_AGAIN, error.message)
        except FairleadException as error:
            await self._refuse(None, error)

    async def _say(self, wish: Say) -> None:
        if self.speaker.principal is None:
            await self.ws.send({"type": "refused", "id": wish.id, "reason": "Sign in to say something", "retry_after_s": None})
            return
        try:
            await _rooms(self.request).say(self.room, self.speaker.principal.subject, wish.text, wish.id)
        except FairleadException as error:
            await self._refuse(wish.id, error)

    async def _welcome(self, principal: Principal) -> None:
        left_s = max(0, int(principal.expires_at - time.time()))
        await self.ws.send({"type": "signed-in", "as": alias_of(principal.subject), "expires_in_s": left_s})

    async def _refuse(self, message_id: str | None, error: FairleadException) -> None:
        after_s = error.headers.get("Retry-After")
        await self.ws.send(
            {
                "type": "refused",
                "id": message_id,
                "reason": error.message,
                "retry_after_s": None if after_s is None else int(after_s),
            }
        )


decode: Any = msgspec.json.Decoder(Refresh | Say).decode


async def follow(request: Request[Any, Any], room: str) -> None:
    """What is said in a room, as server-sent events; resumes from ``Last-Event-ID`` or ``?after=``."""
    async with request.sse() as stream:
        after = stream.last_event_id or request.args.get("after")
        async with _rooms(request).group(room).join(stream, after=after, history=BEGIN_WITH):
            await stream.wait_closed()


async def list_rooms(request: Request[Any, Any]) -> HTTPResponse:
    """The rooms, and how many are in each."""
    return json({"rooms": await _rooms(request).list()})


async def read_messages(request: Request[Any, Any], room: str, query: Query[HistoryQuery]) -> HTTPResponse:
    """The last messages of a room, oldest first."""
    return json({"messages": await _rooms(request).group(room).history(query.count)})


@protected
async def post_message(request: Request[Any, Any], room: str, new: Body[NewMessage], principal: Principal) -> HTTPResponse:
    """Say something: 201 with the message's id, also for a repeat with the same `id`."""
    position = await _rooms(request).say(room, principal.subject, new.text, new.id)
    return json({"id": position}, 201)


def _ended(request: Request[Any, Any]) -> EndedSessions:
    found: EndedSessions = request.app.ctx.ended_sessions
    return found


def _rooms(request: Request[Any, Any]) -> Rooms:
    found: Rooms = request.app.ctx.rooms
    return found
