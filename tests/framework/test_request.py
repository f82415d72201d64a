"""What a handler is given: everything that a request says, decoded when it is asked for (S)."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead import App
from fairlead.errors import BadRequest, UnsupportedMediaType
from fairlead.http.forms import Parameters
from fairlead.http.head import Head, origin_form, read_any
from fairlead.request import ConnectionInfo, Request, current_request
from fairlead.request_attributes import LazyAttribute, forget_parsed
from fairlead.routing import Route
from fairlead.streaming import RequestStream

FORM = "application/x-www-form-urlencoded"


class Exchange:
    """The other side: addresses, and the streams that were begun."""

    def __init__(self, info: ConnectionInfo) -> None:
        self.info = info
        self.streams: list[Any] = []

    def begin_stream(self, request: Request, response: Any) -> Any:
        """Remember the response, which stands for its stream here."""
        self.streams.append(response)
        return response


def make_request(
    target: str = "/",
    fields: dict[str, str] | None = None,
    body: bytes = b"",
    *,
    method: str = "GET",
    info: ConnectionInfo | None = None,
    version: str = "1.1",
    **config: Any,
) -> Request[Any, Any]:
    """A request as a connection makes it."""
    app: App[Any, Any] = App("requests", config)
    lines = "".join(f"\r\n{name}: {value}" for name, value in {"Host": "a.example", **(fields or {})}.items())
    head = read_any(f"{method} / HTTP/{version}".encode(), lines.encode("latin-1"), 100)
    exchange = Exchange(info or ConnectionInfo(("192.0.2.1", 4711), ("192.0.2.2", 80)))
    return Request(app, exchange, method.encode(), target.encode(), head, body)  # type: ignore[arg-type]


# The request line


def test_request_line() -> None:
    """Method, path and query as they were sent, and the version."""
    request = make_request("/a%20b?c=%C3%A4&d", method="POST", version="1.0")
    assert (request.method, request.path, request.query_string, request.query_bytes) == (
        "POST",
        "/a%20b",
        "c=%C3%A4&d",
        b"c=%C3%A4&d",
    )
    assert (request.version, repr(request)) == ("1.0", "<Request: POST /a%20b>")
    assert request.url == "http://a.example/a%20b?c=%C3%A4&d"
    assert make_request("/x").url == "http://a.example/x"


PARSED = ("accept", "args", "cookies", "forwarded", "headers", "path", "query_string", "query_values", "remote_addr")


def test_what_was_parsed_can_be_forgotten() -> None:
    """A request that lasts keeps its head and no more; whatever it is asked for is parsed again, and is the same."""
    request = make_request("/a?b=c", {"Cookie": "d=e", "Accept": "text/html", "X-Forwarded-For": "192.0.2.9"}, PROXIES_COUNT=1)
    before = {name: getattr(request, name) for name in PARSED}
    forget_parsed(request)
    assert not vars(request).keys() & set(PARSED)
    assert request.head.pairs is None
    assert {name: getattr(request, name) for name in PARSED} == before
    assert request.remote_addr == "192.0.2.9"


def test_what_an_application_has_set_is_not_forgotten() -> None:
    """Fields that middleware changed and attributes that it replaced stay, also those that say what nobody could parse."""
    request = make_request("/?" + "&".join("a=1" for _ in range(1001)))
    request.headers["x-user"] = "somebody"
    request.args = Parameters(a=["1"])
    request.method  # noqa: B018 - computed, and a text that all requests share
    forget_parsed(request)
    assert (request.headers["x-user"], request.args, request.method) == ("somebody", {"a": ["1"]}, "GET")


def test_fields_that_only_a_server_knows_are_not_forgotten() -> None:
    """Where there is no block to parse again (another server has read it, or an absolute target has changed the host)."""
    for head in (Head(pairs=[(b"host", b"b.example")]), origin_form(b"http://b.example/", make_request().head)[1]):
        request = make_request()
        request.head = head
        for _ in range(2):
            assert request.host == "b.example"
            forget_parsed(request)


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("GET", (True, True, True)),
        ("HEAD", (True, True, True)),
        ("OPTIONS", (True, True, False)),
        ("PUT", (False, True, False)),
        ("DELETE", (False, True, False)),
        ("POST", (False, False, False)),
        ("PATCH", (False, False, False)),
    ],
)
def test_what_a_method_promises(method: str, expected: tuple[bool, bool, bool]) -> None:
    """Safe, idempotent, cacheable (RFC 9110 §9.2)."""
    request = make_request(method=method)
    assert (request.is_safe, request.is_idempotent, request.is_cacheable) == expected


def test_query_arguments() -> None:
    """First values, lists, pairs in order; blank values only when they are asked for."""
    request = make_request("/?a=1&b=%20x&a=2&c=&d")
    assert (request.args, request.get_args()) == ({"a": ["1", "2"], "b": [" x"]}, request.args)
    assert (request.args.get("a"), request.args.getlist("a")) == ("1", ["1", "2"])
    assert request.get_args(keep_blank_values=True) == {"a": ["1", "2"], "b": [" x"], "c": [""], "d": [""]}
    assert request.query_args == [("a", "1"), ("b", " x"), ("a", "2")]
    assert request.get_query_args(keep_blank_values=True)[-1] == ("d", "")


def test_query_arguments_decoded_otherwise() -> None:
    """Another encoding, or strictness about bytes and form, as in Sanic."""
    request = make_request("/?a=%E4&b=1")
    assert request.get_args(encoding="latin-1")["a"] == ["ä"]
    with pytest.raises(BadRequest):
        request.get_args(errors="strict")
    assert request.get_args(strict_parsing=True)["b"] == ["1"]
    assert make_request("/").get_args(strict_parsing=True) == {}
    with pytest.raises(BadRequest, match="malformed"):
        make_request("/?a").get_args(strict_parsing=True)


# Header fields


@pytest.mark.parametrize(
    ("authorization", "credentials", "token"),
    [
        (None, None, None),
        ("", None, None),
        ("Bearer", None, None),
        ("Bearer  ", None, None),
        ("Bearer  abc ", ("bearer", "abc"), "abc"),
        ("BEARER abc", ("bearer", "abc"), "abc"),
        ("Basic dTpw", ("basic", "dTpw"), None),
    ],
)
def test_credentials(authorization: str | None, credentials: tuple[str, str] | None, token: str | None) -> None:
    """Scheme and credentials; a token is what comes with Bearer, and nothing else (RFC 6750 §2.1)."""
    request = make_request(fields={} if authorization is None else {"Authorization": authorization})
    assert (request.credentials, request.token) == (credentials, token)


def test_fields() -> None:
    """Headers, cookies, Accept and type; what is not sent has its default."""
    request = make_request(fields={"Cookie": "a=1", "Accept": "text/html;q=0.5, a/b", "Content-Type": "a/b; c=d"})
    assert (request.headers["cookie"], request.cookies["a"], request.content_type) == ("a=1", "1", "a/b; c=d")
    assert request.accept.match("text/html", "a/b") == "a/b"
    bare = make_request()
    assert (len(bare.cookies), bare.content_type, bare.accept.match("x/y")) == (0, "application/octet-stream", "x/y")


def test_attributes_are_computed_once_and_no_others_exist() -> None:
    """A lazy attribute is one object for the life of the request; a misspelt one is an AttributeError."""
    request = make_request()
    for name in ("headers", "args", "cookies", "ctx", "id", "accept"):
        assert getattr(request, name) is getattr(request, name)
    request.ctx.user = "u"
    assert request.ctx.user == "u"
    with pytest.raises(AttributeError, match="headerz"):
        request.headerz  # noqa: B018


# Addresses


@pytest.mark.parametrize(
    ("client", "expected"),
    [
        (("192.0.2.1", 4711), ("192.0.2.1", 4711, "192.0.2.1:4711")),
        (("::1", 4711, 0, 0), ("::1", 4711, "[::1]:4711")),
        ("/run/app.sock", ("", 0, "unix:/run/app.sock")),
        ("", ("", 0, "")),
        (None, ("", 0, "")),
    ],
)
def test_addresses_of_the_connection(client: Any, expected: tuple[str, int, str]) -> None:
    """IPv4, IPv6, a unix socket, and a peer that is gone already."""
    info = ConnectionInfo(client, ("192.0.2.2", 8000))
    request = make_request(info=info)
    assert (request.ip, request.port, request.conn_info.client) == expected
    assert (info.server, info.server_port) == ("192.0.2.2:8000", 8000)
    assert (request.client_ip, request.remote_addr) == (expected[0], "")


@pytest.mark.parametrize(
    ("host", "name", "port"),
    [
        ("a.example", "a.example", 80),
        ("a.example:8080", "a.example", 8080),
        ("a.example:", "a.example", 80),
        ("[::1]", "[::1]", 80),
        ("[::1]:8080", "[::1]", 8080),
        ("", "", 80),
    ],
)
def test_host(host: str, name: str, port: int) -> None:
    """Name and port that the client asked for, and the scheme's port without one."""
    request = make_request(fields={"Host": host})
    assert (request.host, request.server_name, request.server_port) == (host, name, port)


