"""Routing: which handler for which path and method, with which parameters (S)."""

from __future__ import annotations

import uuid
from datetime import date
from typing import Any

import pytest

from fairlead import App, text
from fairlead.errors import MethodNotAllowed, NotFound
from fairlead.http.head import Head
from fairlead.request import Request
from fairlead.routing import Route, RouteExists, Router
from fairlead.routing.pattern import begins_with
from fairlead.testing import AsyncTestClient


def make_router(*paths: str | tuple[str, str], **options: Any) -> Router:
    """A router with GET (or the given method) routes; each is named as it is written."""
    router = Router()
    for given in paths:
        method, path = given if isinstance(given, tuple) else ("GET", given)
        router.add(Route(f"{method} {path}", path, router.parse(path), [method], lambda request: None, **options))
    router.finalise()
    return router


def find(router: Router, target: str, method: str = "GET") -> tuple[str, list[Any] | None]:
    """Name of the route and values of its parameters."""
    request: Request[Any, Any] = Request(None, None, method.encode(), target.encode(), Head(b"\r\nHost: a"), b"")  # type: ignore[arg-type]
    route = router.find(request)
    return route.name, request.route_parameters


@pytest.mark.parametrize(
    ("label", "good", "value", "bad"),
    [
        ("", "x%20y", "x y", ""),
        ("str", "caf%C3%A9", "café", "%FF"),
        ("int", "-12", -12, "1.0"),
        ("float", "1.5", 1.5, "nan"),
        ("alpha", "abcXYZ", "abcXYZ", "a1"),
        ("slug", "a-b-1", "a-b-1", "A--b"),
        ("ymd", "2026-02-28", date(2026, 2, 28), "2026-02-30"),
        ("uuid", "123e4567-e89b-12d3-a456-426655440000", uuid.UUID("123e4567-e89b-12d3-a456-426655440000"), "123e4567"),
        ("[a-z]{3}", "abc", "abc", "abcd"),
        (r"(?P<p>[a-z]+)\.txt", "abc.txt", "abc", "abc.md"),
    ],
)
def test_parameter_types(label: str, good: str, value: Any, bad: str) -> None:
    """Each type converts what fits, and is no route for what doesn't: at the end of a path and within it."""
    pattern = f"<p:{label}>" if label else "<p>"
    router = make_router(f"/last/{pattern}", f"/within/{pattern}/end")
    assert find(router, f"/last/{good}?q=1")[1] == [value]
    assert find(router, f"/within/{good}/end")[1] == [value]
    for target in (f"/last/{bad}", f"/within/{bad}/end"):
        with pytest.raises(NotFound):
            find(router, target)


def test_path_and_strorempty() -> None:
    """`path` takes the rest with its slashes, `strorempty` also nothing."""
    router = make_router("/files/<p:path>", "/maybe/<p:strorempty>")
    assert find(router, "/files/a/b%20c/d") == ("GET /files/<p:path>", ["a/b c/d"])
    assert find(router, "/maybe/")[1] == [""]
    assert find(router, "/maybe/x")[1] == ["x"]
    with pytest.raises(NotFound):
        find(router, "/files/")


def test_literals_win_over_parameters_and_narrow_types_over_wide() -> None:
    """A literal is tried first, then types by rank; a branch that leads nowhere is left again."""
    router = make_router("/a/<x>", "/a/<x:int>", "/a/me", ("POST", "/a/me"), "/a/<x:int>/b", "/a/<x>/c", "/<p:path>")
    assert find(router, "/a/me")[0] == "GET /a/me"
    assert find(router, "/a/7")[0] == "GET /a/<x:int>"
    assert find(router, "/a/x")[0] == "GET /a/<x>"
    assert find(router, "/a/7/c") == ("GET /a/<x>/c", ["7"])
    assert find(router, "/a/7/d") == ("GET /<p:path>", ["a/7/d"])


