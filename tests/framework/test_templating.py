"""Templates: Sanic Extensions' names, escaping that is on, engines of one's own (P8)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
import pytest

from fairlead import App, HTTPResponse, Request, redirect
from fairlead.csrf import Csrf
from fairlead.sessions import MemoryStore, Sessions
from fairlead.templating import Templates, engine_of, render, template
from fairlead.testing import AsyncTestClient

PAGES = {
    "hello.html": "Hello {{ name }}",
    "hello.html.j2": "Hello {{ name }}",
    "hello.txt": "Hello {{ name }}",
    "path.html": "{{ request.path }} {{ url_for('show', name='x') }}",
    "await.html": "{{ later() }}",
    "form.html": "{{ csrf_input(request) }} {{ csrf_token(request)|length }}",
    "child.html": "{% extends 'base.html' %}{% block body %}{{ name }}{% endblock %}",
    "base.html": "<b>{% block body %}{% endblock %}</b>",
    "broken.html": "{% if %}",
}
EVIL = "<script>alert('x')</script>"
ESCAPED = "Hello &lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;"


@pytest.fixture
def app(tmp_path: Path) -> App[Any, Any]:
    for name, text in PAGES.items():
        (tmp_path / name).write_text(text)
    (tmp_path.parent / "secret.html").write_text("secret")
    app: App[Any, Any] = App("app", {"TEMPLATING_PATH_TO_TEMPLATES": str(tmp_path)})

    @app.get("/show/<name:str>")
    async def show(request: Request[Any, Any], name: str) -> Any:
        return await render(name, context={"name": EVIL, "later": later})

    return app


async def later() -> str:
    return "later"


async def get(app: App[Any, Any], path: str) -> Any:
    async with AsyncTestClient(app, base_url="https://testserver") as client:
        return await client.get(path)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("hello.html", ESCAPED),
        ("hello.html.j2", ESCAPED),
        ("hello.txt", f"Hello {EVIL}"),
        ("path.html", "/show/path.html /show/x"),
        ("await.html", "later"),
        ("child.html", f"<b>{ESCAPED.removeprefix('Hello ')}</b>"),
    ],
)
async def test_render(app: App[Any, Any], name: str, text: str) -> None:
    """By name, escaped but for plain text, with the request and `url_for`; functions may be async."""
    response = await get(app, f"/show/{name}")
    assert (response.status_code, response.text, response.headers["content-type"]) == (200, text, "text/html; charset=utf-8")


@pytest.mark.parametrize("name", ["missing.html", "broken.html", "..%2Fsecret.html"])
async def test_templates_that_are_not_there(app: App[Any, Any], name: str) -> None:
    """A server's error whose page tells nothing; nobody gets out of the folder."""
    response = await get(app, f"/show/{name}")
    assert response.status_code in (404, 500)
    assert "secret" not in response.text.replace("secret.html", "")


async def test_everything_that_render_takes(app: App[Any, Any]) -> None:
    """Status, headers, type, a source, another environment, an app outside of a request."""
    other = jinja2.Environment(loader=jinja2.DictLoader({"x": "from x {{ a }}"}))
    response = await render("x", 201, {"x-a": "b"}, "text/plain", environment=other, context={"a": 1})
    assert (response.body, response.status, response.headers["x-a"], response.content_type) == (b"from x 1", 201, "b", "text/plain")
    response = await render(app=app, template_source="{{ name }}", context={"name": "<"})
    assert response.body == b"&lt;"
    with pytest.raises(TypeError, match="not both"):
        await render("x", template_source="y")
    with pytest.raises(LookupError):
        await render("x")
    with pytest.raises(jinja2.TemplateNotFound):
        await render("missing.html", app=app)


def test_the_environment(app: App[Any, Any]) -> None:
    """`app.ext.environment` is Jinja2's own, to add filters to; the same each time."""
    app.ext.environment.filters["shout"] = str.upper
    assert engine_of(app).environment.filters["shout"] is str.upper  # type: ignore[attr-defined]
    assert app.ext.environment.is_async


