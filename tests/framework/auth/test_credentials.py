"""Where a token is looked for: header, subprotocol of a handshake, cookie; each for its kind of client (P7, W7, SEC-T05)."""

from __future__ import annotations

from typing import Any

import pytest

from fairlead import App, Blueprint, Request, json, openapi
from fairlead.auth import KeySet, Principal, Protected, SigningKey, TokenIssuer, attach, guard_of, protected
from fairlead.csrf import Csrf, csrf_token
from fairlead.errors import ConfigurationError
from fairlead.limits import RateLimit, by_principal
from fairlead.testing import AsyncTestClient, HandshakeRefused

from .conftest import AUDIENCE, ISSUER

KEY = SigningKey.generate()
COOKIE = "__Host-access"
SECRET = "correct horse battery staple 1234567890"


def token(*scopes: str, subject: str = "ada", key: SigningKey = KEY) -> str:
    return TokenIssuer(key, issuer=ISSUER, audience=AUDIENCE, lifetime_s=600).issue(subject, scopes)


def bearer(value: str) -> dict[str, str]:
    return {"authorization": f"Bearer {value}"}


def make_app(*, cookie: str | None = None, csrf: bool = False) -> App[Any, Any]:
    app: App[Any, Any] = App("app")
    attach(app, issuer=ISSUER, audience=AUDIENCE, keys=KeySet([KEY.public]), cookie=cookie)
    if csrf:
        Csrf(SECRET).install(app)

    @app.get("/csrf")
    async def tokens(request: Request[Any, Any]) -> Any:
        return json(csrf_token(request))

    @app.route("/who", methods=["GET", "POST"])
    @protected
    async def who(request: Request[Any, Any]) -> Any:
        return json(request.ctx.principal.subject)

    @app.get("/dependency")
    async def dependency(request: Request[Any, Any], user: Principal) -> Any:
        return json(user.subject)

    @app.websocket("/feed", subprotocols=["feed.v1"])
    @Protected(scope="feed:read")
    async def feed(request: Request[Any, Any], ws: Any) -> None:
        await ws.send({"subject": request.ctx.principal.subject, "protocol": ws.subprotocol})

    return app


def browser(app: App[Any, Any]) -> AsyncTestClient:
    return AsyncTestClient(app, base_url="https://testserver")


async def refusal(client: AsyncTestClient, **options: Any) -> int:
    """The status of a handshake that is refused."""
    with pytest.raises(HandshakeRefused) as refused:
        async with client.websocket("/feed", **options):
            raise AssertionError("unreachable")
    return int(refused.value.response.status_code)


async def test_a_websocket_is_refused_before_it_opens() -> None:
    """401 without a token or with a bad one, 403 without the scope: HTTP, not a close code (W7, SEC-W02)."""
    good, poor, stranger = token("feed:read"), token(), token("feed:read", key=SigningKey.generate())
    async with AsyncTestClient(make_app()) as client:
        assert await refusal(client) == 401
        assert await refusal(client, headers=bearer(stranger)) == 401
        assert await refusal(client, headers=bearer(poor)) == 403
        async with client.websocket("/feed", headers=bearer(good)) as ws:
            assert await ws.recv_json() == {"subject": "ada", "protocol": None}


async def test_a_token_among_the_subprotocols() -> None:
    """What a page can send: the real subprotocol is agreed on, the token never comes back (SEC-W03)."""
    good = token("feed:read")
    async with AsyncTestClient(make_app()) as client:
        async with client.websocket("/feed", subprotocols=["feed.v1", f"bearer.{good}"]) as ws:
            assert await ws.recv_json() == {"subject": "ada", "protocol": "feed.v1"}
        for offers, status in (
            ([f"bearer.{good}x"], 401),
            (["bearer."], 401),
            ([good], 401),
            ([f"BEARER.{good}"], 401),
            ([f"bearer.{good}", f"bearer.{token()}"], 400),
        ):
            assert await refusal(client, subprotocols=["feed.v1", *offers]) == status
        assert await refusal(client, headers=bearer(token()), subprotocols=[f"bearer.{good}"]) == 403  # the header decides
        response = await client.get("/who", headers={"sec-websocket-protocol": f"bearer.{good}"})
        assert response.status_code == 401  # no handshake