def test_methods() -> None:
    """Another method's path is 405 with every method that there is; GET answers HEAD unless HEAD has its own."""
    router = make_router("/x", ("POST", "/x"), ("PUT", "/x/<id:int>"), ("DELETE", "/x/<name>"), "/h", ("HEAD", "/h"), "/p/<id>")
    assert find(router, "/x", "HEAD")[0] == "GET /x"
    assert find(router, "/h", "HEAD")[0] == "HEAD /h"
    assert find(router, "/p/1", "HEAD") == ("GET /p/<id>", ["1"])
    with pytest.raises(MethodNotAllowed) as refused:
        find(router, "/x", "PATCH")
    assert refused.value.headers["Allow"] == "GET, HEAD, POST"
    with pytest.raises(MethodNotAllowed) as refused:
        find(router, "/x/7", "GET")
    assert refused.value.headers["Allow"] == "DELETE, PUT"


def test_methods_of_parameters() -> None:
    """A path whose end is a parameter has its methods, too: found by any of them, 405 for the others, HEAD by its own handler."""
    router = make_router(("POST", "/a/<x>"), ("PUT", "/f/<p:path>"), "/b/<x>", ("HEAD", "/b/<x>"), "/b/<x>/end")
    assert find(router, "/a/1", "POST") == ("POST /a/<x>", ["1"])
    assert find(router, "/b/1", "HEAD") == ("HEAD /b/<x>", ["1"])
    assert find(router, "/b/1/end", "HEAD") == ("GET /b/<x>/end", ["1"])
    assert find(router, "/f/1/2", "PUT") == ("PUT /f/<p:path>", ["1/2"])
    for target, allowed in (("/a/1", "POST"), ("/f/1/2", "PUT")):
        with pytest.raises(MethodNotAllowed) as refused:
            find(router, target)
        assert refused.value.headers["Allow"] == allowed


def test_routes_show_what_they_are() -> None:
    """A route's repr has its name, methods and path; `uri` is the path."""
    route = Route("shop.show", "/items/<id:int>", [], ["GET", "DELETE"], lambda request: None)
    assert (repr(route), route.uri) == ("<Route shop.show: DELETE,GET /items/<id:int>>", "/items/<id:int>")


def test_slashes() -> None:
    """Without strict slashes a path is good with and without its last slash, with them only as written."""
    loose = make_router("/a", "/b/", "/c/<x:int>", "/")
    for target in ("/a", "/a/", "/b", "/b/", "/c/1", "/c/1/", "/"):
        find(loose, target)
    strict = make_router("/a", "/b/", "/c/<x:int>", strict=True)
    for target in ("/a", "/b/", "/c/1"):
        find(strict, target)
    for target in ("/a/", "/b", "/c/1/", "//a"):
        with pytest.raises(NotFound):
            find(strict, target)


def test_odd_targets() -> None:
    """What is no path matches nothing, also not by the part behind its first slash (RFC 9112 §3.2)."""
    router = make_router("/", "/a", "/<x:strorempty>/<y>/<z>", "/<p:path>")
    for target in ("*", "ftp://host/a", "host:443", "x/a", ""):
        with pytest.raises(NotFound):
            find(router, target)


def test_literals_beyond_ascii() -> None:
    """A literal beyond ASCII is found by its percent-encoded form."""
    assert find(make_router("/straße/<x>"), "/stra%C3%9Fe/1")[1] == ["1"]


def test_hosts() -> None:
    """A route of a host wins over one without, and is no route for other hosts."""
    router = Router()
    for name, hosts in (("any", frozenset()), ("own", frozenset(("shop.example",)))):
        router.add(Route(name, "/", router.parse("/"), ["GET"], lambda request: None, hosts=hosts))
    router.add(Route("only", "/x", router.parse("/x"), ["GET"], lambda request: None, hosts=frozenset(("shop.example",))))
    router.finalise()

    def at(host: bytes, target: bytes) -> str:
        app = type("App", (), {"config": type("Config", (), {"FORWARDED_SECRET": 0, "REAL_IP_HEADER": 0, "PROXIES_COUNT": 0})})
        request: Request[Any, Any] = Request(app, None, b"GET", target, Head(b"\r\nHost: " + host), b"")  # type: ignore[arg-type]
        return router.find(request).name

    assert (at(b"Shop.Example:8000", b"/"), at(b"other", b"/"), at(b"shop.example", b"/x")) == ("own", "any", "only")
    with pytest.raises(NotFound):
        at(b"other", b"/x")


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        (("/a", "/a"), "already"),
        (("/<x:int>", "/<y:int>"), "already"),
        (("a",), "slash"),
        (("/<x>/<x>",), "twice"),
        (("/a<x>",), "whole segment"),
        (("/<x:path>/a",), "last"),
        (("/<x:[>",), "regular expression"),
        (("/<x",), "brackets"),
    ],
)
def test_contradictions(paths: tuple[str, ...], message: str) -> None:
    """Routes that contradict each other, and paths that make no sense, are errors when the application starts."""
    with pytest.raises(ValueError, match=message) as error:
        make_router(*paths)
    assert isinstance(error.value, RouteExists) == (len(paths) > 1)


