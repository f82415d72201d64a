"""`make observe`: a Prometheus and an OTLP receiver beside `make run`, and the picture of the services in the terminal.

Prometheus scrapes the management ports of the services that `make run` has started; its own pages are at the address that is
printed. Spans come when the services were started with

    OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318 make run
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections import Counter
from pathlib import Path

from fairlead.local.plan import read_services
from fairlead.testing.otlp import OtlpReceiver
from tests.observe.prometheus import ROOT, Missing, Prometheus, Target

PROMETHEUS_PORT = 9090
OTLP_PORT = 4318
SPANS_SHOWN = 8

PANELS = {
    "up": 'up{job="$service"}',
    "workers": 'sum(fairlead_workers{job="$service",state="ready"})',
    "requests/s": 'sum(rate(http_server_request_duration_seconds_count{job="$service"}[30s]))',
    "errors/s": 'sum(rate(http_server_request_duration_seconds_count{job="$service",http_response_status_code=~"5.."}[30s])) '
    "or vector(0)",
    "p95 ms": "1000 * histogram_quantile(0.95, sum by (le) "
    '(rate(http_server_request_duration_seconds_bucket{job="$service",http_response_status_code!="101"}[30s])))',
    "in flight": 'sum(fairlead_worker_requests_in_flight{job="$service"})',
    "websockets": 'sum(fairlead_websockets{job="$service"})',
    "loop lag ms": '1000 * max(fairlead_loop_lag_seconds{job="$service"})',
    "CPU %": '100 * sum(rate(process_cpu_seconds_total{job="$service"}[30s]))',
    "memory MiB": 'sum(process_resident_memory_bytes{job="$service"}) / 1048576',
    "DB used": 'sum(db_client_connection_count{job="$service",db_client_connection_state="used"})',
    "outbox": 'max(outbox_pending_rows{job="$service"})',
}
"""A column's title, and what Prometheus is asked for it."""


async def picture(prometheus: Prometheus, services: list[str]) -> str:
    """The table of all services, now; "-" for what a service does not have."""
    lines = [["", *PANELS]]
    for service in services:
        cells = [service]
        for expression in PANELS.values():
            found = await prometheus.query(expression.replace("$service", service))
            value = float(found[0]["value"][1]) if found else float("nan")
            cells.append("-" if value != value else f"{value:,.0f}" if value >= 100 else f"{value:.3g}")
        lines.append(cells)
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)) for line in lines)


def traces(receiver: OtlpReceiver) -> str:
    """The names of what came last, with how often and how long."""
    recent = list(receiver.spans)[-1_000:]
    if not recent:
        return f"no spans yet (OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:{receiver.port} make run)"
    counts = Counter((str(span.resource.get("service.name")), span.name) for span in recent)
    longest = {(str(span.resource.get("service.name")), span.name): 0.0 for span in recent}
    for span in recent:
        key = (str(span.resource.get("service.name")), span.name)
        longest[key] = max(longest[key], (span.end_ns - span.start_ns) / 1e6)
    shown = counts.most_common(SPANS_SHOWN)
    return "\n".join(f"{count:6} × {service}: {name}, up to {longest[service, name]:.1f} ms" for (service, name), count in shown)


def say(text: str) -> None:
    """To the terminal, at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


async def observe(arguments: argparse.Namespace) -> None:
    """Draw the picture every so often, until interrupted."""
    services = read_services(ROOT)
    targets = [Target(service.name, service.management_url.removeprefix("http://")) for service in services]
    folder = Path(ROOT / ".local" / "observe")
    with OtlpReceiver(arguments.otlp_port) as receiver:
        async with Prometheus(folder, targets, port=arguments.prometheus_port) as prometheus:
            say(f"Prometheus: {prometheus.url}   OTLP: http://127.0.0.1:{receiver.port}   Ctrl-C ends both")
            rounds = 0
            while not arguments.rounds or rounds < arguments.rounds:
                await asyncio.sleep(arguments.seconds)
                rounds += 1
                say(f"\n{await picture(prometheus, [service.name for service in services])}\n{traces(receiver)}")


def main() -> int:
    """0 when interrupted, or after the rounds; 1 when Prometheus can't be had."""
    parser = argparse.ArgumentParser(prog="make observe", description="Watch what `make run` has started.")
    parser.add_argument("--seconds", type=float, default=10.0, help="between two pictures (default: 10)")
    parser.add_argument("--rounds", type=int, default=0, help="end after so many pictures (default: never)")
    parser.add_argument("--prometheus-port", type=int, default=PROMETHEUS_PORT)
    parser.add_argument("--otlp-port", type=int, default=OTLP_PORT)
    try:
        asyncio.run(observe(parser.parse_args()))
    except Missing as error:
        sys.stderr.write(f"observe: {error}\n")
        return 1
    except KeyboardInterrupt:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
