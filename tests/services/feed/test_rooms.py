"""The rooms: who may speak, what is refused, how one resumes, and what happens when a token runs out."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from fairlead.auth import SigningKey
from fairlead.errors import WebsocketClosed
from fairlead.local.ports import free_port
from fairlead.settings import Secret
from fairlead.testing import AsyncTestClient, HandshakeRefused, WebsocketClient
from feed.domain import allowance
from feed.domain.rooms import alias_of
from feed.service import build_app
from feed.settings import Settings

from .conftest import Issuer, close_code_of, next_of

ROOM = "/ws/rooms/harbour"


async def signed_in(ws: WebsocketClient, token: str) -> dict[str, Any]:
    """Present a token; the answer."""
    await ws.send({"type": "refresh", "token": token})
    return await next_of(ws, "signed-in")


async def test_what_is_said_reaches_everybody(client: AsyncTestClient, settings: Settings, issuer: Issuer) -> None:
    """In the room, at any worker, over any transport; with the alias of who has said it, and an id (W9, W14)."""
    async with (
        AsyncTestClient(build_app(settings)) as other,
        client.websocket(ROOM) as here,
        other.websocket(ROOM, compression="deflate") as there,
        other.websocket("/ws/rooms/market") as elsewhere,
        other.sse("/events/rooms/harbour") as events,
    ):
        welcome = await signed_in(here, issuer.token("anna"))
        assert welcome["as"] == alias_of("anna")
        assert 0 < welcome["expires_in_s"] <= 600
        await here.send({"type": "say", "text": "grüß euch", "id": "1"})
        said = await next_of(here, "message")
        assert said["data"] == {"from": alias_of("anna"), "text": "grüß euch"}
        assert await next_of(there, "message") == said
        while (event := await events.next()).json()["type"] != "message":
            pass
        assert (event.json(), event.id) == (said, said["id"])
        await here.send({"type": "say", "text": "x" * 200})
        assert (await next_of(there, "message"))["data"]["text"] == "x" * 200
        assert (await next_of(elsewhere, "presence"))["count"] == 1


async def test_presence(client: AsyncTestClient, settings: Settings) -> None:
    """How many are in a room, as they come and go, and over REST."""
    async with client.websocket(ROOM) as ws:
        async with AsyncTestClient(build_app(settings)) as other, other.websocket(ROOM):
            while (await next_of(ws, "presence"))["count"] != 2:
                pass
            rooms = (await client.get("/v1/rooms")).json()["rooms"]
            assert [room["name"] for room in rooms] == ["harbour", "market", "workshop"]
            assert [room["members"] for room in rooms] == [2, 0, 0]
        while (await next_of(ws, "presence"))["count"] != 1:
            pass


async def test_replay(client: AsyncTestClient, issuer: Issuer) -> None:
    """A newcomer hears what was said last; who comes back hears what it has missed; over REST one reads it as well."""
    sign = {"authorization": f"Bearer {issuer.token()}"}
    ids = []
    for number in range(3):
        answer = await client.post("/v1/rooms/harbour/messages", json={"text": str(number)}, headers=sign)
        assert answer.status_code == 201
        ids.append(answer.json()["id"])
    for after, texts in (("", ["0", "1", "2"]), (f"?after={ids[0]}", ["1", "2"])):
        async with client.websocket(ROOM + after) as ws:
            assert [(await next_of(ws, "message"))["data"]["text"] for _ in texts] == texts
        async with client.sse("/events/rooms/harbour" + after) as events:
            assert [msgspec.json.decode((await events.next()).data)["data"]["text"] for _ in texts] == texts
    async with client.sse("/events/rooms/harbour", last_event_id=ids[1]) as events:
        assert (await events.next()).id == ids[2]
    read = (await client.get("/v1/rooms/harbour/messages?count=2")).json()["messages"]
    assert [message["id"] for message in read] == ids[1:]
    assert (await client.get("/v1/rooms/harbour/messages?count=0")).status_code == 422


async def test_listening_is_public_and_speaking_is_not(client: AsyncTestClient) -> None:
    """Without a token nothing is said, and the connection stays."""
    async with client.websocket(ROOM) as ws:
        await ws.send({"type": "say", "text": "hello", "id": "7"})
        refused = await next_of(ws, "refused")
        assert refused == {"type": "refused", "id": "7", "reason": "Sign in to say something", "retry_after_s": None}
    assert (await client.post("/v1/rooms/harbour/messages", json={"text": "hello"})).status_code == 401
    assert (await client.get("/v1/rooms/harbour/messages")).json() == {"messages": []}


async def test_a_token_with_the_handshake(client: AsyncTestClient, issuer: Issuer) -> None:
    """Clients that are no browsers may send it as a header; one that is no good is a 401 before the upgrade (SEC-W02)."""
    async with client.websocket(ROOM, headers={"authorization": f"Bearer {issuer.token('bot')}"}) as ws:
        assert (await next_of(ws, "signed-in"))["as"] == alias_of("bot")
    forged = issuer.token(key=SigningKey.generate())
    with pytest.raises(HandshakeRefused) as refused:
        async with client.websocket(ROOM, headers={"authorization": f"Bearer {forged}"}):
            pass
    assert refused.value.response.status_code == 401


async def test_a_token_that_runs_out_closes(client: AsyncTestClient, issuer: Issuer) -> None:
    """4401 with the reason, without being asked (SEC-W02)."""
    async with client.websocket(ROOM) as ws:
        await signed_in(ws, issuer.token(lifetime_s=1))
        with pytest.raises(WebsocketClosed) as closed:
            await next_of(ws, "nothing")
        assert (closed.value.code, closed.value.reason) == (4401, "token expired")


async def test_a_token_is_renewed_on_the_open_connection(client: AsyncTestClient, issuer: Issuer) -> None:
    """The connection outlives its first token, and nobody has reconnected."""
    async with client.websocket(ROOM) as ws, client.websocket(ROOM) as witness:
        await signed_in(ws, issuer.token(lifetime_s=1))
        assert (await signed_in(ws, issuer.token(lifetime_s=600)))["expires_in_s"] > 500
        await signed_in(witness, issuer.token("witness", lifetime_s=2))
        assert await close_code_of(witness) == 4401  # longer than the first token was good for
        await ws.send({"type": "say", "text": "still here"})
        assert (await next_of(ws, "message"))["data"]["text"] == "still here"


@pytest.mark.parametrize("case", ["forged", "another account", "nonsense"])
async def test_a_token_that_is_no_good_closes(client: AsyncTestClient, issuer: Issuer, case: str) -> None:
    """Also on a connection that was signed in: it doesn't change hands."""
    token = {
        "forged": issuer.token(key=SigningKey.generate()),
        "another account": issuer.token("bert"),
        "nonsense": "a.b.c",
    }[case]
    async with client.websocket(ROOM) as ws:
        await signed_in(ws, issuer.token("anna"))
        await ws.send({"type": "refresh", "token": token})
        assert await close_code_of(ws) == 4401


