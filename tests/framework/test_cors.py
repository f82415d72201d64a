"""Cross-origin rules: closed by default, exact origins, honest preflights, readable errors (P8, SEC-A03)."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from fairlead import cors
from fairlead.app import App
from fairlead.cors import CorsPolicy
from fairlead.errors import ConfigurationError, Conflict
from fairlead.http.headers import Headers
from fairlead.request import Request
from fairlead.response import HTTPResponse, text
from fairlead.server import Server
from fairlead.testing import AsyncTestClient, HandshakeRefused

SHOP = "https://shop.example"

STRANGERS = [
    "https://evil.example",
    "http://shop.example",
    "https://shop.example.evil.example",
    "https://evilshop.example",
    "https://a.shop.example",
    "https://shop.example:8443",
    "https://shop.example:443",
    "https://SHOP.example",
    "https://shop.example/",
    "https://shopxexample",
    "shop.example",
    "null",
    "*",
    "",
]


def make_app(**rules: Any) -> App[Any, Any]:
    app: App[Any, Any] = App("shop")
    cors.attach(app, **rules)

    @app.on_request
    def guard(request: Request[Any, Any]) -> HTTPResponse | None:
        return text("sign in", 401) if request.path == "/guarded" else None

    @app.get("/products")
    def products(request: Request[Any, Any]) -> HTTPResponse:
        return text("products", headers={"etag": '"1"'})

    @app.patch("/products/<number:int>")
    def change(request: Request[Any, Any], number: int) -> HTTPResponse:
        raise Conflict("changed meanwhile")

    @app.get("/broken")
    def broken(request: Request[Any, Any]) -> HTTPResponse:
        raise RuntimeError("broken")

    @app.get("/guarded")
    def guarded(request: Request[Any, Any]) -> HTTPResponse:
        raise AssertionError("never reached")

    @app.get("/public")
    def public(request: Request[Any, Any]) -> HTTPResponse:
        return text("keys", headers={"access-control-allow-origin": "*"})

    @app.options("/own")
    def own(request: Request[Any, Any]) -> HTTPResponse:
        return text("own options")

    return app


class Browser:
    """Sends what a page of an origin would; knows nothing of CORS itself."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def send(self, method: str, path: str, origin: str | None = SHOP, **headers: str) -> httpx.Response:
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        if origin is not None:
            fields["origin"] = origin
        return await self._client.request(method, path, headers=fields)

    async def ask(self, path: str, method: str, origin: str = SHOP, headers: str = "") -> httpx.Response:
        """A preflight."""
        fields = {"access_control_request_method": method}
        if headers:
            fields["access_control_request_headers"] = headers
        return await self.send("OPTIONS", path, origin, **fields)


def cors_headers(response: httpx.Response) -> dict[str, str]:
    return {name: value for name, value in response.headers.items() if name.startswith("access-control-")}


@pytest.fixture
def rules() -> dict[str, Any]:
    return {
        "origins": [SHOP, "http://127.0.0.1:8003"],
        "headers": ["Authorization", "Content-Type", "If-Match"],
        "expose_headers": ["ETag"],
    }


@pytest.fixture
async def browser(rules: dict[str, Any]) -> AsyncIterator[Browser]:
    app = make_app(**rules)
    listener = socket.create_server(("127.0.0.1", 0))
    server = Server(app.finalise(), [listener])
    await server.start()
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{listener.getsockname()[1]}") as client:
        yield Browser(client)
    await server.drain(0)
    listener.close()


async def test_a_known_origin_may_read(browser: Browser) -> None:
    """The answer names the origin, what may be read of it, and that it depends on the origin."""
    response = await browser.send("GET", "/products")
    assert response.status_code == 200
    assert cors_headers(response) == {
        "access-control-allow-origin": SHOP,
        "access-control-expose-headers": "ETag",
    }
    assert response.headers["vary"] == "Origin"


@pytest.mark.parametrize("origin", STRANGERS)
async def test_a_stranger_gets_no_cors_header(browser: Browser, origin: str) -> None:
    """Nothing but the very text of a configured origin opens the door, and an unknown one is never reflected."""
    response = await browser.send("GET", "/products", origin)
    assert response.status_code == 200
    assert cors_headers(response) == {}
    assert response.headers["vary"] == "Origin"


async def test_an_answer_without_origin_varies_too(browser: Browser) -> None:
    """Else a shared cache could give this copy, which no page may read, to a page that may."""
    response = await browser.send("GET", "/products", origin=None)
    assert cors_headers(response) == {}
    assert response.headers["vary"] == "Origin"


async def test_a_preflight_is_answered_for_a_path_that_has_a_route(browser: Browser) -> None:
    """204 with everything that the page may send, though nobody wrote an OPTIONS handler."""
    response = await browser.ask("/products/7", "PATCH", headers="authorization, Content-Type ,if-match")
    assert response.status_code == 204
    assert cors_headers(response) == {
        "access-control-allow-origin": SHOP,
        "access-control-allow-methods": "DELETE, GET, HEAD, PATCH, POST, PUT",
        "access-control-allow-headers": "authorization, content-type, if-match",
        "access-control-max-age": "600",
    }
    assert response.headers["vary"] == "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"


