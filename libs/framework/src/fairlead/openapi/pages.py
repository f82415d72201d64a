"""The document and its pages: `/docs/openapi.json`, `/docs/swagger`, `/docs/redoc`, and one of the two at `/docs`.

The files of Swagger UI and Redoc come from the package that `fairlead[docs]` installs, never from a CDN; without it there is the
document alone. Each page's Content-Security-Policy lets it load from its own origin only, and run no script that stands in the
page: what sets the user interface up is a file as well. (Both write styles into the page, hence `'unsafe-inline'` for styles.)

Attaching is asked for, since a description of everything is not for everybody; the document is made at the first request.
"""

from __future__ import annotations

from html import escape
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, TypeAlias

from fairlead.http.media import JSON
from fairlead.openapi.document import build_document, encode_document
from fairlead.request import Request
from fairlead.response import HTTPResponse, html, raw, redirect

Ui: TypeAlias = Literal["swagger", "redoc"]

PACKAGE = "fastapi_offline"
"""Only its files are used: it carries current builds of both user interfaces, and needs no network."""

_FILES = {
    "swagger-ui.css": "text/css; charset=utf-8",
    "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
    "redoc.standalone.js": "text/javascript; charset=utf-8",
}

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:; "
    "connect-src 'self'; worker-src blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

_SET_UP: dict[Ui, str] = {
    "swagger": (
        'SwaggerUIBundle({ url: "openapi.json", dom_id: "#ui", deepLinking: true, validatorUrl: null, '
        "presets: [SwaggerUIBundle.presets.apis] });\n"
    ),
    "redoc": 'Redoc.init("openapi.json", { hideDownloadButtons: true }, document.getElementById("ui"));\n',
}
_LOADED: dict[Ui, str] = {
    "swagger": '<link rel="stylesheet" href="assets/swagger-ui.css"><script src="assets/swagger-ui-bundle.js" defer></script>',
    "redoc": '<script src="assets/redoc.standalone.js" defer></script>',
}


class Documentation:
    """The documentation of one application. Made by `attach`; its attributes can be changed until the first request."""

    def __init__(self, app: Any, *, title: str | None, version: str, description: str, servers: tuple[str, ...]) -> None:
        self.app = app
        self.title = title
        self.version = version
        self.description = description
        self.servers = servers
        self.security: list[dict[str, list[str]]] = []
        self.security_schemes: dict[str, dict[str, Any]] = {}
        self._encoded: bytes | None = None

    def describe(self, title: str, *, version: str | None = None, description: str | None = None) -> None:
        """Title, version and description of the document, by Sanic Extensions' name."""
        self.title = title
        self.version = version if version is not None else self.version
        self.description = description if description is not None else self.description

    def add_security_scheme(self, ident: str, type: str, /, **fields: Any) -> None:
        """A scheme that `openapi.secured` can name: `add_security_scheme("key", "apiKey", name="X-Key", location="header")`."""
        place = fields.pop("location", None)
        self.security_schemes[ident] = {"type": type, **fields, **({"in": place} if place else {})}

    def secured(self, *schemes: str) -> None:
        """The schemes that hold for every operation that says nothing of its own."""
        self.security = [{name: []} for name in schemes]

    def build(self) -> dict[str, Any]:
        """The document."""
        self.app.finalise()
        return build_document(
            self.app,
            title=self.title,
            version=self.version,
            description=self.description,
            servers=self.servers,
            security_schemes=self.security_schemes,
            security=self.security,
        )

    def encoded(self) -> bytes:
        """The document as JSON, made once."""
        if self._encoded is None:
            self._encoded = encode_document(self.build())
        return self._encoded


def attach(
    app: Any,
    *,
    title: str | None = None,
    version: str = "0.0.0",
    description: str = "",
    servers: tuple[str, ...] = (),
    url_prefix: str = "/docs",
    ui: Ui = "swagger",
) -> Documentation:
    """Serve the application's document below `url_prefix`, with pages where `fairlead[docs]` is installed; `ui` is the usual one.

    Call it once, before the app starts. Raises ValueError for a user interface that doesn't exist.
    """
    if ui not in _SET_UP:
        raise ValueError(f"the user interface {ui!r} is none of {', '.join(_SET_UP)}")
    documentation = Documentation(app, title=title, version=version, description=description, servers=servers)
    app.openapi = documentation
    prefix = url_prefix.rstrip("/")

    async def document(request: Request[Any, Any]) -> HTTPResponse:
        return raw(documentation.encoded(), content_type=JSON)

    app.add_route(document, f"{prefix}/openapi.json", name="openapi.document")
    folder = _folder()
    if folder is not None:
        _add_pages(app, documentation, prefix, ui, folder)
    return documentation


def _folder() -> Path | None:
    """Where the user interfaces' files are; None when they are not installed. The package itself is not imported."""
    spec = find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(next(iter(spec.submodule_search_locations))) / "static"


def _add_pages(app: Any, documentation: Documentation, prefix: str, default: Ui, folder: Path) -> None:
    def add(name: Ui, script: str) -> None:
        async def page(request: Request[Any, Any]) -> HTTPResponse:
            return _page(documentation.title or app.name, name)

        async def set_up(request: Request[Any, Any]) -> HTTPResponse:
            return raw(script, content_type=_FILES["swagger-ui-bundle.js"])

        app.add_route(page, f"{prefix}/{name}", name=f"openapi.{name}")
        app.add_route(set_up, f"{prefix}/assets/{name}.js", name=f"openapi.{name}.js")

    for name, script in _SET_UP.items():
        add(name, script)

    async def index(request: Request[Any, Any]) -> HTTPResponse:
        last = "" if request.path.endswith("/") else f"{prefix.rpartition('/')[2]}/"
        return redirect(f"{last}{default}")

    app.add_route(index, prefix or "/", name="openapi.index")
    for file, kind in _FILES.items():
        app.static(f"{prefix}/assets/{file}", folder / file, name=f"openapi.{file}", content_type=kind, max_age=86400)


def _page(title: str, ui: Ui) -> HTTPResponse:
    body = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f'<link rel="icon" href="data:,"><title>{escape(title)}</title>{_LOADED[ui]}'
        f'<script src="assets/{ui}.js" defer></script></head><body style="margin:0"><div id="ui"></div></body></html>'
    )
    return html(body, headers={"Content-Security-Policy": _POLICY, "X-Content-Type-Options": "nosniff"})