async def test_keys_that_cannot_be_had(settings: Settings, issuer: Issuer) -> None:
    """While auth is away nobody can sign in, and is told when to try again; listening goes on."""
    away = msgspec.structs.replace(settings, auth_jwks_url=f"http://127.0.0.1:{free_port()}/jwks")
    async with AsyncTestClient(build_app(away)) as client, client.websocket(ROOM) as ws:
        await ws.send({"type": "refresh", "token": issuer.token()})
        refused = await next_of(ws, "refused")
        assert refused["id"] is None
        assert refused["retry_after_s"] >= 1
        await ws.ping()


@pytest.mark.parametrize("path", ["/ws/rooms/nowhere", "/ws/rooms/HARBOUR"])
async def test_a_room_that_there_is_not(client: AsyncTestClient, path: str) -> None:
    """404 before the upgrade, and over every other way."""
    with pytest.raises(HandshakeRefused) as refused:
        async with client.websocket(path):
            pass
    assert refused.value.response.status_code == 404
    assert (await client.get(path.replace("/ws", "/events"))).status_code == 404
    assert (await client.get(path.replace("/ws", "/v1") + "/messages")).status_code == 404


async def test_foreign_pages_are_refused(client: AsyncTestClient) -> None:
    """403 before the upgrade (SEC-W01)."""
    with pytest.raises(HandshakeRefused) as refused:
        async with client.websocket(ROOM, origin="https://evil.example"):
            pass
    assert refused.value.response.status_code == 403