async def test_a_preflight_comes_before_a_guard(browser: Browser) -> None:
    """Preflights carry no credentials; a middleware that wants some must not see them."""
    assert (await browser.ask("/guarded", "GET")).status_code == 204
    refused = await browser.send("GET", "/guarded")
    assert refused.status_code == 401
    assert refused.headers["access-control-allow-origin"] == SHOP


@pytest.mark.parametrize("origin", STRANGERS)
async def test_a_preflight_of_a_stranger_is_refused(browser: Browser, origin: str) -> None:
    """403, without CORS headers."""
    response = await browser.ask("/products", "GET", origin)
    assert response.status_code == 403
    assert cors_headers(response) == {}


@pytest.mark.parametrize(
    ("method", "headers"),
    [("TRACE", ""), ("get", ""), ("PURGE", ""), ("GET", "x-secret"), ("GET", "content-type, x-secret")],
)
async def test_a_preflight_for_what_is_not_allowed_is_refused(browser: Browser, method: str, headers: str) -> None:
    """A method or a header outside the lists is a 403 that says so in problem details."""
    response = await browser.ask("/products", method, headers=headers)
    assert response.status_code == 403
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["detail"].startswith("Pages of other origins may not")
    assert cors_headers(response) == {}


async def test_a_preflight_for_no_route_is_a_404(browser: Browser) -> None:
    """Only paths that exist are answered."""
    response = await browser.ask("/nothing", "GET")
    assert response.status_code == 404
    assert cors_headers(response) == {}


async def test_an_ordinary_options_is_the_apps_own(browser: Browser) -> None:
    """Without Access-Control-Request-Method nobody asks for permission; a preflight of the same path is still
    answered."""
    assert (await browser.send("OPTIONS", "/own")).text == "own options"
    assert (await browser.send("OPTIONS", "/own")).headers["access-control-allow-origin"] == SHOP
    assert (await browser.ask("/own", "POST")).status_code == 204
    response = await browser.send("OPTIONS", "/products")
    assert response.status_code == 405
    assert response.headers["allow"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("PATCH", "/products/7", 409), ("GET", "/broken", 500), ("GET", "/nothing", 404), ("DELETE", "/products", 405)],
)
async def test_errors_can_be_read_by_a_known_origin(browser: Browser, method: str, path: str, status: int) -> None:
    """The page may show why its call failed: problem details carry the headers too."""
    response = await browser.send(method, path)
    assert response.status_code == status
    assert response.json()["status"] == status
    assert response.headers["access-control-allow-origin"] == SHOP
    assert cors_headers(await browser.send(method, path, "https://evil.example")) == {}


async def test_what_a_handler_decides_stays(browser: Browser) -> None:
    """A public resource of a closed app keeps its own header."""
    response = await browser.send("GET", "/public", "https://evil.example")
    assert cors_headers(response) == {"access-control-allow-origin": "*"}


async def test_an_answer_that_middleware_has_replaced(rules: dict[str, Any]) -> None:
    """Whatever middleware does, and whenever it was registered: the answer that leaves carries the headers."""
    app: App[Any, Any] = App("shop")

    def replace(request: Request[Any, Any], response: HTTPResponse) -> HTTPResponse:
        return text("replaced")

    app.on_response(replace, priority=5)
    cors.attach(app, **rules)

    @app.get("/products")
    async def products(request: Request[Any, Any]) -> None:
        response = await request.respond()
        await response.send("streamed")

    async with AsyncTestClient(app) as client:
        for path, body in (("/missing", "replaced"), ("/products", "streamed")):
            response = await client.get(path, headers={"origin": SHOP})
            assert (response.text, response.headers["access-control-allow-origin"]) == (body, SHOP)


async def test_a_websocket_is_no_matter_of_cors(rules: dict[str, Any]) -> None:
    """An origin that may read answers may not open a websocket with the user's cookies; that is a list of its own (SEC-W01)."""
    app: App[Any, Any] = App("shop")
    cors.attach(app, **rules)

    @app.websocket("/closed")
    async def closed(request: Request[Any, Any], ws: Any) -> None:
        raise AssertionError("unreachable")

    @app.websocket("/open", origins=[SHOP])
    async def opened(request: Request[Any, Any], ws: Any) -> None:
        await ws.send("welcome")

    async with AsyncTestClient(app) as client:
        with pytest.raises(HandshakeRefused) as refused:
            async with client.websocket("/closed", origin=SHOP):
                raise AssertionError("unreachable")
        assert refused.value.response.status_code == 403
        async with client.websocket("/open", origin=SHOP) as ws:
            assert await ws.recv() == "welcome"


@pytest.mark.parametrize("origins", [("origin", "https://evil.example"), ("Origin", "null")])
async def test_two_origins(browser: Browser, origins: tuple[str, str]) -> None:
    """The first field counts, and it alone is written back: a second one opens nothing."""
    response = await browser._client.get("/products", headers=[origins, ("origin", SHOP)])
    assert cors_headers(response) == {}


