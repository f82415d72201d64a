"""One event for each request: who asked for what, what came of it, how long it took.

The line has the schema of every other one (`rendering`), with the event "request", the logger "fairlead.access" and the
fields request_id, method, route (the template), status, path (without the query unless wanted), bytes, duration_ms,
client_ip, trace_id and span_id (of a request that has a trace), user_agent (when wanted) and aborted (of an answer that broke
off: "client" has left, or an "error" came after the head). Its level is info, from status 500 on error. The bytes are those of
the body that was sent: none for HEAD.

Which requests get a line: all, a share of them (`sample`), or only those that failed (`errors_only`, status ≥ 400, or aborted).
Errors are never sampled away.

It counts the request as well (`metrics`) and finishes its span, if it has one, so that `observe` is all that a finished request
costs: one look-up finds both what is constant in the line and the row to count in.

PERF: what is constant for (route, method, status) is rendered once and kept, bounded; likewise what is constant for the
millisecond. And a head that a client repeats (`Head.note`) knows what was counted and written of the last request that came with
it. Five strings remain of a line; they are put into the writer's lane, and one `join` for a hundred lines does the rest. Line and
count together take 7,500 instructions of Python 3.11 (callgrind), the count alone 3,900; eight strings, three look-ups each time
and a clock of its own took 12,500. A full stdout costs lines, never time.
"""

from __future__ import annotations

import random
import time
from functools import lru_cache
from math import floor, inf
from typing import Any, TypeAlias

import msgspec

