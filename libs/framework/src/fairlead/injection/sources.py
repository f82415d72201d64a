"""Reading a marked parameter from a request.

A reader raises `ValidationFailed` (422) with everything that is wrong at its source; for a body that is not sent as JSON 415, for
malformed JSON 400. Locations are the source's name and the path below it: `query.limit`, `header.x-token`, `body.price.amount`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias, get_origin

from fairlead.errors import BadRequest, UnsupportedMediaType, ValidationFailed
from fairlead.http.media import JSON, is_json
from fairlead.injection.conversion import Invalid, converter_of
from fairlead.injection.marks import Place
from fairlead.injection.records import bare, fields_of, is_list, is_record
from fairlead.injection.signature import Parameter
from fairlead.request import Request

Extract: TypeAlias = Callable[[Request[Any, Any]], Any]

Lookup: TypeAlias = Callable[[Request[Any, Any], str], Sequence[Any]]
"""Everything that was given under a name; nothing is an empty sequence."""

Everything: TypeAlias = Callable[[Request[Any, Any]], Mapping[str, Sequence[Any]]]
"""All that was given, declared or not: what nobody has declared is the converter's to judge."""

NOT_GIVEN = "Required, and not given"


def reader_of(parameter: Parameter) -> Extract:
    """The function that has a marked parameter's value from a request."""
    place = parameter.place
    assert place is not None
    if place == "body":
        return _body_reader(parameter)
    if is_record(parameter.kind) or _is_mapping(parameter.kind):
        return _record_reader(parameter, place)
    return _single_reader(parameter, place)


def _is_mapping(kind: Any) -> bool:
    return (get_origin(bare(kind)) or bare(kind)) is dict


def outside_name(name: str, place: Place) -> str:
    """What a parameter or field is called in a request."""
    return name.replace("_", "-").lower() if place == "header" else name


def _body_reader(parameter: Parameter) -> Extract:
    decode = converter_of(parameter.kind).decode
    is_required, default = parameter.is_required, parameter.default
    failure = _Failure("body", {})

    def read_body(request: Request[Any, Any]) -> Any:
        if not is_required and not request.body:
            return default
        if request.head.content_type != JSON and not is_json(request.head.content_type):
            raise UnsupportedMediaType("The body is to be sent as application/json", headers={"Accept": "application/json"})
        try:
            return decode(request.body)
        except Invalid as exc:
            raise ValidationFailed(failure.errors(exc)) from None
        except (ValueError, RecursionError) as exc:
            raise BadRequest(f"The body is no valid JSON: {exc}") from None

    return read_body


def _record_reader(parameter: Parameter, place: Place) -> Extract:
    fields = fields_of(parameter.kind)
    names = {outside_name(field.name, place): field.name for field in fields}
    lists = frozenset(field.name for field in fields if is_list(field.kind))
    everything = _EVERYTHING.get(place) or _declared(place, tuple(names))
    if not fields and place not in _EVERYTHING:
        raise TypeError(f"{parameter.name}: {place} parameters are a record's fields or of a plain type, not a mapping")
    convert = converter_of(parameter.kind).convert
    failure = _Failure(place, names)

    def read_record(request: Request[Any, Any]) -> Any:
        found = everything(request)
        values: dict[str, Any] = {}
        repeated: list[dict[str, str]] = []
        for outside, some in found.items():
            name = names.get(outside, outside)
            values[name] = some if name in lists else some[0]
            if len(some) > 1 and name not in lists:
                repeated.append({"location": f"{place}.{outside}", "message": "Given more than once"})
        try:
            value = convert(values)
        except Invalid as exc:
            raise ValidationFailed([*repeated, *failure.errors(exc)]) from None
        if repeated:
            raise ValidationFailed(repeated)
        return value

    return read_record


def _single_reader(parameter: Parameter, place: Place) -> Extract:
    name = outside_name(parameter.name, place)
    lookup, location = _LOOKUPS[place], f"{place}.{name}"
    convert, several = converter_of(parameter.kind).convert, is_list(parameter.kind)
    is_required, default = parameter.is_required, parameter.default
    failure = _Failure(location, {})

    def read_single(request: Request[Any, Any]) -> Any:
        some = lookup(request, name)
        if not some:
            if is_required:
                raise ValidationFailed([{"location": location, "message": NOT_GIVEN}])
            return default
        if len(some) > 1 and not several:
            raise ValidationFailed([{"location": location, "message": "Given more than once"}])
        try:
            return convert(some if several else some[0])
        except Invalid as exc:
            raise ValidationFailed(failure.errors(exc)) from None

    return read_single


class _Failure:
    """Faults in the words of the client: by the names that it knows, below the source's own."""

    def __init__(self, location: str, names: dict[str, str]) -> None:
        self._location = location
        self._outside = {f".{name}": f".{outside}" for outside, name in names.items()}
        self._missing = {f"Object missing required field `{name}`": f".{outside}" for outside, name in names.items()}

    def errors(self, exc: Invalid) -> list[dict[str, str]]:
        """The members of `errors`."""
        return [self._error(path, message) for path, message in exc.faults]

    def _error(self, path: str, message: str) -> dict[str, str]:
        if not path and message in self._missing:
            return {"location": self._location + self._missing[message], "message": NOT_GIVEN}
        return {"location": self._location + self._outside.get(path, path), "message": message}


# What was given, by place


def _declared(place: Place, names: tuple[str, ...]) -> Everything:
    """Of headers and cookies only those that were asked for: the others concern others."""
    lookup = _LOOKUPS[place]
    return lambda request: {name: some for name in names if (some := lookup(request, name))}


def _in_form(request: Request[Any, Any], name: str) -> Sequence[Any]:
    return request.form.getlist(name) or request.files.getlist(name)


def _in_path(request: Request[Any, Any], name: str) -> Sequence[Any]:
    found = request.match_info
    return (found[name],) if name in found else ()


_LOOKUPS: dict[Place, Lookup] = {
    "query": lambda request, name: request.query_values.getlist(name),
    "header": lambda request, name: request.headers.getall(name, []),
    "cookie": lambda request, name: request.cookies.getlist(name),
    "form": _in_form,
    "path": _in_path,
}
_EVERYTHING: dict[Place, Everything] = {
    "query": lambda request: request.query_values,
    "form": lambda request: {**request.form, **request.files},
}
