"""Forged requests are refused, whatever they carry; honest ones pass (SEC-A03, CWE-352)."""

from __future__ import annotations

import base64
import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from msgspec import Struct

from fairlead import App, File, Form, HTTPResponse, Request, html, json, text
from fairlead.csrf import Csrf, csrf_input, csrf_token
from fairlead.errors import ConfigurationError
from fairlead.sessions import MemoryStore, Sessions
from fairlead.testing import AsyncTestClient

SECRET = "correct horse battery staple 1234567890"
US = "https://testserver"


class Profile(Struct):
    name: str
    photo: list[File] = []


def make_app(csrf: Csrf, *, sessions: bool = True, **config: Any) -> App[Any, Any]:
    app: App[Any, Any] = App("app", config)
    csrf.install(app)
    if sessions:
        Sessions(MemoryStore()).install(app)

    @app.get("/token")
    async def token(request: Request[Any, Any]) -> HTTPResponse:
        return json([csrf_token(request), csrf_token(request)])

    @app.get("/plain")
    async def plain(request: Request[Any, Any]) -> HTTPResponse:
        return text("")

    @app.get("/form")
    async def form(request: Request[Any, Any]) -> HTTPResponse:
        return html(csrf_input(request).__html__())

    @app.route("/change", methods=["POST", "PUT", "PATCH", "DELETE"])
    async def change(request: Request[Any, Any]) -> HTTPResponse:
        return text("changed")

    @app.post("/stream", stream=True)
    async def stream(request: Request[Any, Any]) -> HTTPResponse:
        await request.receive_body()
        return text(str(len(request.body)))

    @app.post("/sign-in")
    async def sign_in(request: Request[Any, Any]) -> HTTPResponse:
        request.ctx.session.regenerate()
        return json(csrf_token(request))

    @app.post("/hook")
    @Csrf.exempt
    async def hook(request: Request[Any, Any]) -> HTTPResponse:
        return text("heard")

    return app


@pytest.fixture(params=["session", "cookie"])
def app(request: pytest.FixtureRequest) -> App[Any, Any]:
    if request.param == "session":
        return make_app(Csrf(origins=["https://admin.example"]))
    return make_app(Csrf(SECRET, origins=["https://admin.example"]), sessions=False)


def browser(app: App[Any, Any]) -> AsyncTestClient:
    return AsyncTestClient(app, base_url=US)


async def token_of(client: AsyncTestClient) -> str:
    return str((await client.get("/token")).json()[0])


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
async def test_with_and_without(app: App[Any, Any], method: str) -> None:
    """A change needs the token; every token that was given stays good, and no two are alike (BREACH)."""
    async with browser(app) as client:
        tokens = (await client.get("/token")).json() + (await client.get("/token")).json()
        assert len(set(tokens)) == 4
        for token in tokens:
            assert (await client.request(method, "/change", headers={"x-csrf-token": token})).text == "changed"
        refused = await client.request(method, "/change")
        assert refused.status_code == 403
        assert refused.headers["content-type"] == "application/problem+json"
        assert refused.json()["detail"] == "The request has no CSRF token"


@pytest.mark.parametrize("multipart", [False, True])
async def test_forms(app: App[Any, Any], multipart: bool) -> None:
    """The hidden field of a form is enough."""
    async with browser(app) as client:
        page = (await client.get("/form")).text
        found = re.fullmatch(r'<input type="hidden" name="csrf_token" value="([\w-]+)">', page)
        assert found is not None
        files = {"file": ("a.txt", b"a")} if multipart else None
        for token, status in ((found[1], 200), ("", 403)):
            assert (await client.post("/change", data={"csrf_token": token}, files=files)).status_code == status


