"""What the tests of `auth` share: the service on a real socket over a real database, and clients of several addresses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final, TypeAlias

import asyncpg
import httpx
import pytest

from auth.hashing import PasswordHasher
from auth.service import build_app
from auth.settings import Settings
from auth.signing import write_new_key
from fairlead import App
from fairlead.auth import Principal, TokenVerifier
from fairlead.auth.keys import KeySet
from fairlead.postgres.migrations import upgrade
from fairlead.settings import Secret
from fairlead.testing import AppServer

ISSUER: Final = "https://auth.example"
Database: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
PASSWORD: Final = "correct horse battery"
EMAIL: Final = "owner@example.com"


class Auth:
    """A running service and its clients."""

    def __init__(self, app: App[Any, Any], url: str, stack: AsyncExitStack) -> None:
        self.app = app
        self.url = url
        self._stack = stack
        self.client = self._client(None)

    def _client(self, address: str | None) -> httpx.AsyncClient:
        transport = httpx.AsyncHTTPTransport(local_address=address, limits=httpx.Limits(max_connections=100))
        client = httpx.AsyncClient(base_url=self.url, transport=transport, timeout=60)
        self._stack.push_async_callback(client.aclose)
        return client

    def at(self, address: str) -> httpx.AsyncClient:
        """A client with another address of the loopback network, as 127.0.0.2."""
        return self._client(address)

    async def register(self, email: str = EMAIL, password: str = PASSWORD) -> httpx.Response:
        return await self.client.post("/v1/accounts", json={"email": email, "password": password})

    async def sign_in(
        self, email: str = EMAIL, password: str = PASSWORD, client: httpx.AsyncClient | None = None
    ) -> httpx.Response:
        body = {"grant_type": "password", "email": email, "password": password}
        return await (client or self.client).post("/v1/token", json=body)

    async def refresh(self, token: str) -> httpx.Response:
        return await self.client.post("/v1/token", json={"grant_type": "refresh_token", "refresh_token": token})

    async def log_out(self, token: str) -> httpx.Response:
        return await self.client.post("/v1/token/revoke", json={"refresh_token": token})

    async def tokens(self, email: str = EMAIL, password: str = PASSWORD) -> tuple[str, str]:
        """Sign in: the access token and the refresh token."""
        response = await self.sign_in(email, password)
        assert 200 == response.status_code, response.text
        return response.json()["access_token"], response.json()["refresh_token"]

    async def warm_up(self, connections: int = 20) -> None:
        """Open connections to the service and from there to PostgreSQL, so that what comes next really is simultaneous."""
        await asyncio.gather(*(self.log_out("never was a token") for _ in range(connections)))

    async def verify(self, token: str) -> Principal:
        """Check an access token as another service would, with the published keys."""
        verifier = TokenVerifier(issuer=ISSUER, audience="fairlead")
        document = (await self.client.get("/.well-known/jwks.json")).content
        return verifier.verify(token, KeySet.from_json(document, "EdDSA").get(verifier.key_id(token)))


@pytest.fixture
def database_url(postgres_databases: Any) -> Iterator[str]:
    """A migrated database."""
    url: str = postgres_databases.prepared("auth", lambda url: asyncio.run(upgrade("auth", url)))
    yield url
    postgres_databases.drop(url)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """A connection of the test's own, to look behind the service."""
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


@pytest.fixture(scope="session")
def signing_key_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keys") / "signing.pem"
    write_new_key(path)
    return path


Open = Callable[..., Awaitable[Auth]]


@pytest.fixture
async def open_auth(database_url: str, signing_key_file: Path) -> AsyncIterator[Open]:
    """Start the service: `await open_auth(registrations_per_minute=1)`; it ends with the test."""
    async with AsyncExitStack() as stack:

        async def start(**changes: Any) -> Auth:
            defaults = {"database_url": Secret(database_url), "issuer": ISSUER, "signing_key_file": signing_key_file}
            app = build_app(Settings(**{**defaults, **changes}))
            server = await stack.enter_async_context(AppServer(app, live=True))
            host, port = server.address
            return Auth(app, f"http://{host}:{port}", stack)

        yield start


@pytest.fixture
async def auth(open_auth: Open) -> Auth:
    """The service with its usual settings."""
    return await open_auth()


@pytest.fixture
async def owner(auth: Auth) -> Auth:
    """The service with one account, `EMAIL` and `PASSWORD`."""
    assert 201 == (await auth.register()).status_code
    return auth


def comparable(response: httpx.Response) -> tuple[int, dict[str, str], dict[str, Any]]:
    """What an observer sees of an answer, without what differs between any two."""
    headers = {name: value for name, value in response.headers.items() if name not in {"date", "x-request-id"}}
    return response.status_code, headers, {**response.json(), "request_id": ""}


def counted(monkeypatch: pytest.MonkeyPatch, name: str) -> list[Any]:
    """The calls of a method of the hasher, which go on working."""
    calls: list[Any] = []
    original = getattr(PasswordHasher, name)

    async def count(self: PasswordHasher, *arguments: Any) -> Any:
        calls.append(arguments)
        return await original(self, *arguments)

    monkeypatch.setattr(PasswordHasher, name, count)
    return calls
