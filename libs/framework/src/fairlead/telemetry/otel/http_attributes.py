"""What the span of a request says, by OpenTelemetry's stable conventions for HTTP servers.

PERF: an attribute costs from here to the collector, so there are no more than these.
"""

from __future__ import annotations

from typing import Any

from fairlead.telemetry.masking import mask_tokens
from fairlead.telemetry.metrics import METHODS, OTHER

__all__ = ["common_attributes", "name_of", "opening_attributes", "outcome_of", "own_attributes"]

MAX_TEXT = 1_024


def opening_attributes(request: Any) -> dict[str, Any]:
    """What is known when a request arrives."""
    own = own_attributes(request.target, request.id, request.client_ip, request.headers.get("user-agent"))
    return common_attributes(request) | own


def common_attributes(request: Any) -> dict[str, Any]:
    """What depends on the method, and on where the server was reached: many requests share it."""
    method, scheme = request.raw_method, request.scheme
    attributes = {
        "http.request.method": method.decode() if method in METHODS else OTHER,
        "url.scheme": "http" if scheme == "ws" else "https" if scheme == "wss" else scheme,
        "network.protocol.version": request.version,
    }
    if method not in METHODS:
        attributes["http.request.method_original"] = method.decode("latin-1")[:32]
    if request.host:
        attributes["server.address"], attributes["server.port"] = request.server_name, request.server_port
    return attributes


def own_attributes(target: bytes, request_id: str, client: str, agent: str | None) -> dict[str, str]:
    """What each request has of its own. The query is shown with whatever looks like a credential masked."""
    path, _, query = target.decode("latin-1").partition("?")
    attributes = {"url.path": path[:MAX_TEXT], "fairlead.request_id": request_id}
    if query:
        attributes["url.query"] = mask_tokens(query[:MAX_TEXT])
    if client:
        attributes["client.address"] = client
    if agent:
        attributes["user_agent.original"] = agent[:MAX_TEXT]
    return attributes


def name_of(request: Any) -> str:
    """Method and route, or as much of it as is known."""
    method = request.method if request.raw_method in METHODS else "HTTP"
    route = request.uri_template
    return f"{method} {route}" if route else method


def outcome_of(request: Any, status: int, error: str = "") -> dict[str, str | int]:
    """What is known when the response is written; `error` is the class of what was raised."""
    outcome: dict[str, str | int] = {"http.response.status_code": status}
    if route := request.uri_template:
        outcome["http.route"] = route
    if status >= 500:
        outcome["error.type"] = error or str(status)
    return outcome
