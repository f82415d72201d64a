"""One event for each request: who asked for what, what came of it, how long it took.

The line has the schema of every other one (`rendering`), with the event "request", the logger "fairlead.access" and the
fields request_id, method, route (the template), status, path (without the query unless wanted), duration_ms, bytes,
client_ip, trace_id and span_id (of a request that has a trace), user_agent (when wanted) and aborted (of an answer that broke
off: "client" has left, or an "error" came after the head). Its level is info, from status 500 on error. The bytes are those of
the body that was sent: none for HEAD.

Which requests get a line: all, a share of them (`sample`), or only those that failed (`errors_only`, status ≥ 400, or aborted).
Errors are never sampled away.

It counts the request as well (`metrics`) and finishes its span, if it has one, so that `observe` is all that a finished request
costs: one look-up finds both what is constant in the line and the row to count in.

PERF: what is constant for (route, method, status) is rendered once and kept, bounded; of a line, only time, id, duration, size
and address are put into the writer's lane, as strings; one `join` for some thirty lines does the rest. Line and
count together cost 1.0 µs, where one `%` template and its count took 2.1 and structlog takes 7 for the line alone
(benchmarks/pieces.py). A full stdout costs lines, never time.
"""

from __future__ import annotations

import random
import time
from bisect import bisect_left
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

from fairlead.telemetry.context import trace_fields
from fairlead.telemetry.line_writer import LANE_PIECES, LineWriter
from fairlead.telemetry.logging import LogStream
from fairlead.telemetry.masking import mask_tokens
from fairlead.telemetry.metrics import (
    BYTES_RECEIVED,
    BYTES_SENT,
    DURATION_BOUNDS_S,
    DURATION_S,
    FIRST_BOUND_S,
    RequestMetrics,
    Row,
    has_body,
    route_template,
)
from fairlead.telemetry.rendering import MAX_TEXT, Event, escape, rfc3339_ms
from fairlead.telemetry.tracing import spans
from fairlead.types import Observer

__all__ = ["AccessLog"]

LOGGER = "fairlead.access"
FIRST_ERROR = 400
MAX_CONSTANTS = 5_000

_PLAIN = bytes(set(range(0x21, 0x7F)) - set(b'"\\'))
"""What JSON takes as it is."""

_DURATIONS_MS = tuple(f"{microseconds / 1000:.3f}" for microseconds in range(1_000))
_END = '"}\n'

_encode = msgspec.json.Encoder().encode


class Constant(NamedTuple):
    """What the lines of one (route, method, status) have in common."""

    row: Row
    """Where they are counted."""
    start: str
    """From the time to the request id."""
    target: bytes
    """The target that `whole` is for: the route's own, where it has no parameters; else none."""
    middle: str
    """From the request id to the duration, for that target."""
    before_path: str
    """From the request id to the path, for any other."""


