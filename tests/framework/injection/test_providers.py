"""Dependencies: scopes, what they may ask for, teardown, overrides, and the mistakes that are found at the start."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, NewType

import pytest

from fairlead import App, Blueprint, Body, Form, Header, HTTPResponse, Path, Query, Request, inject, json
from fairlead.errors import Unauthorized
from fairlead.testing import AsyncTestClient, override_dependencies
from fairlead.uploads import File

Events = list[str]
Name = NewType("Name", str)


class Settings:
    """Lives as long as the process."""


class Pool:
    """Lives as long as the worker."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings


class Session:
    """Lives as long as a request."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool


@dataclass
class Store:
    """Asks for a session by its fields."""

    session: Session
    name: str = "store"


def make_app(events: Events) -> App:
    """A chain through all scopes, each of which notes its beginning and its end."""
    app = App("chain")

    async def open_pool(settings: Settings) -> AsyncIterator[Pool]:
        events.append("pool")
        yield Pool(settings)
        events.append("pool closed")

    async def begin(pool: Pool) -> AsyncIterator[Session]:
        events.append("session")
        try:
            yield Session(pool)
        except BaseException as exc:
            events.append(f"rollback {type(exc).__name__}")
            raise
        else:
            events.append("commit")

    app.add_dependency(Settings, scope="singleton")
    app.add_dependency(Pool, open_pool, scope="worker")
    app.add_dependency(Session, begin)
    app.add_dependency(Store)
    return app


async def test_scopes() -> None:
    """What is made once for the process, once for the worker, and once for each request, is; teardown is in reverse order."""
    events: Events = []
    app = make_app(events)
    seen: list[tuple[Store, Session]] = []

    @app.get("/<number:int>")
    async def handler(request: Request, store: Store, number: int, session: Session, settings: Settings) -> object:
        seen.append((store, session))
        events.append(f"handler {number}")
        return json(store.session is session and session.pool.settings is settings)

    for _ in range(2):
        async with AsyncTestClient(app) as client:
            assert [(await client.get(f"/{number}")).json() for number in (1, 2)] == [True, True]
    once = ["session", "handler 1", "commit", "session", "handler 2", "commit"]
    assert events == ["pool", *once, "pool closed"] * 2
    assert len({id(session.pool) for _, session in seen}) == 2
    assert len({id(session.pool.settings) for _, session in seen}) == 1
    assert len({id(session) for _, session in seen}) == 4


@pytest.mark.parametrize("ending", ["error", "cancelled"])
async def test_teardown_whatever_happens(ending: str) -> None:
    """A generator sees at its `yield` how the handler has ended."""
    events: Events = []
    app = make_app(events)
    begun, over = asyncio.Event(), asyncio.Event()

    @app.get("/")
    async def handler(request: Request, session: Session) -> None:
        begun.set()
        if ending == "error":
            raise LookupError
        try:
            await asyncio.Event().wait()
        finally:
            asyncio.get_running_loop().call_soon(over.set)

    async with AsyncTestClient(app) as client:
        sending = asyncio.ensure_future(client.get("/"))
        if ending == "error":
            assert (await sending).status_code == 500
        else:
            await begun.wait()
            sending.cancel()
            await over.wait()
    assert events == ["pool", "session", f"rollback {'LookupError' if ending == 'error' else 'RequestCancelled'}", "pool closed"]


async def test_teardown_goes_on() -> None:
    """A teardown that fails is the request's error, and the others run all the same; none can swallow the handler's."""
    app = App("teardown")
    events: Events = []

    class First: ...

    class Second: ...

    class Third: ...

    def first() -> Iterator[First]:
        try:
            yield First()
        finally:
            events.append("first")

    async def second(first: First) -> AsyncIterator[Second]:
        yield Second()
        events.append("second")
        raise RuntimeError("second")

    @contextlib.contextmanager
    def third(second: Second) -> Iterator[Third]:
        with contextlib.suppress(LookupError):
            yield Third()
        events.append("third")

    first.__annotations__["return"] = second.__annotations__["first"] = First
    second.__annotations__["first"], third.__wrapped__.__annotations__["second"] = First, Second  # type: ignore[attr-defined]
    app.add_dependency(First, first)
    app.add_dependency(Second, second)
    app.add_dependency(Third, third)

    async def handler(request: Request, third: Any, fail: bool = False) -> object:
        if request.args:
            raise LookupError
        return json("fine")

    handler.__annotations__["third"] = Third
    app.add_route(handler, "/")

    @app.exception(RuntimeError, LookupError)
    async def shown(request: Request, exc: Exception) -> HTTPResponse:
        return json(type(exc).__name__, 500)

    async with AsyncTestClient(app) as client:
        assert (await client.get("/")).json() == "RuntimeError"
        assert events == ["third", "second", "first"]
        assert (await client.get("/?fail=1")).json() == "LookupError"
    assert events == ["third", "second", "first", "third", "first"]


async def test_what_providers_may_ask_for() -> None:
    """The request, path parameters by name, marked values, uploads, and each other; plain, async, class or generator."""
    app = App("providers")

    async def name_of(request: Request[Any, Any], shelf: int, page: Query[int] = 1) -> Name:
        return Name(f"{request.method} {shelf} {page}")

    def title_of(name: Name, title: Form[str], photo: Form[File]) -> Title:
        return Title(f"{name} {title} {photo.size}")

    app.add_dependency(Name, name_of)
    app.add_dependency(Title, title_of)

    @app.get("/<shelf:int>")
    def handler(request: Request, name: Name, shelf: int) -> object:
        return json([name, shelf])

    @app.post("/<shelf:int>")
    async def upload(request: Request, title: Title) -> object:
        return json(title.text)

    async with AsyncTestClient(app) as client:
        assert (await client.get("/7?page=3")).json() == ["GET 7 3", 7]
        sent = await client.post("/7", data={"title": "t"}, files={"photo": b"x" * 300_000})
        assert sent.json() == "POST 7 1 t 300000"
        problem = (await client.get("/7?page=x")).json()
        assert problem["errors"] == [{"location": "query.page", "message": "Expected `int`, got `str`"}]


@dataclass
class Title:
    """What a form gives."""

    text: str


async def test_dependencies_come_before_validation() -> None:
    """Who is refused by a dependency learns nothing of what else would be wrong, and its upload is not read."""
    app = App("order")

    def refuse() -> Settings:
        raise Unauthorized

    app.add_dependency(Settings, refuse)

    @app.post("/")
    async def handler(request: Request, body: Body[dict[str, int]], settings: Settings) -> None: ...

    @app.post("/form")
    async def form(request: Request, title: Form[str], settings: Settings) -> None: ...

    async with AsyncTestClient(app) as client:
        assert (await client.post("/", content=b"{")).status_code == 401
        assert (await client.post("/form", json={})).status_code == 401


async def test_context_is_the_handlers() -> None:
    """A context variable that a dependency sets is seen by the handler."""
    app = App("context")
    variable: ContextVar[str] = ContextVar("variable")

    async def set_it() -> AsyncIterator[Settings]:
        token = variable.set("set")
        yield Settings()
        variable.reset(token)

    app.add_dependency(Settings, set_it)

    @app.get("/")
    async def handler(request: Request, settings: Settings) -> object:
        await asyncio.sleep(0)
        return json(variable.get())

    async with AsyncTestClient(app) as client:
        assert (await client.get("/")).json() == "set"


async def test_objects_and_blueprints() -> None:
    """`dependency` provides an object under its type or another; a blueprint brings its own, once, wherever it is placed."""
    app, part = App("objects"), Blueprint("part")
    settings = Settings()
    app.dependency(settings)
    part.dependency("a name", kind=Name)

    @part.get("/", name="index")
    async def handler(request: Request, given: Settings, name: Name) -> object:
        return json([given is settings, name])

    app.blueprint(part, url_prefix="/a")
    app.blueprint(part, url_prefix="/b", name_prefix="b")
    async with AsyncTestClient(app) as client:
        assert [(await client.get(path)).json() for path in ("/a", "/b")] == [[True, "a name"]] * 2


async def test_names_of_sanic_extensions() -> None:
    """`app.ext.add_dependency` and `app.ext.dependency` are the application's own."""
    app = App("ext")
    app.ext.add_dependency(Settings)
    app.ext.dependency("a name", kind=Name)

    @app.get("/")
    async def handler(request: Request, settings: Settings, name: Name) -> object:
        return json([type(settings).__name__, name])

    async with AsyncTestClient(app) as client:
        assert (await client.get("/")).json() == ["Settings", "a name"]


