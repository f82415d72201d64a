"""One route as an OpenAPI operation: parameters, body, responses, security."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from typing import Any, get_origin

import msgspec

from fairlead.errors import status_phrase
from fairlead.http import media
from fairlead.injection.providers import Provider, Providers
from fairlead.injection.records import NO_DEFAULT, Field, bare, fields_of, is_record
from fairlead.injection.signature import Parameter, hints_of, innermost, parameters_of
from fairlead.injection.sources import outside_name
from fairlead.openapi.notes import Notes, ParameterNote, ResponseNote, notes_of
from fairlead.openapi.schemas import Schema, Schemas
from fairlead.response import HTTPResponse
from fairlead.routing import Route
from fairlead.routing.pattern import Parameter as PathParameter
from fairlead.uploads import File

PROBLEM = {"$ref": "#/components/schemas/ProblemDetails"}
BEARER = "bearer"

_PATH_SCHEMAS: dict[str, Schema] = {
    "int": {"type": "integer"},
    "float": {"type": "number"},
    "ymd": {"type": "string", "format": "date"},
    "uuid": {"type": "string", "format": "uuid"},
    "alpha": {"type": "string", "pattern": "^[A-Za-z]+$"},
    "slug": {"type": "string", "pattern": "^[a-z0-9]+(?:-[a-z0-9]+)*$"},
    "str": {"type": "string"},
    "strorempty": {"type": "string"},
    "path": {"type": "string"},
}

Render = Callable[[], Any]
"""A part of the document that can be written once all types are known."""


def path_of(route: Route) -> str:
    """The path with its parameters in braces."""
    parts = []
    for segment in route.segments:
        if isinstance(segment, PathParameter):
            parts.append(".".join(f"{{{name}}}" for name in segment.names))
        else:
            parts.append(segment.decode())
    return "/" + "/".join(parts)


class Operation:
    """What is known of a route's handler. Made while types are announced, rendered afterwards."""

    def __init__(self, route: Route, providers: Providers, schemas: Schemas) -> None:
        self.route = route
        self.notes: Notes = notes_on(route.handler)
        self._schemas = schemas
        self._scopes = _scopes_of(route, providers)
        self._handler = innermost(route.handler)
        asked = list(_asked(route.handler, providers))
        self._parameters = list(self._describe_parameters(asked))
        self._body = self._describe_body(asked)
        self._responses = list(self._describe_responses(bool(asked)))

    def render(self, operation_id: str) -> dict[str, Any]:
        """The operation object."""
        notes = self.notes
        first, rest = _docstring(self._handler)
        found: dict[str, Any] = {
            "operationId": operation_id,
            "tags": notes.tags or ([self.route.blueprint.name] if self.route.blueprint is not None else []),
            "summary": notes.summary or first,
            "description": notes.description or rest,
            "externalDocs": notes.external_docs,
            "deprecated": notes.is_deprecated or None,
            "parameters": [render() for render in self._parameters],
            "requestBody": self._body() if self._body is not None else None,
            "responses": {status: render() for status, render in sorted(self._responses)},
        }
        found = {name: value for name, value in found.items() if value}
        security = self.security
        if security is not None:
            found["security"] = security
        return found

    @property
    def security(self) -> list[dict[str, list[str]]] | None:
        """The security requirements; None where the document's own hold."""
        if self.notes.security or self.notes.is_public:
            return self.notes.security
        if self._scopes is not None:
            return [{BEARER: sorted(self._scopes)}]
        return [] if any(_spares(guard, self.route.handler) for guard in self.route.before) else None

    # Parameters

    def _describe_parameters(self, asked: list[Parameter]) -> Iterator[Render]:
        noted = {(note.location, note.name): note for note in self.notes.parameters}
        for place in ("path", "query", "header", "cookie"):
            fields: dict[str, Field] = {}
            for parameter in asked:
                if parameter.place == place:
                    for field in _fields(parameter):
                        fields[outside_name(field.name, parameter.place)] = field
            if place == "path":
                for segment in self.route.segments:
                    if isinstance(segment, PathParameter):
                        for name in segment.names:
                            yield self._path_parameter(name, segment, fields.get(name), noted.pop(("path", name), None))
                continue
            for name, field in fields.items():
                yield self._parameter(place, name, field, noted.pop((place, name), None))
        for (place, name), note in noted.items():
            yield self._parameter(place, name, Field(name, note.schema, NO_DEFAULT if note.required else None), note)

    def _path_parameter(self, name: str, segment: PathParameter, field: Field | None, note: ParameterNote | None) -> Render:
        if field is not None:
            return self._parameter("path", name, field, note)
        schema = _PATH_SCHEMAS.get(segment.type.label, {"type": "string"})
        return lambda: _without_nothing({"name": name, "in": "path", "required": True, "schema": schema, **_told(note)})

    def _parameter(self, place: str, name: str, field: Field, note: ParameterNote | None) -> Render:
        number = self._schemas.add(field.kind)
        required = place == "path" or field.is_required

        def render() -> Any:
            schema = {**self._schemas.schema(number), **_default(field)}
            return _without_nothing({"name": name, "in": place, "required": required, "schema": schema, **_told(note)})

        return render

    # Bodies

    def _describe_body(self, asked: list[Parameter]) -> Render | None:
        note = self.notes.body
        if note is not None:
            contents = self._contents(note.content)
            return lambda: _without_nothing(
                {
                    "description": note.description,
                    "required": note.required,
                    "content": {kind: render() for kind, render in contents},
                }
            )
        for parameter in asked:
            if parameter.place == "body":
                content = functools.partial(self._content, self._schemas.add(parameter.kind))
                told = {"required": parameter.is_required}
                return lambda: _without_nothing({**told, "content": {media.JSON: content()}})
        forms = [parameter for parameter in asked if parameter.place == "form"]
        return self._describe_form(forms) if forms else None

    def _describe_form(self, forms: list[Parameter]) -> Render:
        fields = {field.name: field for parameter in forms for field in _fields(parameter)}
        numbers = {name: self._schemas.add(field.kind) for name, field in fields.items()}
        has_files = any(_holds_files(field.kind) for field in fields.values())
        kinds = [media.MULTIPART] if has_files else [media.FORM, media.MULTIPART]
        required = [name for name, field in fields.items() if field.is_required]

        def render() -> Any:
            properties = {name: {**self._schemas.schema(number), **_default(fields[name])} for name, number in numbers.items()}
            schema = _without_nothing({"type": "object", "properties": properties, "required": required})
            return {"required": bool(required), "content": {kind: {"schema": schema} for kind in kinds}}

        return render

    # Responses

    def _describe_responses(self, is_validated: bool) -> Iterator[tuple[str, Render]]:
        notes = {str(note.status): note for note in self.notes.responses}
        status, content = self._returned()
        if not any(status.startswith("2") for status in notes):
            yield status, self._response(ResponseNote(int(status), content))
        if is_validated and "422" not in notes:
            yield "422", lambda: _problem("Some values are not valid; all that is wrong is listed")
        for noted in notes.values():
            yield str(noted.status), self._response(noted)
        if "default" not in notes:
            yield "default", lambda: _problem("An error, as problem details (RFC 9457)")

    def _returned(self) -> tuple[str, Any]:
        """Status and content by the return annotation."""
        status = str(getattr(self.route.handler, "__fairlead_status__", 200))
        kind = hints_of(self._handler).get("return", Any)
        if kind is type(None):
            return ("204" if status == "200" else status), None
        if kind in (Any, object, inspect.Signature.empty) or isinstance(kind, str) or _is_response(kind):
            return status, None
        return status, {"text/plain": str} if kind is str else kind

    def _response(self, note: ResponseNote) -> Render:
        text = note.description or (status_phrase(int(note.status)) if str(note.status).isdecimal() else "") or "Response"
        is_problem = note.content is None and str(note.status)[:1] in "45"
        if is_problem:
            return lambda: _problem(text)
        contents = self._contents(note.content)
        return lambda: _without_nothing({"description": text, "content": {kind: render() for kind, render in contents}})

    def _contents(self, content: Any) -> list[tuple[str, Render]]:
        """Media types with what renders them."""
        if content is None:
            return []
        found: list[tuple[str, Render]] = []
        for kind, inner in (content if isinstance(content, dict) else {media.JSON: content}).items():
            found.append((kind, functools.partial(self._content, self._schemas.add(inner))))
        return found

    def _content(self, number: int) -> dict[str, Any]:
        return {"schema": self._schemas.schema(number)}


