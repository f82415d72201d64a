"""Registration, middleware, blueprints, URLs: what `finalise` makes of the records (S, P3)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from fairlead import App, Blueprint, Request, json, text
from fairlead.errors import Forbidden, NotFound, ServerError, URLBuildError
from fairlead.testing import AsyncTestClient


async def test_methods_and_plain_handlers() -> None:
    """Every decorator registers its method; plain `def` handlers work like async ones."""
    app = App("methods")
    for method in ("get", "post", "put", "patch", "delete", "options"):

        def handler(request: Request, method: str = method) -> object:
            return text(method)

        getattr(app, method)("/", name=method)(handler)
    app.add_route(lambda request: text("added"), "/added", ["GET", "POST"], name="added")
    async with AsyncTestClient(app) as client:
        for method in ("get", "post", "put", "patch", "delete", "options"):
            assert (await client.request(method.upper(), "/")).text == method
        assert (await client.post("/added")).text == "added"
        assert (await client.delete("/added")).headers["allow"] == "GET, HEAD, POST"


async def test_what_handlers_may_return() -> None:
    """str is text, plain data is JSON, None is 204, an awaitable is awaited; anything else is 500."""
    app = App("returns")
    values: dict[str, Any] = {"s": "text", "d": {"a": 1}, "l": [1], "n": None, "b": b"\x00", "o": object()}

    @app.get("/<name>")
    async def give(request: Request, name: str) -> Any:
        return values[name]

    @app.get("/later")
    def later(request: Request) -> Any:
        return give(request, "d")

    async with AsyncTestClient(app) as client:
        answers = {name: await client.get(f"/{name}") for name in values}
        assert (await client.get("/later")).json() == {"a": 1}
    assert (answers["s"].text, answers["s"].headers["content-type"]) == ("text", "text/plain; charset=utf-8")
    assert (answers["d"].json(), answers["l"].json()) == ({"a": 1}, [1])
    assert (answers["n"].status_code, answers["n"].content) == (204, b"")
    assert answers["b"].headers["content-type"] == "application/octet-stream"
    assert answers["o"].status_code == 500


async def test_middleware_order_and_short_circuit() -> None:
    """Request middleware in order, response middleware in reverse; an early answer skips the handler but not the way back."""
    app = App("middleware")
    blueprint = Blueprint("part", url_prefix="/part")
    seen: list[str] = []

    def note(name: str, kind: str) -> Any:
        async def asynchronous(request: Request, response: Any = None) -> Any:
            seen.append(name)
            return text("early") if name == "stop" and "stop" in request.args else None

        def plain(request: Request, response: Any = None) -> None:
            seen.append(name)

        return asynchronous if kind == "async" else plain

    app.on_request(note("first", "async"))
    app.on_request(note("stop", "async"))
    app.on_request(priority=10)(note("urgent", "plain"))
    app.on_response(note("last", "plain"))
    app.middleware("response")(note("before last", "async"))
    blueprint.on_request(note("own", "plain"))
    blueprint.on_response(note("own after", "plain"))

    @blueprint.get("/")
    async def inside(request: Request) -> object:
        seen.append("handler")
        return text("inside")

    @app.get("/")
    async def outside(request: Request) -> object:
        seen.append("handler")
        return text("outside")

    app.blueprint(blueprint)
    async with AsyncTestClient(app) as client:
        assert (await client.get("/part/")).text == "inside"
        assert seen == ["urgent", "first", "stop", "own", "handler", "own after", "before last", "last"]
        seen.clear()
        assert (await client.get("/")).text == "outside"
        assert "own" not in seen
        seen.clear()
        assert (await client.get("/?stop=1")).text == "early"
        assert seen == ["urgent", "first", "stop", "before last", "last"]


async def test_response_middleware_sees_errors() -> None:
    """404s, 405s and failures pass through response middleware too, and it may replace them."""
    app = App("errors")

    @app.on_response
    async def mark(request: Request, response: Any) -> Any:
        response.headers["x-seen"] = str(response.status)
        return text("replaced", status=418) if response.status == 403 else None

    @app.get("/boom")
    async def boom(request: Request) -> object:
        raise RuntimeError("on purpose")

    @app.get("/no")
    async def no(request: Request) -> object:
        raise Forbidden("no")

    async with AsyncTestClient(app) as client:
        for method, path, status in (("GET", "/none", 404), ("POST", "/boom", 405), ("GET", "/boom", 500)):
            response = await client.request(method, path)
            assert (response.status_code, response.headers["x-seen"]) == (status, str(status))
        assert (await client.get("/no")).status_code == 418


async def test_error_handlers() -> None:
    """The nearest class of the exception counts, a blueprint's handler before the application's; a failing handler is a 500."""
    app = App("handlers")
    blueprint = Blueprint("part", url_prefix="/part")

    @app.exception(ValueError)
    async def on_value(request: Request, exc: ValueError) -> object:
        return text(f"app {exc}", status=422)

    @app.exception(NotFound)
    def on_missing(request: Request, exc: NotFound) -> object:
        return text("nothing here", status=404)

    @app.exception([KeyError])
    def on_key(request: Request, exc: KeyError) -> object:
        raise RuntimeError("the handler fails too")

    @blueprint.exception(UnicodeError)
    async def on_unicode(request: Request, exc: UnicodeError) -> object:
        return text("blueprint", status=422)

    async def raiser(request: Request, name: str) -> object:
        raise {"value": ValueError("v"), "unicode": UnicodeError("u"), "key": KeyError("k")}[name]

    app.get("/<name>")(raiser)
    blueprint.get("/<name>")(raiser)
    app.blueprint(blueprint)
    async with AsyncTestClient(app) as client:
        assert (await client.get("/value")).text == "app v"
        assert (await client.get("/unicode")).text == "app u"
        assert (await client.get("/part/unicode")).text == "blueprint"
        assert (await client.get("/part/value")).text == "app v"
        assert (await client.get("/a/b/c")).text == "nothing here"
        assert (await client.get("/key")).status_code == 500


async def test_groups_versions_and_names() -> None:
    """Prefixes and versions of nested groups add up, what is nearer wins, and names lead back to URLs."""
    app = App("shop")
    items, users = Blueprint("items", url_prefix="/items"), Blueprint("users", url_prefix="/users", version=2)

    @items.get("/<id:int>", name="show")
    async def show(request: Request, id: int) -> object:
        return json({"id": id, "name": request.name, "template": request.uri_template})

    @users.get("/", version=3)
    async def index(request: Request) -> object:
        return text("users")

    app.blueprint(Blueprint.group(Blueprint.group(items, url_prefix="/inner"), users, url_prefix="/api", version=1))
    async with AsyncTestClient(app) as client:
        answer = (await client.get("/v1/api/inner/items/7")).json()
        assert answer == {"id": 7, "name": "shop.items.show", "template": "/v1/api/inner/items/<id:int>"}
        assert (await client.get("/v3/api/users/")).text == "users"
    assert app.url_for("items.show", id=7, q="a b") == "/v1/api/inner/items/7?q=a+b"
    assert app.url_for("shop.users.index", _anchor="top") == "/v3/api/users/#top"
    assert app.url_for("items.show", id=7, _external=True, _server="x.example") == "//x.example/v1/api/inner/items/7"
    assert app.url_for("items.show", id=7, _external=True, _server="https://x") == "https://x/v1/api/inner/items/7"


@pytest.mark.parametrize(
    ("name", "values"), [("nope", {}), ("show", {}), ("show", {"id": "x"}), ("show", {"id": 1, "_external": True})]
)
def test_urls_that_cannot_be_built(name: str, values: dict[str, Any]) -> None:
    """A wrong name, a missing or unfitting parameter, or no server for an external URL is an error."""
    app = App("urls")
    app.get("/<id:int>", name="show")(lambda request, id: None)
    with pytest.raises(URLBuildError):
        app.url_for(name, **values)


async def test_url_for_of_a_request() -> None:
    """`request.url_for` fills in scheme and host."""
    app = App("urls")

    @app.get("/here", name="here")
    async def here(request: Request) -> object:
        return text(request.url_for("here"))

    async with AsyncTestClient(app) as client:
        assert (await client.get("/here")).text == "http://testserver/here"


@pytest.mark.parametrize(
    "register",
    [
        lambda app: app.add_route(lambda request: None, "/", ["FETCH"]),
        lambda app: app.register_middleware(lambda request: None, "sideways"),
        lambda app: app.listener("before_lunch")(lambda app: None) and app.finalise(),
        lambda app: app.get("/<id>")(lambda request: None) and app.finalise(),
        lambda app: app.get("/", nonsense=1)(lambda request: None),
        lambda app: app.websocket("/", nonsense=1)(lambda request, ws: None),
        lambda app: app.static("/", "/nonexistent"),
        lambda app: [app.blueprint(Blueprint("same")) for _ in range(2)],
        lambda app: App("bad name"),
    ],
)
def test_registrations_that_make_no_sense(register: Any) -> None:
    """A mistake in a registration is an error at the start, not a surprise at the first request."""
    with pytest.raises((ValueError, TypeError)):
        register(App("wrong"))


def test_nothing_is_added_after_the_start() -> None:
    """After `finalise` a registration is an error; `finalise` itself can be called again."""
    app = App("closed")
    assert app.finalise() is app.finalise()
    with pytest.raises(RuntimeError, match="closed"):
        app.get("/")(lambda request: None)


async def test_listeners_tasks_and_threads() -> None:
    """Start listeners in order, stop listeners in reverse; tasks live between them; blocking work sees the request."""
    app = App("life")
    seen: list[str] = []

    for name in ("one", "two"):

        def note(event: str, name: str = name) -> Any:
            async def listener(app: App, loop: Any = None) -> None:
                seen.append(f"{event} {name}")

            return listener

        app.before_server_start(note("start"))
        app.after_server_stop(note("stop"))

    async def work(app: App) -> None:
        seen.append("working")
        try:
            await asyncio.Event().wait()
        finally:
            seen.append("cancelled")

    app.add_task(work, name="work")

    @app.get("/")
    async def index(request: Request) -> object:
        assert app.get_task("work") is not None
        return text(str(await app.run_blocking(lambda: Request.get_current() is request)))

    async with AsyncTestClient(app) as client:
        assert (await client.get("/")).text == "True"
    assert seen == ["start one", "start two", "working", "cancelled", "stop two", "stop one"]


def test_no_request_outside_of_one() -> None:
    """`Request.get_current()` outside of a request is a LookupError."""
    with pytest.raises(LookupError):
        Request.get_current()


def test_what_an_application_says_of_itself() -> None:
    """Name and debug mode; its dispatcher is there when it is finalised, and not before."""
    app = App("self", {"DEBUG": True})
    assert (repr(app), app.debug) == ("App(name='self')", True)
    with pytest.raises(RuntimeError, match="not finalised"):
        app.dispatcher  # noqa: B018
    assert app.finalise() is app.dispatcher


async def test_blueprint_in_two_places() -> None:
    """One blueprint may be placed twice under different names; its listeners run once."""
    app, seen = App("twice"), []
    blueprint = Blueprint("part")
    blueprint.get("/", name="index")(lambda request: text(request.name))
    blueprint.before_server_start(lambda app: seen.append("started"))
    app.blueprint(blueprint, url_prefix="/a")
    app.blueprint(blueprint, url_prefix="/b", name_prefix="second")
    async with AsyncTestClient(app) as client:
        assert [(await client.get(path)).text for path in ("/a", "/b")] == ["twice.part.index", "twice.second_part.index"]
    assert seen == ["started"]


async def test_tasks_of_an_application() -> None:
    """Tasks by name: got, cancelled, forgotten."""
    app = App("tasks")
    await app.startup()
    task = app.add_task(asyncio.Event().wait(), name="waiting")
    assert app.get_task("waiting") is task
    await app.cancel_task("waiting", "enough")
    assert task is not None
    assert task.cancelled()
    app.purge_tasks()
    assert app.get_task("waiting", raise_exception=False) is None
    with pytest.raises(ServerError, match="waiting"):
        app.get_task("waiting")
    with pytest.raises(ServerError, match="waiting"):
        await app.cancel_task("waiting")
    await app.cancel_task("waiting", raise_exception=False)
    await app.shutdown()


def test_sanic_style_client() -> None:
    """`app.test_client` calls the application without a loop of one's own."""
    app = App("client")
    app.get("/")(lambda request: text("ok"))
    request, response = app.test_client.get("/")
    assert (request.path, response.text) == ("/", "ok")


