"""Blueprints and groups: prefixes, versions, hosts and middleware that add up (P3)."""

from __future__ import annotations

from typing import Any

import pytest

from fairlead import App, Blueprint, BlueprintGroup, Request, text
from fairlead.errors import Forbidden, NotFound
from fairlead.testing import AsyncTestClient


def make_blueprint(name: str, **options: Any) -> Blueprint:
    """A blueprint with one route that answers its full name."""
    blueprint = Blueprint(name, **options)
    blueprint.add_route(lambda request: text(request.name), "/here", name="here")
    return blueprint


def test_repr() -> None:
    """A blueprint shows its name and prefix."""
    assert repr(Blueprint("items", url_prefix="/items")) == "<Blueprint items /items>"


async def test_hosts_of_a_blueprint() -> None:
    """A blueprint's host holds for its routes unless they have their own, in any spelling, one or several."""
    app = App("hosts")
    blueprint = make_blueprint("one", host="Shop.Example")
    blueprint.add_route(lambda request: text("own"), "/own", host="own.example", name="own")
    app.blueprint(blueprint)
    app.blueprint(make_blueprint("several", url_prefix="/several", host=["A.example", "b.example"]))
    async with AsyncTestClient(app) as client:

        async def status(path: str, host: str) -> int:
            return (await client.get(path, headers={"host": host})).status_code

        assert [await status("/here", host) for host in ("shop.example", "SHOP.EXAMPLE:80", "other")] == [200, 200, 404]
        assert [await status("/own", host) for host in ("own.example", "shop.example")] == [200, 404]
        assert [await status("/several/here", host) for host in ("a.example", "B.Example", "c.example")] == [200, 200, 404]


async def test_groups_nest() -> None:
    """Prefixes add up, a name prefix marks what is inside, versions and slashes of what is nearer win."""
    inner = Blueprint.group(
        make_blueprint("a", url_prefix="/a"), make_blueprint("b", url_prefix="/b", version=7), url_prefix="/inner", version=3
    )
    outer = BlueprintGroup(url_prefix="/outer/", version=2, version_prefix="/api/v", name_prefix="shop", strict_slashes=True)
    outer.append(inner)
    outer.extend([make_blueprint("c", url_prefix="/c", strict_slashes=False)])
    app = App("groups")
    app.blueprint([outer])
    async with AsyncTestClient(app) as client:
        assert (await client.get("/api/v3/outer/inner/a/here")).text == "groups.shop_a.here"
        assert (await client.get("/api/v7/outer/inner/b/here")).text == "groups.shop_b.here"
        assert (await client.get("/api/v2/outer/c/here/")).text == "groups.shop_c.here"
        assert (await client.get("/api/v3/outer/inner/a/here/")).status_code == 404


async def test_middleware_of_a_group() -> None:
    """Every way to register middleware on a group reaches each blueprint inside, and nothing outside."""
    group, seen = Blueprint.group(make_blueprint("a", url_prefix="/a"), make_blueprint("b", url_prefix="/b")), []

    def note(name: str) -> Any:
        return lambda request, response=None: seen.append(name)

    group.middleware(note("plain"))
    group.middleware("request")(note("request"))
    group.middleware("response", priority=1)(note("response"))
    group.on_request(note("on_request"))
    group.on_request(priority=5)(note("urgent"))
    group.on_response(note("on_response"))
    group.on_response(priority=5)(note("last"))

    @group.exception(Forbidden)
    def forbidden(request: Request, exc: Forbidden) -> object:
        return text("group", status=403)

    def refuse(request: Request) -> None:
        raise Forbidden("no")

    group.blueprints[0].add_route(refuse, "/refuse", name="refuse")
    app = App("middleware")
    app.blueprint(group)
    app.add_route(lambda request: text("outside"), "/outside", name="outside")
    async with AsyncTestClient(app) as client:
        for prefix in ("/a", "/b"):
            seen.clear()
            await client.get(f"{prefix}/here")
            assert seen == ["urgent", "plain", "request", "on_request", "on_response", "response", "last"]
        assert (await client.get("/a/refuse")).text == "group"
        seen.clear()
        await client.get("/outside")
    assert seen == []


def test_two_blueprints_of_one_name() -> None:
    """Two blueprints of one name are refused; a name prefix tells them apart."""
    app = App("names")
    app.blueprint(Blueprint("same"))
    with pytest.raises(ValueError, match="same"):
        app.blueprint(Blueprint("same"))
    app.blueprint(Blueprint("same"), name_prefix="other")
    assert sorted(app.blueprints) == ["other_same", "same"]


async def test_copies() -> None:
    """A copy has what was attached until then, under its own name; `ctx` if asked for; neither sees the other's additions."""
    original = Blueprint("original", url_prefix="/a", version=1, host="x.example")
    original.ctx.note = 1
    original.get("/one", name="one")(lambda request: text("one"))
    original.exception(NotFound)(lambda request, exception: text("own"))
    copy = original.copy("copy", url_prefix="/b", host=None)
    original.get("/two", name="two")(lambda request: text("two"))
    assert (copy.name, copy.copied_from, copy.version, copy.url_prefix, copy.host) == ("copy", "original", 1, "/b", None)
    assert [record.name for record in copy.route_records] == ["one"]
    assert copy.error_handlers == original.error_handlers
    assert not hasattr(copy.ctx, "note")
    assert original.copy("other", with_ctx=True).ctx.note == 1
    with pytest.raises(TypeError, match="prefix"):
        original.copy("wrong", prefix="/c")
    app = App("copies")
    assert not copy.registered
    app.blueprint(copy)
    assert copy.registered
    assert list(copy.apps) == [app]
    async with AsyncTestClient(app) as client:
        assert (await client.get("/v1/b/one")).text == "one"
        assert (await client.get("/v1/b/two")).text == "own"


def test_groups_are_sequences() -> None:
    """Of blueprints and groups; `group` takes them one by one or in lists."""
    one, two, three = (Blueprint(name) for name in ("one", "two", "three"))
    group = Blueprint.group([one, two], three)
    group[1] = group
    assert list(group) == [one, group, three]
    group[1:2] = [two]
    group.extend([one])
    del group[-1]
    group.insert(0, three)
    assert (len(group), group.index(two), group[0]) == (3 + 1, 2, three)