@pytest.mark.parametrize("rules", [{}])
async def test_closed_by_default(browser: Browser) -> None:
    """Without origins the app behaves as if this module did not exist."""
    response = await browser.send("GET", "/products")
    assert cors_headers(response) == {}
    assert "vary" not in response.headers
    assert (await browser.ask("/products", "GET")).status_code == 405


@pytest.mark.parametrize("rules", [{"origins": ["*"]}])
async def test_everybody_may_read_a_public_api(browser: Browser) -> None:
    """ "*" is sent as it is, so one cached copy serves every page."""
    response = await browser.send("GET", "/products", "https://anybody.example")
    assert cors_headers(response) == {"access-control-allow-origin": "*"}
    assert "vary" not in response.headers
    assert (await browser.ask("/products", "PUT")).headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize("rules", [{"origins": [SHOP], "credentials": True, "methods": ["PUT"], "max_age_s": 5}])
async def test_credentials_are_for_the_listed_only(browser: Browser) -> None:
    """Both answers allow credentials to the known origin, and neither to another."""
    assert (await browser.send("GET", "/products")).headers["access-control-allow-credentials"] == "true"
    preflight = cors_headers(await browser.ask("/products", "PUT"))
    assert preflight["access-control-allow-credentials"] == "true"
    assert preflight["access-control-allow-methods"] == "GET, HEAD, POST, PUT"
    assert preflight["access-control-max-age"] == "5"
    assert (await browser.ask("/products", "PATCH")).status_code == 403
    assert cors_headers(await browser.send("GET", "/products", "https://evil.example")) == {}


@pytest.mark.parametrize(
    ("rules", "complaint"),
    [
        ({"origins": "https://shop.example"}, "is one text"),
        ({"origins": ["shop.example"]}, "is no origin"),
        ({"origins": ["https://shop.example/"]}, "is no origin"),
        ({"origins": ["https://shop.example/path"]}, "is no origin"),
        ({"origins": ["https://Shop.example"]}, "is no origin"),
        ({"origins": ["https://shop.example:443"]}, "is no origin"),
        ({"origins": ["http://shop.example:80"]}, "is no origin"),
        ({"origins": ["https://shop.example:x"]}, "is no origin"),
        ({"origins": ["https://*.shop.example"]}, "is no origin"),
        ({"origins": ["https://user@shop.example"]}, "is no origin"),
        ({"origins": ["https://"]}, "is no origin"),
        ({"origins": ["file:///page"]}, "is no origin"),
        ({"origins": ["null"]}, "is no origin"),
        ({"origins": ["https://shop.example\r\nx: y"]}, "is no origin"),
        ({"origins": ["*", SHOP]}, "stands for every origin"),
        ({"origins": ["*"], "credentials": True}, "credentials need a list"),
        ({"origins": [SHOP], "methods": ["GET, PUT"]}, "no method and no header name"),
        ({"origins": [SHOP], "headers": ["X-A: 1"]}, "no method and no header name"),
        ({"origins": [SHOP], "headers": ["*"]}, "no wildcard"),
        ({"origins": [SHOP], "methods": ["*"]}, "no wildcard"),
        ({"origins": [SHOP], "expose_headers": ["*"], "credentials": True}, "no wildcard"),
        ({"origins": ["htps://shop.example"]}, "is no origin"),
        ({"origins": [SHOP], "max_age_s": -1}, "can't be negative"),
    ],
)
def test_a_mistake_stops_the_start(rules: dict[str, Any], complaint: str) -> None:
    """What no browser sends, or what would open the door to all, is told before the first request."""
    with pytest.raises(ConfigurationError, match=complaint):
        cors.attach(App("shop"), **rules)


@pytest.mark.parametrize(
    "origin",
    [
        SHOP,
        "http://127.0.0.1:8003",
        "http://[::1]:8003",
        "http://localhost",
        "chrome-extension://abcdefghijklmnop",
        "moz-extension://0192f0c1-0000-7000-8000-000000000001",
        "capacitor://localhost",
        "tauri://localhost:1420",
    ],
)
def test_usual_origins_are_taken(origin: str) -> None:
    """Names, addresses and ports as browsers send them."""
    assert CorsPolicy([origin]).knows(origin)


@pytest.mark.parametrize(
    ("present", "expected"),
    [
        ([], ["Origin"]),
        (["Accept-Encoding"], ["Accept-Encoding, Origin"]),
        (["Accept", "Cookie"], ["Accept, Cookie, Origin"]),
        (["Accept, origin"], ["Accept, origin"]),
        (["*"], ["*"]),
    ],
)
def test_vary_is_completed(present: list[str], expected: list[str]) -> None:
    """What the handler's answer varies on stays, and Origin is named once."""
    headers = Headers([("vary", value) for value in present])
    CorsPolicy([SHOP]).decorate(None, headers)
    assert headers.getall("vary", []) == expected