def notes_on(handler: Any) -> Notes:
    """The notes nearest to the outside; decorators that wrap a handler pass them on."""
    while not hasattr(handler, "__fairlead_openapi__"):
        inner = getattr(handler, "__fairlead_handler__", None) or getattr(handler, "__wrapped__", None)
        if inner is None:
            return Notes()
        handler = inner
    return notes_of(handler)


def _scopes_of(route: Route, providers: Providers) -> frozenset[str] | None:
    """What `fairlead.auth` asks for all in all: by decorators, by middleware around the route, and for a dependency that says who
    calls. None for a route that is open to all."""
    guards: list[Any] = [guard for guard in route.before if not _spares(guard, route.handler)]
    guards += _layers(route.handler)
    guards += [provider.make for provider in _providers_for(route.handler, providers)]
    found = [guard.__fairlead_scopes__ for guard in guards if hasattr(guard, "__fairlead_scopes__")]
    return frozenset[str]().union(*found) if found else None


def _spares(guard: Any, handler: Any) -> bool:
    """Whether a guard lets every request to this handler pass."""
    spares: Callable[[Any], bool] | None = getattr(guard, "__fairlead_spares__", None)
    return spares is not None and spares(handler)


def _asked(handler: Any, providers: Providers) -> Iterator[Parameter]:
    """The marked parameters of a handler, of the decorators around it, and of the dependencies that it needs."""
    layers = list(_layers(handler))
    for layer in layers:
        yield from getattr(layer, "__fairlead_parameters__", ())
    yield from (parameter for parameter in parameters_of(layers[-1]) if parameter.place is not None)
    for provider in _providers_for(handler, providers):
        yield from provider.marked


