"""Handler parameters by annotation.

`bind` looks at a handler's signature once, when the application is finalised, and returns the callable that `dispatch` uses:
- a handler that takes `(request, …path parameters in the path's order)` is returned as it is: nothing is added to its call;
- `Body[T]` receives the JSON body decoded and validated into T by msgspec, `Query[T]` the query string converted into T;
- path parameters in another order, or `**kwargs`, are passed by name.

    async def create(request: Request, body: Body[NewProduct]) -> HTTPResponse: …

Answers to bad input: 415 for a body that is not sent as JSON, 400 for malformed JSON, 422 with `errors` for values that don't fit.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeAlias, TypeVar, get_args, get_origin, get_type_hints

import msgspec

from fairlead.errors import BadRequest, UnsupportedMediaType, ValidationFailed
from fairlead.http.media import JSON, is_json
from fairlead.request import Request

T = TypeVar("T")


class _FromBody:
    pass


class _FromQuery:
    pass


Body: TypeAlias = Annotated[T, _FromBody()]
"""The JSON body, decoded into T."""

Query: TypeAlias = Annotated[T, _FromQuery()]
"""The query string, converted into T: a Struct, dataclass or TypedDict whose fields are the parameters."""

Extract: TypeAlias = Callable[[Request[Any, Any]], Any]

_AT_PATH = re.compile(r"(.*?)(?: - at `(.+)`)?", re.DOTALL).fullmatch


def failure_of(error: msgspec.ValidationError, source: str) -> ValidationFailed:
    """msgspec's words as problem details: "Expected `int`, got `str` - at `$.price.amount`" is at body.price.amount."""
    found = _AT_PATH(str(error))
    message, path = (found[1], found[2]) if found else (str(error), None)
    location = source + (path or "$").removeprefix("$")
    return ValidationFailed([{"location": location, "message": message}])


def body_reader(kind: Any) -> Extract:
    """A function that decodes a request's JSON body into `kind`."""
    decode = msgspec.json.Decoder(kind).decode

    def read(request: Request[Any, Any]) -> Any:
        if request.head.content_type != JSON and not is_json(request.head.content_type):
            raise UnsupportedMediaType("The body is to be sent as application/json", headers={"Accept": "application/json"})
        try:
            try:
                return decode(request.body)
            except msgspec.ValidationError as exc:
                msgspec.json.decode(request.body, type=msgspec.Raw)  # malformed behind the first wrong value is malformed
                raise failure_of(exc, "body") from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
            raise BadRequest(f"The body is no valid JSON: {exc}") from None

    return read


def query_reader(kind: Any) -> Extract:
    """A function that converts a request's query string into `kind`; only fields that are lists may be given repeatedly."""
    lists = frozenset(name for name, hint in get_type_hints(kind).items() if get_origin(hint) in (list, tuple, set, frozenset))

    def read(request: Request[Any, Any]) -> Any:
        values: dict[str, Any] = {}
        repeated: list[dict[str, str]] = []
        for name, given in request.get_args(keep_blank_values=True).items():
            values[name] = given if name in lists else given[0]
            if len(given) > 1 and name not in lists:
                repeated.append({"location": f"query.{name}", "message": "Given more than once"})
        if repeated:
            raise ValidationFailed(repeated)
        try:
            return msgspec.convert(values, kind, strict=False)
        except msgspec.ValidationError as exc:
            raise failure_of(exc, "query") from None

    return read


def extractors_of(handler: Callable[..., Any]) -> dict[str, Extract]:
    """Parameter name → how its value is had from the request, for the annotated parameters of a handler."""
    try:
        hints = get_type_hints(handler, include_extras=True)
    except (NameError, TypeError):
        hints = dict(getattr(handler, "__annotations__", {}))
    extractors: dict[str, Extract] = {}
    for name, hint in hints.items():
        if name != "return" and get_origin(hint) is Annotated:
            kind, *marks = get_args(hint)
            for mark in marks:
                if isinstance(mark, _FromBody):
                    extractors[name] = body_reader(kind)
                elif isinstance(mark, _FromQuery):
                    extractors[name] = query_reader(kind)
    return extractors


def bind(handler: Callable[..., Any], path_names: Sequence[str], given: int = 1) -> Callable[..., Any]:
    """The callable for `(request, *path values)`; `given` counts the leading arguments (two for websockets).

    Raises TypeError when the handler can't take what the route gives.
    """
    signature = inspect.signature(handler)
    extractors = {name: read for name, read in extractors_of(inspect.unwrap(handler)).items() if name in signature.parameters}
    positional = [
        parameter.name
        for parameter in signature.parameters.values()
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    ]
    if not extractors and tuple(positional[given : given + len(path_names)]) == tuple(path_names):
        _check(handler, signature, given, path_names, ())
        return handler
    _check(handler, signature, given, path_names, extractors)
    if len(extractors) == 1 and not path_names and positional[given : given + 1] == list(extractors):
        return _with_one(handler, next(iter(extractors.values())), given)
    return _by_name(handler, tuple(path_names), tuple(extractors.items()), given)


def _check(handler: Callable[..., Any], signature: inspect.Signature, given: int, path_names: Sequence[str], injected: Any) -> None:
    try:
        signature.bind(*[None] * given, **dict.fromkeys([*path_names, *injected]))
    except TypeError as exc:
        name = getattr(handler, "__qualname__", repr(handler))
        raise TypeError(f"the handler {name} can't be called with ({', '.join(['request', *path_names])}): {exc}") from None


def _with_one(handler: Callable[..., Any], read: Extract, given: int) -> Callable[..., Any]:
    if given == 1:
        return lambda request: handler(request, read(request))
    return lambda request, *leading: handler(request, *leading, read(request))


def _by_name(
    handler: Callable[..., Any], path_names: tuple[str, ...], extractors: tuple[tuple[str, Extract], ...], given: int
) -> Callable[..., Any]:
    def call(request: Request[Any, Any], *values: Any) -> Any:
        named = dict(zip(path_names, values[given - 1 :], strict=True))
        for name, read in extractors:
            named[name] = read(request)
        return handler(request, *values[: given - 1], **named)

    return call


def is_coroutine_handler(handler: Callable[..., Any]) -> bool:
    """Whether calling it always gives a coroutine; a plain function that may return one is asked for its result instead."""
    return inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(getattr(handler, "__call__", None))  # noqa: B004
