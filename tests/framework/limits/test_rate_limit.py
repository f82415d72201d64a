"""`RateLimit`: 429 with problem details, header fields of the IETF draft, outages, handshakes (T8, W7, SEC-P05)."""

from __future__ import annotations

from typing import Any

import pytest

from fairlead import App, Blueprint, Request, text
from fairlead.limits import Decision, MemoryBackend, RateLimit, Rule, by_header
from fairlead.limits.rate_limit import Unreachable
from fairlead.testing import AsyncTestClient, HandshakeRefused


class Away:
    """A backend that can't be reached."""

    async def take(self, key: str, rule: Rule, cost: int) -> Decision:
        raise Unreachable


class Noting:
    """Notes the keys and lets everything through."""

    def __init__(self) -> None:
        self.keys: list[str] = []

    async def take(self, key: str, rule: Rule, cost: int) -> Decision:
        self.keys.append(key)
        return Decision(allowed=True, remaining=1, reset_s=1, retry_after_s=0)


def app_with(*limits: RateLimit) -> App[Any, Any]:
    app: App[Any, Any] = App("app")

    @app.get("/")
    async def hello(request: Request[Any, Any]) -> Any:
        return text("Hello")

    @app.get("/stream")
    async def stream(request: Request[Any, Any]) -> None:
        await (await request.respond()).send("Hello")

    for limit in limits:
        limit.install(app)
    return app


async def test_header_fields() -> None:
    """How much is left and until when, on plain and streamed answers; a refusal says when to come back."""
    async with AsyncTestClient(app_with(RateLimit("api", 2, window_s=60))) as client:
        for path, left in (("/", 1), ("/stream", 0)):
            response = await client.get(path)
            assert (response.status_code, response.text) == (200, "Hello")
            assert response.headers["ratelimit-policy"] == '"api";q=2;w=60'
            assert response.headers["ratelimit"].startswith(f'"api";r={left};t=6')
            assert "retry-after" not in response.headers
        refused = await client.get("/")
    assert refused.status_code == 429
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.json()["status"] == 429
    assert refused.headers["ratelimit"].startswith('"api";r=0;t=6')
    assert 55 < int(refused.headers["retry-after"]) <= 63


async def test_paths_without_a_route_count_too() -> None:
    """Else whoever searches for paths would not be limited."""
    async with AsyncTestClient(app_with(RateLimit("api", 1, window_s=60))) as client:
        assert [(await client.get("/missing")).status_code for _ in range(2)] == [404, 429]


async def test_several_limits() -> None:
    """Application, blueprint and route each count; the answer names them all, and one list field holds them."""
    app, part = app_with(RateLimit("app", 100, window_s=1)), Blueprint("part", "/part")
    RateLimit("part", 50, window_s=1, algorithm="token_bucket", burst=100).install(part)

    @part.get("/")
    @RateLimit("route", 1, window_s=60)
    async def handler(request: Request[Any, Any]) -> Any:
        return text("")

    app.blueprint(part)
    async with AsyncTestClient(app) as client:
        response = await client.get("/part/")
        assert response.headers.get_list("ratelimit-policy") == ['"app";q=100;w=1, "part";q=100;w=2, "route";q=1;w=60']
        assert response.headers["ratelimit"].startswith('"app";r=99;t=2, "part";r=99;t=1, "route";r=0;t=6')
        assert (await client.get("/part/")).status_code == 429
        assert (await client.get("/")).status_code == 200


async def test_a_handshake_is_refused_before_the_upgrade() -> None:
    """HTTP 429, not a websocket that closes (W7)."""
    app: App[Any, Any] = App("app")

    @app.websocket("/feed")
    @RateLimit("feed", 1, window_s=60)
    async def feed(request: Request[Any, Any], ws: Any) -> None:
        await ws.send("welcome")

    async with AsyncTestClient(app) as client:
        async with client.websocket("/feed") as ws:
            assert await ws.recv() == "welcome"
        with pytest.raises(HandshakeRefused) as refused:
            async with client.websocket("/feed"):
                raise AssertionError("unreachable")
    assert refused.value.response.status_code == 429
    assert "retry-after" in refused.value.response.headers


