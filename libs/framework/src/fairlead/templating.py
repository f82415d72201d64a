"""Templates: Jinja2, or any engine that has an async `render`.

    Templates("templates").install(app)

    @app.get("/<name:str>")
    @template("hello.html")
    async def hello(request, name):
        return {"name": name}

`render` and `app.ext.template` are Sanic Extensions' names and work without an installation as well: templates are then in the
folder that `TEMPLATING_PATH_TO_TEMPLATES` names, "templates" where the process runs.

Everything is escaped unless the template's name ends in `.txt`: choosing by `.html` alone would leave `page.html.j2` open
(CWE-79). Templates have `request`, `url_for`, and where `fairlead.csrf` is installed `csrf_input` and `csrf_token`. Files are
looked at again only in debug mode.

Never make a template of what a user has sent: whoever writes a template runs code (CWE-1336).
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol, Self, TypeVar, runtime_checkable
from weakref import WeakKeyDictionary

from jinja2 import Environment, FileSystemLoader, select_autoescape

from fairlead.composition import result_of
from fairlead.http import media
from fairlead.request import Request
from fairlead.response import HTTPResponse
from fairlead.types import HeaderItems

if TYPE_CHECKING:
    from fairlead.app import App

__all__ = ["Engine", "JinjaEngine", "Templates", "Unrendered", "engine_of", "render", "template"]

H = TypeVar("H", bound=Callable[..., Any])
Folder = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]

PATH_KEY: Final = "TEMPLATING_PATH_TO_TEMPLATES"
ASYNC_KEY: Final = "TEMPLATING_ENABLE_ASYNC"

_engines: WeakKeyDictionary[Any, Engine] = WeakKeyDictionary()


@runtime_checkable
class Engine(Protocol):
    """What makes text of a template."""

    async def render(self, name: str, context: Mapping[str, Any]) -> str:
        """The template of a name with these values. Raises the engine's own error for a name that it doesn't know."""
        ...


@runtime_checkable
class SourceEngine(Engine, Protocol):
    """An engine that takes a template as text, too."""

    async def render_source(self, source: str, context: Mapping[str, Any]) -> str:
        """A template that is given itself."""
        ...


class JinjaEngine:
    """Jinja2. `environment` is its own; give one, or the `folder` (or several, searched in order) that templates are in."""

    def __init__(
        self,
        folder: Folder = "templates",
        *,
        environment: Environment | None = None,
        enable_async: bool = True,
        auto_reload: bool = False,
    ) -> None:
        self.environment = environment or Environment(
            loader=FileSystemLoader(folder),
            autoescape=select_autoescape(disabled_extensions=("txt",), default=True, default_for_string=True),
            enable_async=enable_async,
            auto_reload=auto_reload,
        )

    def check(self, name: str) -> None:
        """Raises `jinja2.TemplateError` for a template that is not there, or can't be compiled."""
        self.environment.get_template(name)

    async def render(self, name: str, context: Mapping[str, Any]) -> str:
        """The template of a name. Raises `jinja2.TemplateNotFound`."""
        return await self._render(self.environment.get_template(name), context)

    async def render_source(self, source: str, context: Mapping[str, Any]) -> str:
        """A template that is given itself; it is compiled each time."""
        return await self._render(self.environment.from_string(source), context)

    async def _render(self, found: Any, context: Mapping[str, Any]) -> str:
        text: str = await found.render_async(context) if self.environment.is_async else found.render(context)
        return text


class Templates:
    """The templates of an app: a folder for Jinja2, several, or an engine of your own."""

    def __init__(self, source: Folder | Engine = "templates") -> None:
        self._source = source

    def install(self, app: App[Any, Any]) -> Self:
        """Let `app` render these; a second call replaces the first."""
        _engines[app] = self._source if isinstance(self._source, Engine) else _jinja_for(app, self._source)
        return self


