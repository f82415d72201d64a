"""The pictures of `make observe` for a browser: the chart's dashboard without a Grafana, and traces as trees with their durations.

An application like any other. The page asks for the dashboard's JSON and draws each panel from the queries in it, so what is seen
here is what Grafana will show; Prometheus is asked through it, because a page may not ask another origin. Only reads, only on
127.0.0.1.
"""

from __future__ import annotations

import asyncio
import re
import time
import urllib.error
import urllib.parse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from fairlead import App, Request, json
from fairlead.errors import BadRequest, NotFound
from fairlead.response import HTTPResponse, raw
from fairlead.testing.otlp import OtlpReceiver
from tests.observe.prometheus import ROOT, Prometheus
from tests.observe.traces import Trace, traces_of

DASHBOARD = ROOT / "charts" / "service" / "dashboards" / "service.json"
PAGE = Path(__file__).with_name("page.html")
NAMESPACE = "local"
POINTS = 120
MINUTES = {"5", "15", "60"}
TRACES_SHOWN = 100
HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'",
    "cache-control": "no-store",
}


def build_page(prometheus: Prometheus, receiver: OtlpReceiver, services: Sequence[str]) -> App[Any, Any]:
    """`/` the page, `/dashboard` what to draw, `/series` the points of a query, `/traces` and `/traces/<id>` the spans."""
    app: App[Any, Any] = App("observe", {"ACCESS_LOG": False})

    @app.get("/")
    async def page(request: Request[Any, Any]) -> HTTPResponse:
        return raw(PAGE.read_bytes(), headers=HEADERS, content_type="text/html; charset=utf-8")

    @app.get("/dashboard")
    async def dashboard(request: Request[Any, Any]) -> HTTPResponse:
        panels = msgspec.json.decode(DASHBOARD.read_bytes())["panels"]
        return json({"services": list(services), "panels": panels})

    @app.get("/series")
    async def series(request: Request[Any, Any]) -> HTTPResponse:
        arguments = request.get_args()
        minutes, service = arguments.get("minutes", "5"), arguments.get("service", "")
        if minutes not in MINUTES or service not in services:
            raise BadRequest("minutes and service are those that the page offers")
        end_s = time.time()
        span_s = int(minutes) * 60
        step_s = max(span_s // POINTS, 1)
        known = {"$namespace": NAMESPACE, "$service": service, "$__rate_interval": f"{max(step_s * 4, 20)}s"}
        expression = re.sub(r"\$\w+", lambda name: known.get(name[0], name[0]), arguments.get("expr", ""))
        path = "query_exemplars" if "exemplars" in arguments else "query_range"
        words = {"query": expression, "start": end_s - span_s, "end": end_s, "step": step_s}
        try:
            answer = await asyncio.to_thread(prometheus.get, f"/api/v1/{path}?{urllib.parse.urlencode(words)}")
        except urllib.error.HTTPError as error:
            raise BadRequest(f"Prometheus refuses {expression!r}: {error.read().decode(errors='replace')}") from error
        return raw(answer, content_type="application/json")

    @app.get("/traces")
    async def traces(request: Request[Any, Any]) -> HTTPResponse:
        return json([_summary(trace) for trace in traces_of(list(receiver.spans))[:TRACES_SHOWN]])

    @app.get("/traces/<id:str>")
    async def trace(request: Request[Any, Any], id: str) -> HTTPResponse:
        found = traces_of(span for span in list(receiver.spans) if span.trace_id == id)
        if not found:
            raise NotFound("no span of this trace has come, or it is too long ago")
        return json({**_summary(found[0]), "steps": _steps(found[0])})

    return app


def _summary(trace: Trace) -> dict[str, Any]:
    return {
        "id": trace.id,
        "name": trace.root.span.name,
        "services": trace.services,
        "spans": len(trace.steps),
        "start_s": trace.start_ns / 1e9,
        "seconds": (trace.end_ns - trace.start_ns) / 1e9,
    }


def _steps(trace: Trace) -> list[dict[str, Any]]:
    return [
        {
            "depth": step.depth,
            "name": step.span.name,
            "service": step.service,
            "begin_s": (step.span.start_ns - trace.start_ns) / 1e9,
            "seconds": step.seconds,
            "attributes": {name: str(value) for name, value in sorted(step.span.attributes.items())},
        }
        for step in trace.steps
    ]
