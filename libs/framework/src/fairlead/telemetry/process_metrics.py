"""What a process uses: CPU time, memory, open files, garbage collections.

The kernel and the interpreter keep these numbers; they are read when a snapshot is taken. The names are those that
Prometheus clients agree on (`process_cpu_seconds_total` …); over the workers of a pod they add up.
"""

from __future__ import annotations

import gc
import os
import time
from contextlib import suppress

from fairlead.telemetry.snapshot import Snapshot, family

__all__ = ["ProcessMetrics"]


class ProcessMetrics:
    """A `Collector` for the registry."""

    def collect(self) -> Snapshot:
        """What can't be read on this system (no /proc) is left out."""
        collections = [((str(generation),), stats["collections"]) for generation, stats in enumerate(gc.get_stats())]
        snapshot = {
            "process_cpu_seconds_total": family(
                "counter", "CPU time spent, user and system.", [((), round(time.process_time(), 3))]
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