async def test_websockets_have_dependencies() -> None:
    """A websocket's dependencies live as long as its handler."""
    events: Events = []
    app = make_app(events)

    @app.websocket("/<room>")
    async def feed(request: Request, ws: Any, session: Session, room: str) -> None:
        await ws.send(room)
        await ws.recv()
        events.append("handler")

    async with AsyncTestClient(app) as client, client.websocket("/blue") as ws:
        assert await ws.recv() == "blue"
        assert events == ["pool", "session"]
        await ws.send("done")
        await ws.wait_closed()
    assert events == ["pool", "session", "handler", "commit", "pool closed"]


async def test_inject_into_middleware() -> None:
    """`@inject` gives dependencies to what is no handler."""
    app = App("middleware")
    app.add_dependency(Settings, scope="singleton")
    seen: list[object] = []

    @app.on_request
    @inject
    async def before(request: Request, settings: Settings) -> None:
        seen.append(settings)

    @app.on_response
    @inject
    def after(request: Request, response: HTTPResponse, settings: Settings) -> None:
        seen.append(settings)

    @app.exception(LookupError)
    @inject
    def failed(request: Request, exc: LookupError, settings: Settings) -> HTTPResponse:
        return json(settings is seen[0])

    @app.get("/")
    async def handler(request: Request) -> None:
        raise LookupError

    async with AsyncTestClient(app) as client:
        assert (await client.get("/")).json() is True
    assert seen[0] is seen[1]


