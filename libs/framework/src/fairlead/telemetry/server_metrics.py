"""What a server knows, as families for `/metrics`: refused messages, websockets, certificates (missions W10, K10)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from fairlead.telemetry.snapshot import Family, Kind, Snapshot, family
from fairlead.websocket.stats import ROUND_TRIP_BOUNDS_S, WebsocketStats

__all__ = ["CertificateMetrics", "ServerMetrics"]


class CountingServer(Protocol):
    """What is asked of `fairlead.server.Server`."""

    @property
    def refused(self) -> dict[int, int]:
        """Status → messages that were answered with it before they became a request."""

    @property
    def websocket_stats(self) -> Any:
        """The counters of its websockets; None before the first."""


class ServerMetrics:
    """A `Collector` for the registry. Websockets are left out as long as there has been none."""

    def __init__(self, server: CountingServer) -> None:
        self._server = server

    def collect(self) -> Snapshot:
        """The numbers as they are now."""
        sockets = self._server.websocket_stats
        return {**_refusals(self._server.refused), **(_websockets(sockets) if sockets is not None else {})}


class KnownCertificates(Protocol):
    """What is asked of `fairlead.server.tls.Certificates`."""

    def expiries(self) -> Mapping[str, float]:
        """File → when its certificate expires, as Unix seconds."""


class CertificateMetrics:
    """A `Collector` for the registry. Of several workers, the one with the oldest certificate counts."""

    def __init__(self, certificates: KnownCertificates) -> None:
        self._certificates = certificates

    def collect(self) -> Snapshot:
        """As it is now: renewed certificates are picked up without a restart."""
        series = [((path,), expires_at) for path, expires_at in self._certificates.expiries().items()]
        text = "When the certificate that is served expires, as Unix time."
        return {
            "fairlead_tls_certificate_expiry_timestamp_seconds": family(
                "gauge", text, series, labels=["certificate"], combine="min"
            )
        }


def _refusals(counts: Mapping[int, int]) -> Snapshot:
    text = "Messages that were answered before they became a request."
    return {"fairlead_http_messages_refused_total": _by_number(text, "http_response_status_code", counts)}


def _websockets(stats: WebsocketStats) -> Snapshot:
    return {
        "fairlead_websockets": _single("gauge", "Open websockets.", stats.open),
        "fairlead_websockets_opened_total": _single("counter", "Websockets that were opened.", stats.opened),
        "fairlead_websockets_closed_total": _by_number("Websockets that have ended.", "code", stats.closed),
        "fairlead_websocket_messages_total": _by_direction("Messages on websockets.", stats.messages_received, stats.messages_sent),
        "fairlead_websocket_bytes_total": _by_direction("Payload of those messages.", stats.bytes_received, stats.bytes_sent),
        "fairlead_websocket_queued": _single("gauge", "Messages that wait for peers that read slowly.", stats.queued),
        "fairlead_websocket_dropped_total": _single("counter", "Messages that were dropped for peers too slow.", stats.dropped),
        "fairlead_websocket_coalesced_total": _single("counter", "Messages replaced by a newer one.", stats.coalesced),
        "fairlead_websocket_ping_seconds": family(
            "histogram", "Round trips of pings.", [([], list(stats.round_trips))], bounds=ROUND_TRIP_BOUNDS_S
        ),
    }


def _single(kind: Kind, text: str, value: int) -> Family:
    return family(kind, text, [((), value)])


def _by_number(text: str, label: str, counts: Mapping[int, int]) -> Family:
    return family("counter", text, [((str(number),), count) for number, count in counts.items()], labels=[label])


def _by_direction(text: str, received: int, sent: int) -> Family:
    return family("counter", text, [(("received",), received), (("sent",), sent)], labels=["direction"])
