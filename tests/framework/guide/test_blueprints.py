"""Sanic's guide, chapter Blueprints: runs on Sanic and on Fairlead (S, P3; see framework.py)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.framework.guide.framework import ON_SANIC, App, Blueprint, exceptions, json, text


def handler(request: Any) -> Any:
    """Shows the path."""
    return text(request.path)


def test_creating_and_registering() -> None:
    """Routes of a blueprint are below its prefix; it is written without the application."""
    bp = Blueprint("my_blueprint", url_prefix="/my")

    @bp.route("/")
    async def bp_root(request: Any) -> Any:
        return json({"my": "blueprint"})

    app = App("creating")
    app.blueprint(bp)
    assert app.test_client.get("/my/")[1].json == {"my": "blueprint"}
    assert app.url_for("my_blueprint.bp_root").rstrip("/") == "/my"


def test_adding_after_registering() -> None:
    """A blueprint may be registered before its routes are."""
    app, bp = App("after"), Blueprint("bp", url_prefix="/bp")
    app.blueprint(bp)
    bp.route("/", name="root")(handler)
    assert app.test_client.get("/bp/")[1].text == "/bp/"


def test_copying() -> None:
    """A copy has everything that is attached, under another name and, if wanted, version, prefix …"""
    v1 = Blueprint("Version1", url_prefix="/api", version=1)
    v1.route("/something", name="something")(handler)
    v1.on_response(lambda request, response: response.headers.update({"x-copied": "1"}))
    v2 = v1.copy("Version2", version=2)
    v3 = v1.copy("Version3", url_prefix="/other", version=3)
    v3.route("/own", name="own")(handler)
    app = App("copying")
    for bp in (v1, v2, v3):
        app.blueprint(bp)
    for path in ("/v1/api/something", "/v2/api/something", "/v3/other/something", "/v3/other/own"):
        _, response = app.test_client.get(path)
        assert (response.text, response.headers["x-copied"]) == (path, "1")
    assert app.test_client.get("/v1/api/own")[1].status == 404
    if not ON_SANIC:  # whose copies keep the names of the original
        assert app.url_for("Version2.something") == "/v2/api/something"


def test_groups_nest() -> None:
    """Prefixes add up, from the outermost group to the route."""
    authors = Blueprint("content_authors", url_prefix="/authors")
    static = Blueprint("content_static", url_prefix="/static")
    info = Blueprint("info", url_prefix="/info")
    content = Blueprint.group(static, authors, url_prefix="/content")
    api = Blueprint.group(content, info, url_prefix="/api")
    for bp in (authors, static, info):
        bp.route("/", name="root")(handler)
    app = App("nest")
    app.blueprint(api)
    for path in ("/api/content/authors/", "/api/content/static/", "/api/info/"):
        assert app.test_client.get(path)[1].text == path


def test_group_is_a_sequence() -> None:
    """It can be looked through, measured, and added to."""
    one, two, three = (Blueprint(name, url_prefix=f"/{name}") for name in ("one", "two", "three"))
    group = Blueprint.group(one, two, url_prefix="/group")
    group.append(three)
    group.insert(0, three)
    del group[0]
    assert (len(group), group[2], list(group)) == (3, three, [one, two, three])
    three.route("/", name="root")(handler)
    app = App("sequence")
    app.blueprint(group)
    assert app.test_client.get("/group/three/")[1].status == 200


def test_name_prefixes() -> None:
    """One blueprint in two groups has two sets of names."""
    bp1, bp2 = Blueprint("bp1", url_prefix="/bp1"), Blueprint("bp2", url_prefix="/bp2")
    bp1.add_route(handler, "/", name="route1")
    bp2.add_route(handler, "/", name="route2")
    app = App("TestApp")
    for name in ("group-a", "group-b"):
        app.blueprint(Blueprint.group(bp1, bp2, url_prefix=f"/{name}", name_prefix=name))
    assert app.test_client.get("/group-a/bp1/")[1].status == 200
    assert app.url_for("TestApp.group-a_bp1.route1").rstrip("/") == "/group-a/bp1"
    assert app.url_for("TestApp.group-b_bp2.route2").rstrip("/") == "/group-b/bp2"


def test_middleware() -> None:
    """A blueprint's own, and a group's for everything inside."""
    bp1, bp2, seen = Blueprint("bp1", url_prefix="/bp1"), Blueprint("bp2", url_prefix="/bp2"), []
    bp1.middleware("request")(lambda request: seen.append("bp1"))
    bp1.route("/", name="one")(handler)
    bp2.route("/<param>", name="two")(lambda request, param: text(param))
    group = Blueprint.group(bp1, bp2)
    group.middleware("request")(lambda request: seen.append("group"))
    group.on_response(lambda request, response: seen.append("response"))
    app = App("middleware")
    app.blueprint(group)
    app.test_client.get("/bp1/")
    assert seen == ["bp1", "group", "response"]
    seen.clear()
    assert app.test_client.get("/bp2/value")[1].text == "value"
    assert seen == ["group", "response"]


def test_exceptions() -> None:
    """A blueprint's handlers answer its routes' exceptions, the application's those of others."""
    app, bp = App("exceptions"), Blueprint("bp", url_prefix="/bp")

    @bp.exception(exceptions.Forbidden)
    def own(request: Any, exception: Exception) -> Any:
        return text("bp", 403)

    @app.exception(exceptions.Forbidden)
    def general(request: Any, exception: Exception) -> Any:
        return text("app", 403)

    def raises(request: Any) -> Any:
        raise exceptions.Forbidden("no")

    app.add_route(raises, "/", name="app")
    bp.add_route(raises, "/", name="bp")
    app.blueprint(bp)
    assert app.test_client.get("/bp/")[1].text == "bp"
    assert app.test_client.get("/")[1].text == "app"