def engine_of(app: App[Any, Any]) -> Engine:
    """The engine that was installed on `app`, else Jinja2 as the app's configuration says."""
    engine = _engines.get(app)
    if engine is None:
        engine = _engines[app] = _jinja_for(app, app.config.get(PATH_KEY, "templates"))
    return engine


def _jinja_for(app: App[Any, Any], folder: Folder) -> JinjaEngine:
    engine = JinjaEngine(folder, enable_async=app.config.get(ASYNC_KEY, True), auto_reload=app.debug)
    engine.environment.globals["url_for"] = app.url_for
    return engine


class Unrendered:
    """What `render` gives without a template: `@template` knows which one."""

    def __init__(self, context: Mapping[str, Any], status: int, headers: HeaderItems | None, content_type: str) -> None:
        self.context = context
        self.status = status
        self.headers = headers
        self.content_type = content_type


async def render(
    template_name: str = "",
    status: int = 200,
    headers: HeaderItems | None = None,
    content_type: str = media.HTML,
    app: App[Any, Any] | None = None,
    environment: Environment | None = None,
    context: Mapping[str, Any] | None = None,
    *,
    template_source: str = "",
) -> Any:
    """A response from a template, by its name or as text; without either, values for the `@template` around the handler.

    `app` is the current request's unless given, `environment` another one of Jinja2's. Raises TypeError for a name *and* a source,
    or a source where the engine takes none, LookupError outside of a request without `app`, and what the engine raises.
    """
    if template_name and template_source:
        raise TypeError("render() takes template_name or template_source, not both")
    if not template_name and not template_source:
        return Unrendered(context or {}, status, headers, content_type)
    engine = JinjaEngine(environment=environment) if environment is not None else engine_of(app or Request.get_current().app)
    values = _values(context or {})
    if template_name:
        text = await engine.render(template_name, values)
    elif isinstance(engine, SourceEngine):
        text = await engine.render_source(template_source, values)
    else:
        raise TypeError(f"{type(engine).__name__} renders templates by their name only")
    return HTTPResponse(text, status, headers, content_type)


def template(
    file_name: str, status: int = 200, headers: HeaderItems | None = None, content_type: str = media.HTML
) -> Callable[[H], H]:
    """Decorator: the handler returns the template's values (a mapping, or what `render(context=…)` gives with another status).

    A response passes as it is: a redirect, say. Raises TypeError (500) for anything else. Decorate nearest to the function.
    """

    def decorate(handler: H) -> H:
        @functools.wraps(handler)
        async def rendered(request: Request[Any, Any], *values: Any, **named: Any) -> Any:
            answer = await result_of(handler(request, *values, **named))
            if isinstance(answer, HTTPResponse) or request.responded:
                return answer
            if isinstance(answer, Mapping):
                answer = Unrendered(answer, status, headers, content_type)
            if not isinstance(answer, Unrendered):
                raise TypeError(f"a handler with a template returns a mapping or a response, not {type(answer).__name__}")
            text = await engine_of(request.app).render(file_name, _values(answer.context))
            return HTTPResponse(text, answer.status, answer.headers, answer.content_type)

        return rendered  # type: ignore[return-value]

    return decorate


def checked_template(app: App[Any, Any], file_name: str, **options: Any) -> Callable[[H], H]:
    """`template` for one app, whose start fails when the template is not there or can't be compiled."""

    def check(app: App[Any, Any]) -> None:
        engine = engine_of(app)
        if isinstance(engine, JinjaEngine):
            engine.check(file_name)

    app.before_server_start(check)
    return template(file_name, **options)


def _values(context: Mapping[str, Any]) -> dict[str, Any]:
    values = dict(context)
    try:
        request = Request.get_current()
    except LookupError:
        return values
    values.setdefault("request", request)
    if hasattr(request.ctx, "csrf"):
        from fairlead.csrf import csrf_input, csrf_token  # loaded, since it is installed

        values.setdefault("csrf_input", csrf_input)
        values.setdefault("csrf_token", csrf_token)
    return values