def test_run_exits_with_the_status_of_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    """`app.run` hands everything on, and its process ends with what the service says."""
    given: dict[str, Any] = {}

    def serve(app: App, **options: Any) -> int:
        given.update(options, app=app)
        return 3

    monkeypatch.setattr("fairlead.workers.serve", serve)
    app = App("run")
    with pytest.raises(SystemExit) as exit_:
        app.run(port=1, debug=True)
    assert exit_.value.code == 3
    assert given == {"app": app, "host": None, "port": 1, "debug": True}


def test_options_of_a_websocket_route() -> None:
    """What a route says of its websocket wins over the configuration; 0 switches a ping off; a blueprint's host holds for it."""
    app = App("sockets", {"WEBSOCKET_MAX_SIZE": 5, "WEBSOCKET_ORIGINS": ["https://a"], "WEBSOCKET_PING_TIMEOUT": 7})
    blueprint = Blueprint("part", host="A.example")

    async def feed(request: Request, ws: Any) -> None: ...

    app.websocket("/a", name="a")(feed)
    options = {"max_size": 9, "max_queue": 1, "compression": "deflate", "origins": ["https://b"], "ping_interval": 0}
    blueprint.add_websocket_route(feed, "/b", name="b", subprotocols=["x"], **options)
    app.blueprint(blueprint)
    app.finalise()
    first, second = app.router.routes
    assert (first.options["max_size"], first.options["origins"], first.options["ping_timeout_s"]) == (5, ("https://a",), 7)
    assert second.hosts == {"a.example"}
    assert second.options == {
        "subprotocols": ("x",),
        "compression": "deflate",
        "origins": ("https://b",),
        "max_size": 9,
        "max_queue": 1,
        "ping_interval_s": None,
        "ping_timeout_s": 7,
        "close_timeout_s": 10,
        "frame_timeout_s": 20,
        "max_pings": 100,
    }