@pytest.mark.parametrize(
    "message",
    [
        "hello",
        {"type": "shout", "text": "HELLO"},
        {"type": "say"},
        {"type": "say", "text": ""},
        {"type": "say", "text": "x" * 501},
        {"type": "say", "text": "x", "id": "a b"},
        {"type": "say", "text": "x", "from": "somebody else"},
        {"type": "refresh", "token": 7},
        b"\xff\xfe",
    ],
)
async def test_what_makes_no_sense_closes_with_1007(client: AsyncTestClient, message: Any) -> None:
    """One clear end, with the reason."""
    async with client.websocket(ROOM) as ws:
        await ws.send(message)
        assert await close_code_of(ws) == 1007


async def test_nothing_but_space_is_not_said(client: AsyncTestClient, issuer: Issuer) -> None:
    """Refused with a reason; 422 over REST."""
    async with client.websocket(ROOM) as ws:
        await signed_in(ws, issuer.token())
        await ws.send({"type": "say", "text": " \n "})
        assert (await next_of(ws, "refused"))["reason"] == "There is nothing in it"
    sign = {"authorization": f"Bearer {issuer.token()}"}
    assert (await client.post("/v1/rooms/harbour/messages", json={"text": " "}, headers=sign)).status_code == 422


async def test_a_repeat_is_said_once(client: AsyncTestClient, issuer: Issuer) -> None:
    """A client that lost its connection while it spoke says it again with the same id; two accounts may use the same one."""
    async with client.websocket(ROOM) as ws:
        await signed_in(ws, issuer.token())
        for _ in range(2):
            await ws.send({"type": "say", "text": "once", "id": "x1"})
        await ws.send({"type": "say", "text": "next", "id": "x2"})
        assert [(await next_of(ws, "message"))["data"]["text"] for _ in range(2)] == ["once", "next"]
    sign = {"authorization": f"Bearer {issuer.token('bert')}"}
    posted = [await client.post("/v1/rooms/harbour/messages", json={"text": "mine", "id": "x1"}, headers=sign) for _ in range(2)]
    assert posted[0].json() == posted[1].json()
    assert len((await client.get("/v1/rooms/harbour/messages")).json()["messages"]) == 3


# Limits


async def test_a_connection_that_sends_too_many_messages(client: AsyncTestClient) -> None:
    """1008: whatever they say, they are not looked at any more."""
    async with client.websocket(ROOM) as ws:
        for _ in range(allowance.CONNECTION_MESSAGES.capacity + 1):
            await ws.send({"type": "say", "text": "again"})
        with pytest.raises(WebsocketClosed) as closed:
            await next_of(ws, "nothing")
        assert (closed.value.code, closed.value.reason) == (1008, "too many messages")


