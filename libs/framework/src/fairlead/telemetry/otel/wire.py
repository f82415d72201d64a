"""Spans as the bytes of an OTLP request (opentelemetry-proto, `ExportTraceServiceRequest`), for OTLP over HTTP.

How it works. The library's encoder makes two protobuf objects of each attribute, and copies them again and again on their way into
the request. But nearly every span is plain: no events, no links, attributes that are text, numbers or flags, most of them seen
before. Such a span is written here, field by field, each attribute from a cache of its bytes. Everything else comes from the
library: resources, scopes, and the spans that are not plain. A request is a list of groups, so the library's bytes and these stand
one behind the other.

Equal in meaning to the library's encoding: a property test holds it, over random spans.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanContext, Status

__all__ = ["attributes", "encode", "group", "start_of", "status", "text", "title"]

MAX_CACHED = 4_096
MAX_CACHED_TEXT = 256

_GROUP = b"\x0a"
_SCOPE_SPANS, _SPAN = b"\x12", b"\x12"
_STATE, _PARENT, _NAME, _KIND, _ATTRIBUTE, _DROPPED, _STATUS = b"\x1a", b"\x22", b"\x2a", b"\x30", b"\x4a", b"\x50", b"\x7a"
_KEY, _VALUE, _STRING, _BOOL, _INT, _DOUBLE = b"\x0a", b"\x12", b"\x0a", b"\x10", b"\x18", b"\x21"
_MESSAGE, _CODE = b"\x12", b"\x18"
_LOCAL, _REMOTE = (b"\x85\x01" + struct.pack("<I", flags) for flags in (0x100, 0x300))
"""Field 16: it is known whether the parent is remote; it is."""

_ids = struct.Struct(">HQQHQ").pack
_times = struct.Struct("<BQBQ").pack
_double = struct.Struct("<d").pack
_LOWER = (1 << 64) - 1


class NotPlain(ValueError):
    """A span for the library."""


def encode(spans: Sequence[ReadableSpan]) -> bytes:
    """The serialized `ExportTraceServiceRequest` of these spans."""
    groups: dict[tuple[int, int], tuple[ReadableSpan, list[bytes]]] = {}
    others: list[ReadableSpan] = []
    for span in spans:
        try:
            written = _span(span)
        except Exception:  # not plain, text that is none, a number past 64 bits: the library knows what to do with it
            others.append(span)
            continue
        key = (id(span.resource), id(span.instrumentation_scope))
        groups.setdefault(key, (span, []))[1].append(written)
    pieces = [group(first, written) for first, written in groups.values()]
    if others:
        pieces.append(encode_spans(others).SerializePartialToString())
    return b"".join(pieces)


def group(first: ReadableSpan, spans: Iterable[bytes]) -> bytes:
    """Spans of one resource and scope: what the library makes of the first, with all of them in its place."""
    resource = encode_spans([first]).resource_spans[0]
    scope = resource.scope_spans[0]
    del scope.spans[:]
    inner = scope.SerializePartialToString() + b"".join([_field(_SPAN, span) for span in spans])
    del resource.scope_spans[:]
    return _field(_GROUP, resource.SerializePartialToString() + _field(_SCOPE_SPANS, inner))


def _span(span: ReadableSpan) -> bytes:
    if span.events or span.links or span.dropped_events or span.dropped_links or span.context is None:
        raise NotPlain
    pieces = [start_of(span.context, span.parent, span.start_time, span.end_time), title(span.name, span.kind.value)]
    pieces += status(span.status), *attributes(span.attributes or {})
    if span.dropped_attributes:
        pieces.append(_DROPPED + _varint(span.dropped_attributes))
    return b"".join(pieces)


def start_of(context: SpanContext, parent: SpanContext | None, started_ns: Any, ended_ns: Any) -> bytes:
    """A span's place and times, which it shares with no other."""
    trace_id = context.trace_id
    written = _ids(0x0A10, trace_id >> 64, trace_id & _LOWER, 0x1208, context.span_id) + _times(0x39, started_ns, 0x41, ended_ns)
    if context.trace_state:
        written += _field(_STATE, ",".join([f"{key}={value}" for key, value in context.trace_state.items()]).encode())
    if parent is None:
        return written + _LOCAL
    return written + _field(_PARENT, parent.span_id.to_bytes(8, "big")) + (_REMOTE if parent.is_remote else _LOCAL)


@lru_cache(MAX_CACHED)
def title(name: str, kind: int) -> bytes:
    """Name and kind."""
    return _field(_NAME, name.encode()) + _KIND + _varint(kind + 1)  # SpanKind counts from 1 in OTLP


def status(status: Status) -> bytes:
    """How it ended."""
    code, description = status.status_code.value, status.description
    inner = _CODE + _varint(code) if code else b""
    return _field(_STATUS, inner + _field(_MESSAGE, description.encode()) if description else inner)


def attributes(attributes: Mapping[str, Any]) -> Iterable[bytes]:
    """A `KeyValue` for each, from a cache where that is safe: it takes 0.0 for -0.0, and keeps what it has."""
    for key, value in attributes.items():
        kind = value.__class__
        if kind is str and len(value) > MAX_CACHED_TEXT:
            yield text(key, value)
        elif kind is float:
            yield _field(_ATTRIBUTE, _key(key) + _field(_VALUE, _DOUBLE + _double(value)))
        else:
            yield _attribute(key, value, kind)


def text(key: str, value: str) -> bytes:
    """An attribute that is text. PERF: short ones in one go, 2 µs less for a request."""
    name, content = _key(key), value.encode()
    size = len(content)
    whole = len(name) + size + 4
    if whole < 0x80:
        return b"J%c%b\x12%c\n%c%b" % (whole, name, size + 2, size, content)
    return _field(_ATTRIBUTE, name + _field(_VALUE, _field(_STRING, content)))


@lru_cache(MAX_CACHED)
def _attribute(key: str, value: Any, kind: type) -> bytes:
    """`kind` is the value's class, so that a cache tells 1 from True."""
    if kind is str:
        return text(key, value)
    if kind is bool:
        inner = _BOOL + _varint(value)
    elif kind is int and -(1 << 63) <= value < 1 << 63:
        inner = _INT + _varint(value & _LOWER)
    else:
        raise NotPlain
    return _field(_ATTRIBUTE, _key(key) + _field(_VALUE, inner))


@lru_cache(MAX_CACHED)
def _key(key: str) -> bytes:
    return _field(_KEY, key.encode())


def _field(tag: bytes, content: bytes) -> bytes:
    return tag + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    if number < 0x80:
        return _SHORT[number]
    pieces = bytearray()
    while number >= 0x80:
        pieces.append(number & 0x7F | 0x80)
        number >>= 7
    pieces.append(number)
    return bytes(pieces)


_SHORT = [bytes((number,)) for number in range(0x80)]