async def test_keys() -> None:
    """Each key its quota; an async key function; None is not counted."""

    async def key(request: Request[Any, Any]) -> str | None:
        return request.headers.get("x-tenant")

    async with AsyncTestClient(app_with(RateLimit("tenant", 1, window_s=60, key=key))) as client:
        for tenant, statuses in (("a", [200, 429]), ("b", [200, 429])):
            assert [(await client.get("/", headers={"x-tenant": tenant})).status_code for _ in range(2)] == statuses
        uncounted = await client.get("/")
        assert (uncounted.status_code, "ratelimit" in uncounted.headers) == (200, False)


async def test_cost() -> None:
    """A number, or a function of the request; it is never paid back."""
    limit = RateLimit("rows", 10, window_s=60, cost=lambda request: int(request.args.get("rows", "1")))
    async with AsyncTestClient(app_with(limit, RateLimit("two", 100, window_s=60, cost=2))) as client:
        states = [(await client.get(f"/?rows={rows}")).headers["ratelimit"] for rows in (4, -5, 6)]
        assert [state.split(";")[1] for state in states] == ["r=6", "r=6", "r=0"]
        assert ['"two";r=98', '"two";r=96', '"two";r=94'] == [state.split(", ")[1].rpartition(";")[0] for state in states]


async def test_keys_are_stored_as_digests() -> None:
    """Whatever is sent: a key of fixed length that says nothing, apart for each rule and name."""
    backend = Noting()
    limits = [
        RateLimit(name, limit, window_s=60, key=by_header("x-api-key"), backend=lambda app: backend)
        for name, limit in (("a", 5), ("a", 6), ("b", 5))
    ]
    async with AsyncTestClient(app_with(*limits)) as client:
        for value in ("secret", "x" * 8000, "\xff\xfe"):
            assert (await client.get("/", headers=[(b"x-api-key", value.encode("latin-1"))])).status_code == 200
    assert len(set(backend.keys)) == 9
    assert all(len(key) < 80 and "secret" not in key for key in backend.keys)


@pytest.mark.parametrize(("on_outage", "status"), [("allow", 200), ("refuse", 503)])
async def test_outage(on_outage: Any, status: int) -> None:
    """Let through without promises, or refused as a service that is not there: as it was configured."""
    async with AsyncTestClient(app_with(RateLimit("api", 1, window_s=60, backend=Away(), on_outage=on_outage))) as client:
        for _ in range(3):
            response = await client.get("/")
            assert (response.status_code, response.headers.get("ratelimit")) == (status, None)
    assert response.headers.get("retry-after") == ("1" if status == 503 else None)


async def test_exempt_routes() -> None:
    """A route may be left out of what is installed around it."""
    app = app_with(RateLimit("api", 1, window_s=60))

    @app.get("/status")
    @RateLimit.exempt
    async def status(request: Request[Any, Any]) -> Any:
        return text("ok")

    async with AsyncTestClient(app) as client:
        assert [(await client.get("/status")).status_code for _ in range(3)] == [200] * 3


async def test_a_shared_backend() -> None:
    """Two limits of one name and rule in one backend are one quota."""
    backend, app = MemoryBackend(), App[Any, Any]("app")
    for path in ("/a", "/b"):

        async def handler(request: Request[Any, Any]) -> Any:
            return text("")

        app.add_route(RateLimit("export", 1, window_s=60, backend=backend)(handler), path, name=path[1:])
    async with AsyncTestClient(app) as client:
        assert [(await client.get(path)).status_code for path in ("/a", "/b")] == [200, 429]


@pytest.mark.parametrize(
    "options",
    [
        {"name": ""},
        {"name": 'a"b'},
        {"name": "a\\b"},
        {"name": "a\r\nb"},
        {"name": "größe"},
        {"algorithm": "leaky"},
        {"on_outage": "shrug"},
        {"burst": 5},
        {"limit": 0},
        {"window_s": -1},
    ],
)
def test_impossible_limits(options: dict[str, Any]) -> None:
    """Found when the limit is made."""
    arguments: dict[str, Any] = {"name": "api", "limit": 1, "window_s": 60}
    with pytest.raises(ValueError, match=r"name|algorithm|burst|at least|positive"):
        RateLimit(**arguments | options)