@pytest.mark.parametrize(
    ("tls", "upgrade", "scheme", "port"),
    [
        (False, None, "http", 80),
        (True, None, "https", 443),
        (False, "WebSocket", "ws", 80),
        (True, "websocket", "wss", 443),
        (False, "h2c", "http", 80),
    ],
)
def test_scheme(tls: bool, upgrade: str | None, scheme: str, port: int) -> None:
    """http or https by the connection, ws or wss for a websocket's handshake."""
    request = make_request(fields={"Upgrade": upgrade} if upgrade else {}, info=ConnectionInfo(ssl=tls))
    assert (request.scheme, request.server_port) == (scheme, port)


def test_what_trusted_proxies_say_wins() -> None:
    """Address, scheme, host, port and path of the client as the proxy knows them, when it is trusted."""
    header = 'for=1.2.3.4;proto=https;host=shop.example;path="/shop/x";port=8443;secret=s3'
    fields = {"Forwarded": header, "X-Forwarded-For": "6.6.6.6", "X-Real-IP": "5.6.7.8"}
    request = make_request("/x", fields, FORWARDED_SECRET="s3", PROXIES_COUNT=1)
    assert (request.remote_addr, request.client_ip, request.ip) == ("1.2.3.4", "1.2.3.4", "192.0.2.1")
    assert (request.url, request.server_path, request.server_port) == ("https://shop.example/x", "/shop/x", 8443)
    assert make_request("/x", fields, FORWARDED_SECRET="other", PROXIES_COUNT=1).client_ip == "6.6.6.6"
    assert make_request("/x", fields, FORWARDED_SECRET="other").client_ip == "192.0.2.1"
    assert make_request("/x", fields, REAL_IP_HEADER="x-real-ip").client_ip == "5.6.7.8"
    assert make_request("/x", fields).forwarded == {}
    assert make_request("/x").server_path == "/x"


