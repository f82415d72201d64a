"""The opening handshake (RFC 6455 §4.2): what is checked, agreed and answered before a connection changes its protocol.

A refusal is an ordinary HTTP answer with its real status, raised as an exception before 101: the client learns why, and
proxies and access logs see it.

The Origin header is checked, because a browser sends cookies with the handshake from any page and no CORS rule stands in
between (cross-site websocket hijacking, §10.2). Accepted are: no Origin at all (not a browser), the origin that the request
was sent to, and what the application lists. `null` (a sandboxed or local page) never is. An entry is compared whole:
`https://shop.example` covers neither its sub-domains nor another port.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from websockets.exceptions import InvalidHeader, NegotiationError
from websockets.extensions import Extension
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.headers import build_extension, parse_extension
from websockets.typing import ExtensionHeader

from fairlead.errors import BadRequest, Forbidden, MethodNotAllowed, UpgradeRequired
from fairlead.http.headers import Headers, check_field
from fairlead.http.origin import is_same_origin
from fairlead.request import Request

VERSION = "13"
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_KEY = re.compile(r"[A-Za-z0-9+/]{22}==").fullmatch  # 16 bytes in base64 (§4.1)
_ORIGIN = re.compile(r"(https?)://([^/?#@\s]+)").fullmatch

# A window of 4 KiB in place of 32 and memory level 5 in place of 8 take a compressor from 316 KiB to 64 KiB for each
# connection and cost a few per cent of the ratio on short messages (the library's own choice and measurement).
DEFLATE = ServerPerMessageDeflateFactory(server_max_window_bits=12, client_max_window_bits=12, compress_settings={"memLevel": 5})


@dataclass(frozen=True, slots=True)
class Accepted:
    """What both sides have agreed on. Give it to `handshake_response`, then to `Websocket`."""

    accept: str
    """The value of Sec-WebSocket-Accept."""
    subprotocol: str | None = None
    extensions: tuple[Extension, ...] = ()
    extensions_header: str | None = None


def is_upgrade(headers: Headers) -> bool:
    """Whether a request asks for a websocket: `Connection` names upgrade, `Upgrade` names websocket."""
    return "websocket" in _tokens(headers, "upgrade") and "upgrade" in _tokens(headers, "connection")


def negotiate(
    request: Request[Any, Any],
    *,
    origins: Collection[str] = (),
    subprotocols: Sequence[str] = (),
    compression: str | None = None,
) -> Accepted:
    """Check a handshake and choose subprotocol and extension.

    `origins` are further origins to accept, such as `https://shop.example`; "*" accepts all but `null`. Of the client's
    `Sec-WebSocket-Protocol` offers the first that is among `subprotocols` is chosen (W6). `compression` is None or
    "deflate" (permessage-deflate, RFC 7692, when the client offers it).

    Raises: `UpgradeRequired` (426) for a request that asks for no websocket, `MethodNotAllowed` (405), `BadRequest` (400)
    for a malformed key, version or extension, `Forbidden` (403) for an origin.
    """
    headers = request.headers
    if not is_upgrade(headers):
        raise UpgradeRequired("This resource speaks websocket")
    if request.method != "GET" or request.version != "1.1":
        raise MethodNotAllowed("A websocket is opened by GET over HTTP/1.1", request.method, ("GET",))
    key = _only(headers, "sec-websocket-key")
    if key is None or _KEY(key) is None:
        raise BadRequest("Sec-WebSocket-Key is not 16 bytes in base64")
    if _only(headers, "sec-websocket-version") != VERSION:
        raise BadRequest("This server speaks websocket version 13", headers={"Sec-WebSocket-Version": VERSION})
    _check_origin(request, origins)
    extension, extensions_header = _choose_extension(headers) if compression == "deflate" else (None, None)
    return Accepted(
        accept=accept_value(key),
        subprotocol=_choose_subprotocol(headers, subprotocols),
        extensions=(extension,) if extension is not None else (),
        extensions_header=extensions_header,
    )


def admit(request: Request[Any, Any], *, origins: Collection[str] = (), subprotocols: Sequence[str] = ()) -> Accepted:
    """What is left of `negotiate` where somebody else does the handshake's HTTP (an ASGI server). Raises `Forbidden` (403)."""
    _check_origin(request, origins)
    return Accepted(accept="", subprotocol=_choose_subprotocol(request.headers, subprotocols))


def accept_value(key: str) -> str:
    """The value that proves that the server has read the handshake (§4.2.2 step 5.4)."""
    return base64.b64encode(hashlib.sha1(key.encode() + _GUID, usedforsecurity=False).digest()).decode()


def handshake_response(accepted: Accepted, extra_headers: Iterable[tuple[str, str]] = ()) -> bytes:
    """The head of the 101 answer; everything after it on the connection is frames.

    `extra_headers` (cookies that a middleware sets, say) are checked: ValueError for what would break out of its line.
    """
    fields = [("upgrade", "websocket"), ("connection", "Upgrade"), ("sec-websocket-accept", accepted.accept)]
    if accepted.subprotocol is not None:
        fields.append(("sec-websocket-protocol", accepted.subprotocol))
    if accepted.extensions_header is not None:
        fields.append(("sec-websocket-extensions", accepted.extensions_header))
    fields += extra_headers
    for name, value in fields:
        check_field(name, value)
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields)
    return b"HTTP/1.1 101 Switching Protocols\r\n" + lines.encode("latin-1") + b"\r\n"


def _tokens(headers: Headers, name: str) -> list[str]:
    """A comma-separated list of tokens that may come in several fields, in lower case."""
    return [token for value in headers.getall(name, ()) for part in value.split(",") if (token := part.strip().lower())]


def _only(headers: Headers, name: str) -> str | None:
    """The value of a field that must not be repeated (§4.1); None without it."""
    values = headers.getall(name, ())
    if len(values) > 1:
        raise BadRequest(f"{name} is repeated")
    return values[0].strip() if values else None


def _check_origin(request: Request[Any, Any], origins: Collection[str]) -> None:
    origin = _only(request.headers, "origin")
    if origin is None:
        return
    origin = origin.lower()
    match = _ORIGIN(origin)
    if match is None or not (
        is_same_origin(origin, request.scheme, request.host)
        or "*" in origins
        or any(origin == entry.lower().rstrip("/") for entry in origins)
    ):
        raise Forbidden("This origin may not open a websocket here", extra={"origin": origin})


def _choose_subprotocol(headers: Headers, supported: Sequence[str]) -> str | None:
    if not supported:
        return None
    offers = (part.strip() for value in headers.getall("sec-websocket-protocol", ()) for part in value.split(","))
    return next((offer for offer in offers if offer in supported), None)


def _choose_extension(headers: Headers) -> tuple[Extension | None, str | None]:
    """The first offer of permessage-deflate whose parameters can be met (RFC 7692 §5); others are declined by silence."""
    try:
        offers: list[ExtensionHeader] = [
            offer for value in headers.getall("sec-websocket-extensions", ()) for offer in parse_extension(value)
        ]
    except InvalidHeader:
        raise BadRequest("Sec-WebSocket-Extensions is malformed") from None
    for name, parameters in offers:
        if name == DEFLATE.name:
            try:
                agreed, extension = DEFLATE.process_request_params(parameters, [])
            except NegotiationError:
                continue
            return extension, build_extension([(name, agreed)])
    return None, None
