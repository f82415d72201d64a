"""`@protected` on the real server: who gets in, what the others hear, and what a handler is given."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import jwt
import pytest
from msgspec import Struct

from fairlead import App, Blueprint, Body, Query, Request, json
from fairlead.auth import KeySet, Principal, SigningKey, TokenIssuer, attach, guard_of, protected
from fairlead.errors import ConfigurationError
from fairlead.testing import AppServer, AsyncTestClient

from .conftest import AUDIENCE, ISSUER

KEY = SigningKey.generate()


class Item(Struct, forbid_unknown_fields=True):
    name: str


class Page(Struct, forbid_unknown_fields=True):
    limit: int = 10


def token(*scopes: str, key: SigningKey = KEY, subject: str = "account-1") -> str:
    return TokenIssuer(key, issuer=ISSUER, audience=AUDIENCE, lifetime_s=600).issue(subject, scopes)


def shop() -> App[Any, Any]:
    """An app with a protected handler of every kind."""
    app: App[Any, Any] = App("shop")
    items = Blueprint("items", url_prefix="/items")

    @app.get("/open")
    async def open_to_all(request: Request[Any, Any]) -> Any:
        return json("open")

    @app.get("/who")
    @protected
    async def who(request: Request[Any, Any]) -> Any:
        return json(request.ctx.principal.subject)

    @app.get("/plain")
    @protected
    def plain(request: Request[Any, Any]) -> Any:
        return json("plain")

    @app.get("/injected/<number:int>/<name:str>")
    @protected()
    async def injected(request: Request[Any, Any], name: str, principal: Principal, number: int) -> Any:
        return json([principal.subject, number, name])

    @items.post("/<item_id:int>")
    @protected(scope="items:write")
    async def write(request: Request[Any, Any], item: Body[Item], item_id: int, principal: Principal, page: Query[Page]) -> Any:
        return json([item.name, item_id, principal.subject, page.limit])

    @items.delete("/")
    @protected(scope=["items:write", "items:admin"])
    async def clear(request: Request[Any, Any]) -> Any:
        return json("cleared")

    app.blueprint(items)
    return app


@pytest.fixture
async def client() -> AsyncIterator[AsyncTestClient]:
    app = shop()
    attach(app, issuer=ISSUER, audience=AUDIENCE, keys=KeySet([KEY.public]))
    async with AsyncTestClient(app, headers={"Accept": "application/json"}) as client:
        yield client


def bearer(value: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {value}"}


def challenge(response: httpx.Response) -> tuple[int, str | None]:
    return response.status_code, response.headers.get("www-authenticate")


async def test_principal_reaches_the_handler(client: AsyncTestClient) -> None:
    """P7: in `request.ctx.principal`, and in a parameter annotated with it, wherever it stands among the others."""
    assert "account-1" == (await client.get("/who", headers=bearer(token()))).json()
    response = await client.get("/injected/7/rope", headers=bearer(token()))
    assert ["account-1", 7, "rope"] == response.json()


async def test_plain_handlers_can_be_protected(client: AsyncTestClient) -> None:
    """A `def` handler works like an `async def` one."""
    assert "plain" == (await client.get("/plain", headers=bearer(token()))).json()
    assert 401 == (await client.get("/plain")).status_code


async def test_body_and_query_reach_the_handler(client: AsyncTestClient) -> None:
    """Injected parameters and path parameters work as without the guard, in any order."""
    response = await client.post("/items/7?limit=3", json={"name": "rope"}, headers=bearer(token("items:write")))
    assert ["rope", 7, "account-1", 3] == response.json()


async def test_what_is_not_protected_stays_open(client: AsyncTestClient) -> None:
    """The guard concerns decorated handlers only; a bad token does not matter to the others."""
    assert 200 == (await client.get("/open")).status_code
    assert 200 == (await client.get("/open", headers=bearer("nonsense"))).status_code


async def test_without_a_token(client: AsyncTestClient) -> None:
    """SEC-T06: 401 with a bare challenge, as problem details with the request's id (SEC-A04)."""
    response = await client.get("/who")
    assert (401, "Bearer") == challenge(response)
    assert "application/problem+json" == response.headers["content-type"]
    assert response.headers["x-request-id"] == response.json()["request_id"]


async def test_bad_token(client: AsyncTestClient, caplog: pytest.LogCaptureFixture) -> None:
    """SEC-T06: 401 with error="invalid_token"; the reason is in the log only, the token nowhere (SEC-T05)."""
    caplog.set_level("INFO", "fairlead.auth")
    forged = token(key=SigningKey.generate())
    response = await client.get("/who", headers=bearer(forged))
    assert (
        401,
        'Bearer error="invalid_token", error_description="The access token is not valid"',
    ) == challenge(response)
    (record,) = [record for record in caplog.records if record.name == "fairlead.auth"]
    assert ("access token refused", "no key for this kid") == (record.getMessage(), vars(record)["reason"])
    assert forged not in response.text + str(response.headers) + str(vars(record))


