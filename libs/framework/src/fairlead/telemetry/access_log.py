"""One event for each request: who asked for what, what came of it, how long it took.

The line has the schema of every other one (`rendering`), with the event "request", the logger "fairlead.access" and the
fields request_id, method, route (the template), status, path (without the query unless wanted), duration_ms, bytes,
client_ip, trace_id (when the caller sent one) and user_agent (when wanted). Its level is info, from status 500 on error.

Which requests get a line: all, a share of them (`sample`), or only those that failed (`errors_only`, status ≥ 400).
Errors are never sampled away.

PERF: a line is put together from bytes in 1.4 µs; what is constant for (route, method, status) is rendered once and kept,
bounded. structlog needs 6 µs for it. One long template that names everything is half as fast to fill, because `%` looks
at each of its bytes. Lines go to the `LineWriter`, so a full stdout costs lines, never time.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeAlias

import msgspec

from fairlead.telemetry.logging import LogStream
from fairlead.telemetry.masking import mask_tokens
from fairlead.telemetry.metrics import route_template
from fairlead.telemetry.rendering import MAX_TEXT, Event, escape, rfc3339_ms
from fairlead.telemetry.tracing import trace_of

__all__ = ["AccessLog", "Observer"]

Observer: TypeAlias = Callable[[Any, int, int, float], None]
"""`(request, status, body_bytes, duration_s)`, called once when a response is finished."""

LOGGER = "fairlead.access"
FIRST_ERROR = 400
MAX_CONSTANTS = 5_000

_PLAIN = bytes(set(range(0x21, 0x7F)) - set(b'"\\'))
"""What JSON takes as it is."""

_encode = msgspec.json.Encoder().encode


class AccessLog:
    """Writes the access log of this process to `stream`; `observe` has the shape of the server's observer."""

    def __init__(
        self,
        stream: LogStream,
        *,
        sample: float = 1.0,
        errors_only: bool = False,
        with_query: bool = False,
        with_user_agent: bool = False,
        trusts_proxies: bool = True,
    ) -> None:
        if not 0.0 <= sample <= 1.0:
            raise ValueError(f"sample is a share between 0 and 1, not {sample}")
        self._stream = stream
        self._with_query = with_query
        self._with_user_agent = with_user_agent
        self._trusts_proxies = trusts_proxies
        self._constants: dict[tuple[Any, bytes, int], tuple[bytes, bytes]] = {}
        write = self._writer()
        self.observe: Observer = _choose(write, 0.0 if errors_only else sample)

    def _writer(self) -> Observer:
        writer = self._stream.writer
        if writer is None or self._stream.format == "console":
            return self._write_event
        return self._line_writer(writer.write)

    # JSON: the fast way

    def _line_writer(self, write: Callable[[bytes], None]) -> Observer:
        constants = self._constants
        time_now = time.time
        with_query, path_of = self._with_query, self._path
        trusts_proxies = self._trusts_proxies
        with_user_agent = self._with_user_agent
        second, moment = 0, b""

        def write_line(request: Any, status: int, body_bytes: int, duration_s: float) -> None:
            nonlocal second, moment
            constant = constants.get((request.route, request.raw_method, status))
            if constant is None:
                constant = self._constant(request, status)
            now = time_now()
            whole = int(now)
            if whole != second:
                second, moment = whole, b'{"timestamp":"' + rfc3339_ms(whole)[:20].encode()
            path = request.target.partition(b"?")[0]
            if with_query or path.translate(None, _PLAIN) or len(path) > MAX_TEXT:
                path = _encode(path_of(request.target))[1:-1]
            block = request.head.block
            has_more = with_user_agent or not block or block.find(b"raceparent") >= 0
            write(
                b'%b%03d%b%b%b%b","duration_ms":%.3f,"bytes":%d,"client_ip":"%b"%b}\n'
                % (
                    moment,
                    (now - whole) * 1e3,
                    constant[0],
                    request.id.encode(),
                    constant[1],
                    path,
                    duration_s * 1e3,
                    body_bytes,
                    _address(request.client_ip if trusts_proxies else request.exchange.info.client_ip),
                    self._rest(request) if has_more else b"",
                )
            )

        return write_line

    def _constant(self, request: Any, status: int) -> tuple[bytes, bytes]:
        """What is between time and request id, and between request id and path."""
        level = "error" if status >= 500 else "info"
        head = {"level": level, "event": "request", "logger": LOGGER, **self._stream.identity}
        what = {"method": _text(request.raw_method), "route": route_template(request), "status": status}
        constant = (b'Z",%b,"request_id":"' % _inside(head), b'",%b,"path":"' % _inside(what))
        if len(self._constants) < MAX_CONSTANTS and request.route is not None:
            self._constants[request.route, request.raw_method, status] = constant
        return constant

    def _path(self, target: bytes) -> str:
        return mask_tokens(_text(target)) if self._with_query else _text(target.partition(b"?")[0])

    def _rest(self, request: Any) -> bytes:
        fields = self._more(request)
        return b"," + _inside(fields) if fields else b""

    def _more(self, request: Any) -> dict[str, str]:
        trace = trace_of(request)
        fields = {} if trace is None else {"trace_id": trace.trace_id}
        if self._with_user_agent:
            fields["user_agent"] = escape(mask_tokens(request.headers.get("user-agent", "")[:512]))
        return fields

    # other ways

    def _write_event(self, request: Any, status: int, body_bytes: int, duration_s: float) -> None:
        """For a terminal: the line says it all in its title. For somebody else's handlers: every field."""
        method, path = _text(request.raw_method), self._path(request.target)
        fields: dict[str, Any] = {
            "duration_ms": round(duration_s * 1e3, 3),
            "bytes": body_bytes,
            "client_ip": request.client_ip,
            "request_id": request.id,
            **self._more(request),
        }
        title = f"{method} {path} {status}"
        if self._stream.writer is None:
            fields |= {"method": method, "route": route_template(request), "status": status, "path": path}
            title = "request"
        level = "error" if status >= 500 else "info"
        self._stream.emit(Event(time.time(), level, LOGGER, title, fields))


def _choose(write: Observer, sample: float) -> Observer:
    if sample >= 1.0:
        return write

    def write_sampled(request: Any, status: int, body_bytes: int, duration_s: float) -> None:
        if status >= FIRST_ERROR or random.random() < sample:
            write(request, status, body_bytes, duration_s)

    return write_sampled


@lru_cache(maxsize=4_096)
def _address(address: str) -> bytes:
    return _encode(escape(address))[1:-1]


def _text(raw: bytes) -> str:
    if len(raw) > MAX_TEXT:
        raw = raw[:MAX_TEXT] + b"..."
    return escape(raw.decode("utf-8", "backslashreplace"))


def _inside(fields: dict[str, Any]) -> bytes:
    return escape(_encode(fields).decode()).encode()[1:-1]