@pytest.mark.skipif(ON_SANIC, reason="Sanic finds no route there, and therefore no blueprint")
def test_missing_pages_below_the_prefix() -> None:
    """The guide's own example, a blueprint's handler of NotFound, sees paths below the prefix that don't exist; and 405."""
    app, bp = App("missing"), Blueprint("bp", url_prefix="/bp", version=1)

    @bp.exception(exceptions.NotFound)
    def ignore_404s(request: Any, exception: Exception) -> Any:
        return text(f"Yep, I totally found the page: {request.path}")

    @bp.exception(exceptions.MethodNotAllowed)
    def ignore_405s(request: Any, exception: Exception) -> Any:
        return text("any method", 405)

    bp.route("/there", name="there")(handler)
    app.blueprint(bp)
    assert app.test_client.get("/v1/bp/nowhere/at/all")[1].text == "Yep, I totally found the page: /v1/bp/nowhere/at/all"
    assert app.test_client.post("/v1/bp/there")[1].text == "any method"
    for path in ("/v1/bpx", "/v1", "/"):
        assert app.test_client.get(path)[1].status == 404


def test_static(tmp_path: Path) -> None:
    """Folders below the prefix, by name in `url_for`."""
    (tmp_path / "file.txt").write_text("content")
    app, bp = App("static"), Blueprint("bp", url_prefix="/bp")
    bp.static("/web/path", str(tmp_path), name="uploads")
    app.blueprint(bp)
    assert app.test_client.get("/bp/web/path/file.txt")[1].text == "content"
    if not ON_SANIC:  # which has its guide's example under bp.uploads.bp.uploads
        assert app.url_for("static", name="bp.uploads", filename="file.txt") == "/bp/web/path/file.txt"


def test_listeners() -> None:
    """Run with the application's."""
    app, bp, seen = App("listeners"), Blueprint("bp"), []
    bp.listener("before_server_start")(lambda app: seen.append("start"))
    bp.listener("after_server_stop")(lambda app: seen.append("stop"))
    bp.route("/", name="root")(handler)
    app.blueprint(bp)
    app.test_client.get("/")
    assert seen == ["start", "stop"]


def test_composable() -> None:
    """One blueprint in a group, in a group of groups, and by itself: several addresses."""
    blueprint_1, blueprint_2 = (Blueprint(f"blueprint_{n}", url_prefix=f"/bp{n}") for n in (1, 2))
    group = Blueprint.group(blueprint_1, blueprint_2, version=1, version_prefix="/api/v", url_prefix="/grouped", name_prefix="g")
    primary = Blueprint.group(group, url_prefix="/primary", name_prefix="p")
    for bp in (blueprint_1, blueprint_2):
        bp.route("/", name="root")(handler)
    app = App("composable")
    app.blueprint(group)
    if not ON_SANIC:  # which adds no second prefix to a name, and then has two routes of one
        app.blueprint(primary)
    app.blueprint(blueprint_1)
    below_primary = [] if ON_SANIC else ["/api/v1/primary/grouped/bp2/"]
    for path in ("/api/v1/grouped/bp1/", "/api/v1/grouped/bp2/", "/bp1/", *below_primary):
        assert app.test_client.get(path)[1].text == path


def test_signals_and_websockets_of_a_blueprint() -> None:
    """Have the application's decorators."""
    app, bp = App("decorators"), Blueprint("bp", url_prefix="/bp")

    @bp.websocket("/feed")
    async def feed(request: Any, ws: Any) -> None:
        await ws.send("hello")
        await ws.recv()

    async def client(ws: Any) -> None:
        assert await ws.recv() == "hello"

    app.blueprint(bp)
    _, response = app.test_client.websocket("/bp/feed", mimic=client)
    assert response.server_sent == ["hello"]
