"""Every limit that a connection keeps, with a name and a default. Sizes are bytes, times are seconds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a peer may cost. A time of 0 for `keep_alive_timeout_s` switches keep-alive off."""

    max_body_bytes: int = 10_000_000
    """A longer body is 413."""
    max_head_bytes: int = 16_384
    """Request line and fields together; a longer head is 431, a longer target 414."""
    max_header_fields: int = 100
    """More fields are 431."""
    max_pipelined_bytes: int = 65_536
    """What is read ahead while a request is being handled; past it the socket is no longer read."""
    max_connections: int = 0
    """More connections than this are answered 503 and closed; 0 is no limit."""
    header_timeout_s: float = 10.0
    """From the first byte of a head (or from connecting) to its end: 408, or a silent close if nothing came."""
    body_timeout_s: float = 60.0
    """From the end of the head to the end of the body: 408."""
    response_timeout_s: float = 60.0
    """From the complete request to the response: 503, and the handler is cancelled."""
    keep_alive_timeout_s: float = 75.0
    """How long an idle connection is kept."""
    write_timeout_s: float = 60.0
    """How long a peer may leave everything unread that was sent to it: the connection is cut."""
    request_id_header: bool = True
    """Whether every response carries X-Request-ID."""
    websocket_drain_jitter_s: float = 1.0
    """Over how much time a drain spreads the closing of websockets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FormLimits:
    """What a multipart form may cost, beside what every body may. Past each of these it is 413."""

    max_parts: int = 1000
    """Fields and files together: each costs an object (CVE-2023-25577, CVE-2023-30798)."""
    max_part_headers: int = 8
    """RFC 7578 knows three."""
    max_header_bytes: int = 4096
    """Of one header line of a part."""
    max_field_bytes: int = 1_048_576
    max_file_bytes: int = 0
    """0: as much as the body may have."""
    max_memory_bytes: int = 8_388_608
    """What the fields and the files that are kept in memory may have together; files go to disk before they pass it."""
    spool_bytes: int = 262_144
    """A longer file of a streamed form goes to disk."""