def test_url_for() -> None:
    """`request.url_for` gives the whole URL at the host and scheme of this request, unless told otherwise."""
    request = make_request(fields={"Host": "b.example:81"}, info=ConnectionInfo(ssl=True))
    request.app.get("/items/<id:int>", name="show")(lambda request, id: None)
    assert request.url_for("show", id=7) == "https://b.example:81/items/7"
    assert request.url_for("show", id=7, _server="c", _scheme="http") == "http://c/items/7"


# Route and identity


def test_route() -> None:
    """Name, template and parameters of the route; nothing where none was found."""
    request = make_request("/7")
    assert (request.name, request.endpoint, request.uri_template, request.match_info) == (None, None, None, {})
    other = make_request("/7/x")
    router = other.app.router
    other.route = route = Route("app.show", "/<id:int>/<x>", router.parse("/<id:int>/<x>"), ["GET"], lambda request: None)
    other.route_parameters = [7, "x"]
    assert (other.name, other.endpoint, other.uri_template) == ("app.show", "app.show", "/<id:int>/<x>")
    assert other.match_info == {"id": 7, "x": "x"}
    fixed = make_request()
    fixed.route = route
    assert fixed.match_info == {}


def test_current_request() -> None:
    """The request that the running code belongs to; outside of one there is none."""
    request = make_request()
    token = current_request.set(request)
    assert Request.get_current() is request
    current_request.reset(token)
    with pytest.raises(LookupError):
        Request.get_current()


