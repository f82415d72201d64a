"""Sanic with what its users add to see something: spans by middleware, prometheus_client, its access log as JSON."""

from __future__ import annotations

from typing import Any

from benchmarks.observed import JSON_LOG, begin_tracing, prometheus_observer, trace_one_in_a_hundred
from benchmarks.servers import sanic
from benchmarks.workloads import HELLO

TITLE = "Sanic, everything on"
PACKAGES = (*sanic.PACKAGES, "opentelemetry-sdk", "prometheus-client")
WORKLOADS = ("plaintext", "json")


def serve(port: int) -> None:
    """Run until SIGTERM."""
    import time

    from opentelemetry import propagate, trace
    from sanic import Sanic, response

    trace_one_in_a_hundred()
    app = Sanic("bench", log_config=JSON_LOG)
    observe = prometheus_observer()

    @app.before_server_start
    async def begin(app: Any) -> None:
        begin_tracing()
        app.ctx.tracer = trace.get_tracer("bench")

    @app.on_request
    async def begin_span(request: Any) -> None:
        request.ctx.started = time.perf_counter()
        request.ctx.span = request.app.ctx.tracer.start_span(
            f"{request.method} {request.path}",
            context=propagate.extract(request.headers),
            kind=trace.SpanKind.SERVER,
            attributes={"http.request.method": request.method, "url.path": request.path, "url.scheme": request.scheme},
        )

    @app.on_response
    async def end_span(request: Any, answer: Any) -> None:
        route = request.route.path if request.route is not None else ""
        request.ctx.span.set_attribute("http.route", route)
        request.ctx.span.set_attribute("http.response.status_code", answer.status)
        request.ctx.span.end()
        observe(request.method, route, answer.status, time.perf_counter() - request.ctx.started)

    @app.get("/plaintext")
    async def plaintext(request: Any) -> Any:
        return response.text(HELLO)

    @app.get("/json")
    async def json(request: Any) -> Any:
        return response.json({"message": HELLO, "id": 42, "ok": True})

    app.run("127.0.0.1", port, single_process=True, access_log=True, motd=False, debug=False)
