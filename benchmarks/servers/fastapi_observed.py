"""FastAPI on uvicorn with what its users add: OpenTelemetry's instrumentation, prometheus_client, an access log as JSON."""

from __future__ import annotations

from typing import Any

from benchmarks.observed import JSON_LOG, begin_tracing, prometheus_observer, trace_one_in_a_hundred
from benchmarks.servers import fastapi
from benchmarks.workloads import HELLO

TITLE = "FastAPI, everything on"
PACKAGES = (*fastapi.PACKAGES, "opentelemetry-sdk", "opentelemetry-instrumentation-fastapi", "prometheus-client")
WORKLOADS = ("plaintext", "json")


def serve(port: int) -> None:
    """Run until SIGTERM."""
    import time

    import fastapi
    import uvicorn
    from fastapi.responses import PlainTextResponse
    from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor

    trace_one_in_a_hundred()
    begin_tracing()
    app = fastapi.FastAPI(openapi_url=None)
    observe = prometheus_observer()

    async def plaintext() -> str:
        return HELLO

    async def json() -> Any:
        return {"message": HELLO, "id": 42, "ok": True}

    app.get("/plaintext", response_class=PlainTextResponse)(plaintext)
    app.get("/json", response_model=None)(json)

    class Metrics:
        """As an ASGI middleware, which costs least."""

        def __init__(self, inner: Any) -> None:
            self.inner = inner

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] != "http":
                await self.inner(scope, receive, send)
                return
            started, status = time.perf_counter(), 0

            async def watched(message: Any) -> None:
                nonlocal status
                if message["type"] == "http.response.start":
                    status = message["status"]
                await send(message)

            await self.inner(scope, receive, watched)
            route = scope.get("route")
            observe(scope["method"], route.path if route is not None else "", status, time.perf_counter() - started)

    app.add_middleware(Metrics)
    FastAPIInstrumentor.instrument_app(app)
    uvicorn.run(app, host="127.0.0.1", port=port, loop="uvloop", http="httptools", log_config=JSON_LOG)
