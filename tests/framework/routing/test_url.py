"""`url_for`: every underscore option, and what makes no URL (S)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fairlead import App, Blueprint, text
from fairlead.errors import URLBuildError


def make_app(tmp_path: Path) -> App:
    """Routes of every kind."""
    app, blueprint = App("shop"), Blueprint("items", url_prefix="/items")

    def handler(request: Any, **values: Any) -> Any:
        return text("")

    app.add_route(handler, "/", name="index")
    app.add_route(handler, "/files/<file=int:ext=png|tar.gz>", name="file")
    app.add_route(handler, "/paths/<path:path>", name="path", methods=("GET", "PUT"))
    app.add_route(handler, "/one", host="one.example", name="one")
    app.add_route(handler, "/two", host=["one.example", "two.example"], name="two")
    app.static("/static", tmp_path)
    blueprint.static("/static", tmp_path)
    blueprint.add_route(handler, "/<id:int>", name="show")
    app.blueprint(blueprint)
    return app


@pytest.mark.parametrize("is_final", [True, False])
@pytest.mark.parametrize(
    ("name", "values", "url"),
    [
        ("index", {}, "/"),
        ("shop.index", {"q": "a b", "n": [1, 2]}, "/?q=a+b&n=1&n=2"),
        ("index", {"_anchor": "a/b c"}, "/#a/b%20c"),
        ("items.show", {"id": 7}, "/items/7"),
        ("file", {"file": 7, "ext": "tar.gz"}, "/files/7.tar.gz"),
        ("path", {"path": "a b/c", "_method": "put"}, "/paths/a%20b/c"),
        ("static", {"filename": "/a/b.txt"}, "/static/a/b.txt"),
        ("static", {"name": "items.static", "filename": "b.txt"}, "/items/static/b.txt"),
        ("items.static", {"filename": "b.txt"}, "/items/static/b.txt"),
        ("static", {"path": "b.txt"}, "/static/b.txt"),
        ("index", {"_external": True, "_server": "x.example"}, "//x.example/"),
        ("index", {"_external": True, "_scheme": "https", "_server": "x.example"}, "https://x.example/"),
        ("index", {"_external": True, "_server": "https://x.example/"}, "https://x.example/"),
        ("one", {"_external": True}, "//one.example/one"),
        ("two", {"_host": "two.example"}, "//two.example/two"),
        ("index", {"_host": "any.example"}, "//any.example/"),
    ],
)
def test_urls(tmp_path: Path, is_final: bool, name: str, values: dict[str, Any], url: str) -> None:
    """Before the application is finalised as after it."""
    app = make_app(tmp_path)
    if is_final:
        app.finalise()
    assert app.url_for(name, **values) == url


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("none", {}, "no route named 'none'"),
        ("items.show", {}, "needs the parameter 'id'"),
        ("items.show", {"id": "x"}, "'x' is no int for the parameter 'id'"),
        ("file", {"file": 7}, "needs the parameter 'ext'"),
        ("file", {"file": 7, "ext": "gif"}, "'7.gif' is no"),
        ("index", {"_scheme": "https"}, "_external=True"),
        ("index", {"_external": True}, "_server or SERVER_NAME"),
        ("index", {"_method": "POST"}, "does not answer POST"),
        ("two", {"_external": True}, "choose one with _host"),
        ("one", {"_host": "two.example"}, "not for the host 'two.example'"),
    ],
)
def test_no_urls(tmp_path: Path, name: str, values: dict[str, Any], message: str) -> None:
    """One line that says why."""
    with pytest.raises(URLBuildError, match=message):
        make_app(tmp_path).url_for(name, **values)


def test_configuration(tmp_path: Path) -> None:
    """SERVER_NAME and URL_SCHEME stand in for the options."""
    app = make_app(tmp_path)
    app.config.SERVER_NAME, app.config.URL_SCHEME = "shop.example", "https"
    assert app.url_for("index", _external=True) == "https://shop.example/"
