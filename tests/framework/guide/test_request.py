"""Sanic's guide, chapters Request and Headers: runs on Sanic and on Fairlead (S; see framework.py)."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tests.framework.guide.framework import App, Request, exceptions, json


def ask(probe: Any, uri: str = "/", method: str = "post", **options: Any) -> Any:
    """What the probe makes of a request, as JSON."""
    app = App("ask")
    config = options.pop("config", {})
    app.config.update(config)

    @app.route("/<rest:path>", methods=["GET", "POST"], name="rest")
    @app.route("/", methods=["GET", "POST"], name="root")
    async def handler(request: Any, rest: str = "") -> Any:
        return json(probe(request))

    _, response = getattr(app.test_client, method)(uri, **options)
    assert response.status == 200, response.text
    return response.json


def test_body() -> None:
    """`json`, `body`, `form`."""
    assert ask(lambda request: request.json, json={"foo": "bar"}) == {"foo": "bar"}
    assert ask(lambda request: request.body.decode(), content=b"raw") == "raw"
    form = ask(
        lambda request: [request.form, request.form.get("foo"), request.form.getlist("foo"), request.body.decode()],
        data={"foo": ["bar", "baz"]},
    )
    assert form == [{"foo": ["bar", "baz"]}, "bar", ["bar", "baz"], "foo=bar&foo=baz"]


def test_uploads() -> None:
    """`files` by name, with type, body and name of each."""
    found = ask(
        lambda request: [
            [request.files.get("my_file").type, request.files.get("my_file").body.decode(), request.files.get("my_file").name],
            len(request.files.getlist("my_file")),
            request.form.get("note"),
        ],
        files={"my_file": ("TEST", b"hello\n", "application/octet-stream")},
        data={"note": "beside"},
    )
    assert found == [["application/octet-stream", "hello\n", "TEST"], 1, "beside"]


def test_malformed_json() -> None:
    """Is a 400."""
    app = App("malformed")

    @app.post("/")
    async def handler(request: Any) -> Any:
        return json(request.json)

    assert app.test_client.post("/", content=b"{")[1].status == 400


def test_contexts() -> None:
    """`request.ctx` is one request's own, `conn_info.ctx` a connection's."""
    app = App("contexts")

    @app.on_request
    async def note(request: Any) -> None:
        request.ctx.user = "ada"
        request.conn_info.ctx.foo = getattr(request.conn_info.ctx, "foo", 0) + 1

    @app.get("/")
    async def handler(request: Any) -> Any:
        return json([request.ctx.user, request.conn_info.ctx.foo])

    assert app.test_client.get("/")[1].json == ["ada", 1]


def test_own_class() -> None:
    """`request_class` may bring attributes, and `make_context` a context of its own."""

    class CustomRequest(Request):  # type: ignore[type-arg,misc]
        def __init__(self, *arguments: Any, **named: Any) -> None:
            super().__init__(*arguments, **named)
            self.ctx.user_id = self.headers.get("X-User-ID")

        @staticmethod
        def make_context() -> Any:
            return SimpleNamespace(kind="own")

    app = App("own", request_class=CustomRequest)

    @app.get("/")
    async def handler(request: Any) -> Any:
        return json([request.ctx.user_id, request.ctx.kind])

    assert app.test_client.get("/", headers={"x-user-id": "7"})[1].json == ["7", "own"]


def test_parameters() -> None:
    """Path parameters are keyword arguments, and in `match_info`."""
    app = App("parameters")

    @app.get("/tag/<tag>")
    async def tag_handler(request: Any, *, tag: str) -> Any:
        return json([tag, request.match_info])

    assert app.test_client.get("/tag/python")[1].json == ["python", {"tag": "python"}]


def test_query() -> None:
    """`args`, `query_args`, `query_string`, `get_args` with blanks."""
    uri = "/?key1=val1&key2=val2&key1=val3&empty="
    found = ask(
        lambda request: [
            request.args,
            request.args.get("key1"),
            request.args.getlist("key1"),
            request.query_args,
            request.query_string,
            request.get_args(keep_blank_values=True).get("empty"),
            request.args.get("none", "default"),
        ],
        uri,
        "get",
    )
    assert found == [
        {"key1": ["val1", "val3"], "key2": ["val2"]},
        "val1",
        ["val1", "val3"],
        [["key1", "val1"], ["key2", "val2"], ["key1", "val3"]],
        "key1=val1&key2=val2&key1=val3&empty=",
        "",
        "default",
    ]


def test_current_request() -> None:
    """`Request.get_current` from anywhere below the handler; outside of a request it raises the framework's exception."""
    app = App("current")

    def elsewhere() -> Any:
        return Request.get_current()

    @app.get("/")
    async def handler(request: Any) -> Any:
        return json(elsewhere() is request)

    assert app.test_client.get("/")[1].json is True
    with pytest.raises(exceptions.ServerError):
        Request.get_current()


