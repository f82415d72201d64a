"""The numbers of all services side by side, for a terminal of 80 columns: a line for each number, a column for each service."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import Any, NamedTuple, Protocol

NAME_WIDTH = 22
CELL_WIDTH = 13


class Line(NamedTuple):
    """A number and what Prometheus is asked for it; `$own` stands for the labels that choose the service."""

    title: str
    expression: str
    unit: str = ""
    is_zero_without: bool = False
    """Whether nothing means zero. Otherwise the service does not have it, which is shown as "-"."""


LINES = (
    Line("workers ready", 'sum(fairlead_workers{$own,state="ready"})'),
    Line("workers that died", 'sum(fairlead_worker_restarts_total{$own,cause!="replaced"})'),
    Line("requests", "sum(rate(http_server_request_duration_seconds_count{$own}[30s]))", "/s", is_zero_without=True),
    Line(
        "errors",
        'sum(rate(http_server_request_duration_seconds_count{$own,http_response_status_code=~"5.."}[30s]))',
        "/s",
        is_zero_without=True,
    ),
    Line(
        "95 of 100 within",
        "histogram_quantile(0.95, sum by (le) "
        '(rate(http_server_request_duration_seconds_bucket{$own,http_response_status_code!="101"}[30s])))',
        "s",
    ),
    Line("in flight", "sum(fairlead_worker_requests_in_flight{$own})"),
    Line("websockets", "sum(fairlead_websockets{$own})"),
    Line("messages sent", 'sum(rate(fairlead_websocket_messages_total{$own,direction="sent"}[30s]))', "/s"),
    Line("event loop's lag", "max(fairlead_loop_lag_seconds{$own})", "s"),
    Line("CPU", "100 * sum(rate(process_cpu_seconds_total{$own}[30s]))", "%"),
    Line("memory", "sum(process_resident_memory_bytes{$own}) / 1048576", "MiB"),
    Line("connections in use", 'sum(db_client_connection_count{$own,db_client_connection_state="used"})'),
    Line("waiting for one", "sum(db_client_connection_pending_requests{$own})"),
    Line("outbox waiting", "max(outbox_pending_rows{$own})"),
)


class Queried(Protocol):
    """What is asked of `prometheus.Prometheus`."""

    async def query(self, expression: str) -> list[dict[str, Any]]:
        """The series of an instant query."""


async def picture(prometheus: Queried, services: Sequence[str]) -> str:
    """The table as of now. A service that is not there has a word instead of its numbers."""
    rows = [_row("", services)]
    up = [bool(await _value(prometheus, f'up{{job="{service}"}}')) for service in services]
    for line in LINES if any(up) else ():
        cells = []
        for service, is_up in zip(services, up, strict=True):
            value = await _value(prometheus, line.expression.replace("$own", f'job="{service}"')) if is_up else None
            cells.append("" if not is_up else _shown(0.0 if value is None and line.is_zero_without else value, line.unit))
        rows.append(_row(line.title, cells))
    if not all(up):
        rows.insert(1, _row("", ["" if is_up else "is not there" for is_up in up]))
    return "\n".join(rows)


def _row(title: str, cells: Sequence[str]) -> str:
    return (title.ljust(NAME_WIDTH) + "".join(cell.rjust(CELL_WIDTH) for cell in cells)).rstrip()


async def _value(prometheus: Queried, expression: str) -> float | None:
    found = await prometheus.query(expression)
    value = float(found[0]["value"][1]) if found else float("nan")
    return value if isfinite(value) else None


def _shown(value: float | None, unit: str) -> str:
    if value is None:
        return "-"
    if unit == "s":
        return duration(value)
    digits = f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.1f}" if value >= 1 else f"{value:.2f}"
    return f"{digits} {unit}" if unit and not unit.startswith("/") else f"{digits}{unit}"


def duration(seconds: float) -> str:
    """As somebody would say it: three digits, and the unit that fits."""
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e6:.0f} µs"