# Overrides


async def test_overrides() -> None:
    """Within the block a dependency is what the test says, before the start or after it, and what only it needs is not made."""
    events: Events = []
    app = make_app(events)

    @app.get("/")
    async def handler(request: Request, store: Store, pool: Pool) -> object:
        return json([store.name, type(pool).__name__])

    with override_dependencies(app, {Pool: "fake pool"}):
        async with AsyncTestClient(app) as client:
            with override_dependencies(app, {Store: Store(Session(Pool(Settings())), "fake")}):
                assert (await client.get("/")).json() == ["fake", "str"]
                with override_dependencies(app, {Store: Store(Session(Pool(Settings())), "inner")}):
                    assert (await client.get("/")).json() == ["inner", "str"]
                assert (await client.get("/")).json() == ["fake", "str"]
            assert events == []
            assert (await client.get("/")).json() == ["store", "str"]
    assert events == ["session", "commit"]
    with pytest.raises(LookupError, match="int"), override_dependencies(app, {int: 1}):
        raise AssertionError("unreachable")


# Mistakes that are found at the start


class A:
    def __init__(self, b: B) -> None: ...


class B:
    def __init__(self, c: C) -> None: ...


class C:
    def __init__(self, a: A) -> None: ...


def test_circles() -> None:
    """Dependencies that need each other are one clear message."""
    app = App("circle")
    for kind in (A, B, C):
        app.add_dependency(kind)
    with pytest.raises(TypeError, match="A → B → C → A"):
        app.finalise()


def for_worker(session: Session) -> Pool:
    return session.pool


def with_request(request: Request[Any, Any]) -> Pool:
    raise AssertionError("unreachable")


def with_unknown(thing: Title) -> Pool:
    raise AssertionError("unreachable")


def generator() -> Iterator[Pool]:
    yield Pool(Settings())


@pytest.mark.parametrize(
    ("constructor", "scope", "message"),
    [
        (for_worker, "worker", "its scope is request, too short for one whose scope is worker"),
        (with_request, "worker", "has no request"),
        (with_unknown, "worker", "no dependency of the type Title"),
        (generator, "singleton", "never torn down"),
    ],
)
def test_scopes_that_do_not_fit(constructor: Any, scope: Any, message: str) -> None:
    """What lives longer can't need what lives shorter."""
    app = App("scopes")
    app.add_dependency(Session, lambda: None)
    app.add_dependency(Pool, constructor, scope=scope)
    with pytest.raises(TypeError, match=message):
        app.finalise()


