"""`auth` tells the other services of every session that was ended before its time (SEC-T03)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis

from auth.stores import endings
from fairlead.errors import CommandError
from fairlead.settings import Secret

from .conftest import EMAIL, PASSWORD, Auth, Database, Open

STREAM = "auth:sessions"


class Heard:
    """What another service hears on the stream."""

    def __init__(self, client: Redis) -> None:
        self._client = client
        self._after = b"0-0"

    async def next(self) -> tuple[str, list[str]]:
        """The next ending: the account, and its sessions in the order of their ids."""
        while True:
            answer: Any = await self._client.xread({STREAM: self._after}, count=1, block=1_000)
            if answer:
                ((_, ((self._after, fields),)),) = answer.items() if isinstance(answer, dict) else answer
                assert fields[b"event"] == b"sessions.ended"
                return msgspec.json.decode(fields[b"account"]), sorted(msgspec.json.decode(fields[b"sessions"]))

    async def count(self) -> int:
        return int(await self._client.xlen(STREAM))


@pytest.fixture
async def heard(redis_url: str) -> AsyncIterator[Heard]:
    async with Redis.from_url(redis_url) as client:
        yield Heard(client)


@pytest.fixture
async def owner(open_auth: Open, redis_url: str) -> Auth:
    """The service, which tells, with one account."""
    auth = await open_auth(redis_url=Secret(redis_url))
    assert 201 == (await auth.register()).status_code
    return auth


async def session_of(auth: Auth, access_token: str) -> tuple[str, str]:
    """The account and the session that an access token names."""
    principal = await auth.verify(access_token)
    assert principal.session
    return principal.subject, principal.session


async def test_logout(owner: Auth, heard: Heard) -> None:
    """Its session is named, once, as all of its access tokens name it; another session's token names another."""
    access, first = await owner.tokens()
    account, session = await session_of(owner, access)
    second = (await owner.refresh(first)).json()
    assert (account, session) == await session_of(owner, second["access_token"])
    assert session != (await session_of(owner, (await owner.tokens())[0]))[1]
    for token in (second["refresh_token"], first, "never was a token"):
        assert 204 == (await owner.log_out(token)).status_code
    assert (account, [session]) == await heard.next()
    _, last = await owner.tokens()
    await owner.log_out(last)
    await heard.next()
    assert 2 == await heard.count()


async def test_refresh_token_that_is_used_twice(owner: Auth, heard: Heard) -> None:
    """SEC-T01: the session of a stolen refresh token ends, and what is open in it with it."""
    access, refresh = await owner.tokens()
    account, session = await session_of(owner, access)
    assert [200, 401] == [(await owner.refresh(refresh)).status_code for _ in range(2)]
    assert (account, [session]) == await heard.next()


async def test_all_sessions_at_once(owner: Auth, heard: Heard, monkeypatch: pytest.MonkeyPatch) -> None:
    """A change of password and a logout everywhere end all sessions: in one event, or in several when there are many."""
    tokens = [await owner.tokens() for _ in range(3)]
    sessions = sorted([(await session_of(owner, access))[1] for access, _ in tokens])
    account, _ = await session_of(owner, tokens[0][0])
    bearer = {"authorization": f"Bearer {tokens[0][0]}"}
    change = {"password": PASSWORD, "new_password": "another correct battery"}
    assert 204 == (await owner.client.post("/v1/accounts/me/password", json=change, headers=bearer)).status_code
    assert (account, sessions) == await heard.next()
    monkeypatch.setattr(endings, "SESSIONS_AT_ONCE", 2)
    tokens = [await owner.tokens(password="another correct battery") for _ in range(3)]
    sessions = sorted([(await session_of(owner, access))[1] for access, _ in tokens])
    bearer = {"authorization": f"Bearer {tokens[0][0]}"}
    response = await owner.client.delete("/v1/accounts/me/sessions", headers=bearer)
    assert (204, "no-store") == (response.status_code, response.headers["cache-control"])
    parts = [(await heard.next())[1] for _ in range(2)]
    assert (sessions, [2, 1]) == (sorted(parts[0] + parts[1]), [len(part) for part in parts])
    assert [401] * 3 == [(await owner.refresh(refresh)).status_code for _, refresh in tokens]
    assert 401 == (await owner.client.delete("/v1/accounts/me/sessions")).status_code


async def test_lock(owner: Auth, heard: Heard) -> None:
    """`fairlead exec auth.main:create_app lock --email=…`: nobody gets in, what is open is closed; `unlock` takes it back."""
    access, refresh = await owner.tokens()
    ending = await session_of(owner, access)
    run = owner.app.commands.run
    assert f"{EMAIL.upper()} is locked" == await run(owner.app, "lock", [f"--email={EMAIL.upper()}"])
    assert (ending[0], [ending[1]]) == await heard.next()
    assert [401, 401] == [(await owner.refresh(refresh)).status_code, (await owner.sign_in()).status_code]
    with pytest.raises(CommandError, match="no active account"):
        await run(owner.app, "lock", [f"--email={EMAIL}"])
    assert f"{EMAIL} may sign in again" == await run(owner.app, "unlock", [f"--email={EMAIL}"])
    assert 200 == (await owner.sign_in()).status_code
    with pytest.raises(CommandError, match="no locked account"):
        await run(owner.app, "unlock", ["--email=nobody"])


async def test_without_redis_nothing_is_written_down(auth: Auth, database: Database) -> None:
    """Nobody listens: a table that nobody empties would grow."""
    await auth.register()
    _, refresh = await auth.tokens()
    assert 204 == (await auth.log_out(refresh)).status_code
    assert 0 == await database.fetchval("SELECT count(*) FROM outbox")
    assert 1 == await database.fetchval("SELECT count(*) FROM sessions WHERE revoked_at IS NOT NULL")
