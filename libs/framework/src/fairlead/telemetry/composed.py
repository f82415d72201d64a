"""The telemetry of a process that serves an application, put together: on our own server, and under an ASGI server alike.

What is not asked for is not even imported.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from fairlead.telemetry.access_log import AccessLog
from fairlead.telemetry.logging import LogStream
from fairlead.telemetry.metrics import RequestMetrics, registry
from fairlead.telemetry.observer import compose
from fairlead.telemetry.otel import wants
from fairlead.types import Observer

if TYPE_CHECKING:
    from fairlead.telemetry.otel.sdk import OpenTelemetry

__all__ = ["begin_opentelemetry", "observer_of"]

logger = logging.getLogger("fairlead.telemetry")


def begin_opentelemetry(name: str, stream: LogStream | None, requests: RequestMetrics) -> OpenTelemetry | None:
    """OpenTelemetry for the application `name`, begun; None when the environment does not ask for it, or it is not installed.

    Call it in a running loop, and in the task whose context the application inherits.
    """
    if not (wants("traces") or wants("metrics") or wants("logs")):
        return None
    try:
        from fairlead.telemetry.otel.sdk import OpenTelemetry
    except ImportError as error:
        logger.warning("the OTEL_ variables ask for what is not installed: fairlead[tracing]", extra={"cause": str(error)})
        return None
    version = str(stream.identity.get("version", "")) if stream is not None else ""
    telemetry = OpenTelemetry(name, version=version)
    telemetry.begin(requests.add_exemplar, stream)
    if telemetry.spans is not None:
        registry.add(telemetry.spans)
    if telemetry.logs is not None:
        registry.add(telemetry.logs)
    return telemetry


def observer_of(
    config: Any, stream: LogStream | None, requests: RequestMetrics, telemetry: OpenTelemetry | None
) -> Observer | None:
    """Counts into `requests`, writes the access log as `config` says (where there is a stream), and finishes spans."""
    options = {
        "sample": config.ACCESS_LOG_SAMPLE,
        "errors_only": config.ACCESS_LOG_ERRORS_ONLY,
        "with_query": config.ACCESS_LOG_QUERY,
        "with_user_agent": config.ACCESS_LOG_USER_AGENT,
        "trusts_proxies": bool(config.FORWARDED_SECRET or config.REAL_IP_HEADER or config.PROXIES_COUNT),
    }
    access_log = AccessLog(stream, metrics=requests, **options) if config.ACCESS_LOG and stream is not None else None
    observer = compose(requests, access_log)
    if observer is not None and telemetry is not None and telemetry.logs is not None and config.ACCESS_LOG_OTLP:
        return telemetry.logs.with_access(observer, **options)
    return observer
