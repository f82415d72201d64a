"""Every limit that a connection keeps, with a name and a default. Sizes are bytes, times are seconds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a peer may cost. A time of 0 for `keep_alive_timeout_s` switches keep-alive off."""

    max_body_bytes: int = 10_000_000
    """A longer body is 413."""
    max_upload_bytes: int | None = None
    """The same for routes that take their body as a stream; None is `max_body_bytes`."""
    max_head_bytes: int = 16_384
    """Request line and fields together; a longer head is 431."""
    max_target_bytes: int = 8192
    """The request target; a longer one is 414. RFC 9110 §4.1 wants 8,000 at least."""
    max_header_fields: int = 100
    """More fields are 431."""
    http2: bool = False
    """Whether HTTP/2 is spoken."""
    max_streams: int = 100
    """So many requests of one HTTP/2 connection are under way at once; a client that opens more breaks the protocol."""
    max_pipelined_bytes: int = 65_536
    """What is read ahead while a request is being handled; past it the socket is no longer read."""
    max_connections: int = 0
    """More connections than this are answered 503 and closed; 0 is what the process's file descriptors allow."""
    max_connections_per_peer: int = 0
    """More from one address are answered 429 and closed; 0 is no limit, as behind a proxy all come from one address."""
    first_byte_timeout_s: float = 10.0
    """How long a peer that has connected may say nothing: a silent close."""
    tls_handshake_timeout_s: float = 10.0
    """How long the TLS handshake may take: a silent close."""
    header_timeout_s: float = 10.0
    """From the first byte of a head to its end: 408."""
    body_timeout_s: float = 60.0
    """From the end of the head to the end of the body, for a streamed body from one piece to the next: 408; 0 is no
    limit, nor one to its rate."""
    min_body_rate: int = 240
    """Bytes a second that a body must come with on average, after a grace of five seconds: 408; 0 is none."""
    response_timeout_s: float = 60.0
    """From the complete request to the response: 503, and the handler is cancelled."""
    keep_alive_timeout_s: float = 75.0
    """How long an idle connection is kept."""
    write_timeout_s: float = 60.0
    """How long a peer may read nothing, or less than `min_read_rate`, of what was sent to it: the connection is cut."""
    min_read_rate: int = 240
    """Bytes a second that a peer must take while the server waits for it; 0 is any."""
    request_id_header: bool = True
    """Whether every response carries X-Request-ID."""
    websocket_drain_jitter_s: float = 1.0
    """Over how much time a drain spreads the closing of websockets."""

    @property
    def upload_limit(self) -> int:
        """The longest streamed body."""
        return self.max_body_bytes if self.max_upload_bytes is None else self.max_upload_bytes


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