class AccessLog:
    """Writes the access log of this process to `stream`; `observe` has the shape of the server's observer."""

    def __init__(
        self,
        stream: LogStream,
        *,
        metrics: RequestMetrics | None = None,
        sample: float = 1.0,
        errors_only: bool = False,
        with_query: bool = False,
        with_user_agent: bool = False,
        trusts_proxies: bool = True,
    ) -> None:
        if not 0.0 <= sample <= 1.0:
            raise ValueError(f"sample is a share between 0 and 1, not {sample}")
        self._stream = stream
        self.metrics = metrics or RequestMetrics()
        self._sample = 0.0 if errors_only else sample
        self._with_query = with_query
        self._with_user_agent = with_user_agent
        self._trusts_proxies = trusts_proxies
        self._constants: dict[tuple[Any, bytes, int], Constant] = {}
        self._bodyless: dict[tuple[Any, bytes, int], Constant] = {}
        writer = stream.writer
        is_json = writer is not None and stream.format == "json"
        self.observe: Observer = self._line_writer(writer) if writer is not None and is_json else self._event_writer()

    # JSON: the fast way

    def _line_writer(self, writer: LineWriter) -> Observer:
        lane, constants = writer.lane, self._constants
        extend, turn_over, awaken = lane.extend, writer.turn_over, writer.awaken
        time_now = time.time
        trusts_proxies, with_user_agent = self._trusts_proxies, self._with_user_agent
        sample, is_sampled = self._sample, self._sample < 1.0
        moment, begin_s, until_s = "", 0.0, 0.0

        def write_line(request: Any, status: int, body_bytes: int, duration_s: float, aborted: str = "") -> None:
            nonlocal moment, begin_s, until_s
            constant = constants.get((request.route, request.raw_method, status))
            if constant is None:
                constant = self._constant(request, status)
                body_bytes = body_bytes if has_body(request, status) else 0
            row, start, target, middle, before_path = constant
            row[0 if duration_s <= FIRST_BOUND_S else bisect_left(DURATION_BOUNDS_S, duration_s)] += 1
            row[DURATION_S] += duration_s
            row[BYTES_SENT] += body_bytes
            head = request.head
            if head.length or head.chunked:
                row[BYTES_RECEIVED] += head.length or len(request.body)
            end = _END
            if spans and (span := spans.pop(request, None)) is not None:
                span.finish(status, body_bytes, duration_s)
                end = self._end(request, aborted)
            elif head.has_trace or with_user_agent or aborted:
                end = self._end(request, aborted)
            if aborted:
                self.metrics.count_aborted(request, aborted)
            elif is_sampled and status < FIRST_ERROR and random.random() >= sample:
                return
            if request.target != target:
                middle = f'{before_path}{self._path(request.target)}","duration_ms":'
            now_s = time_now()
            if not begin_s <= now_s < until_s:
                milliseconds = int(now_s * 1e3)
                begin_s, until_s = milliseconds / 1e3, (milliseconds + 1) / 1e3
                moment = f'{{"timestamp":"{rfc3339_ms(milliseconds // 1000)[:20]}{milliseconds % 1000:03d}Z'
            duration_us = int(duration_s * 1e6)
            duration_ms = _DURATIONS_MS[duration_us] if duration_us < 1_000 else f"{duration_us / 1e3:.3f}"
            address = _address(request.client_ip if trusts_proxies else request.exchange.info.client_ip)
            extend((moment, start, request.id, middle, duration_ms, _size(body_bytes), address, end))
            if len(lane) >= LANE_PIECES:
                turn_over()
            elif not writer.is_awake:
                awaken()

        return write_line

    def _constant(self, request: Any, status: int) -> Constant:
        """Those of answers without a body are kept apart, so that only where `observe` finds none is that a question."""
        kept, key = self._constants if has_body(request, status) else self._bodyless, (request.route, request.raw_method, status)
        constant = kept.get(key)
        if constant is None:
            constant = self._new_constant(request, status)
            if len(kept) < MAX_CONSTANTS and request.route is not None:
                kept[key] = constant
        return constant

    def _new_constant(self, request: Any, status: int) -> Constant:
        level = "error" if status >= 500 else "info"
        head = {"level": level, "event": "request", "logger": LOGGER, **self._stream.identity}
        route = request.route
        what = {"method": _text(request.raw_method), "route": route_template(request), "status": status}
        before_path = f'",{_inside(what)},"path":"'
        target = route.path.encode() if route is not None and "<" not in route.path else b""
        return Constant(
            self.metrics.row(request, status),
            f'",{_inside(head)},"request_id":"',
            target,
            f'{before_path}{self._path(target)}","duration_ms":',
            before_path,
        )

    def _path(self, target: bytes) -> str:
        """The path as the inside of a JSON string; with the query, when that is wanted."""
        if not self._with_query:
            path = target.partition(b"?")[0]
            if not path.translate(None, _PLAIN) and len(path) <= MAX_TEXT:
                return path.decode("ascii")
        return _encode(self._shown(target)).decode()[1:-1]

    def _shown(self, target: bytes) -> str:
        return mask_tokens(_text(target)) if self._with_query else _text(target.partition(b"?")[0])

    def _end(self, request: Any, aborted: str) -> str:
        fields = self._more(request, aborted)
        return f'",{_inside(fields)}}}\n' if fields else _END

    def _more(self, request: Any, aborted: str) -> dict[str, str]:
        fields = trace_fields(request)
        if aborted:
            fields["aborted"] = aborted
        if self._with_user_agent:
            fields["user_agent"] = escape(mask_tokens(request.headers.get("user-agent", "")[:512]))
        return fields

    # other ways

    def _event_writer(self) -> Observer:
        count, write, sample = self.metrics.observe, self._write_event, self._sample

        def write_event(request: Any, status: int, body_bytes: int, duration_s: float, aborted: str = "") -> None:
            count(request, status, body_bytes, duration_s, aborted)
            if aborted or status >= FIRST_ERROR or sample >= 1.0 or random.random() < sample:
                write(request, status, body_bytes if has_body(request, status) else 0, duration_s, aborted)

        return write_event

    def _write_event(self, request: Any, status: int, body_bytes: int, duration_s: float, aborted: str) -> None:
        """For a terminal: the line says it all in its title. For somebody else's handlers: every field."""
        method, path = _text(request.raw_method), self._shown(request.target)
        fields: dict[str, Any] = {
            "duration_ms": round(duration_s * 1e3, 3),
            "bytes": body_bytes,
            "client_ip": request.client_ip,
            "request_id": request.id,
            **self._more(request, aborted),
        }
        title = f"{method} {path} {status}"
        if self._stream.writer is None:
            fields |= {"method": method, "route": route_template(request), "status": status, "path": path}
            title = "request"
        level = "error" if status >= 500 else "info"
        self._stream.emit(Event(time.time(), level, LOGGER, title, fields))


@lru_cache(maxsize=4_096)
def _address(address: str) -> str:
    return _encode(escape(address)).decode()[1:-1]


@lru_cache(maxsize=1_024)
def _size(body_bytes: int) -> str:
    return f',"bytes":{body_bytes},"client_ip":"'


def _text(raw: bytes) -> str:
    if len(raw) > MAX_TEXT:
        raw = raw[:MAX_TEXT] + b"..."
    return escape(raw.decode("utf-8", "backslashreplace"))


def _inside(fields: dict[str, Any]) -> str:
    return escape(_encode(fields).decode())[1:-1]