async def test_a_cookie() -> None:
    """Where it is configured, and only under its whole name."""
    async with browser(make_app(cookie=COOKIE)) as client:
        for name, value, status in (
            (COOKIE, token(), 200),
            (COOKIE, token(key=SigningKey.generate()), 401),
            (COOKIE, "", 401),
            ("access", token(), 401),
            ("__Secure-access", token(), 401),
        ):
            assert (await client.get("/who", headers={"cookie": f"{name}={value}"})).status_code == status
        response = await client.get("/who", headers={"cookie": f"{COOKIE}={token()}"} | bearer(token(subject="bob")))
        assert response.json() == "bob"  # the header decides
        response = await client.get("/who", headers={"cookie": f"{COOKIE}={token()}", "authorization": "Basic x"})
        assert response.status_code == 401
    async with browser(make_app()) as client:
        assert (await client.get("/who", headers={"cookie": f"{COOKIE}={token()}"})).status_code == 401


async def test_a_cookie_without_csrf_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """A change by cookie alone is the application's mistake, and is not done."""
    async with browser(make_app(cookie=COOKIE)) as client:
        assert (await client.post("/who", headers={"cookie": f"{COOKIE}={token()}"})).status_code == 500
        assert (await client.post("/who", headers=bearer(token()))).status_code == 200
    assert "install fairlead.csrf.Csrf" in caplog.text


async def test_a_cookie_with_csrf() -> None:
    """With its token a page may change something; without it, or from another site, it may not."""
    async with browser(make_app(cookie=COOKIE, csrf=True)) as client:
        csrf = (await client.get("/csrf")).json()
        cookies = f"{COOKIE}={token()}; __Host-csrf={client.cookies['__Host-csrf']}"
        for headers, status in (
            ({"x-csrf-token": csrf}, 200),
            ({}, 403),
            ({"x-csrf-token": csrf, "origin": "https://evil.example"}, 403),
        ):
            assert (await client.post("/who", headers={"cookie": cookies} | headers)).status_code == status


@pytest.mark.parametrize("name", ["access", "__Secure-access", ""])
def test_names_that_others_can_set(name: str) -> None:
    """A sub-domain, or plain HTTP, could plant somebody else's token: refused at start."""
    with pytest.raises(ConfigurationError):
        make_app(cookie=name)


async def test_a_principal_is_a_dependency() -> None:
    """Asking for it by annotation protects the handler by that alone."""
    async with AsyncTestClient(make_app()) as client:
        assert (await client.get("/dependency")).status_code == 401
        assert (await client.get("/dependency", headers=bearer(token()))).json() == "ada"


async def test_a_guarded_blueprint() -> None:
    """Every route but the exempt one; paths without a route are 404; the principal is looked up once."""
    app, part = make_app(), Blueprint("part", "/part")
    Protected(scope="part:use").install(part)

    @part.get("/")
    async def show(request: Request[Any, Any], user: Principal) -> Any:
        return json([user.subject, user is request.ctx.principal])

    @part.get("/open")
    @Protected.exempt
    async def open_to_all(request: Request[Any, Any]) -> Any:
        return json("open")

    app.blueprint(part)
    async with AsyncTestClient(app) as client:
        answers = [await client.get(path) for path in ("/part/", "/part/open", "/part/missing")]
        assert [response.status_code for response in answers] == [401, 200, 404]
        assert (await client.get("/part/", headers=bearer(token()))).status_code == 403
        assert (await client.get("/part/", headers=bearer(token("part:use")))).json() == ["ada", True]


async def test_a_guarded_app() -> None:
    """Installed on the app it guards all routes, and what isn't there stays a 404."""
    app = make_app()
    Protected().install(app)
    async with AsyncTestClient(app) as client:
        assert [(await client.get(path)).status_code for path in ("/csrf", "/missing")] == [401, 404]
    assert guard_of(app) is not None


async def test_the_description_tells_of_it() -> None:
    """A decorated route's scopes are in the OpenAPI document, those of two decorators together (P6)."""
    app = make_app()
    openapi.attach(app)

    @app.get("/twice")
    @Protected(scope="b")
    @Protected(scope="a")
    async def twice(request: Request[Any, Any]) -> Any:
        return json("ok")

    async with AsyncTestClient(app) as client:
        paths = (await client.get("/docs/openapi.json")).json()["paths"]
        assert paths["/twice"]["get"]["security"] == [{"bearer": ["a", "b"]}]
        statuses = [(await client.get("/twice", headers=bearer(token(*scopes)))).status_code for scopes in ("a", "b", "ab")]
    assert statuses == [403, 403, 200]


async def test_limits_by_account() -> None:
    """A limit by account counts after the guard, in whatever order they were installed (T8)."""
    app = make_app()
    RateLimit("account", 1, window_s=60, key=by_principal).install(app)
    Protected().install(app)
    async with AsyncTestClient(app) as client:
        users = ("ada", "ada", "bob")
        statuses = [(await client.get("/who", headers=bearer(token(subject=user)))).status_code for user in users]
    assert statuses == [200, 429, 200]
