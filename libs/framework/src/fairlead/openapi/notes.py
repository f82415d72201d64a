"""Decorators that say of a handler what its signature can't. They change nothing about how it is called.

What they say is kept on the function, so they may stand above or below the decorator that registers the route. What is said twice
is said by the decorator that stands higher; tags, responses, parameters and security add up.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, TypeVar

H = TypeVar("H", bound=Callable[..., Any])

ParameterPlace: TypeAlias = Literal["query", "path", "header", "cookie"]

_NOTES = "__fairlead_openapi__"


@dataclass(frozen=True, slots=True)
class ResponseNote:
    """A response that a handler may give. `content` is a type, or media types with theirs; None is no body."""

    status: int | str
    content: Any = None
    description: str = ""


@dataclass(frozen=True, slots=True)
class ParameterNote:
    """A parameter that the handler reads by itself."""

    name: str
    schema: Any = str
    location: ParameterPlace = "query"
    description: str = ""
    required: bool = False
    deprecated: bool = False


@dataclass(frozen=True, slots=True)
class BodyNote:
    """A body that the handler reads by itself. `content` as in `ResponseNote`."""

    content: Any
    description: str = ""
    required: bool = True


@dataclass(slots=True)
class Notes:
    """What decorators have said of one handler."""

    summary: str | None = None
    description: str | None = None
    operation_id: str | None = None
    body: BodyNote | None = None
    external_docs: dict[str, str] | None = None
    is_deprecated: bool = False
    is_excluded: bool = False
    tags: list[str] = field(default_factory=list)
    responses: list[ResponseNote] = field(default_factory=list)
    parameters: list[ParameterNote] = field(default_factory=list)
    security: list[dict[str, list[str]]] = field(default_factory=list)
    is_public: bool = False


def notes_of(handler: Callable[..., Any]) -> Notes:
    """What was said of a handler, nothing where nobody has said anything."""
    notes: Notes = getattr(handler, _NOTES, None) or Notes()
    return notes


def _note(change: Callable[[Notes], None]) -> Callable[[H], H]:
    def decorate(handler: H) -> H:
        notes = handler.__dict__.setdefault(_NOTES, Notes())
        change(notes)
        return handler

    return decorate


def _set(**values: Any) -> Callable[[H], H]:
    def change(notes: Notes) -> None:
        for name, value in values.items():
            setattr(notes, name, value)

    return _note(change)


def summary(text: str) -> Callable[[H], H]:
    """Decorator: the operation in one line; otherwise the docstring's first paragraph."""
    return _set(summary=text)


def description(text: str) -> Callable[[H], H]:
    """Decorator: the operation at length, as Markdown; otherwise the rest of the docstring."""
    return _set(description=text)


def operation(name: str) -> Callable[[H], H]:
    """Decorator: the operation's id; otherwise the route's name."""
    return _set(operation_id=name)


def document(url: str, description: str = "") -> Callable[[H], H]:
    """Decorator: where else the operation is documented."""
    return _set(external_docs={"url": url, **({"description": description} if description else {})})


def deprecated() -> Callable[[H], H]:
    """Decorator: callers are to stop using this."""
    return _set(is_deprecated=True)


def exclude(flag: bool = True) -> Callable[[H], H]:
    """Decorator: leave the route out of the document."""
    return _set(is_excluded=flag)


def tag(*names: str) -> Callable[[H], H]:
    """Decorator: the groups that the operation is shown in; otherwise its blueprint's name."""
    return _note(lambda notes: notes.tags.extend(name for name in names if name not in notes.tags))


def body(content: Any, description: str = "", required: bool = True) -> Callable[[H], H]:
    """Decorator: the body that the handler reads by itself: a type, or `{"text/csv": str}`."""
    return _set(body=BodyNote(content, description, required))


def parameter(
    name: str,
    schema: Any = str,
    location: ParameterPlace = "query",
    *,
    description: str = "",
    required: bool = False,
    deprecated: bool = False,
) -> Callable[[H], H]:
    """Decorator: a parameter that the handler reads by itself, or more about one that its signature shows."""
    note = ParameterNote(name, schema, location, description, required, deprecated)
    return _note(lambda notes: notes.parameters.append(note))


def response(status: int | Literal["default"] = "default", content: Any = None, description: str = "") -> Callable[[H], H]:
    """Decorator: a response: its status, and a type or `{"text/csv": str}` for its body."""
    note = ResponseNote(status, content, description)
    return _note(lambda notes: notes.responses.append(note))


def secured(*schemes: str, **scopes: Sequence[str]) -> Callable[[H], H]:
    """Decorator: the security schemes, any of which is enough; keywords give a scheme's scopes. Without any: open to all.

    Handlers behind `fairlead.auth.protected` say this by themselves.
    """
    wanted = [{name: list[str]()} for name in schemes] + [{name: list(some)} for name, some in scopes.items()]

    def change(notes: Notes) -> None:
        notes.security.extend(wanted)
        notes.is_public = not wanted

    return _note(change)


def definition(
    *,
    summary: str | None = None,
    description: str | None = None,
    operation: str | None = None,
    body: Any = None,
    tag: str | Sequence[str] = (),
    deprecated: bool = False,
    exclude: bool = False,
    document: str | None = None,
    parameter: ParameterNote | Sequence[ParameterNote] = (),
    response: ResponseNote | Sequence[ResponseNote] = (),
    secured: str | Sequence[str] = (),
) -> Callable[[H], H]:
    """Decorator: all of the above in one."""

    def change(notes: Notes) -> None:
        notes.summary = summary or notes.summary
        notes.description = description or notes.description
        notes.operation_id = operation or notes.operation_id
        notes.is_deprecated |= deprecated
        notes.is_excluded |= exclude
        notes.tags += [tag] if isinstance(tag, str) else tag
        notes.parameters += [parameter] if isinstance(parameter, ParameterNote) else parameter
        notes.responses += [response] if isinstance(response, ResponseNote) else response
        notes.security += [{name: []} for name in ([secured] if isinstance(secured, str) else secured)]
        if body is not None:
            notes.body = body if isinstance(body, BodyNote) else BodyNote(body)
        if document is not None:
            notes.external_docs = {"url": document}

    return _note(change)
