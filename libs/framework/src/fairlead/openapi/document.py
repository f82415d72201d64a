"""The OpenAPI document of an application."""

from __future__ import annotations

import functools
from collections import Counter
from typing import Any

import msgspec

from fairlead.openapi.operation import BEARER, Operation, notes_on, path_of
from fairlead.openapi.schemas import Schemas
from fairlead.routing import Route

OPENAPI_VERSION = "3.1.1"

_METHODS = frozenset(("GET", "PUT", "POST", "DELETE", "OPTIONS", "HEAD", "PATCH", "TRACE"))

_PROBLEM = {
    "type": "object",
    "description": "Problem details (RFC 9457)",
    "properties": {
        "type": {"type": "string", "format": "uri-reference"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "request_id": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"location": {"type": "string"}, "message": {"type": "string"}},
                "required": ["location", "message"],
            },
        },
    },
    "required": ["type", "title", "status"],
}


def build_document(
    app: Any,
    *,
    title: str | None = None,
    version: str = "0.0.0",
    description: str = "",
    servers: tuple[str, ...] = (),
    security_schemes: dict[str, dict[str, Any]] | None = None,
    security: list[dict[str, list[str]]] | None = None,
) -> dict[str, Any]:
    """The document of a finalised application: every HTTP route that is not excluded, in order of registration."""
    schemas = Schemas()
    routes = [route for route in app.router.routes if not route.is_websocket and _is_own(route)]
    routes = [route for route in routes if not notes_on(route.handler).is_excluded]
    operations = [Operation(route, app.injector.providers, schemas) for route in routes]
    names = _ids_of(app.name, operations)
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        for method in _methods_of(operation.route):
            rendered = operation.render(names[operation.route, method])
            paths.setdefault(path_of(operation.route), {}).setdefault(method.lower(), rendered)
    schemes = dict(security_schemes or {})
    if any(BEARER in requirement for operation in operations for requirement in operation.security or ()):
        schemes.setdefault(BEARER, {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"})
    components = {
        "schemas": {**schemas.components, "ProblemDetails": _PROBLEM},
        **({"securitySchemes": schemes} if schemes else {}),
    }
    found: dict[str, Any] = {
        "openapi": OPENAPI_VERSION,
        "info": {"title": title or app.name, "version": version, **({"description": description} if description else {})},
        "servers": [{"url": url} for url in servers],
        "paths": paths,
        "components": components,
        "security": security,
    }
    return {name: value for name, value in found.items() if value or name == "paths"}


def encode_document(document: dict[str, Any]) -> bytes:
    """The document as JSON that people can read, the same for the same application."""
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"


def _is_own(route: Route) -> bool:
    """Whether the application has written this: static files and the documentation itself are the framework's."""
    handler: Any = route.handler
    while isinstance(handler, functools.partial):
        handler = handler.func
    return not str(getattr(handler, "__module__", "")).startswith("fairlead.")


def _methods_of(route: Route) -> list[str]:
    """GET answers HEAD too; what OpenAPI has no name for is left out."""
    return sorted(method for method in route.methods & _METHODS if not (method == "HEAD" and "GET" in route.methods))


def _ids_of(app_name: str, operations: list[Operation]) -> dict[tuple[Route, str], str]:
    """Operation ids: the route's name without the application's, and the method where it would not be unique."""
    wanted = {
        (operation.route, method): operation.notes.operation_id or operation.route.name.removeprefix(f"{app_name}.")
        for operation in operations
        for method in _methods_of(operation.route)
    }
    counts = Counter(wanted.values())
    taken: Counter[str] = Counter()
    found: dict[tuple[Route, str], str] = {}
    for (route, method), name in wanted.items():
        unique = name if counts[name] == 1 else f"{name}.{method.lower()}"
        taken[unique] += 1
        found[route, method] = unique if taken[unique] == 1 else f"{unique}.{taken[unique]}"
    return found