async def test_missing_scope(client: AsyncTestClient) -> None:
    """403 names what is missing; every scope of several is needed; a scope is no prefix of another."""
    expected = (403, 'Bearer error="insufficient_scope", scope="items:write"')
    for scopes in ((), ("items:read",), ("items:writer",), ("items",), ("ITEMS:WRITE",)):
        response = await client.post("/items/7", json={"name": "rope"}, headers=bearer(token(*scopes)))
        assert expected == challenge(response)
    assert 403 == (await client.delete("/items", headers=bearer(token("items:write")))).status_code
    both = bearer(token("items:write", "items:admin"))
    assert "cleared" == (await client.delete("/items", headers=both)).json()


async def test_strangers_learn_nothing_from_validation(client: AsyncTestClient) -> None:
    """The token is checked before the body is looked at: 401 and 403 come before 400, 415 and 422."""
    for content in (b"{", b'{"name": 5}', b'{"unknown": 1}'):
        assert 401 == (await client.post("/items/7", content=content)).status_code
        assert 403 == (await client.post("/items/7", content=content, headers=bearer(token()))).status_code
    allowed = {**bearer(token("items:write")), "Content-Type": "application/json"}
    statuses = [(await client.post("/items/7", content=content, headers=allowed)).status_code for content in (b"{", b'{"name": 5}')]
    assert [400, 422] == statuses


GOOD = token()
CREDENTIALS: dict[str, tuple[list[str], int]] = {
    "bearer": ([f"bearer {GOOD}"], 200),
    "BEARER": ([f"BEARER {GOOD}"], 200),
    "several spaces": ([f"Bearer    {GOOD}"], 200),
    "space after": ([f"Bearer {GOOD}  "], 200),
    "tab": ([f"Bearer\t{GOOD}"], 401),
    "no space": ([f"Bearer{GOOD}"], 401),
    "empty": ([""], 401),
    "scheme only": (["Bearer"], 401),
    "empty credentials": (["Bearer "], 401),
    "padding only": (["Bearer ="], 401),
    "two tokens": ([f"Bearer {GOOD} {GOOD}"], 401),
    "comma": ([f"Bearer {GOOD}, Bearer {GOOD}"], 401),
    "quotes": ([f'Bearer "{GOOD}"'], 401),
    "parameter": ([f"Bearer token={GOOD}"], 401),
    "basic": (["Basic dXNlcjpwYXNz"], 401),
    "unknown scheme": ([f"Token {GOOD}"], 401),
    "no scheme": ([GOOD], 401),
    "not ASCII": (["Bearer \xe9\xff"], 401),
    "two headers": ([f"Bearer {GOOD}", f"Bearer {GOOD}"], 400),
    "two headers, one good": (["Basic dXNlcjpwYXNz", f"Bearer {GOOD}"], 400),
}


@pytest.mark.parametrize(("values", "status"), CREDENTIALS.values(), ids=CREDENTIALS.keys())
async def test_forms_of_the_header(values: list[str], status: int) -> None:
    """SEC-T07: every form of the Authorization header, byte for byte, has a defined answer, and a challenge when refused."""
    app = shop()
    attach(app, issuer=ISSUER, audience=AUDIENCE, keys=KeySet([KEY.public]))
    fields = "".join(f"Authorization: {value}\r\n" for value in values)
    async with AppServer(app, live=True) as server:
        reader, writer = await asyncio.open_connection(*server.address)
        writer.write(f"GET /who HTTP/1.1\r\nHost: shop\r\n{fields}Connection: close\r\n\r\n".encode("latin-1"))
        answer = (await reader.read()).decode().lower()
        writer.close()
    assert answer.startswith(f"http/1.1 {status} ")
    assert (status == 200) == ("www-authenticate: bearer" not in answer)


@pytest.mark.parametrize("name", ["access_token", "token", "Authorization", "bearer"])
async def test_token_elsewhere_is_not_taken(client: AsyncTestClient, name: str) -> None:
    """SEC-T05: neither query nor cookie nor form is a place for a token."""
    client.cookies.set(name, GOOD)
    assert 401 == (await client.get("/who", params={name: GOOD})).status_code
    form = await client.post("/items/7", data={name: token("items:write"), "name": "rope"})
    assert 401 == form.status_code