async def test_without_async(app: App[Any, Any]) -> None:
    """`TEMPLATING_ENABLE_ASYNC` turns it off."""
    app.config.TEMPLATING_ENABLE_ASYNC = False
    assert (await get(app, "/show/hello.html")).text == ESCAPED


async def test_decorators(app: App[Any, Any]) -> None:
    """A mapping, `render` with another status, a response as it is, a streamed one; anything else is the handler's error."""

    @app.get("/page/<kind:str>")
    @app.ext.template("hello.html", status=203)
    async def page(request: Request[Any, Any], kind: str) -> Any:
        context = {"name": kind}
        if kind == "status":
            return await render(context=context, status=418)
        if kind == "redirect":
            return redirect("/elsewhere")
        if kind == "stream":
            return await (await request.respond()).send("streamed")
        return context if kind == "mapping" else 7

    @app.get("/plain")
    @template("hello.html", content_type="text/plain", headers={"x-a": "b"})
    def plain(request: Request[Any, Any]) -> dict[str, str]:
        return {"name": "plain"}

    @app.get("/forgotten")
    async def forgotten(request: Request[Any, Any]) -> Any:
        return await render(context={})

    async with AsyncTestClient(app) as client:
        answers = [await client.get(f"/page/{kind}") for kind in ("mapping", "status", "redirect", "stream", "other")]
        assert [response.status_code for response in answers] == [203, 418, 302, 200, 500]
        assert [response.text for response in answers[:2]] == ["Hello mapping", "Hello status"]
        response = await client.get("/plain")
        assert (response.text, response.headers["content-type"], response.headers["x-a"]) == ("Hello plain", "text/plain", "b")
        assert (await client.get("/forgotten")).status_code == 500


@pytest.mark.parametrize(
    ("name", "error"), [("missing.html", jinja2.TemplateNotFound), ("broken.html", jinja2.TemplateSyntaxError)]
)
async def test_the_start_finds_mistakes(app: App[Any, Any], name: str, error: type[Exception]) -> None:
    """`app.ext.template` with a template that is not there, or not one: the app doesn't start."""

    @app.get("/page")
    @app.ext.template(name)
    async def page(request: Request[Any, Any]) -> Any:
        return {}

    app.finalise()
    with pytest.raises(error):
        await app.startup()


async def test_csrf_tokens(app: App[Any, Any]) -> None:
    """Where `Csrf` is installed, forms have their token; it is HTML already."""
    Sessions(MemoryStore()).install(app)
    Csrf().install(app)
    response = await get(app, "/show/form.html")
    assert response.text.startswith('<input type="hidden" name="csrf_token" value="')
    assert response.text.endswith('"> 86')


class Shouting:
    """An engine of one's own."""

    async def render(self, name: str, context: Mapping[str, Any]) -> str:
        return f"{name}: {context['name']}".upper()


async def test_another_engine() -> None:
    """Anything with `render`; what it can't do is said."""
    app: App[Any, Any] = App("app")
    assert isinstance(Templates(Shouting()).install(app), Templates)

    @app.get("/page")
    @app.ext.template("page")
    async def page(request: Request[Any, Any]) -> Any:
        return {"name": "ada"}

    assert (await get(app, "/page")).text == "PAGE: ADA"
    with pytest.raises(TypeError, match="by their name only"):
        await render(app=app, template_source="x")
    with pytest.raises(AttributeError):
        _ = app.ext.environment


async def test_several_folders(tmp_path: Path) -> None:
    """The first folder that has it; a file that changes is seen in debug mode only."""
    for folder, text in (("own", "own"), ("shared", "shared")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "page.html").write_text(text)
    (tmp_path / "shared" / "base.html").write_text("base")
    for debug in (False, True):
        app: App[Any, Any] = App("app", {"DEBUG": debug})
        Templates([tmp_path / "own", tmp_path / "shared"]).install(app)
        responses: list[HTTPResponse] = [await render(name, app=app) for name in ("page.html", "base.html")]
        assert [response.body for response in responses] == [b"own", b"base"]
        assert app.ext.environment.auto_reload == debug