async def test_named_middleware() -> None:
    """Runs for the routes of these names alone, with or without the application's own name."""
    app, seen = App("named"), []
    for name in ("one", "two"):
        app.get(f"/{name}", name=name)(lambda request: text(""))
    app.register_named_middleware(lambda request: seen.append("before"), ["one"])
    app.register_named_middleware(lambda request, response: seen.append("after"), ["named.one", "none"], "response")
    async with AsyncTestClient(app) as client:
        await client.get("/two")
        assert seen == []
        await client.get("/one")
    assert seen == ["before", "after"]
    with pytest.raises(RuntimeError, match="before it starts"):
        app.register_named_middleware(lambda request: None, ["one"])
    with pytest.raises(ValueError, match="not to 'both'"):
        App("other").register_named_middleware(lambda request: None, ["one"], "both")


async def test_own_json(monkeypatch: pytest.MonkeyPatch) -> None:
    """`dumps` and `loads` of an application hold for its requests, and for no other application's."""
    own: App[Any, Any] = App("own", dumps=lambda value: f'["{value}"]', loads=lambda body: body.decode().upper())
    plain: App[Any, Any] = App("plain")
    for app in (own, plain):
        app.post("/")(lambda request: json(request.json))
    for app, expected in ((own, ['"A"']), (plain, "a")):
        async with AsyncTestClient(app) as client:
            response = await client.post("/", content=b'"a"')
            assert response.text == (f'["{expected[0]}"]' if app is own else '"a"')
    assert json("x").body == b'"x"'