async def test_issuer_that_is_away(client: AsyncTestClient) -> None:
    """Without any keys: 503 with Retry-After on protected routes, 200 on the others; the check is shown, not critical."""
    app = shop()
    attach(app, issuer=ISSUER, audience=AUDIENCE, jwks_url="http://127.0.0.1:1/jwks.json")
    async with AsyncTestClient(app) as other:
        response = await other.get("/who", headers=bearer(GOOD))
        assert (503, "1") == (response.status_code, response.headers["retry-after"])
        assert 401 == (await other.get("/who")).status_code
        assert 200 == (await other.get("/open")).status_code
        await app.health.run()
        assert app.health.ready
        assert not app.health.report()["access token keys"]["ok"]


async def test_issuer_may_be_critical() -> None:
    """A service without public routes may ask to be unready instead."""
    app = shop()
    attach(app, issuer=ISSUER, audience=AUDIENCE, jwks_url="http://127.0.0.1:1/jwks.json", critical=True)
    async with AsyncTestClient(app):
        await app.health.run()
        assert not app.health.ready


async def test_keys_come_from_the_issuer() -> None:
    """C1: the whole way: an issuer publishes its keys over HTTP, another service accepts its tokens, and no others."""
    issuer: App[Any, Any] = App("issuer")

    @issuer.get("/jwks.json")
    async def publish(request: Request[Any, Any]) -> Any:
        return json({"keys": [dict(KEY.public.jwk)]})

    async with AppServer(issuer, live=True) as server:
        host, port = server.address
        app = shop()
        attach(app, issuer=ISSUER, audience=AUDIENCE, jwks_url=f"http://{host}:{port}/jwks.json")
        async with AsyncTestClient(app) as other:
            assert 200 == (await other.get("/who", headers=bearer(GOOD))).status_code
            assert 401 == (await other.get("/who", headers=bearer(token(key=SigningKey.generate())))).status_code
            await app.health.run()
            assert app.health.report()["access token keys"]["ok"]


async def test_no_request_because_of_a_token() -> None:
    """SEC-J06: a token that names addresses makes nobody fetch them."""
    asked: list[str] = []
    trap: App[Any, Any] = App("trap")

    @trap.get("/<path:path>")
    async def ask(request: Request[Any, Any], path: str) -> Any:
        asked.append(path)
        return json({"keys": [dict(KEY.public.jwk)]})

    async with AppServer(trap, live=True) as server:
        host, port = server.address
        url = f"http://{host}:{port}/trap.json"
        app = shop()
        attach(app, issuer=ISSUER, audience=AUDIENCE, keys=KeySet([KEY.public]))
        async with AsyncTestClient(app) as other:
            for header in ({"jku": url}, {"x5u": url}, {"kid": url}, {"jwk": {"kty": "OKP"}}):
                forged = jwt.encode({"sub": "a"}, KEY.private, "EdDSA", {"typ": "at+jwt", "kid": KEY.kid, **header})
                assert 401 == (await other.get("/who", headers=bearer(forged))).status_code
    assert [] == asked


async def test_app_without_a_guard(caplog: pytest.LogCaptureFixture) -> None:
    """A protected handler in an app without a guard is closed to everybody, and the log says what is missing."""
    app = shop()
    async with AsyncTestClient(app) as client:
        assert 500 == (await client.get("/who", headers=bearer(GOOD))).status_code
    assert "call fairlead.auth.attach" in caplog.text
    with pytest.raises(RuntimeError, match=r"call fairlead\.auth\.attach"):
        guard_of(app)


async def test_guard_by_hand(client: AsyncTestClient) -> None:
    """What is not decorated (a websocket's first message) checks a token by the same guard."""
    principal = await guard_of(client.app).verify(GOOD)
    assert "account-1" == principal.subject


async def test_annotations_that_only_type_checkers_know() -> None:
    """A handler whose module imports some types for type checkers only can be protected, and is given the principal."""

    @protected
    async def handler(request: Request[Any, Any], principal: Principal, thing: NotImported = 1) -> Any:  # type: ignore[name-defined]  # noqa: F821
        return json(principal.subject)

    app = shop()
    app.add_route(handler, "/typed")
    attach(app, issuer=ISSUER, audience=AUDIENCE, keys=KeySet([KEY.public]))
    async with AsyncTestClient(app) as client:
        assert "account-1" == (await client.get("/typed", headers=bearer(GOOD))).json()


def test_arguments_of_attach() -> None:
    """The keys come from one place; an address that is none stops the start."""
    app: App[Any, Any] = App("shop")
    with pytest.raises(TypeError, match="either jwks_url or keys"):
        attach(app, issuer=ISSUER, audience=AUDIENCE)
    with pytest.raises(TypeError, match="either jwks_url or keys"):
        attach(app, issuer=ISSUER, audience=AUDIENCE, jwks_url="http://a/", keys=KeySet())
    with pytest.raises(ConfigurationError, match="jwks_url"):
        attach(app, issuer=ISSUER, audience=AUDIENCE, jwks_url="a")
