"""What the catalogue's tests share: the service on a real socket, over real databases, and an issuer that it trusts."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final

import httpx
import pytest
from redis.asyncio import Redis

from catalog.service import build_app
from catalog.settings import Settings
from fairlead import App, json
from fairlead.auth import SigningKey, TokenIssuer
from fairlead.postgres.migrations import upgrade
from fairlead.server import Server
from fairlead.settings import Secret

ISSUER: Final = "https://auth.example"
STREAM: Final = "catalog:products"
ORIGIN: Final = "https://shop.example"
WRITE: Final = "catalog:write"


@asynccontextmanager
async def serving(app: App[Any, Any]) -> AsyncIterator[str]:
    """The app as a worker runs it, on a free port; gives its address."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = Server(app.finalise(), [listening], limits=app.config.limits())
        await app.startup()
        await server.start()
        await app.started()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            await app.stopping()
            await server.drain(asyncio.get_running_loop().time() + 5)
            await app.shutdown()


class Issuer:
    """Stands for the service `auth`: signs tokens, and publishes the key to check them with."""

    def __init__(self, jwks_url: str, key: SigningKey) -> None:
        self.jwks_url = jwks_url
        self.key = key

    def token(self, *scopes: str, key: SigningKey | None = None, issuer: str = ISSUER, audience: str = "fairlead") -> str:
        """An access token for these scopes; of somebody else, when a key, an issuer or an audience is given."""
        tokens = TokenIssuer(key or self.key, issuer=issuer, audience=audience, lifetime_s=600)
        return tokens.issue("0192f0c1-0000-7000-8000-000000000001", scopes)


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    key = SigningKey.generate()
    app: App[Any, Any] = App("issuer")

    @app.get("/jwks")
    async def publish(request: Any) -> Any:
        return json({"keys": [dict(key.public.jwk)]})

    async with serving(app) as url:
        yield Issuer(f"{url}/jwks", key)


@pytest.fixture
def database_url(postgres_databases: Any) -> Iterator[str]:
    """A migrated database."""
    url = postgres_databases.prepared("catalog", lambda url: asyncio.run(upgrade("catalog", url)))
    yield url
    postgres_databases.drop(url)


class Catalog:
    """A running catalogue, and its client."""

    def __init__(self, app: App[Any, Any], client: httpx.AsyncClient, token: str) -> None:
        self.app = app
        self.client = client
        self.authorization = {"Authorization": f"Bearer {token}"}

    async def send(
        self, method: str, path: str = "/v1/products", body: Any = None, headers: dict[str, str] | None = None
    ) -> httpx.Response:
        """A request with a token that may write."""
        return await self.client.request(method, path, json=body, headers=self.authorization | (headers or {}))

    async def create(self, sku: str = "MUG-1", **members: Any) -> dict[str, Any]:
        """A product that exists."""
        product = {"sku": sku, "name": "Mug", "price": {"amount": 1250, "currency": "EUR"}, "stock": 3} | members
        response = await self.send("POST", body=product)
        assert response.status_code == 201, response.text
        return dict(response.json())


Open = Callable[..., Awaitable[Catalog]]


@pytest.fixture
async def open_catalog(database_url: str, redis_url: str, issuer: Issuer) -> AsyncIterator[Open]:
    """Start the service: `await open_catalog(redis_url=…)`; it ends with the test."""
    async with AsyncExitStack() as stack:

        async def start(**urls: str) -> Catalog:
            settings = Settings(
                database_url=Secret(urls.get("database_url", database_url)),
                redis_url=Secret(urls.get("redis_url", redis_url)),
                auth_issuer=ISSUER,
                auth_jwks_url=urls.get("auth_jwks_url", issuer.jwks_url),
                cors_origins=(ORIGIN,),
            )
            app = build_app(settings)
            url = await stack.enter_async_context(serving(app))
            client = await stack.enter_async_context(httpx.AsyncClient(base_url=url))
            return Catalog(app, client, issuer.token(WRITE))

        yield start


@pytest.fixture
async def catalog(open_catalog: Open) -> Catalog:
    return await open_catalog()


class Events:
    """The stream of the catalogue's events, read as its consumers do: what comes again under the same id is dropped."""

    def __init__(self, client: Redis) -> None:
        self._client = client

    async def until(self, count: int) -> list[dict[str, str]]:
        """Wait until there are `count` events; gives all that there are, oldest first."""
        events: dict[bytes, dict[str, str]] = {}
        last: Any = "0"
        while len(events) < count:
            for _, entries in await self._client.xread({STREAM: last}, block=1000):
                for _, fields in entries:
                    event = {key.decode(): value.decode() for key, value in fields.items()}
                    events.setdefault(fields[b"id"], event)
                last = entries[-1][0]
        return list(events.values())


@pytest.fixture
async def events(redis_url: str) -> AsyncIterator[Events]:
    async with Redis.from_url(redis_url) as client:
        yield Events(client)