@pytest.mark.parametrize("size", [None, 1, 600_000])
@pytest.mark.parametrize("piece_bytes", [None, 50_000])
async def test_forms_of_a_handler_that_declares_them(app: App[Any, Any], size: int | None, piece_bytes: int | None) -> None:
    """The hidden field is found where the handler asks for `Form[T]`, whose body is streamed; refused, its files are let go of."""
    spools = []

    @app.post("/profile")
    async def profile(request: Request[Any, Any], form: Form[Profile]) -> HTTPResponse:
        return json([form.name, sum([len(await photo.read()) for photo in form.photo])])

    @app.on_response
    async def watch(request: Request[Any, Any], response: HTTPResponse) -> None:
        spools.append(request.spool)

    async def pieces(body: bytes, piece_bytes: int) -> AsyncIterator[bytes]:
        for begin in range(0, len(body), piece_bytes):
            yield body[begin : begin + piece_bytes]

    async with browser(app) as client:

        async def send(token: str) -> httpx.Response:
            files = None if size is None else {"photo": ("a.png", bytes(size))}
            request = client.build_request("POST", "/profile", data={"name": "ada", "csrf_token": token}, files=files)
            if piece_bytes is None:
                return await client.send(request)
            headers = {"content-type": request.headers["content-type"]}
            return await client.post("/profile", content=pieces(await request.aread(), piece_bytes), headers=headers)

        sent = await send(await token_of(client))
        assert (sent.status_code, sent.json()) == (200, ["ada", size or 0])
        assert (await send("x")).status_code == 403
    for spool in filter(None, spools):
        with pytest.raises(ValueError, match="is gone with its request"):
            spool.read(0, 1)
    assert any(spools) or size != 600_000


async def test_streaming_routes(app: App[Any, Any]) -> None:
    """Their body isn't read for the token: the header it is."""
    async with browser(app) as client:
        token = await token_of(client)
        assert (await client.post("/stream", data={"csrf_token": token})).status_code == 403
        assert (await client.post("/stream", content=b"abc", headers={"x-csrf-token": token})).text == "3"


async def test_safe_methods_and_missing_paths(app: App[Any, Any]) -> None:
    """Reading needs no token, not even from another site; what isn't there is 404 and 405 as ever."""
    async with browser(app) as client:
        await token_of(client)
        for method in ("GET", "HEAD"):
            assert (await client.request(method, "/token", headers={"origin": "https://evil.example"})).status_code == 200
        assert (await client.post("/missing")).status_code == 404
        assert (await client.post("/token")).status_code == 405


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": ""},
        {"origin": "http://testserver"},
        {"origin": "https://testserver.evil.example"},
        {"origin": "https://sub.testserver"},
        {"origin": "https://testserver:8443"},
        {"origin": "https://user@testserver"},
        {"origin": "testserver"},
        {"origin": "https://admin.example.evil.example"},
        {"origin": "https://evil.example", "sec-fetch-site": "same-origin"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "nonsense"},
    ],
)
@pytest.mark.parametrize("with_token", [True, False])
async def test_pages_of_others(app: App[Any, Any], headers: dict[str, str], with_token: bool) -> None:
    """Refused even with a valid token, and without any cookie: a page of theirs may sign nobody in."""
    async with browser(app) as client:
        if with_token:
            headers = headers | {"x-csrf-token": await token_of(client)}
        response = await client.post("/change", headers=headers)
        assert (response.status_code, "may not send" in response.json()["detail"]) == (403, True)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"origin": US},
        {"origin": "https://TESTSERVER"},
        {"origin": "https://testserver:443"},
        {"origin": US, "sec-fetch-site": "same-origin"},
        {"sec-fetch-site": "none"},
        {"origin": "https://admin.example", "sec-fetch-site": "cross-site"},
    ],
)
async def test_our_own_pages(app: App[Any, Any], headers: dict[str, str]) -> None:
    """Our origin, and those that were listed: with the token."""
    async with browser(app) as client:
        token = await token_of(client)
        assert (await client.post("/change", headers=headers | {"x-csrf-token": token})).status_code == 200
        assert (await client.post("/change", headers=headers)).status_code == 403


async def test_programs(app: App[Any, Any]) -> None:
    """Without a cookie there is nothing to abuse: a bearer token needs no CSRF token."""
    async with browser(app) as client:
        assert (await client.post("/change", headers={"authorization": "Bearer x"})).status_code == 200
        assert (await client.post("/change", headers={"authorization": "Bearer x", "cookie": "a=b"})).status_code == 403


def altered(token: str) -> list[str]:
    """Tokens that are none."""
    raw = base64.urlsafe_b64decode(token + "==")
    flipped = [bytes([*raw[:place], raw[place] ^ 1, *raw[place + 1 :]]) for place in (0, 31, 32, 63)]
    made = [
        base64.urlsafe_b64encode(value).decode().rstrip("=") for value in (*flipped, bytes(64), raw[:63], raw + b"\x00", raw[32:])
    ]
    return [*made, token[:-1] + "!", token.upper(), "x", "x" * 86, "x" * 10_000, "\xfc" * 86, "a b"]


