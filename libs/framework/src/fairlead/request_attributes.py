"""The attributes of a request that are computed when they are first read; see `fairlead.request`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fairlead.errors import FairleadException, UnsupportedMediaType
from fairlead.http import media
from fairlead.http.cookies import RequestCookies
from fairlead.http.forms import Parameters, decode_form, parse_parameters
from fairlead.http.forwarded import parse_forwarded, parse_x_forwarded
from fairlead.http.headers import Headers
from fairlead.http.trace_context import caller_trace

if TYPE_CHECKING:
    from fairlead.request import Request
    from fairlead.uploads import Files


class LazyAttribute:
    """Computes an attribute when it is first read, into the request's dictionary, which is looked at first from then on.

    `functools.cached_property` does the same with a lock around it, before Python 3.12.
    """

    __slots__ = ("_compute", "_name")

    def __init__(self, name: str, compute: Callable[[Request[Any, Any]], Any]) -> None:
        self._name = name
        self._compute = compute

    def __get__(self, request: Request[Any, Any] | None, owner: type) -> Any:
        if request is None:
            return self
        value = request.__dict__[self._name] = self._compute(request)
        return value


def _path(request: Request[Any, Any]) -> str:
    return request.target.partition(b"?")[0].decode("ascii")


def form_type_of(request: Request[Any, Any]) -> tuple[str, dict[str, str]]:
    """The media type of a form and its parameters. Raises `UnsupportedMediaType` (415) for what is no form."""
    kind, parameters = media.split_parameters(request.content_type)
    if kind not in (media.FORM, media.MULTIPART):
        raise UnsupportedMediaType(f"A form is sent as {media.FORM} or {media.MULTIPART}")
    return kind, parameters


def _form(request: Request[Any, Any]) -> Parameters:
    kind, parameters = form_type_of(request)
    if request.stream is not None and not request.body:
        raise RuntimeError("on a streaming route a form is had by `await request.receive_form()`")
    if kind == media.FORM:
        return decode_form(request.body, parameters.get("charset", "utf-8"))
    from fairlead.uploads import parse_form

    form, request.files = parse_form(request.body, request.content_type, request.app.config.form_limits())
    return form


def _files(request: Request[Any, Any]) -> Files:
    from fairlead.uploads import Files

    request.files = Files()
    request.form = _form(request)  # replaces `files` when there are any
    return request.files


def _forwarded(request: Request[Any, Any]) -> dict[str, str]:
    config = request.app.config
    if config.FORWARDED_SECRET:
        fields = parse_forwarded(request.headers, config.FORWARDED_SECRET)
        if fields:
            return fields
    if config.REAL_IP_HEADER or config.PROXIES_COUNT:
        return parse_x_forwarded(request.headers, config.REAL_IP_HEADER, config.PROXIES_COUNT)
    return {}


def _match_info(request: Request[Any, Any]) -> dict[str, Any]:
    if request.route is None or request.route_parameters is None:
        return {}
    return dict(zip(request.route.parameter_names, request.route_parameters, strict=True))


_METHODS = {name.encode(): name for name in ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")}
"""Names that all requests share."""

LAZY: dict[str, Callable[[Request[Any, Any]], Any]] = {
    "accept": lambda request: media.parse_accept(",".join(request.headers.getall("accept", []))),
    "args": lambda request: parse_parameters(request.target.partition(b"?")[2].decode("latin-1")),
    "cookies": lambda request: RequestCookies("; ".join(request.headers.getall("cookie", []))),
    "ctx": lambda request: request.make_context(),
    "files": _files,
    "form": _form,
    "forwarded": _forwarded,
    "headers": lambda request: Headers.from_raw(request.head.fields()),
    "json": lambda request: request.load_json(),
    "match_info": _match_info,
    "method": lambda request: _METHODS.get(request.raw_method) or request.raw_method.decode("ascii"),
    "path": _path,
    "query_values": lambda request: parse_parameters(request.target.partition(b"?")[2].decode("latin-1"), keep_blank_values=True),
    "query_string": lambda request: request.query_bytes.decode("latin-1"),
    "remote_addr": lambda request: request.forwarded.get("for", ""),
    "trace": lambda request: caller_trace(request.headers.getall("traceparent", ())) if request.head.has_trace else None,
}
"""Attribute → how it is computed."""

# Everything that only says in other words what the head says; what others are computed from comes after them.
_SAID_BY_HEAD = (
    "accept",
    "args",
    "cookies",
    "method",
    "path",
    "query_string",
    "query_values",
    "remote_addr",
    "forwarded",
    "headers",
)


def forget_parsed(request: Request[Any, Any]) -> None:
    """Let go of what was parsed so far, for a request that lasts, as a websocket's does: when it is asked for, it is parsed again.

    What an application has changed or set itself stays.
    PERF: of twelve headers of a browser that is 4 KiB for each websocket.
    """
    known = request.__dict__
    for name in _SAID_BY_HEAD:
        if name in known and _is_as_parsed(request, name, known[name]):
            del known[name]
    request.__dict__ = dict(known)  # one that was emptied, or copied, has places for all that any request ever kept
    request.head.forget_pairs()


def _is_as_parsed(request: Request[Any, Any], name: str, value: Any) -> bool:
    try:
        return bool(LAZY[name](request) == value)
    except FairleadException:  # set by the application, in the place of something malformed
        return False