def test_names() -> None:
    """One name may stand for several methods of one path (the methods of a class), and for nothing else."""
    router = Router()
    for path, method in (("/a", "GET"), ("/a", "POST")):
        router.add(Route("own", path, router.parse(path), (method,), print))
    assert router.routes_by_name["own"].methods == {"GET"}
    with pytest.raises(RouteExists, match="two routes of the name 'own'"):
        router.add(Route("own", "/b", router.parse("/b"), ("GET",), print))


def test_own_parameter_types() -> None:
    """`register_pattern` adds a type; a label that is taken is refused."""
    router = Router()
    router.register_pattern("even", lambda text: int(text) // 2, r"[0-9]*[02468]")
    router.add(Route("half", "/<x:even>", router.parse("/<x:even>"), ["GET"], lambda request, x: None))
    router.finalise()
    assert find(router, "/12") == ("half", [6])
    with pytest.raises(NotFound):
        find(router, "/13")
    with pytest.raises(ValueError, match="exists"):
        router.register_pattern("int", int, r"\d")


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("/<f=path:ext>", "is no path"),
        ("/<f=int:str>", "before an extension only"),
        ("/<f=none:ext>", "'none' is no parameter type"),
        ("/<ext>/<f:ext>", "twice"),
    ],
)
def test_extensions_that_make_no_sense(pattern: str, message: str) -> None:
    """A file is no path and no regular expression, and `=` stands before an extension only."""
    with pytest.raises(ValueError, match=message):
        make_router(pattern)


@pytest.mark.parametrize(
    ("pattern", "path", "values"),
    [
        ("/<f:ext>", "/a.b.txt", ["a.b", "txt"]),
        ("/<f:ext=tar.gz|gz>", "/a.tar.gz", ["a", "tar.gz"]),
        ("/x/<n:int>/<f=int:ext=png>", "/x/1/2.png", [1, 2, "png"]),
        ("/<f:ext>", "/plain", None),
        ("/<f:ext>", "/a.", None),
        ("/<f:ext>", "/.txt", None),
        ("/<f=int:ext=png>", "/a.png", None),
    ],
)
def test_extensions(pattern: str, path: str, values: list[Any] | None) -> None:
    """A file and its extension are two values; the longest known extension wins; a name without one doesn't fit."""
    router = make_router(pattern)
    if values is None:
        with pytest.raises(NotFound):
            find(router, path)
    else:
        assert find(router, path)[1] == values


async def test_types_from_annotations() -> None:
    """A parameter without a type has that of its annotation; one that can't be read changes nothing."""
    app = App("a")

    def typed(request: Any, id: int) -> Any:
        return text(type(id).__name__)

    def unreadable(request: Any, id: NoSuchName) -> Any:  # type: ignore[name-defined] # noqa: F821
        return text(type(id).__name__)

    app.add_route(typed, "/typed/<id>")
    app.add_route(unreadable, "/unreadable/<id>")
    async with AsyncTestClient(app) as client:
        assert (await client.get("/typed/7")).text == "int"
        assert (await client.get("/typed/seven")).status_code == 404
        assert (await client.get("/unreadable/7")).text == "str"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/shops/7", True),
        ("/shops/7/items/1", True),
        ("/shops", False),
        ("/shops/x/items", False),
        ("/markets/7", False),
    ],
)
def test_prefixes(path: str, expected: bool) -> None:
    """A path is below a prefix when each of its segments fits, those of parameters by their types."""
    prefix = Router().parse("/shops/<shop:int>")
    assert begins_with([segment.encode() for segment in path.split("/")[1:]], prefix) is expected
