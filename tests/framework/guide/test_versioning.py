"""Sanic's guide, chapter Versioning: runs on Sanic and on Fairlead (S; see framework.py)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.framework.guide.framework import App, Blueprint, text


def handler(request: Any) -> Any:
    """Shows the route's path."""
    return text(request.path)


@pytest.mark.parametrize(
    ("version", "prefix"), [(1, "/v1"), (1.1, "/v1.1"), ("1", "/v1"), ("v1", "/v1"), ("v1.1", "/v1.1"), (2.25, "/v2.25")]
)
def test_per_route(version: Any, prefix: str) -> None:
    """Whole numbers, decimals and text, with and without a v."""
    app = App("route")
    app.add_route(handler, "/text", version=version)
    assert app.test_client.get(f"{prefix}/text")[1].status == 200
    assert app.test_client.get("/text")[1].status == 404


def test_two_versions() -> None:
    """Of one path."""
    app = App("two")
    for version in (1, 2):
        app.route("/text", version=version, name=f"v{version}")(lambda request, version=version: text(f"Version {version}"))
    assert [app.test_client.get(f"/v{version}/text")[1].text for version in (1, 2)] == ["Version 1", "Version 2"]


def test_blueprints_and_groups() -> None:
    """Route before blueprint before group."""
    app = App("groups")
    bp1 = Blueprint("blueprint-1", url_prefix="/bp1", version=1.25)
    bp2 = Blueprint("blueprint-2", url_prefix="/bp2")
    group = Blueprint.group(bp1, bp2, url_prefix="/bp-group", version="v2")
    bp1.add_route(handler, "/endpoint-1", name="one")
    bp2.add_route(handler, "/endpoint-1", name="two")
    bp2.add_route(handler, "/endpoint-2", version=1, name="three")
    app.blueprint(group)
    for path in ("/v1.25/bp-group/bp1/endpoint-1", "/v2/bp-group/bp2/endpoint-1", "/v1/bp-group/bp2/endpoint-2"):
        assert app.test_client.get(path)[1].text == path


def test_prefix() -> None:
    """`version_prefix` of a route, a blueprint, a group and a registration, the nearest to the route first."""
    app = App("prefix")
    app.add_route(handler, "/my/path", version=1, version_prefix="/api/v", name="own")
    v2ip = Blueprint("v2ip", url_prefix="/ip", version=2)
    v2ip.add_route(handler, "/", name="group")
    app.blueprint(Blueprint.group(v2ip, version_prefix="/api/version"))
    v3 = Blueprint("v3", url_prefix="/three", version=3, version_prefix="/own/v")
    v3.add_route(handler, "/", name="blueprint")
    app.blueprint(v3)
    for path in ("/api/v1/my/path", "/api/version2/ip/", "/own/v3/three/"):
        assert app.test_client.get(path)[1].text == path


def test_prefix_with_a_parameter() -> None:
    """It is a parameter of every route below."""
    app = App("parameter")
    bp = Blueprint("bp", url_prefix="/bp", version=1, version_prefix="/<foo:str>/v")
    bp.add_route(lambda request, foo: text(foo), "/", name="shown")
    app.blueprint(bp)
    assert app.test_client.get("/ada/v1/bp/")[1].text == "ada"