# Body


@given(st.recursive(st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(), st.lists))
def test_json(value: Any) -> None:
    """What is sent as JSON arrives as it was."""
    assert make_request(body=json.dumps(value).encode()).json == value


@pytest.mark.parametrize("body", [b"{", b"\xff", b'"\xff"', b"[" * 100_000, b"nan", b"{} {}"])
def test_malformed_json(body: bytes) -> None:
    """Malformed JSON, also that which is only there to exhaust the stack, is 400; each reader's error is the client's."""
    request = make_request(body=body)
    with pytest.raises(BadRequest):
        request.json  # noqa: B018
    if body != b"nan" and len(body) < 100:
        with pytest.raises(BadRequest):
            request.load_json(json.loads)


def test_json_of_nothing_and_other_decoders() -> None:
    """An empty body is None; `load_json` takes any decoder."""
    assert make_request().json is None
    assert make_request(body=b"7").load_json(lambda body: body * 2) == b"77"


@pytest.mark.parametrize(
    ("kind", "body", "expected"),
    [
        (FORM, b"a=1&b=%C3%BC&a=2&c=", {"a": ["1", "2"], "b": ["ü"], "c": [""]}),
        (f"{FORM}; charset=ISO-8859-1", b"a=\xfc", {"a": ["ü"]}),
        (FORM.upper(), b"", {}),
    ],
)
def test_form(kind: str, body: bytes, expected: dict[str, list[str]]) -> None:
    """A urlencoded form, blank values included, in its charset."""
    assert make_request(fields={"Content-Type": kind}, body=body).form == expected


@pytest.mark.parametrize("charset", ["idna", "punycode", "rot13", "base64", "none-such", "utf-7"])
def test_form_in_a_codec_that_is_no_charset(charset: str) -> None:
    """The client does not choose among all of Python's codecs: some take quadratic time, some are none of text (CVE-2022-45061)."""
    with pytest.raises(BadRequest):
        make_request(fields={"Content-Type": f"{FORM}; charset={charset}"}, body=b"a=b").form  # noqa: B018


def test_what_is_no_form() -> None:
    """Bytes that are not in the charset are 400, another type is 415."""
    with pytest.raises(BadRequest):
        make_request(fields={"Content-Type": FORM}, body=b"a=\xff").form  # noqa: B018
    for kind in ("text/plain", "multipart/mixed; boundary=x"):
        with pytest.raises(UnsupportedMediaType):
            make_request(fields={"Content-Type": kind}).form  # noqa: B018


async def test_receive_body() -> None:
    """On a streaming route the body is read when it is asked for, once; elsewhere it is there already."""
    request = make_request()
    request.stream = stream = RequestStream(limit=100)
    reading = asyncio.ensure_future(request.receive_body())
    await asyncio.sleep(0)
    stream.feed(b"ab")
    stream.feed(b"c")
    stream.end()
    await reading
    await request.receive_body()
    assert request.body == b"abc"
    whole = make_request(body=b"x")
    await whole.receive_body()
    assert whole.body == b"x"


# Responding


async def test_respond() -> None:
    """`respond` begins a stream, once, from a response or its parts; response middleware sees it before its head is sent."""
    request, seen = make_request(), []
    assert not request.responded
    stream: Any = await request.respond(status=201, headers={"x": "1"}, content_type="a/b")
    assert (stream.status, stream.headers["x"], stream.content_type) == (201, "1", "a/b")
    assert request.responded
    with pytest.raises(RuntimeError, match="already"):
        await request.respond()

    async def after(request: Request, response: Any) -> None:
        seen.append(response)

    other = make_request()
    other.route = Route("r", "/", [b""], ["GET"], lambda request: None)
    other.route.after = after
    assert seen == [await other.respond(stream)]
    plain = make_request()
    plain.route = Route("r", "/", [b""], ["GET"], lambda request: None)
    assert await plain.respond(stream) is stream


def test_what_a_class_says_of_a_computed_attribute() -> None:
    """Read from the class it is the descriptor, so that tools which look through a class compute nothing."""
    assert isinstance(Request.path, LazyAttribute)
