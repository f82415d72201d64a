"""What a handler gives back: responses that are complete, and short functions that make them.

A response is a body, a status, a content type and, only when somebody asks for them, headers. PERF: most responses never need a
`Headers` object, so it is made on first use.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import inspect
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote
from weakref import ref

import msgspec

from fairlead.errors import ServerError
from fairlead.http import media
from fairlead.http.cookies import Cookie, CookieJar, SameSite
from fairlead.http.headers import Headers
from fairlead.request import current_request
from fairlead.types import HeaderItems


def _plain(value: Any) -> Any:
    """What msgspec doesn't know: a pydantic model."""
    dump = getattr(value, "model_dump", None)
    if dump is None:
        raise TypeError(f"Encoding objects of type {type(value).__name__} is unsupported")
    return dump(mode="json", by_alias=True)


encode_json = msgspec.json.Encoder(enc_hook=_plain).encode

Dumps = Callable[..., str | bytes]

own_encoders: dict[ref[Any], Dumps] = {}
"""Applications that were given a `dumps` of their own. PERF: a WeakKeyDictionary is asked whether it is empty by a Python call."""


def set_encoder(app: Any, dumps: Dumps) -> None:
    """Responses to the requests of this application are encoded by `dumps`, for as long as it lives."""
    own_encoders[ref(app, own_encoders.pop)] = dumps


def _encoder() -> Dumps:
    """The JSON encoder of the application whose request is being handled."""
    request = current_request.get()
    return encode_json if request is None else own_encoders.get(ref(request.app), encode_json)


class HTTPResponse:
    """A complete response. `body` is bytes; `str` is encoded as UTF-8."""

    __slots__ = ("_headers", "body", "content_type", "status")

    def __init__(
        self,
        body: bytes | str | None = None,
        status: int = 200,
        headers: HeaderItems | None = None,
        content_type: str | None = None,
    ) -> None:
        self.body: bytes = body.encode() if isinstance(body, str) else body or b""
        self.status = status
        self.content_type = content_type
        self._headers: Headers | None = Headers(headers) if headers else None

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.status} {self.content_type}>"

    @property
    def headers(self) -> Headers:
        """The further header fields. Framing and connection fields belong to the server and are not taken from here."""
        headers = self._headers
        if headers is None:
            headers = self._headers = Headers()
        return headers

    @property
    def set_headers(self) -> Headers | None:
        """The header fields if any were set; reading this makes no object."""
        return self._headers

    @property
    def cookies(self) -> CookieJar:
        """The cookies that this response sets."""
        return CookieJar(self.headers)

    def add_cookie(
        self,
        key: str,
        value: str,
        *,
        path: str = "/",
        domain: str | None = None,
        secure: bool = True,
        max_age: int | None = None,
        expires: datetime | None = None,
        httponly: bool = False,
        samesite: SameSite | None = "Lax",
        partitioned: bool = False,
        host_prefix: bool = False,
        secure_prefix: bool = False,
    ) -> Cookie:
        """Set a cookie. Raises ValueError for a combination that browsers refuse."""
        return self.cookies.add(
            Cookie(key, value, path, domain, secure, max_age, expires, httponly, samesite, partitioned, host_prefix, secure_prefix)
        )

    def delete_cookie(
        self,
        key: str,
        *,
        path: str = "/",
        domain: str | None = None,
        secure: bool = True,
        host_prefix: bool = False,
        secure_prefix: bool = False,
    ) -> Cookie:
        """Tell the client to forget a cookie; name, path, domain and prefix are those that it was set with."""
        return self.add_cookie(
            key,
            "",
            path=path,
            domain=domain,
            secure=secure,
            max_age=0,
            expires=datetime(1970, 1, 1, tzinfo=UTC),
            host_prefix=host_prefix,
            secure_prefix=secure_prefix,
        )


class JSONResponse(HTTPResponse):
    """A JSON response whose value can still be changed: `raw_body` is the value, every change encodes the body anew."""

    __slots__ = ("_dumps", "_value")

    def __init__(
        self,
        body: Any = None,
        status: int = 200,
        headers: HeaderItems | None = None,
        content_type: str | None = media.JSON,
        dumps: Dumps | None = None,
        **options: Any,
    ) -> None:
        if dumps is None:
            dumps = _encoder() if own_encoders else encode_json
        if options and dumps is encode_json:
            dumps = msgspec.json.encode  # which takes `order` and `enc_hook`
        encoded = dumps(body, **options) if options else dumps(body)
        self.body = encoded.encode() if isinstance(encoded, str) else encoded
        self.status = status
        self.content_type = content_type
        self._headers = Headers(headers) if headers else None
        self._dumps = dumps
        self._value = body

    @property
    def raw_body(self) -> Any:
        """The value that the body was encoded from."""
        return self._value

    @raw_body.setter
    def raw_body(self, value: Any) -> None:
        self.set_body(value)

    def set_body(self, value: Any, dumps: Dumps | None = None, **options: Any) -> None:
        """Replace the value."""
        encoded = (dumps or self._dumps)(value, **options)
        self._value = value
        self.body = encoded.encode() if isinstance(encoded, str) else encoded

    def append(self, value: Any) -> None:
        """Append to a list."""
        self._expect(list).append(value)
        self.set_body(self._value)

    def extend(self, values: Iterable[Any]) -> None:
        """Extend a list."""
        self._expect(list).extend(values)
        self.set_body(self._value)

    def update(self, *items: Any, **named: Any) -> None:
        """Update an object."""
        self._expect(dict).update(*items, **named)
        self.set_body(self._value)

    def pop(self, key: Any, *default: Any) -> Any:
        """Remove and return an element of a list or an object."""
        if not isinstance(self._value, (list, dict)):
            raise ServerError("the JSON body is neither a list nor an object")
        value = self._value.pop(key, *default)
        self.set_body(self._value)
        return value

    def _expect(self, kind: type) -> Any:
        if not isinstance(self._value, kind):
            raise ServerError(f"the JSON body is no {kind.__name__}")
        return self._value