from fairlead.telemetry.context import trace_fields
from fairlead.telemetry.line_writer import LineWriter
from fairlead.telemetry.logging import LogStream
from fairlead.telemetry.masking import mask_tokens
from fairlead.telemetry.metrics import (
    FIRST_BOUND_S,
    Outcomes,
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
MAX_SIZES = 64
"""Of so many sizes of a route's body are the lines' middles kept; others are put together each time."""

_PLAIN = bytes(set(range(0x21, 0x7F)) - set(b'"\\'))
"""What JSON takes as it is."""

_DURATIONS_MS = tuple(f"{microseconds / 1000:.3f}" for microseconds in range(1_000))

_encode = msgspec.json.Encoder().encode

Constant: TypeAlias = tuple[Row, bytes, dict[int, str], str]
"""What the lines of one (route, method, status) have in common: where they are counted; the route's target, where it has but one;
for that, size of the body → from the request id to the duration; for any other target, from the request id to the path."""

Note: TypeAlias = tuple[bytes, Any, int, int, Row, int, int, str, str]
"""What a request and those that repeat it have in common: target, route, status and size of the body, by which they are known;
where they are counted, the bytes sent and received, and the line from the request id to the duration and from there on."""


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
        self._constants: Outcomes[Constant] = Outcomes(MAX_CONSTANTS)
        self._bodyless: Outcomes[Constant] = Outcomes(MAX_CONSTANTS)
        self._identities = [
            _inside({"level": level, "event": "request", "logger": LOGGER, **stream.identity}) for level in ("info", "error")
        ]
        writer = stream.writer
        is_json = writer is not None and stream.format == "json"
        self.observe: Observer = self._line_writer(writer) if writer is not None and is_json else self._event_writer()

    # JSON: the fast way

    def _line_writer(self, writer: LineWriter) -> Observer:
        lane, extend, attend = writer.lane, writer.lane.extend, writer.attend
        sample, is_sampled = self._sample, self._sample < 1.0
        usual, failed, until_s = "", "", -inf

        def write_line(request: Any, status: int, body_bytes: int, started_s: float, ended_s: float, aborted: str = "", /) -> None:
            nonlocal usual, failed, until_s
            duration_s = ended_s - started_s
            note = request.head.note
            if note is None or aborted or (spans and request in spans):
                note = self._fresh_note(request, status, body_bytes, duration_s, aborted)
            target, route, known_status, size, row, sent, received, middle, end = note
            if target is not request.target or route is not request.route or known_status != status or size != body_bytes:
                *_, row, sent, received, middle, end = self._fresh_note(request, status, body_bytes)
            if duration_s <= FIRST_BOUND_S:
                row.quick += 1
            else:
                row.count_slow(duration_s)
            row.duration_s += duration_s
            row.bytes_sent += sent
            if received:
                row.bytes_received += received
            if is_sampled and status < FIRST_ERROR and not aborted and random.random() >= sample:
                return
            if ended_s >= until_s:
                usual, failed, left_s = self._starts()
                until_s = ended_s + left_s
            duration_us = floor(duration_s * 1e6)
            duration_ms = _DURATIONS_MS[duration_us] if duration_us < 1_000 else f"{duration_us / 1e3:.3f}"
            extend((usual if status < 500 else failed, request.id, middle, duration_ms, end))
            if len(lane) >= writer.lane_limit:
                attend()

        return write_line

    def _fresh_note(self, request: Any, status: int, body_bytes: int, duration_s: float = 0.0, aborted: str = "") -> Note:
        """What is to be counted and written of a request, kept for those that repeat it; and the end of its span, if it has one."""
        head, sent = request.head, body_bytes
        is_usual = not (aborted or head.has_trace or head.chunked)
        try:
            row, target, middles, before_path = self._constants.found[request.route][request.raw_method][status]
        except KeyError:
            row, target, middles, before_path = self._constant(request, status)
            sent = body_bytes if has_body(request, status) else 0
        if aborted:
            self.metrics.count_aborted(request, aborted)
        span = spans.pop(request, None)
        if span is not None:
            span.finish(status, sent, duration_s)
            is_usual = False
        middle = middles.get(sent) if request.target == target else None
        if middle is None:
            middle = f'{before_path}{self._path(request.target)}","bytes":{sent},"duration_ms":'
            if request.target == target and len(middles) < MAX_SIZES:
                middles[sent] = middle
        received = (head.length or len(request.body)) if head.length or head.chunked else 0
        end = head.note[-1] if is_usual and head.note is not None else self._end(request, aborted)
        note = (request.target, request.route, status, body_bytes, row, sent, received, middle, end)
        if is_usual:
            head.note = note
        return note

    def _starts(self) -> tuple[str, str, float]:
        """How the lines of this millisecond begin, up to the request's id, below status 500 and from there on; and how long it
        still lasts."""
        now_s = time.time()
        milliseconds = int(now_s * 1e3)
        moment = f"{rfc3339_ms(milliseconds // 1000)[:20]}{milliseconds % 1000:03d}Z"
        usual, failed = (f'{{"timestamp":"{moment}",{fields},"request_id":"' for fields in self._identities)
        return usual, failed, (milliseconds + 1) / 1e3 - now_s

    def _constant(self, request: Any, status: int) -> Constant:
        """Those of answers without a body are kept apart, so that only where `observe` finds none is that a question."""
        kept = self._constants if has_body(request, status) else self._bodyless
        constant = kept.get(request, status)
        if constant is None:
            constant = self._new_constant(request, status)
            if request.route is not None:
                kept.keep(request, status, constant)
        return constant

    def _new_constant(self, request: Any, status: int) -> Constant:
        route = request.route
        what = {"method": _text(request.raw_method), "route": route_template(request), "status": status}
        target = route.path.encode() if route is not None and "<" not in route.path else b""
        return self.metrics.row(request, status), target, {}, f'",{_inside(what)},"path":"'

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
        """From the client's address on."""
        address = _address(request.client_ip if self._trusts_proxies else request.exchange.info.client_ip)
        fields = self._more(request, aborted)
        return f',"client_ip":"{address}",{_inside(fields)}}}\n' if fields else f',"client_ip":"{address}"}}\n'

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

        def write_event(request: Any, status: int, body_bytes: int, started_s: float, ended_s: float, aborted: str = "", /) -> None:
            count(request, status, body_bytes, started_s, ended_s, aborted)
            if aborted or status >= FIRST_ERROR or sample >= 1.0 or random.random() < sample:
                write(request, status, body_bytes if has_body(request, status) else 0, ended_s - started_s, aborted)

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


def _text(raw: bytes) -> str:
    if len(raw) > MAX_TEXT:
        raw = raw[:MAX_TEXT] + b"..."
    return escape(raw.decode("utf-8", "backslashreplace"))


def _inside(fields: dict[str, Any]) -> str:
    return escape(_encode(fields).decode())[1:-1]