def test_headers() -> None:
    """Without regard to case; `get`, `getone`, `getall`; tokens and credentials; the request's id is the client's."""
    fields = [("foo", "one"), ("FOO", "two"), ("x-request-id", "ABCDEF12345679"), ("authorization", "Bearer secret")]
    found = ask(
        lambda request: [
            request.headers["foo"],
            request.headers.get("Foo"),
            request.headers.getone("FOO"),
            request.headers.getall("fOo"),
            str(request.id),
            request.token,
            request.headers.get("none"),
        ],
        headers=fields,
        method="get",
    )
    assert found == ["one", "one", "one", ["one", "two"], "ABCDEF12345679", "secret", None]


@pytest.mark.parametrize(
    ("header", "token", "credentials"),
    [
        ("Basic dXNlcjpwYXNz", None, ["user", "pass"]),
        ("Bearer abc", "abc", None),
        ("Token abc", "abc", None),
    ],
)
def test_credentials(header: str, token: str | None, credentials: list[str] | None) -> None:
    """The Authorization header by its schemes."""
    found = ask(
        lambda request: [
            request.token if not header.startswith("Basic") else None,
            [request.credentials.username, request.credentials.password] if header.startswith("Basic") else None,
            request.credentials.auth_type.lower(),
        ],
        headers={"authorization": header},
        method="get",
    )
    assert found == [token, credentials, header.split()[0].lower()]


def test_line() -> None:
    """Method, path, URL, host, and what kind of request it is."""
    found = ask(
        lambda request: [
            request.method,
            request.path,
            request.url.partition("?")[2],
            request.host,
            request.server_name,
            request.scheme,
            request.content_type,
            request.is_safe,
            request.is_idempotent,
            request.is_cacheable,
            request.uri_template,
            request.name,
            request.endpoint,
        ],
        "/some/path?a=b",
        headers={"host": "example.com:8080", "content-type": "text/plain"},
    )
    assert found == [
        "POST",
        "/some/path",
        "a=b",
        "example.com:8080",
        "example.com",
        "http",
        "text/plain",
        False,
        False,
        False,
        "/<rest:path>",
        "ask.rest",
        "ask.rest",
    ]


def test_accept() -> None:
    """Media types by preference; `match` chooses among one's own."""
    found = ask(
        lambda request: [
            [str(kind.mime) for kind in request.accept],
            request.accept.match("text/html", "application/json") == "application/json",
            bool(request.accept.match("image/png")),
        ],
        headers={"accept": "text/html;q=0.5, application/json"},
        method="get",
    )
    assert found == [["application/json", "text/html"], True, False]


@pytest.mark.parametrize(
    ("config", "headers", "expected"),
    [
        ({}, {"x-forwarded-for": "1.2.3.4"}, ["", "http", "local.site"]),
        ({"PROXIES_COUNT": 1}, {"x-forwarded-for": "1.2.3.4"}, ["1.2.3.4", "http", "local.site"]),
        (
            {"REAL_IP_HEADER": "x-real-ip"},
            {"x-real-ip": "1.2.3.4", "x-forwarded-proto": "https"},
            ["1.2.3.4", "https", "local.site"],
        ),
        (
            {"FORWARDED_SECRET": "mySecret"},
            {"forwarded": 'for=1.1.1.1, for="[::2]";proto=https;host=me.tld;secret=mySecret'},
            ["[::2]", "https", "me.tld"],
        ),
        ({"FORWARDED_SECRET": "mySecret"}, {"forwarded": "for=1.1.1.1;secret=other"}, ["", "http", "local.site"]),
        ({"FORWARDED_SECRET": "_proxy"}, {"forwarded": "for=1.2.3.4; by=_proxy"}, ["1.2.3.4", "http", "local.site"]),
    ],
)
def test_proxies(config: dict[str, Any], headers: dict[str, str], expected: list[str]) -> None:
    """The client's address, scheme and host as trusted proxies give them, and only as configured."""
    found = ask(
        lambda request: [request.remote_addr, request.scheme, request.server_name],
        method="get",
        headers={"host": "local.site", **headers},
        config=config,
    )
    assert found == expected