def empty(status: int = 204, headers: HeaderItems | None = None) -> HTTPResponse:
    """A response without a body."""
    return HTTPResponse(b"", status, headers)


def text(body: str, status: int = 200, headers: HeaderItems | None = None, content_type: str = media.TEXT) -> HTTPResponse:
    """A plain text response."""
    if not isinstance(body, str):
        raise TypeError(f"text() takes a str, not {type(body).__name__}")
    return HTTPResponse(body.encode(), status, headers, content_type)


def html(body: Any, status: int = 200, headers: HeaderItems | None = None) -> HTTPResponse:
    """An HTML response from str, bytes, or an object with `__html__` or `_repr_html_`."""
    if not isinstance(body, (str, bytes)):
        render = getattr(body, "__html__", None) or getattr(body, "_repr_html_", None)
        if render is None:
            raise TypeError(f"html() can't render {type(body).__name__}")
        body = render()
    return HTTPResponse(body, status, headers, media.HTML)


def json(
    body: Any,
    status: int = 200,
    headers: HeaderItems | None = None,
    content_type: str = media.JSON,
    dumps: Dumps | None = None,
    **options: Any,
) -> JSONResponse:
    """A JSON response; encoded by msgspec, unless the application or this call brings another `dumps`."""
    if options:
        return JSONResponse(body, status, headers, content_type, dumps, **options)
    return JSONResponse(body, status, headers, content_type, dumps)  # PERF: half the price without `**`


def raw(
    body: bytes | str | None,
    status: int = 200,
    headers: HeaderItems | None = None,
    content_type: str = media.OCTETS,
) -> HTTPResponse:
    """Bytes as they are."""
    return HTTPResponse(body, status, headers, content_type)


def redirect(to: str, headers: HeaderItems | None = None, status: int = 302, content_type: str = media.HTML) -> HTTPResponse:
    """Send the client elsewhere; `to` is percent-encoded where it must be, so that it stays within its header.

    Raises TypeError for what is no text, such as the None of a look-up that found nothing.
    """
    if not isinstance(to, str):
        raise TypeError(f"redirect() takes the URL as a str, not {type(to).__name__}")
    response = HTTPResponse(b"", status, headers, content_type)
    response.headers["location"] = quote(to, safe=":/%#?&=@[]!$&'()*+,;~")
    return response


HOW_TO_STREAM = "send its pieces yourself, stream = await request.respond(); await stream.send(piece)"


def responds(status: int, headers: HeaderItems | None = None) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorator: the status, and header fields, of what a handler returns that is no response of its own.

    @app.post("/items")
    @responds(201)
    async def create(request: Request, item: Body[NewItem]) -> Item: ...
    """

    def decorate(handler: Callable[..., Any]) -> Callable[..., Any]:
        def respond(answer: Any) -> HTTPResponse:
            if isinstance(answer, HTTPResponse):
                return answer
            response = respond_with(answer)
            response.status = status
            response.headers.extend(headers or {})
            return response

        if inspect.iscoroutinefunction(handler):

            @functools.wraps(handler)
            async def responding(*arguments: Any, **named: Any) -> HTTPResponse:
                return respond(await handler(*arguments, **named))

        else:

            @functools.wraps(handler)
            def responding(*arguments: Any, **named: Any) -> HTTPResponse:
                return respond(handler(*arguments, **named))

        responding.__dict__.update(__fairlead_status__=status, __fairlead_respond__=respond)
        return responding

    return decorate


def respond_with(value: Any) -> HTTPResponse:
    """The response for whatever a handler returned: text for str, 204 for None, else JSON: plain data, Structs, dataclasses,
    attrs classes, pydantic models, and lists and mappings of them.

    Raises `ServerError` (500) for an object that is no response and that JSON doesn't know.
    """
    if isinstance(value, HTTPResponse):
        return value
    if value is None:
        return HTTPResponse(b"", 204)
    if isinstance(value, str):
        return HTTPResponse(value.encode(), 200, None, media.TEXT)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return HTTPResponse(bytes(value), 200, None, media.OCTETS)
    if isinstance(value, (dict, list, tuple, int, float, msgspec.Struct)) or dataclasses.is_dataclass(value):
        return JSONResponse(value)
    try:
        return JSONResponse(value)
    except TypeError:
        raise ServerError(extra={"returned": type(value).__name__}) from TypeError(_no_response(value))


def _no_response(value: Any) -> str:
    if inspect.isasyncgen(value) or inspect.isgenerator(value):
        return f"the handler returned the generator {value.__qualname__}: {HOW_TO_STREAM}"
    return f"the handler returned {type(value).__name__}, which is no response"


def __getattr__(name: str) -> Any:
    """`file`, `file_stream` and `validate_file`, where Sanic has them; they are loaded when they are used."""
    if name in ("file", "file_stream", "validate_file"):
        return getattr(importlib.import_module("fairlead.files"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