async def test_a_connection_that_sends_too_many_bytes(client: AsyncTestClient) -> None:
    """Few messages can be too much as well; one that is too big by itself is 1009."""
    async with client.websocket(ROOM) as ws:
        for _ in range(allowance.CONNECTION_BYTES.capacity // 4000 + 1):
            await ws.send(" " * 4000 + '{"type": "say", "text": "x"}')
        assert await close_code_of(ws) == 1008
    async with client.websocket(ROOM) as ws:
        await ws.send("x" * 8193)
        assert await close_code_of(ws) == 1009


@pytest.mark.parametrize("what", ["USER_MESSAGES", "USER_BYTES"])
async def test_a_user_who_says_too_much(
    client: AsyncTestClient, settings: Settings, issuer: Issuer, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """Counted over connections, workers and REST; told when to go on, and not closed. Others are not concerned."""
    rule = getattr(allowance, what)
    monkeypatch.setattr(allowance, what, slow(rule, burst=2 if what == "USER_MESSAGES" else 8))
    sign = {"authorization": f"Bearer {issuer.token('anna')}"}
    async with (
        AsyncTestClient(build_app(settings)) as other,
        client.websocket(ROOM) as one,
        other.websocket("/ws/rooms/market") as two,
    ):
        await signed_in(one, issuer.token("anna"))
        await signed_in(two, issuer.token("anna"))
        await one.send({"type": "say", "text": "four"})
        await next_of(one, "message")
        await two.send({"type": "say", "text": "four"})
        await next_of(two, "message")
        await one.send({"type": "say", "text": "four", "id": "3"})
        refused = await next_of(one, "refused")
        assert (refused["id"], refused["reason"]) == ("3", "You say too much at once")
        assert refused["retry_after_s"] >= 1
        answer = await other.post("/v1/rooms/harbour/messages", json={"text": "four"}, headers=sign)
        assert answer.status_code == 429
        assert int(answer.headers["retry-after"]) >= 1
        sign_other = {"authorization": f"Bearer {issuer.token('bert')}"}
        assert (await other.post("/v1/rooms/harbour/messages", json={"text": "four"}, headers=sign_other)).status_code == 201


def slow(rule: Any, *, burst: int) -> Any:
    """The rule with another burst, which comes back so slowly that no test sees it."""
    return type(rule)(limit=1, window_s=60.0, burst=burst)


async def test_counters_that_cannot_be_reached() -> None:
    """The outage is the backend's to log; what one connection may send still holds."""

    class Away:
        async def take(self, key: str, rule: Any, cost: int) -> Any:
            raise allowance.Unreachable

    await allowance.UserAllowance(Away()).take("anna", 10)


async def test_redis_away(settings: Settings, issuer: Issuer) -> None:
    """A room can't be joined: 1013, come again; saying something is a 503."""
    away = msgspec.structs.replace(settings, redis_url=Secret(f"redis://127.0.0.1:{free_port()}/0"))
    app = build_app(away)
    app.ctx.rooms._channels._join_timeout_s = app.ctx.rooms._channels._broadcast_timeout_s = 0.01
    async with AsyncTestClient(app) as client:
        async with client.websocket(ROOM) as ws:
            assert await close_code_of(ws) == 1013
        sign = {"authorization": f"Bearer {issuer.token()}"}
        assert (await client.post("/v1/rooms/harbour/messages", json={"text": "x"}, headers=sign)).status_code == 503
        assert (await client.get("/v1/rooms")).status_code == 503


async def test_the_drain(settings: Settings, issuer: Issuer) -> None:
    """1012 with a hint when to come back; event streams are told the same; what they missed is waiting (W12)."""
    async with (
        AsyncTestClient(build_app(settings)) as client,
        client.websocket(ROOM) as ws,
        client.sse("/events/rooms/harbour") as events,
    ):
        await signed_in(ws, issuer.token())
        stopping = asyncio.create_task(client.server.__aexit__())
        with pytest.raises(WebsocketClosed) as closed:
            await next_of(ws, "nothing")
        assert closed.value.code == 1012
        assert "retry in" in closed.value.reason
        assert [event async for event in events if '"message"' in event.data] == []
        assert (events.parser.retry_ms or 0) >= 500
        await stopping
        await client.server.__aenter__()


async def test_products_as_events(client: AsyncTestClient, catalogue: Any) -> None:
    """The ticker for browsers without websockets: the same messages, and `Last-Event-ID` (W14)."""
    first = await catalogue.publish(name="lamp")
    async with client.sse("/events/products") as events:
        assert await events.next_json() == {"type": "viewers", "count": 1}
        second = await catalogue.publish(name="rope")
        event = await events.next()
        assert (event.id, event.json()["product"]) == (second, {"name": "rope"})
    async with client.sse("/events/products", last_event_id=first) as events:
        assert (await events.next()).id == second
    assert (await client.get("/events/products?after=yesterday")).status_code == 400
