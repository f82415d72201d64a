"""What a handler is given.

A request is made for every message, so it stores what the parser has and decodes nothing. What every request needs has a slot;
each further attribute is computed when it is first read, and then stays in the instance's dictionary, which only requests that
were asked for something have.

PERF: slots for all, filled by `__getattr__`, were tried: a class with `__getattr__` has no quick attributes at all before Python
3.12, and a slot that is found empty costs an exception. It was 1,700 of 34,000 instructions for a request that reads nothing.

`exchange` is the way back to the peer: the HTTP/1.1 connection, the ASGI adapter or the test client.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextvars import ContextVar
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import msgspec

from fairlead.errors import BadRequest, FairleadException, NoRequest, UnsupportedMediaType
from fairlead.http import media
from fairlead.http.connection_info import ConnectionInfo as ConnectionInfo
from fairlead.http.cookies import RequestCookies
from fairlead.http.credentials import Credentials, parse_credentials
from fairlead.http.forms import Parameters, decode_form, parse_pairs, parse_parameters
from fairlead.http.head import Head, new_ids, request_id_of
from fairlead.http.headers import Headers
from fairlead.http.trace_context import TraceContext
from fairlead.request_attributes import LAZY, LazyAttribute, form_type_of
from fairlead.streaming import RequestStream

if TYPE_CHECKING:
    from fairlead.event_stream import EventStream
    from fairlead.response import HTTPResponse
    from fairlead.streaming import ResponseStream
    from fairlead.uploads import Files, Part, Spool

if TYPE_CHECKING:
    from typing_extensions import TypeVar as DefaultedTypeVar  # type checkers know it, and run time has no use for the defaults

    AppT = DefaultedTypeVar("AppT", default=Any)
    CtxT = DefaultedTypeVar("CtxT", default=SimpleNamespace)
else:
    AppT = TypeVar("AppT")
    CtxT = TypeVar("CtxT")

DONE: Any = object()
"""What a dispatch driver yields when a request is finished; anything else that it yields is a suspension of the handler."""

current_request: ContextVar[Request[Any, Any] | None] = ContextVar("fairlead_request", default=None)
"""The request that the running code belongs to; tasks that it starts inherit it."""


class Exchange(Protocol):
    """What a request needs from the other side."""

    @property
    def info(self) -> ConnectionInfo:
        """Addresses and the connection's ctx."""

    def respond(self, request: Request[Any, Any], response: HTTPResponse) -> None:
        """Write a whole response. Raises ValueError, with nothing written, for fields that can't be sent."""

    def begin_stream(self, request: Request[Any, Any], response: HTTPResponse) -> ResponseStream:
        """Start a response whose body comes in pieces."""

    def cancelled(self, request: Request[Any, Any]) -> FairleadException | None:
        """Why the request's task was cancelled: the error to answer with, or None when there is nobody to answer."""

    def abort(self) -> None:
        """Cut the connection: a response that was begun can't be completed."""

    def when_draining(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Have `callback` called once, when the server begins to stop; at once if it has. Returns what takes that back."""

    def upgrade(self, request: Request[Any, Any], options: dict[str, Any]) -> Awaitable[Any]:
        """Negotiate a websocket and answer 101. Raises the refusal, with its status, while nothing is written."""


class RequestSpan(Protocol):
    """What the tracer wants to hear of a request while it is handled; see `fairlead.telemetry`."""

    def watch_messages(self, stats: Any) -> Any:
        """The counters that the request's websocket shall count in."""

    def watch_stream(self, sink: Any) -> Any:
        """The sink that the pieces of its streamed response shall go to."""

    def record(self, exc: BaseException) -> None:
        """Handling it raised this."""


class Request(Generic[AppT, CtxT]):
    """An HTTP request. Attribute names and meanings are Sanic's; each lazily computed one says what it may raise."""

    __slots__ = (
        "__dict__",
        "__weakref__",
        "_response",
        "app",
        "body",
        "exchange",
        "head",
        "id",
        "raw_method",
        "route",
        "route_parameters",
        "target",
    )

    app: AppT
    head: Head
    raw_method: bytes
    target: bytes
    route: Any
    """The `Route` that was found; None for 404 and 405."""
    ctx: CtxT
    """A namespace for middleware and handlers."""
    body: bytes
    """The whole body; empty on streaming routes until `receive_body()`."""
    stream: RequestStream | None = None
    headers: Headers
    method: str
    path: str
    """The path as it was sent (percent-encoded), without the query."""
    query_string: str
    args: Parameters
    """The query string as names with their values: `request.args.get("page")`, `request.args.getlist("tag")`."""
    query_values: Parameters
    """The same with blank values, `?name=`, kept: what `Query[T]` is made of."""
    cookies: RequestCookies
    accept: media.AcceptList
    json: Any
    """The body as JSON. Raises `BadRequest` (400) for malformed JSON."""
    form: Parameters
    """The fields of a form, urlencoded or multipart. Raises `UnsupportedMediaType` (415) for other types, `BadRequest` (400),
    `PayloadTooLarge` (413). On a streaming route `await request.receive_form()` comes first."""
    files: Files
    """The files of a multipart form: `request.files.get("photo")`, `request.files.getlist("photo")`. Raises as `form` does."""
    spool: Spool | None = None
    """Where long files of a streamed form are until the handler ends."""
    id: str
    """The request's id: the client's, when it sent a sane one, else 32 hexadecimal digits unique to this request."""
    forwarded: dict[str, str]
    """What trusted proxies say of the client (see `fairlead.http.forwarded`)."""
    remote_addr: str
    """The client's address as trusted proxies give it; "" without any."""
    match_info: dict[str, Any]
    """The path parameters by name."""
    trace: TraceContext | None
    """The trace that the request belongs to: its own span's, or its caller's (`traceparent`); None without one."""
    span: RequestSpan | None = None
    """The span of a request that is being traced; None of all others."""

    def __init__(self, app: AppT, exchange: Exchange, raw_method: bytes, target: bytes, head: Head, body: bytes) -> None:
        self.app = app
        self.exchange = exchange
        self.raw_method = raw_method
        self.target = target
        self.head = head
        self.body = body
        self.id = request_id_of(head) if head.has_request_id else next(new_ids)
        self.route = None
        self.route_parameters: Any = None
        self._response: ResponseStream | None = None

    def __repr__(self) -> str:
        return f"<Request: {self.method} {self.path}>"

    # identity

    @staticmethod
    def get_current() -> Request[Any, Any]:
        """The request that the running code belongs to. Raises `NoRequest` outside of one."""
        request = current_request.get()
        if request is None:
            raise NoRequest("no request is being handled here")
        return request

    @staticmethod
    def make_context() -> Any:
        """What `ctx` is at first; a subclass (`App(request_class=…)`) may give an object of its own."""
        return SimpleNamespace()

    def path_values(self, values: Any) -> Any:
        """The values for the handler's path parameters: those of the router, or what middleware made of `match_info`."""
        info = self.__dict__.get("match_info")  # nothing is computed
        return values if info is None else info.values()

    @property
    def name(self) -> str | None:
        """The route's full name, such as "catalog.products.show"; None where no route was found."""
        return self.route.name if self.route is not None else None

    @property
    def endpoint(self) -> str | None:
        """The same as `name`."""
        return self.name

    @property
    def uri_template(self) -> str | None:
        """The route's path with its parameters' names, such as "/v1/products/<id:uuid>"."""
        return self.route.path if self.route is not None else None

    # the request line

    @property
    def version(self) -> str:
        """The protocol's version, "1.1" or "1.0"."""
        return self.head.version

    @property
    def url(self) -> str:
        """The whole URL as the client sees it."""
        query = f"?{self.query_string}" if self.query_string else ""
        return f"{self.scheme}://{self.host}{self.exchange.info.root_path}{self.path}{query}"

    @property
    def is_safe(self) -> bool:
        """GET, HEAD, OPTIONS, TRACE (RFC 9110 §9.2.1)."""
        return self.method in ("GET", "HEAD", "OPTIONS", "TRACE")

    @property
    def is_idempotent(self) -> bool:
        """The safe ones, PUT and DELETE (RFC 9110 §9.2.2)."""
        return self.is_safe or self.method in ("PUT", "DELETE")

    @property
    def is_cacheable(self) -> bool:
        """GET and HEAD."""
        return self.method in ("GET", "HEAD")

    def get_args(
        self, keep_blank_values: bool = False, strict_parsing: bool = False, encoding: str = "utf-8", errors: str = "replace"
    ) -> Parameters:
        """The query string as names with their values. Raises `BadRequest` (400) for more than 1,000 of them."""
        if not (keep_blank_values or strict_parsing or encoding != "utf-8" or errors != "replace"):
            return self.args
        if strict_parsing and any("=" not in piece for piece in self.query_string.split("&") if self.query_string):
            raise BadRequest("The query string is malformed")
        return parse_parameters(self.query_string, keep_blank_values=keep_blank_values, encoding=encoding, errors=errors)

    def get_query_args(self, keep_blank_values: bool = False) -> list[tuple[str, str]]:
        """The query string as pairs, in order."""
        return parse_pairs(self.query_string, keep_blank_values)

    @property
    def query_args(self) -> list[tuple[str, str]]:
        """The query string as pairs, in order."""
        return self.get_query_args()

    # headers

    @property
    def content_type(self) -> str:
        """The body's media type as it was sent, "application/octet-stream" when it was not (RFC 9110 §8.3)."""
        return self.headers.get("content-type", media.OCTETS)

    @property
    def credentials(self) -> Credentials | None:
        """Scheme (lower case) and credentials of the Authorization header; None without one."""
        return parse_credentials(self.headers.get("authorization", ""))

    @property
    def token(self) -> str | None:
        """The credentials of `Authorization: Bearer …` (or `Token …`); None without."""
        credentials = self.credentials
        return credentials[1] if credentials is not None and credentials.auth_type in ("bearer", "token") else None

    # addresses

    @property
    def conn_info(self) -> ConnectionInfo:
        """The connection that the request came over."""
        return self.exchange.info

    @property
    def ip(self) -> str:
        """The address of the socket's peer."""
        return self.exchange.info.client_ip

    @property
    def port(self) -> int:
        """The port of the socket's peer."""
        return self.exchange.info.client_port

    @property
    def client_ip(self) -> str:
        """The client's address: what trusted proxies say, else the socket's peer."""
        return self.remote_addr or self.ip

    @property
    def host(self) -> str:
        """Host and port that the client asked for; a trusted proxy's word wins."""
        return self.forwarded.get("host") or self.headers.get("host", "")

    @property
    def scheme(self) -> str:
        """http, https, ws or wss, as the client used it."""
        scheme = self.forwarded.get("proto") or ("https" if self.exchange.info.ssl else "http")
        if self.headers.get("upgrade", "").lower() == "websocket":
            return {"http": "ws", "https": "wss"}.get(scheme, scheme)
        return scheme

    @property
    def server_name(self) -> str:
        """The host that the client asked for, without the port."""
        host = self.host
        return host.partition("]")[0] + "]" if host.startswith("[") else host.partition(":")[0]

    @property
    def server_port(self) -> int:
        """The port that the client asked for, else the scheme's usual one."""
        _, found, port = self.host.rpartition(":")
        if found and port.isdecimal():
            return int(port)
        return int(self.forwarded.get("port", 443 if self.scheme in ("https", "wss") else 80))

    @property
    def server_path(self) -> str:
        """The path that the client used, when a proxy cuts a prefix off or the application is mounted below one."""
        return self.forwarded.get("path") or self.exchange.info.root_path + self.path

    @property
    def query_bytes(self) -> bytes:
        """The query as it was sent."""
        return self.target.partition(b"?")[2]

    def url_for(self, view_name: str, **options: Any) -> str:
        """`app.url_for` with the scheme and host of this request filled in."""
        options.setdefault("_scheme", self.scheme)
        options.setdefault("_server", self.host)
        build: Callable[..., str] = self.app.url_for  # type: ignore[attr-defined]
        return build(view_name, _external=True, **options)

    # body

    async def receive_body(self) -> None:
        """On a streaming route: read the whole body into `body`."""
        if self.stream is not None and not self.body:
            self.body = b"".join([chunk async for chunk in self.stream])

    def load_json(self, loads: Callable[[bytes], Any] | None = None) -> Any:
        """Decode the body with another decoder. Raises `BadRequest` (400) for malformed JSON, None for an empty body."""
        if not self.body:
            return None
        try:
            return (loads or getattr(self.app, "loads", None) or msgspec.json.decode)(self.body)
        except (ValueError, RecursionError) as exc:
            raise BadRequest(f"The body is no valid JSON: {exc}") from None

    async def receive_form(self) -> None:
        """On a streaming route: read the form, long files to disk; then `form` and `files` are there. Elsewhere they are already.

        Raises what they raise, and `ServiceUnavailable` (503) when there is no room on disk.
        """
        stream = self.stream
        if stream is None or self.body or self.spool is not None:
            return
        limits = self.app.config.form_limits()  # type: ignore[attr-defined]
        from fairlead.uploads import Files, Spool, receive_form

        kind, parameters = form_type_of(self)
        if kind == media.FORM:
            self.body = await stream.collect(limits.max_memory_bytes)
            self.form, self.files = decode_form(self.body, parameters.get("charset", "utf-8")), Files()
            return

        self.spool = Spool()
        self.form, self.files = await receive_form(aiter(stream), self.content_type, limits, self.spool)

    async def parts(self) -> AsyncIterator[Part]:
        """The parts of a multipart form as they arrive, for a streaming route; nothing of them is kept.

        Raises `UnsupportedMediaType` (415), `BadRequest` (400), `PayloadTooLarge` (413).
        """
        from fairlead.uploads import parts_of

        if form_type_of(self)[0] != media.MULTIPART:
            raise UnsupportedMediaType(f"The parts of a form are sent as {media.MULTIPART}")
        source = self.stream or RequestStream(limit=len(self.body), complete=self.body)
        async for part in parts_of(aiter(source), self.content_type, self.app.config.form_limits()):  # type: ignore[attr-defined]
            yield part

    async def respond(
        self,
        response: HTTPResponse | None = None,
        *,
        status: int = 200,
        headers: Any = None,
        content_type: str | None = None,
    ) -> ResponseStream:
        """Start a streamed response; then `await stream.send(…)` and `await stream.eof()`. Once per request."""
        from fairlead.response import HTTPResponse as Response

        if self._response is not None:
            raise RuntimeError("this request was responded to already")
        self._response = stream = self.exchange.begin_stream(
            self, response or Response(status=status, headers=headers, content_type=content_type)
        )
        if self.route is not None and self.route.after is not None:
            await self.route.after(self, stream)
        return stream

    def sse(self, **options: Any) -> EventStream:
        """Answer with server-sent events: ``async with request.sse() as stream``. Options: those of `EventStream`."""
        from fairlead.event_stream import EventStream  # an application without streams of events doesn't load them

        return EventStream(self, **options)

    def take_back(self) -> bool:
        """For an error that is to be answered: take back a stream whose head isn't sent. False when the head is gone."""
        stream = self._response
        if stream is not None:
            if stream.head_sent:
                return False
            stream.ended, self._response = True, None  # whoever has kept it can't send any more
        return True

    @property
    def responded(self) -> bool:
        """Whether `respond()` was called."""
        return self._response is not None


for _name, _compute in LAZY.items():
    setattr(Request, _name, LazyAttribute(_name, _compute))
