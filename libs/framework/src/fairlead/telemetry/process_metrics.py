"""What the server and the process say of themselves: requests in flight, connections, websockets, CPU time, memory,
garbage collection.

Each is a `Collector`: the numbers are kept elsewhere, or by the kernel, and read when a snapshot is taken. Names of
the process are those that Prometheus clients agree on (`process_cpu_seconds_total` …); over the workers of a pod they
add up.
"""

from __future__ import annotations

import gc
import os
import resource
from contextlib import suppress
from typing import Protocol

from fairlead.telemetry.snapshot import Snapshot, family
from fairlead.websocket.stats import WebsocketStats

__all__ = ["ProcessMetrics", "ServerMetrics", "WebsocketMetrics"]


class Busy(Protocol):
    """The numbers of a `fairlead.server.Server`."""

    @property
    def in_flight(self) -> int: ...

    @property
    def open_connections(self) -> int: ...


class ServerMetrics:
    """How busy a server is now."""

    def __init__(self, server: Busy) -> None:
        self._server = server

    def collect(self) -> Snapshot:
        """Two gauges."""
        return {
            "http_server_active_requests": family("gauge", "Requests that are being handled.", [((), self._server.in_flight)]),
            "fairlead_open_connections": family(
                "gauge", "Connections that are open, idle ones included.", [((), self._server.open_connections)]
            ),
        }


class WebsocketMetrics:
    """What the websockets of a server did."""

    def __init__(self, stats: WebsocketStats) -> None:
        self._stats = stats

    def collect(self) -> Snapshot:
        """The open ones as a gauge; the rest as counters, the closed ones by close code."""
        stats = self._stats
        messages = [(("received",), stats.messages_received), (("sent",), stats.messages_sent)]
        sizes = [(("received",), stats.bytes_received), (("sent",), stats.bytes_sent)]
        closed = [((str(code),), count) for code, count in list(stats.closed.items())]
        return {
            "fairlead_websocket_open": family("gauge", "Websockets that are connected.", [((), stats.open)]),
            "fairlead_websocket_opened_total": family("counter", "Websockets accepted.", [((), stats.opened)]),
            "fairlead_websocket_closed_total": family("counter", "Websockets ended, by close code.", closed, labels=["code"]),
            "fairlead_websocket_messages_total": family("counter", "Messages of websockets.", messages, labels=["direction"]),
            "fairlead_websocket_message_bytes_total": family(
                "counter", "Payload of the messages of websockets.", sizes, labels=["direction"]
            ),
        }


class ProcessMetrics:
    """CPU time, memory, open files and garbage collections of this process."""

    def collect(self) -> Snapshot:
        """What can't be read on this system (no /proc) is left out."""
        usage = resource.getrusage(resource.RUSAGE_SELF)
        collections = [((str(generation),), stats["collections"]) for generation, stats in enumerate(gc.get_stats())]
        snapshot = {
            "process_cpu_seconds_total": family(
                "counter", "CPU time spent, user and system.", [((), round(usage.ru_utime + usage.ru_stime, 3))]
            ),
            "python_gc_collections_total": family(
                "counter", "Garbage collections, by generation.", collections, labels=["generation"]
            ),
        }
        with suppress(OSError):
            resident_pages = int(_read("/proc/self/statm").split()[1])
            snapshot["process_resident_memory_bytes"] = family(
                "gauge", "Resident memory.", [((), resident_pages * os.sysconf("SC_PAGESIZE"))]
            )
            snapshot["process_open_fds"] = family("gauge", "Open file descriptors.", [((), len(os.listdir("/proc/self/fd")))])
        return snapshot


def _read(path: str) -> str:
    with open(path, encoding="ascii") as file:
        return file.read()
