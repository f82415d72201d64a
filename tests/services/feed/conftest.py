"""The feed on a real Valkey, and the catalogue's end of the stream."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Mapping
from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis

from fairlead import App, Request, json
from fairlead.auth import SigningKey, TokenIssuer
from fairlead.errors import WebsocketClosed
from fairlead.settings import Secret
from fairlead.testing import AppServer, AsyncTestClient, WebsocketClient
from feed.service import build_app
from feed.settings import Settings

ISSUER = "https://auth.example"


class Catalogue:
    """Publishes what the catalogue's relay would."""

    def __init__(self, client: Redis) -> None:
        self._client = client
        self._numbers = itertools.count(1)

    async def publish(self, event: str = "product.changed", *, event_id: str | None = None, **product: Any) -> str:
        """Add an entry to the stream; gives its id."""
        fields = {
            "event": event,
            "id": event_id or f"event-{next(self._numbers)}",
            "traceparent": "",
            "product": msgspec.json.encode(product),
        }
        return await self.publish_fields(fields)

    async def publish_fields(self, fields: Mapping[str, Any]) -> str:
        """Add whatever entry; gives its id."""
        entry: Any = await self._client.xadd("catalog:products", dict(fields.items()))
        return str(entry.decode())


async def next_of(ws: WebsocketClient, kind: str) -> dict[str, Any]:
    """The next message whose type begins with `kind`; others are passed over."""
    while True:
        message: dict[str, Any] = await ws.recv_json()
        if message["type"].startswith(kind):
            return message


async def close_code_of(ws: WebsocketClient) -> int:
    """Read on until the server closes; its code."""
    try:
        while True:
            await ws.recv()
    except WebsocketClosed as closed:
        return closed.code


class Issuer:
    """Stands for the service `auth`: signs tokens, and publishes the key to check them with."""

    def __init__(self, jwks_url: str, key: SigningKey) -> None:
        self.jwks_url = jwks_url
        self.key = key

    def token(self, subject: str = "anna", *, session: str = "", lifetime_s: int = 600, key: SigningKey | None = None) -> str:
        """An access token of this account, and of this session of it; signed by somebody else, when a key is given."""
        tokens = TokenIssuer(key or self.key, issuer=ISSUER, audience="fairlead", lifetime_s=lifetime_s)
        return tokens.issue(subject, (), session=session)


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    key = SigningKey.generate()
    app: App[Any, Any] = App("auth")

    @app.get("/.well-known/jwks.json")
    def keys(request: Request[Any, Any]) -> Any:
        return json({"keys": [dict(key.public.jwk)]})

    async with AppServer(app, live=True) as server:
        host, port = server.address
        yield Issuer(f"http://{host}:{port}/.well-known/jwks.json", key)


@pytest.fixture
def settings(redis_url: str, issuer: Issuer) -> Settings:
    return Settings(
        redis_url=Secret(redis_url),
        auth_issuer=ISSUER,
        auth_jwks_url=issuer.jwks_url,
        public_auth_url="http://auth.example:8001",
        public_catalog_url="https://catalog.example",
        websocket_origins=("https://shop.example",),
    )


@pytest.fixture
async def client(settings: Settings) -> AsyncIterator[AsyncTestClient]:
    """One worker of the feed, which has found its place in the stream."""
    app = build_app(settings)
    async with AsyncTestClient(app) as client:
        await app.ctx.live.reader.live.wait()
        await app.ctx.rooms.live.wait()
        await app.ctx.ended_sessions.reader.live.wait()
        yield client


@pytest.fixture
async def catalogue(redis_url: str) -> AsyncIterator[Catalogue]:
    async with Redis.from_url(redis_url) as client:
        yield Catalogue(client)
