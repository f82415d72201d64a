"""From a logout at `auth` to the open websockets at `feed`: PostgreSQL → outbox → Redis stream → every worker (SEC-T03, C1)."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import feed.service
import feed.settings
from fairlead.settings import Secret
from fairlead.testing import AsyncTestClient
from tests.services.auth.conftest import (  # noqa: F401 - fixtures
    ISSUER,
    PASSWORD,
    Open,
    database_url,
    open_auth,
    signing_key_file,
)
from tests.services.feed.conftest import close_code_of, next_of

NEW_PASSWORD = "another correct battery"
ROOM = "/ws/rooms/harbour"


async def test_what_ends_a_session_closes_its_websockets(open_auth: Open, redis_url: str) -> None:  # noqa: F811
    """A logout closes the websockets of its session; a logout everywhere, a change of password and a lock close all of the account,
    on every worker. Who comes back with a new session is welcome."""
    auth = await open_auth(redis_url=Secret(redis_url))
    await auth.register()
    settings = feed.settings.Settings(
        redis_url=Secret(redis_url),
        auth_issuer=ISSUER,
        auth_jwks_url=f"{auth.url}/.well-known/jwks.json",
        public_auth_url=ISSUER,
        public_catalog_url=ISSUER,
    )
    async with AsyncExitStack() as stack:
        workers = [await stack.enter_async_context(AsyncTestClient(feed.service.build_app(settings))) for _ in range(2)]
        for worker in workers:
            await worker.app.ctx.ended_sessions.reader.live.wait()

        async def open_on_each(token: str) -> list[Any]:
            sockets = [await stack.enter_async_context(worker.websocket(ROOM)) for worker in workers]
            for ws in sockets:
                await ws.send({"type": "refresh", "token": token})
                await next_of(ws, "signed-in")
            return sockets

        async def codes_of(sockets: list[Any]) -> list[int]:
            async with asyncio.timeout(20):
                return [await close_code_of(ws) for ws in sockets]

        (access, refresh), (other_access, _) = await auth.tokens(), await auth.tokens()
        here, elsewhere = await open_on_each(access), await open_on_each(other_access)
        await auth.log_out(refresh)
        assert await codes_of(here) == [1008, 1008]
        for ws in elsewhere:
            await ws.send({"type": "say", "text": "still here"})
            assert (await next_of(ws, "message"))["data"]["text"] == "still here"

        bearer = {"authorization": f"Bearer {other_access}"}
        await auth.client.delete("/v1/accounts/me/sessions", headers=bearer)
        assert await codes_of(elsewhere) == [1008, 1008]

        access, _ = await auth.tokens()
        here = await open_on_each(access)
        change = {"password": PASSWORD, "new_password": NEW_PASSWORD}
        await auth.client.post("/v1/accounts/me/password", json=change, headers={"authorization": f"Bearer {access}"})
        assert await codes_of(here) == [1008, 1008]

        access, _ = await auth.tokens(password=NEW_PASSWORD)
        here = await open_on_each(access)
        await auth.app.commands.run(auth.app, "lock", ["--email=owner@example.com"])
        assert await codes_of(here) == [1008, 1008]
