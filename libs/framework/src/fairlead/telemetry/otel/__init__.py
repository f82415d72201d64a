"""OpenTelemetry, when the standard `OTEL_` variables ask for it (extra `fairlead[tracing]`).

Nothing here is imported otherwise: `wants` reads the variables alone.

- `sdk`: providers and exporters from the variables;
- `engine`: which requests are traced, and what code inside a request sees as its span;
- `ambient`: the OpenTelemetry context of whatever request is being handled, worked out when somebody asks;
- `server_span`: the span of one sampled request, its websocket's and stream's messages included;
- `finished_request`, `wire`, `exporter`: its way to the collector;
- `logs`: log events over OTLP, beside stdout;
- `push`: metrics over OTLP, the same numbers as on `/metrics`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Literal

__all__ = ["wants"]


def wants(signal: Literal["traces", "metrics", "logs"], environ: Mapping[str, str] = os.environ) -> bool:
    """Whether the environment asks for this signal: an endpoint or an exporter is named, and nothing turns it off."""
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    exporter = environ.get(f"OTEL_{signal.upper()}_EXPORTER", "").strip().lower()
    if exporter:
        return exporter != "none"
    names = ("OTEL_EXPORTER_OTLP_ENDPOINT", f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT")
    return any(environ.get(name, "").strip() for name in names)