async def test_forged_tokens(app: App[Any, Any]) -> None:
    """Altered, guessed, cut, too long: 403."""
    async with browser(app) as client:
        for forged in altered(await token_of(client)):
            response = await client.post("/change", headers=[(b"x-csrf-token", forged.encode("latin-1"))])
            assert response.status_code == 403, forged


async def test_tokens_of_others(app: App[Any, Any]) -> None:
    """The attacker's own valid token is worth nothing in the victim's browser, nor is a token with no secret behind it."""
    async with browser(app) as attacker, browser(app) as victim:
        theirs = await token_of(attacker)
        await token_of(victim)
        assert (await victim.post("/change", headers={"x-csrf-token": theirs})).status_code == 403
        response = await attacker.post("/change", headers={"x-csrf-token": theirs, "cookie": "tracking=1"})
        assert response.status_code == 403


async def test_a_renewed_session_has_new_tokens() -> None:
    """What was seen before signing in is no good after it."""
    async with browser(make_app(Csrf())) as client:
        before = await token_of(client)
        after = (await client.post("/sign-in", headers={"x-csrf-token": before})).json()
        assert (await client.post("/change", headers={"x-csrf-token": before})).status_code == 403
        assert (await client.post("/change", headers={"x-csrf-token": after})).status_code == 200


async def test_the_cookie() -> None:
    """Set once, for this host only, invisible to scripts, never in a cache; pages that ask for no token set none."""
    async with browser(make_app(Csrf(SECRET), sessions=False)) as client:
        response = await client.get("/token")
        (line,) = response.headers.get_list("set-cookie")
        assert re.fullmatch(r"__Host-csrf=[\w-]{43}\.[\w-]{43}; Path=/; SameSite=Lax; Secure; HttpOnly", line)
        assert (response.headers["cache-control"], response.headers["vary"]) == ("no-store", "Cookie")
        assert response.json()[0] not in line
        again = await client.get("/token")
        assert ("set-cookie" in again.headers, again.headers["vary"]) == (False, "Cookie")
        assert "vary" not in (await client.get("/plain")).headers


@pytest.mark.parametrize("value", ["", ".", "x.y", "A" * 43 + "." + "A" * 43, "ü.ü", "A" * 43])
async def test_planted_cookies(value: str) -> None:
    """A cookie that we haven't signed holds no secret."""
    async with browser(make_app(Csrf(SECRET), sessions=False)) as client:
        token = base64.urlsafe_b64encode(bytes(64)).decode().rstrip("=")
        headers = [(b"x-csrf-token", token.encode()), (b"cookie", f"__Host-csrf={value}".encode("latin-1"))]
        assert (await client.post("/change", headers=headers)).status_code == 403


async def test_exempt(app: App[Any, Any]) -> None:
    """A route that others call, a webhook say, may do without."""
    async with browser(app) as client:
        await token_of(client)
        response = await client.post("/hook", headers={"origin": "https://pay.example"})
        assert response.text == "heard"


async def test_behind_a_proxy() -> None:
    """The origin that counts is the one that the user sees: what a trusted proxy says, and nobody else."""
    headers = {"origin": "https://shop.example", "x-forwarded-for": "192.0.2.1", "x-forwarded-host": "shop.example"}
    cases: list[tuple[dict[str, Any], int]] = [({"PROXIES_COUNT": 1}, 200), ({}, 403)]
    for config, status in cases:
        async with AsyncTestClient(make_app(Csrf(), **config), base_url="http://10.0.0.7:8000") as client:
            assert (await client.post("/change", headers=headers)).status_code == status


@pytest.mark.parametrize(
    "origins",
    ["https://shop.example", ["shop.example"], ["null"], ["*"], ["https://shop.example/"], ["https://SHOP.example"], ["ftp://a"]],
)
def test_impossible_origins(origins: Any) -> None:
    """What no browser sends is refused at start."""
    with pytest.raises(ConfigurationError):
        Csrf(origins=origins)


def test_a_word_is_no_secret() -> None:
    """Refused at start."""
    with pytest.raises(ConfigurationError):
        Csrf("secret")


def test_without_the_extension() -> None:
    """Asking for a token where there are none says what is missing."""
    request: Any = type("Request", (), {"ctx": object()})
    with pytest.raises(RuntimeError, match="install"):
        csrf_token(request)
