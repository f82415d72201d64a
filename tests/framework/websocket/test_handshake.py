"""The opening handshake: what is accepted, what is refused before 101, and what the answer says."""

from __future__ import annotations

from typing import Any

import pytest
from websockets.extensions.permessage_deflate import PerMessageDeflate

from fairlead.errors import FairleadException, Forbidden
from fairlead.http.head import Head
from fairlead.request import Request
from fairlead.websocket import Accepted, handshake_response, is_upgrade, negotiate
from fairlead.websocket.handshake import admit

from .conftest import Exchange

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
HANDSHAKE = {
    "Host": "shop.example",
    "Connection": "keep-alive, Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Key": KEY,
    "Sec-WebSocket-Version": "13",
}


class Settings:
    """As much of an application as a request asks for here."""

    class config:
        FORWARDED_SECRET = REAL_IP_HEADER = PROXIES_COUNT = None


def request_with(
    changes: dict[str, Any] | None = None, *, method: bytes = b"GET", version: str = "1.1", secure: bool = False
) -> Request[Any, Any]:
    """The sample handshake with other fields: None takes one away, a list repeats it."""
    fields: list[tuple[bytes, bytes]] = []
    for name, value in (HANDSHAKE | (changes or {})).items():
        for single in value if isinstance(value, list) else [value]:
            if single is not None:
                fields.append((name.encode(), single.encode()))
    head = Head(pairs=fields)
    head.version = version
    return Request(Settings, Exchange(secure=secure), method, b"/feed", head, b"")


def refusal(request: Request[Any, Any], **options: Any) -> FairleadException:
    """The exception with which a handshake is refused."""
    with pytest.raises(FairleadException) as caught:
        negotiate(request, **options)
    return caught.value


def test_sample_of_the_standard() -> None:
    """RFC 6455 §1.3: the key of the sample gives the value of the sample."""
    accepted = negotiate(request_with())
    assert Accepted(accept="s3pPLMBiTxaQ9kYGzzhZRbK+xOo=") == accepted
    head = handshake_response(accepted).decode()
    assert head.startswith("HTTP/1.1 101 ")
    assert head.endswith("\r\n\r\n")
    assert "sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" in head


@pytest.mark.parametrize("changes", [{"Upgrade": None}, {"Connection": "keep-alive"}, {"Upgrade": "h2c"}])
def test_plain_request_is_told_to_upgrade(changes: dict[str, Any]) -> None:
    """A request that asks for no websocket gets 426, which names the protocol (RFC 9110 §15.5.22)."""
    request = request_with(changes)
    assert not is_upgrade(request.headers)
    error = refusal(request)
    assert error.status_code == 426
    assert error.headers["Upgrade"] == "websocket"


@pytest.mark.parametrize(("method", "version"), [(b"POST", "1.1"), (b"GET", "1.0")])
def test_only_get_over_http_1_1(method: bytes, version: str) -> None:
    """RFC 6455 §4.1: the handshake is a GET of at least HTTP/1.1."""
    assert refusal(request_with(method=method, version=version)).status_code == 405


@pytest.mark.parametrize("key", [None, "", "short", "dGhlIHNhbXBsZSBub25jZSE=", [KEY, KEY], "?" * 22 + "=="])
def test_bad_key_is_refused(key: Any) -> None:
    """RFC 6455 §4.2.1: the key is 16 bytes in base64 and comes once; else 400."""
    assert refusal(request_with({"Sec-WebSocket-Key": key})).status_code == 400


@pytest.mark.parametrize("version", [None, "8", "14", ["13", "13"]])
def test_other_versions_are_refused(version: Any) -> None:
    """RFC 6455 §4.4: another version is answered 400 together with the one that is spoken."""
    error = refusal(request_with({"Sec-WebSocket-Version": version}))
    assert error.status_code == 400
    if not isinstance(version, list):
        assert error.headers == {"Sec-WebSocket-Version": "13"}


@pytest.mark.parametrize(
    ("host", "origin", "secure"),
    [
        ("shop.example", None, False),
        ("shop.example", "http://shop.example", False),
        ("shop.example", "HTTP://Shop.Example", False),
        ("shop.example", "https://shop.example", True),
        ("shop.example", "https://shop.example", False),  # TLS ends at a proxy that does not tell
        ("shop.example:80", "http://shop.example", False),
        ("shop.example:443", "https://shop.example", True),
        ("shop.example:8443", "https://shop.example:8443", True),
        ("[2001:db8::1]", "http://[2001:db8::1]", False),
        ("[2001:db8::1]:8000", "http://[2001:db8::1]:8000", False),
    ],
)
def test_same_origin_is_accepted(host: str, origin: str | None, secure: bool) -> None:
    """W7: no Origin (not a browser) and the origin of the site itself are accepted without any configuration."""
    negotiate(request_with({"Host": host, "Origin": origin}, secure=secure))


