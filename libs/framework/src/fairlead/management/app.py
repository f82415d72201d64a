"""Probes, metrics and commands as an `App`, built for whichever `Fleet` it is to speak of.

The commands exist only where an `Operator` is given: on the unix socket. A GET never changes anything, and a command's
answer is a line of text: 200 when it has been carried out, 409 with the cause when not.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from fairlead.app import App
from fairlead.injection import Body
from fairlead.management.fleet import Fleet, FleetStatus, Operator
from fairlead.management.metrics import fleet_snapshot
from fairlead.management.probes import PROBES, Probe, Verdict
from fairlead.request import Request
from fairlead.response import HTTPResponse, raw
from fairlead.response import text as plain
from fairlead.telemetry.inspection import MAX_PROFILE_S
from fairlead.telemetry.metrics import merge, negotiate, render
from fairlead.types import Handler

__all__ = ["build_management_app"]

_SECONDS = re.compile(r"[0-9]{1,3}(\.[0-9]{1,3})?").fullmatch
_WORKER = re.compile(r"[0-9]{1,4}").fullmatch

MAX_WORDS_BYTES = 65_536
"""The words of a command of the application's own; nothing else here has a body."""

CAUSE = "asked for over the management socket"

_NEVER_STORED = {"cache-control": "no-store"}


def build_management_app(fleet: Fleet, operator: Operator | None = None) -> App:
    """`/startupz`, `/livez` and `/readyz`: 200 or 503 with a word, or JSON in detail (`?verbose`); `/metrics`.

    With an operator also `POST /reload`, `POST /scale?workers=N` and `POST /stop`, and what shows a worker's inside:
    `POST /dump?worker=N`, `POST /profile?worker=N&seconds=S&format=text|html`.
    """
    app = App("management", {"FALLBACK_ERROR_FORMAT": "text", "ACCESS_LOG": False, "RESPONSE_TIMEOUT": MAX_PROFILE_S * 2})
    for name, probe in PROBES.items():
        app.add_route(_handler(fleet, probe), f"/{name}", methods=("GET", "HEAD"), name=name)

    @app.get("/metrics")
    async def metrics(request: Request[Any, Any]) -> HTTPResponse:
        counted = await fleet.metrics()
        content_type = negotiate(request.headers.get("accept"))
        body = render(merge([counted, fleet_snapshot(fleet.status())]), content_type)
        return raw(body, headers=_NEVER_STORED, content_type=content_type)

    if operator is not None:
        _add_commands(app, operator)
    return app


def _add_commands(app: App, operator: Operator) -> None:
    @app.post("/reload")
    async def reload(request: Request[Any, Any]) -> HTTPResponse:
        return _outcome(await operator.reload(CAUSE))

    @app.post("/scale")
    async def scale(request: Request[Any, Any]) -> HTTPResponse:
        workers = request.get_args().get("workers", "")
        if not (workers.isascii() and workers.isdigit() and len(workers) < 10):
            return plain("workers=N says how many\n", 400)
        return _outcome(await operator.scale(int(workers), CAUSE))

    @app.post("/stop")
    async def stop(request: Request[Any, Any]) -> HTTPResponse:
        return _outcome(await operator.stop(CAUSE))

    @app.post("/dump")
    async def dump(request: Request[Any, Any]) -> HTTPResponse:
        return await _inspected(operator, request, 0.0)

    @app.post("/profile")
    async def profile(request: Request[Any, Any]) -> HTTPResponse:
        seconds = request.get_args().get("seconds", "5")
        if not _SECONDS(seconds) or not 0 < float(seconds) <= MAX_PROFILE_S:
            return plain(f"seconds=S says how long, up to {MAX_PROFILE_S:.0f}\n", 400)
        return await _inspected(operator, request, float(seconds))

    @app.post("/call/<name>", max_body_bytes=MAX_WORDS_BYTES)
    async def call(request: Request[Any, Any], name: str, words: Body[tuple[str, ...]]) -> HTTPResponse:
        worker = request.get_args().get("worker", "0")
        if not _WORKER(worker):
            return plain("worker=N says which\n", 400)
        problem, text = await operator.call(int(worker), name, words)
        return _outcome(problem) if problem else plain(text, 200, _NEVER_STORED)


async def _inspected(operator: Operator, request: Request[Any, Any], seconds: float) -> HTTPResponse:
    arguments = request.get_args()
    worker, format = arguments.get("worker", "0"), arguments.get("format", "text")
    if not _WORKER(worker):
        return plain("worker=N says which\n", 400)
    if format not in ("text", "html"):
        return plain("format is text or html\n", 400)
    problem, text = await operator.inspect(int(worker), seconds, "html" if format == "html" else "text")
    return _outcome(problem) if problem else plain(text, 200, _NEVER_STORED)


def _outcome(problem: str) -> HTTPResponse:
    return plain(f"{problem or 'done'}\n", 409 if problem else 200, _NEVER_STORED)


def _handler(fleet: Fleet, probe: Probe) -> Handler:
    def answer(request: Request[Any, Any]) -> HTTPResponse:
        status = fleet.status()
        verdict = probe(status)
        code = 200 if verdict.ok else 503
        if _wants_detail(request):
            return raw(_detail(status, verdict), code, _NEVER_STORED, "application/json")
        return plain(f"{verdict.reason}\n", code, _NEVER_STORED)

    return answer


def _wants_detail(request: Request[Any, Any]) -> bool:
    return "verbose" in request.get_args(keep_blank_values=True) or "application/json" in request.headers.get("accept", "")


def _detail(status: FleetStatus, verdict: Verdict) -> bytes:
    document = {"ok": verdict.ok, "reason": verdict.reason, **msgspec.to_builtins(status)}
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"