def test_configuration_and_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """`env_prefix` reads the environment at once; there is a loop only where one runs."""
    monkeypatch.setenv("SHOP_PORT", "81")
    monkeypatch.setenv("SHOP_OWN", "yes")
    app = App("shop", env_prefix="SHOP_")
    app.update_config({"OTHER": 1})
    assert (app.config.PORT, app.config.OWN, app.config.OTHER) == (81, True, 1)
    with pytest.raises(RuntimeError):
        _ = app.loop


async def test_shutting_down_tasks() -> None:
    """All of them, at any time."""
    app = App("tasks")
    async with AsyncTestClient(app):
        assert app.loop is asyncio.get_running_loop()
        tasks = [app.add_task(asyncio.Event().wait()) for _ in range(2)]
        await app.shutdown_tasks(timeout=5)
        assert all(task is not None and task.cancelled() for task in tasks)
        await app.shutdown_tasks()


async def test_middleware_runs_once() -> None:
    """Where Sanic runs request middleware again for an error page: each runs once, whatever fails."""
    app, seen = App("once"), []

    @app.on_request
    def first(request: Request[Any, Any]) -> None:
        seen.append("first")

    @app.on_request
    def second(request: Request[Any, Any]) -> None:
        seen.append("second")
        if request.path == "/middleware":
            raise Forbidden("no")

    @app.on_response
    def after(request: Request[Any, Any], response: Any) -> None:
        seen.append(response.status)

    @app.get("/<name>")
    def handler(request: Request[Any, Any], name: str) -> None:
        raise Forbidden("no")

    async with AsyncTestClient(app) as client:
        for path, status in (("/middleware", 403), ("/handler", 403), ("/none/at/all", 404)):
            seen.clear()
            await client.get(path)
            assert seen == ["first", "second", status], path