@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "https://evil.example",
        "https://shop.example.evil.example",
        "https://evil-shop.example",
        "https://www.shop.example",
        "https://shop.example:8443",
        "http://shop.example",  # a page that anyone on the network can change, when the site itself is https
        "ftp://shop.example",
        "shop.example",
        "//shop.example",
        "https://shop.example/path",
        "https://user@shop.example",
        "",
    ],
)
@pytest.mark.parametrize("origins", [(), ("https://partner.example",)])
def test_other_origins_are_refused(origin: str, origins: tuple[str, ...]) -> None:
    """W7, SEC-W01: a foreign page cannot open a websocket with the visitor's cookies; compared whole, else 403."""
    assert refusal(request_with({"Origin": origin}, secure=True), origins=origins).status_code == 403


def test_origins_can_be_listed() -> None:
    """W7: what WEBSOCKET_ORIGINS lists is accepted, whole; `*` accepts all but `null`."""
    partner = request_with({"Origin": "https://Partner.example"})
    negotiate(partner, origins=["https://partner.example"])
    negotiate(partner, origins=["https://partner.example/"])
    negotiate(request_with({"Origin": "https://anyone.example"}), origins=["*"])
    assert refusal(request_with({"Origin": "null"}), origins=["*", "null"]).status_code == 403


def test_who_leaves_http_to_somebody_else() -> None:
    """Behind an ASGI server the origin is checked and the subprotocol chosen all the same; the rest was its business."""
    request = request_with({"Sec-WebSocket-Key": None, "Sec-WebSocket-Protocol": "soap, chat", "Origin": "http://shop.example"})
    accepted = admit(request, subprotocols=["chat"])
    assert (accepted.subprotocol, accepted.extensions) == ("chat", ())
    with pytest.raises(Forbidden):
        admit(request_with({"Origin": "https://evil.example"}))


def test_two_origins_are_malformed() -> None:
    """RFC 6454 §7.3: a browser sends one origin; two are an attempt to confuse."""
    assert refusal(request_with({"Origin": ["http://shop.example", "https://evil.example"]})).status_code == 400


@pytest.mark.parametrize(
    ("offers", "supported", "expected"),
    [
        (None, ["a"], None),
        ("a", [], None),
        ("x, y", ["a"], None),
        ("b, a", ["a", "b"], "b"),
        (["x", "c,b"], ["b", "c"], "c"),
        ("A", ["a"], None),
    ],
)
def test_first_offer_that_is_supported_wins(offers: Any, supported: list[str], expected: str | None) -> None:
    """W6: of the client's offers, in its order, the first that the route supports; none is no error."""
    accepted = negotiate(request_with({"Sec-WebSocket-Protocol": offers}), subprotocols=supported)
    assert expected == accepted.subprotocol
    assert (b"sec-websocket-protocol" in handshake_response(accepted)) == (expected is not None)


def test_compression_is_off_by_default() -> None:
    """W5: without WEBSOCKET_COMPRESSION an offer is declined by silence."""
    accepted = negotiate(request_with({"Sec-WebSocket-Extensions": "permessage-deflate"}))
    assert accepted.extensions == ()
    assert b"extensions" not in handshake_response(accepted)


@pytest.mark.parametrize(
    ("offer", "answer"),
    [
        ("permessage-deflate", "permessage-deflate; server_max_window_bits=12"),
        (
            "permessage-deflate; client_max_window_bits",
            "permessage-deflate; server_max_window_bits=12; client_max_window_bits=12",
        ),
        (
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=12",
        ),
        (
            "permessage-deflate; server_max_window_bits=9; client_max_window_bits=10",
            "permessage-deflate; server_max_window_bits=9; client_max_window_bits=10",
        ),
        ("x-webkit-deflate-frame, permessage-deflate", "permessage-deflate; server_max_window_bits=12"),
        ("permessage-deflate; server_max_window_bits=8, permessage-deflate", "permessage-deflate; server_max_window_bits=12"),
        ("permessage-deflate; unknown", None),
        ("permessage-bzip2", None),
    ],
)
def test_compression_is_negotiated(offer: str, answer: str | None) -> None:
    """W13, RFC 7692 §5: the first offer that can be met is accepted with its parameters, others are declined."""
    accepted = negotiate(request_with({"Sec-WebSocket-Extensions": offer}), compression="deflate")
    assert answer == accepted.extensions_header
    assert [PerMessageDeflate] * (answer is not None) == [type(extension) for extension in accepted.extensions]


def test_malformed_extensions_are_refused() -> None:
    """A header that cannot be parsed is 400, not a guess."""
    request = request_with({"Sec-WebSocket-Extensions": "permessage-deflate; =1"})
    assert refusal(request, compression="deflate").status_code == 400


def test_further_fields_of_the_answer() -> None:
    """The application's fields are added to the 101; what would break out of its line raises (CWE-113)."""
    head = handshake_response(Accepted(accept="x"), [("set-cookie", "a=1"), ("set-cookie", "b=2")])
    assert b"set-cookie: a=1\r\nset-cookie: b=2\r\n" in head
    with pytest.raises(ValueError, match="set-cookie"):
        handshake_response(Accepted(accept="x"), [("set-cookie", "a\r\nb: c")])