def test_registrations_that_make_no_sense() -> None:
    """A scope that doesn't exist, no class and no function, and two of a type."""
    app = App("senseless")
    with pytest.raises(ValueError, match="none of"):
        app.add_dependency(Pool, scope="session")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="no class"):
        app.add_dependency(Name)
    app.add_dependency(Pool, lambda: None)
    app.add_dependency(Pool, lambda: 1)
    with pytest.raises(ValueError, match="two dependencies of the type Pool"):
        app.finalise()


async def asks_for_nobody(request: Request, thing: Title, other: int) -> None: ...


async def asks_for_the_path(request: Request, name: Name) -> None: ...


def test_handlers_whose_needs_nobody_meets() -> None:
    """A handler that asks for what nobody provides is an error at the start that names it."""
    app = App("needs")
    app.add_route(asks_for_nobody, "/")
    with pytest.raises(TypeError, match=r"asks_for_nobody.*nobody provides thing: Title, other: int"):
        app.finalise()
    app = App("path")

    def of_path(shelf: int) -> Name:
        raise AssertionError("unreachable")

    app.add_dependency(Name, of_path)
    app.add_route(asks_for_the_path, "/")
    with pytest.raises(TypeError, match="Name needs shelf"):
        app.finalise()


async def test_worker_that_can_not_start() -> None:
    """A worker's dependency that fails stops the start, and what was made before it is torn down."""
    app = App("start")
    events: Events = []

    def first() -> Iterator[Settings]:
        yield Settings()
        events.append("never")

    def second() -> Iterator[Settings]:
        try:
            yield Settings()
        finally:
            events.append("torn down")

    def fail() -> Pool:
        raise ConnectionError("no database")

    app.add_dependency(Settings, second, scope="worker")
    app.add_dependency(Pool, fail, scope="worker")
    del first
    app.finalise()
    with pytest.raises(ConnectionError):
        await app.startup()
    assert events == ["torn down"]
    await app.shutdown()


async def test_worker_whose_end_fails(caplog: pytest.LogCaptureFixture) -> None:
    """A teardown that fails at the worker's end is logged; the listeners behind it still run."""
    app = App("end")
    events: Events = []

    def fail() -> Iterator[Settings]:
        yield Settings()
        raise ConnectionError("gone")

    app.add_dependency(Settings, fail, scope="worker")

    @app.after_server_stop
    async def stopped(app: Any) -> None:
        events.append("stopped")

    async with AsyncTestClient(app):
        pass
    assert events == ["stopped"]
    assert "a dependency failed" in caplog.text


def test_mistakes_in_a_handlers_path() -> None:
    """A path parameter that the path hasn't, headers as a mapping, and an annotation that can't be one."""

    async def no_such(request: Request, shelf: Path[int]) -> None: ...

    async def mapping(request: Request, given: Header[dict[str, str]]) -> None: ...

    async def no_hash(request: Request, given: Any) -> None: ...

    async def both(request: Request, body: Body[int], form: Form[int]) -> None: ...

    async def streaming(request: Request, body: Body[int]) -> None: ...

    async def unseen(request: Request, given: OnlyForCheckers) -> None: ...  # type: ignore[name-defined]  # noqa: F821

    no_hash.__annotations__["given"] = []
    for handler, message in (
        (no_such, "asks for 'shelf'"),
        (mapping, "not a mapping"),
        (no_hash, "nobody provides given"),
        (both, "a JSON body and for a form"),
        (streaming, "streams its body"),
        (unseen, "given: OnlyForCheckers .which is imported for type checkers only"),
    ):
        app = App("mistakes")
        app.add_route(handler, "/", stream=handler is streaming)
        handler.__annotations__.update(request=Request)
        with pytest.raises(TypeError, match=message):
            app.finalise()
