"""The same application as an ASGI 3 application, for uvicorn, hypercorn, granian and every other ASGI server.

An `App` is callable with `(scope, receive, send)` and loads this package at the first call. `AsgiApplication` sorts calls by
their scope: `lifespan` runs the listeners, `http` and `websocket` become a request with an exchange (`exchange`, `websocket`)
and go through the very dispatcher that the native server drives.

What is the ASGI server's own here: sockets, TLS, parsing, keep-alive, `Expect: 100-continue`, limits of the head, the drain.
What stays ours: body limits, body and response time-outs, cancellation when the client leaves, websocket queues and origins.
"""

from fairlead.asgi.application import AsgiApplication
from fairlead.asgi.telemetry import expose_metrics

__all__ = ["AsgiApplication", "expose_metrics"]