def _layers(handler: Any) -> Iterator[Any]:
    """The decorators around a handler, outermost first, and the handler."""
    while handler is not None:
        yield handler
        handler = getattr(handler, "__fairlead_handler__", None) or getattr(handler, "__wrapped__", None)


def _providers_for(handler: Any, providers: Providers) -> Iterator[Provider]:
    """What provides the dependencies that a handler needs, and theirs."""
    *_, inner = _layers(handler)
    waiting = [providers.provider_of(parameter.kind) for parameter in parameters_of(inner) if parameter.kind in providers]
    while waiting:
        provider = waiting.pop(0)
        yield provider
        waiting[:0] = [needed for _, needed in provider.needs]


def _fields(parameter: Parameter) -> tuple[Field, ...]:
    if is_record(parameter.kind):
        return fields_of(parameter.kind)
    if (get_origin(bare(parameter.kind)) or bare(parameter.kind)) is dict:
        return ()
    return (Field(parameter.name, parameter.kind, parameter.default),)


def _holds_files(kind: Any) -> bool:
    plain = bare(kind)
    return plain is File or any(_holds_files(argument) for argument in getattr(plain, "__args__", ()))


def _is_response(kind: Any) -> bool:
    return any(isinstance(member, type) and issubclass(member, HTTPResponse) for member in (kind, *getattr(kind, "__args__", ())))


def _docstring(handler: Any) -> tuple[str, str]:
    """The first paragraph, in one line, and the rest."""
    first, _, rest = (inspect.getdoc(handler) or "").partition("\n\n")
    return " ".join(first.split()).removesuffix("."), rest.strip()


def _default(field: Field) -> Schema:
    if field.is_required or field.default is None or field.default is msgspec.UNSET:
        return {}
    try:
        return {"default": msgspec.to_builtins(field.default)}
    except TypeError:
        return {}


def _told(note: ParameterNote | None) -> dict[str, Any]:
    return {"description": note.description, "deprecated": note.deprecated} if note is not None else {}


def _problem(description: str) -> dict[str, Any]:
    return {"description": description, "content": {media.PROBLEM_JSON: {"schema": PROBLEM}}}


def _without_nothing(members: dict[str, Any]) -> dict[str, Any]:
    """Without members that say nothing: what is false or empty is so by default."""
    return {name: value for name, value in members.items() if value not in (None, "", False, [], {}) or name == "schema"}
