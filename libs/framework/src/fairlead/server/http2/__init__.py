"""HTTP/2 (RFC 9113) on the `h2` library: over TLS by ALPN, in clear text by prior knowledge. Extra `fairlead[http2]`.

Off unless `HTTP2` is set; then every new connection begins as a `Negotiator`, which makes it an `Http2Connection` or the very
`HttpConnection` of a server without HTTP/2, and is gone. The protocol is the library's (frames, HPACK, states, what makes a message
malformed); ours is what it costs: `guard` counts frames before the library sees them, `inflow` and `outflow` keep the windows,
`stream` is the exchange of one request.

Not spoken: server push (no browser takes it any more), priorities (read and ignored, RFC 9113 §5.3.2), `Upgrade: h2c` (gone from
RFC 9113), websockets over HTTP/2 (RFC 8441; browsers open them over HTTP/1.1 where a server doesn't offer it).
"""

from fairlead.server.http2.connection import Http2Connection
from fairlead.server.http2.negotiator import Negotiator

__all__ = ["Http2Connection", "Negotiator"]
